#!/usr/bin/env python3
"""Choose the constants of tempo, key and sound vector from pieces of bench/sound_corpus.py, and write them as Rust.

    python3 bench/sound_train.py --seeds 1 11

makes the pieces of those seeds, listens to them (`cargo run --features training --example analyze`), fits, and writes
crates/audio/src/listen/{tempo_model,key_model,sound_model}.rs. What is reported (bench/sound.py) uses another seed. Needs numpy.
"""

import argparse
import json
import os
import subprocess
import sys

import numpy as np

import sound_corpus

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LISTEN = os.path.join(ROOT, "crates/audio/src/listen")
HIDDEN = 12
#: Tempi that count as one.
TOLERANCE = 0.04


def listen(entries, folder, analyzer):
    """What the analyzer says of each file, in the order of the entries."""
    answers = {}
    for start in range(0, len(entries), 50):
        files = [os.path.join(folder, entry["file"]) for entry in entries[start:start + 50]]
        lines = subprocess.run([analyzer, *files], capture_output=True, text=True, check=True).stdout.splitlines()
        answers |= {os.path.basename(line["file"]): line for line in map(json.loads, lines)}
    return [answers[entry["file"]] for entry in entries]


class Adam:
    def __init__(self, parameters, rate):
        self.parameters, self.rate, self.step = parameters, rate, 0
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]

    def apply(self, gradients):
        self.step += 1
        for p, g, m, v in zip(self.parameters, gradients, self.first, self.second):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= self.rate * (m / (1 - 0.9**self.step)) / (np.sqrt(v / (1 - 0.999**self.step)) + 1e-8)


def softmax(scores, groups, count):
    """Softmax within groups of rows."""
    top = np.full(count, -np.inf)
    np.maximum.at(top, groups, scores)
    e = np.exp(scores - top[groups])
    total = np.zeros(count)
    np.add.at(total, groups, e)
    return e / total[groups]


def tempo_rows(entries, heard):
    """Numbers of all candidates, which piece each belongs to, and which are right. Pieces without a right one are left out."""
    numbers, groups, right, piece = [], [], [], 0
    for entry, answer in zip(entries, heard):
        candidates = answer["raw"]["candidates"]
        good = [abs(bpm / entry["tempo"] - 1) <= TOLERANCE for bpm, _, _ in candidates]
        if any(good):
            numbers += [features for _, _, features in candidates]
            groups += [piece] * len(candidates)
            right += good
            piece += 1
    return np.array(numbers), np.array(groups), np.array(right, float), piece


def fit_tempo(entries, heard, rounds=1200, decay=3e-3, seed=1):
    numbers, groups, right, count = tempo_rows(entries, heard)
    mean, scale = numbers.mean(0), numbers.std(0) + 1e-6
    x = (numbers - mean) / scale
    rng = np.random.default_rng(seed)
    w1 = rng.normal(0, 1 / np.sqrt(x.shape[1]), (HIDDEN, x.shape[1]))
    b1, w2 = np.zeros(HIDDEN) + 0.1, rng.normal(0, 0.5, HIDDEN)
    adam = Adam([w1, b1, w2], 3e-3)
    for _ in range(rounds):
        # A little noise on what was measured, as other music has other noise.
        noisy = x + rng.normal(0, 0.15, x.shape)
        inner = noisy @ w1.T + b1
        active = np.maximum(inner, 0)
        chance = softmax(active @ w2, groups, count)
        among = np.zeros(count)
        np.add.at(among, groups, chance * right)
        # The gradient of −log of the chance that a right one is taken.
        d = (chance - chance * right / among[groups]) / count
        back = np.outer(d, w2) * (inner > 0)
        adam.apply([back.T @ noisy + decay * w1 / len(w1), back.sum(0), active.T @ d + decay * w2 / len(w2)])
    return mean, scale, w1, b1, w2


def tempo_score(model, features):
    mean, scale, w1, b1, w2 = model
    return np.maximum((np.array(features) - mean) / scale @ w1.T + b1, 0) @ w2


