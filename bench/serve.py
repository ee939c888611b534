#!/usr/bin/env python3
"""What one `serve` does: tracks vectorized a second, memory, and latencies over HTTP, on made-up tracks.

    python3 bench/serve.py --model DIR [--tracks 5000] [--binary target/release/soniquebay]

DIR is the model's folder (`soniquebay model path`). Needs nothing but Python's standard library. Beside each latency stands
that of /healthz in the same run, interleaved: what a request costs that does nothing.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

ADJECTIVES = "Midnight Broken Golden Silver Electric Velvet Burning Frozen Neon Lonely Crystal Hollow Distant".split()
NOUNS = "Heart River Sky Train Fire Rain Summer Winter Shadow Mirror Highway Ocean Mountain City Angel".split()
NAMES = "Maria Jonas Amara Kenji Lucia Omar Greta Ivan Noor Chloe Diego Hana Tomas Aiko Lena".split()
GENRES = "Rock,Indie Rock,Hip Hop,House,Techno,Jazz,Soul,Funk,Disco,Folk,Country,Metal,Ambient,Classical".split(",")


def tracks(count, seed=20261120):
    """Made-up tracks, the same for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        yield {
            "title": f"{chance.choice(ADJECTIVES)} {chance.choice(NOUNS)} {number}",
            "artist": f"{chance.choice(NAMES)} {chance.choice(NOUNS)} {chance.randrange(count // 4 + 1)}",
            "album": f"{chance.choice(NOUNS)}s of {chance.choice(ADJECTIVES)}",
            "genre": chance.choice(GENRES),
            "year": chance.randint(1960, 2025),
            "duration": chance.randint(120, 420),
        }


class Client:
    """One kept connection."""

    def __init__(self, address):
        host, port = address.split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=60)

    def call(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None,
                                {"content-type": "application/json"} if body is not None else {})
        response = self.connection.getresponse()
        return response.status, response.read()

    def timed(self, path):
        began = time.perf_counter()
        status, answer = self.call("GET", path)
        assert status == 200, (path, status, answer)
        return (time.perf_counter() - began) * 1e3


def memory(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(field + r":\s+(\d+)", status.read()).group(1)) / 1024


def row(name, values):
    values = sorted(values)
    print(f"{name:<34} p50 {statistics.median(values):7.2f} ms   p99 {values[int(len(values) * 0.99)]:7.2f} ms")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--tracks", type=int, default=5000)
    arguments.add_argument("--binary", default="target/release/soniquebay")
    options = arguments.parse_args()
    if not os.path.exists(os.path.join(options.model, "model.safetensors")):
        arguments.error(f"there is no model in {options.model}: run `soniquebay model pull` first")
    folder = tempfile.mkdtemp(prefix="soniquebay-bench-")
    os.makedirs(os.path.join(folder, "models"))
    os.symlink(os.path.abspath(options.model), os.path.join(folder, "models", "all-MiniLM-L6-v2"))
    command = [options.binary, "--data", folder, "serve", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = next(m.group(1) for line in server.stderr if (m := re.search(r"listening on http://(\S+)", line)))
        source = os.path.join(folder, "tracks.jsonl")
        with open(source, "w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(track) + "\n" for track in tracks(options.tracks))
        began = time.perf_counter()
        subprocess.run([options.binary, "--data", folder, "import", source, "--no-wait"], check=True, stderr=subprocess.DEVNULL)
        imported = time.perf_counter()
        subprocess.run([options.binary, "--data", folder, "import", source], check=True, stderr=subprocess.DEVNULL)
        ready = time.perf_counter()
        print(f"import, rows alone                 {options.tracks / (imported - began):7.0f} tracks/s")
        print(f"import until every vector is there {options.tracks / (ready - began):7.0f} tracks/s")
        client = Client(address)
        similar, idle, search = [], [], []
        for number in range(1, 301):
            similar.append(client.timed(f"/api/tracks/{number % options.tracks + 1}/similar?limit=10"))
            idle.append(client.timed("/healthz"))
            search.append(client.timed(f"/api/search?q={random.choice(ADJECTIVES)}+{random.choice(GENRES).split()[0]}"))
        row("GET /healthz (does nothing)", idle)
        row("GET /api/tracks/{id}/similar", similar)
        row("GET /api/search (embeds its words)", search)
        written = []
        for track in list(tracks(100, seed=7)):
            began = time.perf_counter()
            status, answer = client.call("POST", "/api/tracks/", track)
            assert status == 201, answer
            path = f"/api/tracks/{json.loads(answer)['id']}/similar?limit=1"
            while client.call("GET", path)[0] != 200:
                pass
            written.append((time.perf_counter() - began) * 1e3)
        row("POST a track until it is searchable", written)
        print(f"memory of serve                    {memory(server.pid, 'VmRSS'):7.0f} MB now, {memory(server.pid, 'VmHWM'):.0f} MB at most")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
