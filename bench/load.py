#!/usr/bin/env python3
"""How long a `serve` takes from its start to its first answer, on a large library of made-up vectors.

    python3 bench/load.py [--vectors 1000000] [--folder FOLDER] [--binary target/release/soniquebay]

Fills a library's file with tracks and random vectors of 396 numbers (with numpy, in the venv that bench/index.py makes), starts
`serve` on it three times, asks for the tracks like one of them, and prints a Markdown table. The sqlite-vec table, which a server
does not read, is left empty. With --folder the file is kept there and used again. A million take 3 GB.
"""

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from index import ROOT, in_venv

DIMS, SPACE = 396, "all-MiniLM-L6-v2/396/parts-1"
ROWS, RUNS, QUESTIONS = 20_000, 3, 200
GENRES = "Rock,Indie Rock,Hip Hop,House,Techno,Jazz,Soul,Funk,Disco,Folk,Country,Metal,Ambient,Classical".split(",")


def rows(first, count, random):
    import numpy
    vectors = random.standard_normal((count, DIMS), numpy.float32)
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    tracks, stored = [], []
    for number, vector in zip(range(first, first + count), vectors):
        artist, title, album = f"Artist {number // 12}", f"Title {number}", f"Album {number // 12}"
        folded = "\x1f".join([artist, title, album]).lower()
        hashed = f"{number:032x}"
        tracks.append((number, title, artist, album, GENRES[number % 14], f'["mood {number % 7}"]', f'["tag {number % 200}"]',
                       1960 + number % 65, 120.0 + number % 300, 60.0 + number % 120,
                       f"/music/{artist}/{album}/{number}.flac", artist.lower(), folded, hashed, hashed))
        stored.append((number, SPACE, vector.tobytes(), hashed, hashed))
    return tracks, stored


def fill(options, folder):
    import numpy
    listening(serve(options, folder)).terminate_and_wait()  # makes the file
    file = sqlite3.connect(os.path.join(folder, "soniquebay.db"))
    # sqlite-vec is not in this process, and the search for names is not asked.
    triggers = file.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND (name LIKE 'track_vectors_virtual%' "
                            "OR name = 'tracks_inserted')").fetchall()
    for name, _ in triggers:
        file.execute(f'DROP TRIGGER "{name}"')
    file.execute("PRAGMA synchronous = OFF")
    random = numpy.random.default_rng(20_261_120)
    for first in range(1, options.vectors + 1, ROWS):
        tracks, stored = rows(first, min(ROWS, options.vectors + 1 - first), random)
        with file:
            file.executemany(
                "INSERT INTO tracks (id, version, title, artist, album, genre, mood_tags, tags, year, duration, bpm, path, artist_folded, "
                "name_folded, content_hash, metadata_hash, created_at, updated_at) VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
                tracks)
            file.executemany(
                "INSERT INTO track_vectors (track_id, space, vector, content_hash, metadata_hash, metadata, updated_at) "
                "VALUES (?, ?, ?, ?, ?, '{}', 0)", stored)
    with file:
        for _, statement in triggers:
            file.execute(statement)
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.close()


class Serve:
    def __init__(self, process, began, address):
        self.process, self.began, self.address = process, began, address

    def ask(self, track):
        began = time.perf_counter()
        with urllib.request.urlopen(f"http://{self.address}/api/tracks/{track}/similar", timeout=600) as answer:
            found = len(json.load(answer)["items"])
        assert found == 10, found
        return time.perf_counter() - began

    def wait(self):
        """Until it says that its index is loaded."""
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=60) as answer:
                    checks = json.load(answer)["checks"]
            except urllib.error.HTTPError as refused:
                checks = json.load(refused)["checks"]
            if checks["index"]["status"] == "ok":
                return
            time.sleep(0.02)

    def memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"RssAnon:\s+(\d+)", status.read()).group(1)) / 1024

    def processor(self):
        """Seconds of processor time: what an idle machine needs at least half of, on two cores."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def terminate_and_wait(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def serve(options, folder):
    # There are no files to hear.
    environment = {**os.environ, "ANALYSIS": "off"}
    return subprocess.Popen([options.binary, "--data", folder, "serve", "--listen", "127.0.0.1:0"],
                            stderr=subprocess.PIPE, text=True, env=environment), time.perf_counter()


def listening(started):
    process, began = started
    for line in process.stderr:
        found = re.search(r"listening on http://(\S+)", line)
        if found:
            # Read on, or a full pipe would block the server.
            subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
            return Serve(process, began, found.group(1))
    raise SystemExit("serve ended before it listened")


def measure(options, folder):
    server = listening(serve(options, folder))
    listens = time.perf_counter() - server.began
    try:
        server.wait()
        server.ask(1)
        first, processor = time.perf_counter() - server.began, server.processor()
        times = sorted(server.ask(1 + number * 7919 % options.vectors) for number in range(QUESTIONS))
        return listens, first, processor, times[QUESTIONS // 2] * 1e3, server.memory()
    finally:
        server.terminate_and_wait()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--vectors", type=int, default=1_000_000)
    arguments.add_argument("--folder")
    arguments.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "soniquebay"))
    options = arguments.parse_args()
    in_venv()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or made
        if not os.path.exists(os.path.join(folder, "soniquebay.db")):
            fill(options, folder)
        print(f"{options.vectors} vectors of {DIMS} numbers, load {os.getloadavg()[0]:.1f} before\n")
        print("| start to listening, s | start to first answer, s | processor time until then, s | `similar` over HTTP, p50 ms "
              "| memory, MB |\n|---|---|---|---|---|")
        for _ in range(RUNS):
            print("| {:.1f} | {:.1f} | {:.1f} | {:.1f} | {:.0f} |".format(*measure(options, folder)), flush=True)


if __name__ == "__main__":
    main()