def key_rows(heard):
    """Of each piece a row for each of the 24 keys: classes and bass from the tonic up, for major and minor in columns of their own."""
    rows = np.zeros((len(heard), 24, 50))
    for piece, answer in enumerate(heard):
        classes, bass = (np.sqrt(np.array(answer["raw"][name])) for name in ("classes", "bass"))
        for key in range(24):
            mode, tonic = divmod(key, 12)
            rows[piece, key, 25 * mode:25 * mode + 12] = np.roll(classes, -tonic)
            rows[piece, key, 25 * mode + 12:25 * mode + 24] = np.roll(bass, -tonic)
            rows[piece, key, 25 * mode + 24] = 1
    return rows


def key_truth(entry):
    return entry["tonic"] + (12 if entry["mode"] == "minor" else 0)


def fit_key(entries, heard, rounds=1000, decay=2e-4):
    rows = key_rows(heard)
    truth = np.array([key_truth(entry) for entry in entries])
    weights = np.zeros(50)
    adam = Adam([weights], 5e-2)
    for _ in range(rounds):
        scores = rows @ weights
        chance = np.exp(scores - scores.max(1, keepdims=True))
        chance /= chance.sum(1, keepdims=True)
        chance[np.arange(len(truth)), truth] -= 1
        adam.apply([np.einsum("pk,pkf->f", chance, rows) / len(truth) + decay * weights])
    return weights


def numbers(values):
    return ", ".join(f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.6f}" for value in values)


def write(name, text):
    path = os.path.join(LISTEN, name)
    with open(path, "w") as file:
        about, rest = text.split("\n", 1)
        file.write(f'{about}\n\n#![allow(clippy::approx_constant, reason = "numbers that were fitted")]\n{rest}')
    subprocess.run(["rustfmt", "--edition", "2024", "--config-path", ROOT, path], check=True)


def write_tempo(model):
    mean, scale, w1, b1, w2 = model
    rows = ",\n".join(f"[{numbers(row)}]" for row in w1)
    write("tempo_model.rs", f"""//! Which tempo is meant: made by bench/sound_train.py, not by hand.

use super::tempo::FEATURES;

pub(super) const HIDDEN: usize = {len(w2)};
pub(super) const MEAN: [f64; FEATURES] = [{numbers(mean)}];
pub(super) const SCALE: [f64; FEATURES] = [{numbers(scale)}];
pub(super) const INPUT: [[f64; FEATURES]; HIDDEN] = [{rows}];
pub(super) const BIAS: [f64; HIDDEN] = [{numbers(b1)}];
pub(super) const OUTPUT: [f64; HIDDEN] = [{numbers(w2)}];
""")


def write_key(weights):
    modes = []
    for mode, name in ((0, "MAJOR"), (1, "MINOR")):
        part = weights[25 * mode:25 * mode + 25]
        modes.append(f"pub(super) const {name}: Profile = Profile {{ classes: [{numbers(part[:12])}], bass: [{numbers(part[12:24])}], "
                     f"bias: {part[24]:.4f} }};")
    write("key_model.rs", "//! How each degree of a key's scale sounds: made by bench/sound_train.py, not by hand.\n\n"
          "use super::key::Profile;\n\n" + "\n".join(modes) + "\n")


#: What the sound vector is made of: timbre 31, harmony 13, rhythm 18, level 2 numbers; see crates/audio/src/listen/sound.rs.
TIMBRE, HARMONY, RHYTHM = [*range(31), 62, 63], [*range(31, 44)], [*range(44, 62)]


def directions(scaled, labels, moved, columns, keep, weight, measured):
    """The `keep` directions in which ensembles differ the most, measured by how much a transposition moves (and, a tenth as much, by how much
    the pieces of one ensemble differ): linear discriminants, of mean energy `weight`²."""
    x, d = scaled[:, columns], moved[:, columns]
    means = {label: x[labels == label].mean(0) for label in set(labels)}
    within = np.mean([np.outer(row - means[label], row - means[label]) for row, label in zip(x, labels)], 0)
    values, vectors = np.linalg.eigh(d.T @ d / len(d) + 0.1 * within + 0.03 * np.eye(len(columns)))
    whiten = vectors @ np.diag(values**-0.5) @ vectors.T
    centres = np.array([means[label] for label in sorted(means)]) @ whiten.T
    _, _, axes = np.linalg.svd(centres - centres.mean(0), full_matrices=False)
    found = np.zeros((keep, measured))
    found[:, columns] = axes[:keep] @ whiten
    return found * weight / np.sqrt(((scaled @ found.T) ** 2).sum(1).mean())


