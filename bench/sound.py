#!/usr/bin/env python3
"""Tempo, key, loudness and the sound space beside librosa, aubio, essentia and ffmpeg, on music whose truth is known; and the speed.

    python3 bench/sound.py [--seed 2] [--clips 320] [--speed]

renders the clips of bench/sound_corpus.py (a seed that nothing was tuned on), makes a Python environment with the peers below
.cache/bench/sound-env, for the comparison only, and prints tables in Markdown. `--speed` measures whole files beside bliss-audio, which is
built below .cache/bench and never linked: it is GPL. Needs fluidsynth, fluid-soundfont-gm, ffmpeg.
"""

import argparse
import collections
import json
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CACHE = os.path.join(ROOT, ".cache/bench/sound")
PYTHON = os.path.join(ROOT, ".cache/bench/sound-env/bin/python")
PACKAGES = ["numpy==2.4.6", "librosa==0.11.0", "essentia==2.1b6.dev1389", "setuptools==65.5.0", "wheel"]
TOLERANCE = 0.04
OCTAVES = (1, 2, 1 / 2, 3, 1 / 3)


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def environment():
    """The peers' own Python; this script starts itself anew in it."""
    if not os.path.exists(PYTHON):
        say("making a Python environment with librosa, essentia and aubio, once")
        subprocess.run([sys.executable, "-m", "venv", os.path.dirname(os.path.dirname(PYTHON))], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        # It is built from source, and its setup must see numpy.
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", "--no-build-isolation", "aubio==0.4.9"], check=False)
    if sys.prefix != os.path.dirname(os.path.dirname(PYTHON)):
        os.execv(PYTHON, [PYTHON, *sys.argv])


def ours(files):
    subprocess.run(["cargo", "build", "--release", "-p", "soniquebay-audio", "--example", "analyze"], cwd=ROOT, check=True)
    analyzer = os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"), "release/examples/analyze")
    answers = {}
    for start in range(0, len(files), 50):
        lines = subprocess.run([analyzer, *files[start:start + 50]], capture_output=True, text=True).stdout.splitlines()
        answers |= {line["file"]: line for line in map(json.loads, lines)}
    return answers


def samples(file, rate=44100):
    import numpy as np

    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", file, "-ac", "1", "-ar", str(rate), "-f", "f32le", "-"], capture_output=True, check=True)
    return np.frombuffer(raw.stdout, "f4")


def peers(file):
    """What each peer says of a file: {peer: {tempo, key}}. A peer that is not installed is left out."""
    found = {}
    audio = samples(file)
    try:
        import essentia
        essentia.log.infoActive = essentia.log.warningActive = False
        import essentia.standard as es

        names = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
        key, scale, _ = es.KeyExtractor()(audio)
        found["essentia"] = {"tempo": float(es.RhythmExtractor2013(method="multifeature")(audio)[0]), "key": [names.index(key), scale]}
    except ImportError:
        pass
    try:
        import librosa
        import numpy as np

        low = librosa.resample(audio, orig_sr=44100, target_sr=22050)
        tempo = float(np.atleast_1d(librosa.beat.beat_track(y=low, sr=22050)[0])[0])
        chroma = librosa.feature.chroma_cqt(y=low, sr=22050).mean(1)
        profiles = {"major": [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
                    "minor": [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17]}
        best = max(((np.corrcoef(np.roll(chroma, -tonic), profile)[0, 1], tonic, mode)
                    for mode, profile in profiles.items() for tonic in range(12)))
        found["librosa"] = {"tempo": tempo, "key": [best[1], best[2]]}
    except ImportError:
        pass
    try:
        import aubio
        import numpy as np

        tracker, beats = aubio.tempo("default", 1024, 512, 44100), []
        for start in range(0, len(audio) - 512, 512):
            if tracker(audio[start:start + 512].astype(aubio.float_type)):
                beats.append(tracker.get_last_s())
        gaps = np.diff(beats)
        found["aubio"] = {"tempo": float(60 / np.median(gaps)) if len(gaps) else 0.0}
    except ImportError:
        pass
    said = subprocess.run(["ffmpeg", "-hide_banner", "-nostats", "-i", file, "-af", "ebur128", "-f", "null", "-"], capture_output=True, text=True)
    summary = said.stderr[said.stderr.rfind("Summary:"):]
    level, spread = re.search(r"I:\s+(-?[\d.]+) LUFS", summary), re.search(r"LRA:\s+(-?[\d.]+) LU", summary)
    found["ffmpeg"] = {"loudness": float(level.group(1)), "range": float(spread.group(1))}
    return found


def cached_peers(files, folder):
    path = os.path.join(folder, "peers.jsonl")
    known = {}
    if os.path.exists(path):
        with open(path) as lines:
            known = {entry["file"]: entry for entry in map(json.loads, lines)}
    with open(path, "a") as out:
        for done, file in enumerate(files, 1):
            stamp = os.path.getmtime(file)
            if known.get(file, {}).get("stamp") != stamp:
                known[file] = {"file": file, "stamp": stamp} | peers(file)
                out.write(json.dumps(known[file]) + "\n")
                out.flush()
                print(f"\rpeers: {done} of {len(files)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return known


def tempo_right(truth, tempo, ratios=(1,)):
    return bool(tempo) and any(abs(tempo / truth / ratio - 1) <= TOLERANCE for ratio in ratios)


def mirex(truth, key):
    """1 for the key, 0.5 for a fifth off, 0.3 for its relative, 0.2 for its parallel."""
    if not key:
        return 0.0
    tonic, mode = key
    off = (tonic - truth["tonic"]) % 12
    if mode == truth["mode"]:
        return {0: 1.0, 5: 0.5, 7: 0.5}.get(off, 0.0)
    return 0.2 if off == 0 else 0.3 if off == (9 if mode == "minor" else 3) else 0.0


def share(values):
    return f"{100 * statistics.mean(values):.1f} %"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def accuracy(clips, heard, known):
    keys = collections.Counter((clip["tonic"], clip["mode"]) for clip in clips)
    columns = {
        "SoniqueBay": lambda clip: (
            (heard[clip["path"]].get("tempo") or {}).get("value"),
            (lambda key: key and [key["tonic"], key["mode"]])(heard[clip["path"]].get("key")),
        ),
        "always 120, the most frequent key": lambda clip: (120.0, list(keys.most_common(1)[0][0])),
    }
    for peer in ("essentia", "librosa", "aubio"):
        if all(peer in known[clip["path"]] for clip in clips):
            columns[peer] = lambda clip, peer=peer: (known[clip["path"]][peer].get("tempo"), known[clip["path"]][peer].get("key"))
    rows = []
    for name, answer in columns.items():
        answers = [answer(clip) for clip in clips]
        row = [name, share([tempo_right(clip["tempo"], tempo) for clip, (tempo, _) in zip(clips, answers)]),
               share([tempo_right(clip["tempo"], tempo, OCTAVES) for clip, (tempo, _) in zip(clips, answers)])]
        scores = [mirex(clip, key) for clip, (_, key) in zip(clips, answers)]
        row += ["", ""] if name == "aubio" else [share([score == 1 for score in scores]), f"{statistics.mean(scores):.3f}"]
        rows.append(row)
    table(["", "tempo within 4 %", "octaves allowed", "key exact", "key, MIREX-weighted"], rows)
    styles = collections.defaultdict(list)
    for clip in clips:
        styles[clip["style"]].append(clip)
    rows = []
    for style, members in sorted(styles.items()):
        tempi = [(tempo_right(clip["tempo"], columns[name](clip)[0])) for name in ("SoniqueBay",) for clip in members]
        row = [style, len(members), share(tempi)]
        if "essentia" in columns:
            row.append(share([tempo_right(clip["tempo"], columns["essentia"](clip)[0]) for clip in members]))
        row.append(share([mirex(clip, columns["SoniqueBay"](clip)[1]) == 1 for clip in members]))
        rows.append(row)
    table(["style", "clips", "tempo", *(["essentia's"] if "essentia" in columns else []), "key"], rows)


def loudness(clips, heard, known):
    rows = []
    for name, ours_name, theirs in (("integrated, LU", "loudness", "loudness"), ("range, LU", "loudness_range", "range")):
        off = [abs(heard[clip["path"]][ours_name]["value"] - known[clip["path"]]["ffmpeg"][theirs]) for clip in clips
               if heard[clip["path"]].get(ours_name)]
        rows.append([name, f"{statistics.mean(off):.3f}", f"{max(off):.2f}", len(off)])
    table(["loudness against ffmpeg's ebur128", "mean difference", "largest", "clips"], rows)


def space(clips, variants, heard):
    import numpy as np

    vectors = np.array([heard[clip["path"]]["sound"] for clip in clips])
    labels = np.array([clip["ensemble"] for clip in clips])
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    nearest = np.argsort(-near, 1)[:, :5]
    precision = (labels[nearest] == labels[:, None]).mean()
    chance = np.mean([(labels == label).sum() - 1 for label in labels]) / (len(labels) - 1)
    print(f"Of a clip's five nearest, {100 * precision:.1f} % have its instruments (a random pick: {100 * chance:.1f} %).\n")
    pieces = collections.defaultdict(dict)
    for clip in variants:
        pieces[clip["piece"]][clip["variant"]] = np.array(heard[clip["path"]]["sound"])
    rows = []
    for variant, name in (("mp3", "MP3 for FLAC"), ("higher", "three semitones higher"), ("faster", "30 % faster")):
        cosines = sorted(float(piece["original"] @ piece[variant]) for piece in pieces.values())
        rows.append([name, f"{statistics.mean(cosines):.4f}", f"{statistics.median(cosines):.4f}", f"{cosines[0]:.4f}", f"{cosines[-1]:.4f}"])
    others = [float(a @ b) for i, a in enumerate(vectors[:100]) for b in vectors[:i]]
    rows.append(["another piece", f"{statistics.mean(others):.4f}", f"{statistics.median(others):.4f}", f"{min(others):.4f}", f"{max(others):.4f}"])
    table(["cosine with the piece", "mean", "median", "least", "most"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--pieces", type=int, default=36)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--speed", action="store_true", help="measure whole files instead")
    args = parser.parse_args()
    environment()
    sys.path.insert(0, HERE)
    if args.speed:
        import sound_speed

        sound_speed.main()
        return
    import sound_corpus

    folder = os.path.join(CACHE, str(args.seed))
    entries = sound_corpus.make(args.seed, args.clips, args.pieces, 16, folder)
    for entry in entries:
        entry["path"] = os.path.join(folder, entry["file"])
    clips = [entry for entry in entries if "variant" not in entry]
    variants = [entry for entry in entries if "variant" in entry]
    heard = ours([entry["path"] for entry in entries])
    failed = [path for path, answer in heard.items() if "error" in answer]
    assert not failed, failed
    print(f"{len(clips)} clips of {len({clip['style'] for clip in clips})} styles, seed {args.seed}\n")
    known = {clip["path"]: {} for clip in clips} if args.no_peers else cached_peers([clip["path"] for clip in clips], folder)
    accuracy(clips, heard, known)
    if not args.no_peers:
        loudness(clips, heard, known)
    space(clips, variants, heard)


if __name__ == "__main__":
    main()
