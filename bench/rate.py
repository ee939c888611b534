#!/usr/bin/env python3
"""How many questions a second `serve` answers over HTTP, beside what its index answers alone, on one core.

    python3 bench/rate.py [--vectors 100000] [--seconds 5] [--rounds 3] [--folder FOLDER] [--binary target/release/soniquebay]

Needs `wrk` (Debian's package of that name) and two cores: the server, or the index alone, is pinned to one, wrk to the other. Each round
asks, over 8 kept connections, for the tracks like a random one; then /healthz, which does nothing; then the index alone for 8 callers, on
random vectors like those in the library (bench/load.py, which fills it, and keeps it with --folder).
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from index import ROOT, in_venv
from load import fill, listening, serve

CONNECTIONS = 8
ASK = """math.randomseed(20261120)
request = function() return wrk.format("GET", "/api/tracks/" .. math.random({vectors}) .. "/similar?limit=10") end
"""


def pinned(core, command):
    return ["taskset", "-c", str(core), *command]


def wrk(address, options, *arguments):
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{options.seconds}s", "--latency", *arguments]
    said = subprocess.run(pinned(1, command), check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"not all questions were answered:\n{said}")
    latency = [float(n) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit] for n, unit in re.findall(r"(?:50|99)%\s+([\d.]+)(us|ms|s)", said)]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)), latency


def alone(options):
    program = os.path.join(ROOT, "target", "release", "examples", "index_bench")
    command = [program, "--kind", "random", "--vectors", str(options.vectors), "--queries", "1000", "--rate", str(options.seconds)]
    return float(subprocess.run(pinned(0, command), check=True, capture_output=True, text=True).stdout.split()[0])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--vectors", type=int, default=100_000)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder")
    arguments.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "soniquebay"))
    options = arguments.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not there: apt-get install wrk")
    in_venv()
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "soniquebay-search", "--example", "index_bench"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or made
        if not os.path.exists(os.path.join(folder, "soniquebay.db")):
            fill(options, folder)
        script = os.path.join(made, "ask.lua")
        with open(script, "w", encoding="ascii") as file:
            file.write(ASK.format(vectors=options.vectors))
        print(f"{options.vectors} vectors of 396 numbers, {CONNECTIONS} at a time, load {os.getloadavg()[0]:.1f} before\n")
        print("| `similar` over HTTP, a second | p50 / p99 ms | the index alone, a second | share | `/healthz`, a second |\n|---|---|---|---|---|")
        shares = []
        os.sched_setaffinity(0, {0})
        server = listening(serve(options, folder))
        try:
            server.wait()
            for _ in range(options.rounds):
                rate, latency = wrk(server.address, options, "-s", script, f"http://{server.address}")
                idle, _ = wrk(server.address, options, f"http://{server.address}/healthz")
                index = alone(options)
                shares.append(rate / index)
                print(f"| {rate:.0f} | {latency[0]:.2f} / {latency[1]:.2f} | {index:.0f} | {shares[-1]:.0%} | {idle:.0f} |", flush=True)
        finally:
            server.terminate_and_wait()
        print(f"\nMedian share: {statistics.median(shares):.0%}")


if __name__ == "__main__":
    main()