def fit_sound(entries, heard, pairs):
    measured = np.array([answer["raw"]["numbers"] for answer in heard])
    mean, scale = measured.mean(0), measured.std(0) + 1e-6
    scaled = np.clip((measured - mean) / scale, -3, 3)
    labels = np.array([entry["ensemble"] for entry in entries])
    moved = np.array([np.clip((b - mean) / scale, -3, 3) - np.clip((a - mean) / scale, -3, 3) for a, b in pairs])
    count = measured.shape[1]
    rhythm = np.zeros((len(RHYTHM), count))
    rhythm[np.arange(len(RHYTHM)), RHYTHM] = 0.8 / np.sqrt(len(RHYTHM))
    parts = [directions(scaled, labels, moved, TIMBRE, 14, 1.0, count), directions(scaled, labels, moved, HARMONY, 4, 0.3, count), rhythm]
    return mean, scale, np.concatenate(parts)


def write_sound(model):
    mean, scale, matrix = model
    rows = ",\n".join(f"[{numbers(row)}]" for row in matrix)
    write("sound_model.rs", f"""//! Mean and spread of what a sound vector is made of, and what becomes of it: made by bench/sound_train.py, not by hand.

use super::sound::MEASURED;

pub(super) const MEAN: [f64; MEASURED] = [{numbers(mean)}];
pub(super) const SCALE: [f64; MEASURED] = [{numbers(scale)}];
/// Timbre and level, harmony, rhythm.
pub(super) static DIRECTIONS: [[f64; MEASURED]; {len(matrix)}] = [{rows}];
""")


def report(name, entries, heard, tempo, key):
    exact = [abs(max(answer["raw"]["candidates"], key=lambda c: tempo_score(tempo, c[2]))[0] / entry["tempo"] - 1) <= TOLERANCE
             for entry, answer in zip(entries, heard) if answer["raw"]["candidates"]]
    keys = (key_rows(heard) @ key).argmax(1) == [key_truth(entry) for entry in entries]
    print(f"{name}: tempo {sum(exact) / len(entries):.3f}, key {keys.mean():.3f} of {len(entries)}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 11])
    parser.add_argument("--clips", type=int, default=324)
    parser.add_argument("--pairs", type=int, default=12, help="seed of the pieces that are also played in another key")
    parser.add_argument("--cache", default=os.path.join(ROOT, ".cache/bench/sound"))
    parser.add_argument("--analyzer", help="built with --features training; made where it is not given")
    args = parser.parse_args()
    analyzer = args.analyzer
    if not analyzer:
        subprocess.run(["cargo", "build", "--release", "-p", "soniquebay-audio", "--features", "training", "--example", "analyze"],
                       cwd=ROOT, check=True)
        analyzer = os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"), "release/examples/analyze")
    sets = []
    for seed in args.seeds:
        folder = os.path.join(args.cache, str(seed))
        entries = [entry for entry in sound_corpus.make(seed, args.clips, 0, 16, folder) if "variant" not in entry]
        sets.append((entries, listen(entries, folder, analyzer)))
    if len(sets) > 1:
        # Each seed by what the others teach: what to expect of music that was not learnt from.
        for held, (entries, heard) in enumerate(sets):
            others = [pair for n, pair in enumerate(sets) if n != held]
            known = [sum(part, []) for part in zip(*others)]
            report(f"seed {args.seeds[held]} by the others", entries, heard, fit_tempo(*known), fit_key(*known))
    entries, heard = (sum(part, []) for part in zip(*sets))
    import sound_styles

    sound_styles.report(entries, heard)
    tempo, key = fit_tempo(entries, heard), fit_key(entries, heard)
    report("all by all", entries, heard, tempo, key)
    write_tempo(tempo)
    write_key(key)
    folder = os.path.join(args.cache, str(args.pairs))
    variants = sound_corpus.make(args.pairs, 0, 60, 16, folder)
    by_piece = {}
    for entry, answer in zip(variants, listen(variants, folder, analyzer)):
        by_piece.setdefault(entry["piece"], {})[entry["variant"]] = np.array(answer["raw"]["numbers"])
    write_sound(fit_sound(entries, heard, [(piece["original"], piece["higher"]) for piece in by_piece.values()]))


if __name__ == "__main__":
    main()
