"""Whole files through SoniqueBay, bliss-audio, librosa and decoding alone, one core each, in turns; see bench/sound.py --speed."""

import json
import os
import statistics
import subprocess
import sys

import sound_corpus

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(ROOT, ".cache/bench/sound/speed")
PEERS = os.path.join(ROOT, ".cache/bench/bliss")
SECONDS = 150
PIECES = 4
MANIFEST = """[package]
name = "sound-peers"
version = "0.0.0"
edition = "2021"

[workspace]

[dependencies]
bliss-audio = { version = "=0.13.0", default-features = false, features = ["symphonia-all"] }
# Decoding alone, by what SoniqueBay decodes with; SIMD for both.
symphonia = { version = "0.6.1", features = ["all", "opt-simd"] }
"""
MAIN = r"""
use bliss_audio::decoder::{Decoder as _, DefaultDecoder};
use std::time::Instant;
use symphonia::core::{codecs::audio::AudioDecoderOptions, formats::{probe::Hint, FormatOptions, TrackType}, io::MediaSourceStream, meta::MetadataOptions};

fn decode(path: &str) -> usize {
    let stream = MediaSourceStream::new(Box::new(std::fs::File::open(path).unwrap()), Default::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()).unwrap();
    let track = format.default_track(TrackType::Audio).unwrap();
    let (id, params) = (track.id, track.codec_params.as_ref().unwrap().audio().unwrap().clone());
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(&params, &AudioDecoderOptions::default()).unwrap();
    let (mut frames, mut planes) = (0, Vec::<Vec<f32>>::new());
    while let Some(packet) = format.next_packet().unwrap() {
        if packet.track_id == id {
            let buffer = decoder.decode(&packet).unwrap();
            buffer.copy_to_vecs_planar(&mut planes);
            frames += planes[0].len();
        }
    }
    frames
}

fn main() {
    let mut args = std::env::args().skip(1);
    let bliss = args.next().unwrap() == "bliss";
    for path in args {
        let start = Instant::now();
        if bliss { DefaultDecoder::song_from_path(&path).unwrap(); } else { decode(&path); }
        println!("{{\"file\": \"{path}\", \"seconds_taken\": {}}}", start.elapsed().as_secs_f64());
    }
}
"""
LIBROSA = """
import json, sys, time, librosa
for file in sys.argv[1:]:
    start = time.perf_counter()
    y, sr = librosa.load(file, sr=22050)
    librosa.beat.beat_track(y=y, sr=sr); librosa.feature.chroma_cqt(y=y, sr=sr); librosa.feature.mfcc(y=y, sr=sr)
    print(json.dumps({"file": file, "seconds_taken": time.perf_counter() - start}))
"""
FORMATS = {"Ogg Vorbis": (("-c:a", "libvorbis", "-q:a", "5"), "ogg"), "MP3": (("-c:a", "libmp3lame", "-b:a", "192k"), "mp3"),
           "FLAC": (("-c:a", "flac", "-sample_fmt", "s16"), "flac")}


def build():
    target = os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"), "release/examples/analyze")
    subprocess.run(["cargo", "build", "--release", "-p", "soniquebay-audio", "--example", "analyze"], cwd=ROOT, check=True)
    os.makedirs(os.path.join(PEERS, "src"), exist_ok=True)
    for name, text in (("Cargo.toml", MANIFEST), ("src/main.rs", MAIN)):
        path = os.path.join(PEERS, name)
        if not os.path.exists(path) or open(path).read() != text:
            with open(path, "w") as file:
                file.write(text)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=PEERS, check=True, env={k: v for k, v in os.environ.items() if k != "CARGO_TARGET_DIR"})
    return target, os.path.join(PEERS, "target/release/sound-peers")


def music():
    os.makedirs(CACHE, exist_ok=True)
    files = {name: [] for name in FORMATS}
    for number in range(PIECES):
        piece = sound_corpus.Piece(f"speed {number}", ("rock", "swing", "disco", "adagio")[number % 4])
        outputs = []
        for name, (arguments, ending) in FORMATS.items():
            files[name].append(os.path.join(CACHE, f"{number}.{ending}"))
            outputs.append((files[name][-1], arguments, 44100, 2))
        sound_corpus.render(piece.play(SECONDS), 1.0, SECONDS, outputs)
    return files


def main(rounds=5):
    files = music()
    analyzer, peers = build()
    commands = {"SoniqueBay": [analyzer], "bliss-audio 0.13": [peers, "bliss"], "decoding alone": [peers, "decode"]}
    speeds = {(name, kind): [] for name in (*commands, "librosa") for kind in files}
    peaks = {}
    for turn in range(rounds):
        for kind, paths in files.items():
            for name, command in commands.items():
                done = subprocess.run(["/usr/bin/env", "taskset", "-c", "0", *command, *paths], capture_output=True, text=True, check=True)
                taken = sum(json.loads(line)["seconds_taken"] for line in done.stdout.splitlines())
                speeds[name, kind].append(SECONDS * len(paths) / taken)
            if turn == 0:
                done = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", LIBROSA, *paths[:2]], capture_output=True, text=True, check=True)
                # The first file pays for compiling what librosa compiles.
                speeds["librosa", kind].append(SECONDS / json.loads(done.stdout.splitlines()[-1])["seconds_taken"])
    for name, command in commands.items():
        script = "import resource,subprocess,sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        peaks[name] = int(subprocess.run([sys.executable, "-c", script, *command, files["FLAC"][0]], capture_output=True, text=True, check=True).stdout) / 1024
    print(f"{PIECES} pieces of {SECONDS} s, {rounds} rounds in turns on one core; times real time, medians\n")
    print("| | " + " | ".join(files) + " | memory, one FLAC |\n|" + "---|" * (len(files) + 2))
    for name in (*commands, "librosa"):
        cells = [f"{statistics.median(speeds[name, kind]):.0f} ×" for kind in files]
        print(f"| {name} | " + " | ".join(cells) + f" | {peaks[name]:.0f} MB |" if name in peaks else f"| {name} | " + " | ".join(cells) + " | |")
    for other in ("bliss-audio 0.13", "decoding alone"):
        ratios = {kind: statistics.median(a / b for a, b in zip(speeds["SoniqueBay", kind], speeds[other, kind])) for kind in files}
        print(f"\nSoniqueBay over {other}, median of the rounds: " + ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in ratios.items()))
