#!/usr/bin/env python3
"""What one `serve` answers under load: requests a second and p99 at 64 connections, memory over the run, and the same beside
clients that are slow or say nothing.

    python3 bench/load_http.py [--tracks 20000] [--seconds 10] [--rounds 3] [--binary target/release/soniquebay]

Needs wrk (Debian: apt-get install wrk) and no model: tracks and random vectors are put in over HTTP. Everything stays on
loopback. /healthz, which does nothing, stands beside it in the same run, in turns.
"""

import argparse
import http.client
import json
import os
import random
import re
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from serve import memory, tracks

DIMS = 396
CONNECTIONS = 64
IDLE = 1000
SLOW = 100


def start(binary, folder):
    environment = dict(os.environ, SERVING_SPACE=f"external/{DIMS}")
    process = subprocess.Popen([binary, "--data", folder, "serve", "--listen", "127.0.0.1:0"], text=True,
                               env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for line in process.stderr:
        found = re.search(r"listening on http://([\d.:]+)", line)
        if found:
            threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
            return process, found.group(1)
    raise SystemExit("the server did not start")


def fill(address, count):
    chance = random.Random(1)
    connection = http.client.HTTPConnection(*address.split(":"), timeout=120)

    def post(path, body):
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), text[:500]

    made = list(tracks(count))
    for at in range(0, count, 500):
        part = made[at:at + 500]
        post("/api/tracks/batch", part)
        vectors = [{"track_id": at + n + 1, "embedding": [round(chance.gauss(0, 1), 3) for _ in range(DIMS)]}
                   for n in range(len(part))]
        for some in range(0, len(vectors), 250):
            post("/api/track-vectors/batch", vectors[some:some + 250])


class Nuisance:
    """Clients that are slow or say nothing, over and over, as long as this lasts."""

    HEAD = b"POST /api/tracks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"

    def __init__(self, address):
        host, port = address.split(":")
        self.address, self.ends, self.held = (host, int(port)), threading.Event(), []

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        time.sleep(2)
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        for one, _ in self.held:
            one.close()

    def open(self, kind):
        one = socket.create_connection(self.address, timeout=5)
        if kind == "head":
            one.sendall(b"GET /api/tracks HTTP/1.1\r\nx-slow: ")
        elif kind == "body":
            one.sendall(self.HEAD + b"content-length: 100000\r\n\r\n{")
        elif kind == "reader":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n" * 4)
        one.setblocking(False)
        return one, kind

    def run(self):
        wanted = ["idle"] * IDLE + ["head"] * SLOW + ["body"] * SLOW + ["reader"] * (SLOW // 4)
        while not self.ends.is_set():
            for kind in wanted[len(self.held):]:
                try:
                    self.held.append(self.open(kind))
                except OSError:
                    break
                if self.ends.is_set():
                    return
            alive = []
            for one, kind in self.held:
                try:
                    if kind in ("head", "body"):
                        one.send(b"x")
                    elif kind == "idle" and one.recv(1) == b"":
                        raise ConnectionResetError
                    alive.append((one, kind))
                except BlockingIOError:
                    alive.append((one, kind))
                except OSError:
                    one.close()
            # Those that were let go come back.
            self.held = sorted(alive, key=lambda each: ["idle", "head", "body", "reader"].index(each[1]))
            self.ends.wait(1)


def wrk(address, script, seconds):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script)
        lua.flush()
        said = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "30s", "-s", lua.name,
                               f"http://{address}"], text=True, capture_output=True, check=True).stdout
    unit = {"us": 1e-3, "ms": 1, "s": 1e3}
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
    number, name = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    lost = re.search(r"Socket errors: (.*)", said)
    return rate, float(number) * unit[name], int(wrong.group(1)) if wrong else 0, lost.group(1) if lost else ""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tracks", type=int, default=20_000)
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--binary", default="target/release/soniquebay")
    options = arguments.parse_args()
    if not shutil.which("wrk"):
        arguments.error("wrk is missing: apt-get install wrk")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    ask = {name: f"math.randomseed(7)\nrequest = function() return wrk.format('GET', {path}) end\n" for name, path in {
        "/healthz": "'/healthz'",
        "/api/tracks/{id}": f"'/api/tracks/' .. math.random(1, {options.tracks})",
        "/api/tracks/{id}/similar": f"'/api/tracks/' .. math.random(1, {options.tracks}) .. '/similar?limit=10'",
    }.items()}
    folder = tempfile.mkdtemp(prefix="soniquebay-load-")
    process, address = start(options.binary, folder)
    try:
        fill(address, options.tracks)
        for script in ask.values():
            wrk(address, script, 2)
        print(f"{options.tracks} tracks, {CONNECTIONS} connections, {options.rounds} rounds of {options.seconds} s each; medians")
        before, results, memories = memory(process.pid, "VmRSS"), {}, []
        for _ in range(options.rounds):
            for beside in (False, True):
                nuisance = Nuisance(address) if beside else None
                if nuisance:
                    nuisance.__enter__()
                for name, script in ask.items():
                    results.setdefault((name, beside), []).append(wrk(address, script, options.seconds))
                if nuisance:
                    nuisance.__exit__()
            memories.append(memory(process.pid, "VmRSS"))
        for (name, beside), runs in results.items():
            rate, p99 = (statistics.median(run[place] for run in runs) for place in (0, 1))
            wrong, lost = sum(run[2] for run in runs), "; ".join(run[3] for run in runs if run[3])
            where = f"beside {IDLE} idle, {SLOW} slow heads, {SLOW} slow bodies" if beside else "alone"
            print(f"{name:<26} {where:<50} {rate:8.0f} /s   p99 {p99:7.2f} ms   refused {wrong} {lost}")
        print(f"memory: {before:.0f} MB before, {' '.join(f'{each:.0f}' for each in memories)} MB after each round")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
