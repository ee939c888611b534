#!/usr/bin/env python3
"""The built-in engine beside ONNX Runtime and llama.cpp: texts a second, time for one text, start, memory, and what 8 bits cost.

    python3 bench/engine.py [--model DIR] [--rounds 5] [--quick] [--cache .cache/bench]

DIR holds model.safetensors and tokenizer.json (`soniquebay model path`). Everything else is made below the cache folder: a Python
environment with ONNX Runtime, the graphs, llama.cpp. Prints tables in Markdown on standard output, and what it does on standard error.

All engines take turns within each round on the same texts of bench/corpus.py, each as it is fastest on two cores: the built-in engine
with two workers, ONNX Runtime and llama.cpp as two processes of one thread. Tables give medians, and from least to most.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PACKAGES = ["gguf==0.19.0", "numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.31.1", "safetensors==0.8.0", "tokenizers==0.23.3"]
DIMENSIONS = 384
#: Neighbours that are compared.
NEAREST = 10
#: Texts in one request to llama.cpp. More gain nothing there.
REQUEST = 8


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def warn(text):
    print(f"!!! {text}", file=sys.stderr, flush=True)


def prepare(options):
    """The Python environment with the other engines: made once, then this program starts again inside of it."""
    folder = os.path.join(options.cache, "venv")
    python = os.path.join(folder, "bin", "python")
    stamp = os.path.join(folder, "packages")
    wanted = "\n".join(PACKAGES)
    if not os.path.exists(stamp) or open(stamp, encoding="ascii").read() != wanted:
        say(f"Making a Python environment in {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        with open(stamp, "w", encoding="ascii") as file:
            file.write(wanted)
    if os.path.realpath(sys.prefix) != os.path.realpath(folder):
        os.execv(python, [python, *sys.argv])


class Process:
    """One engine in one process that answers lines with lines."""

    def __init__(self, command):
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        self.ready = self.answer()
        self.start_ms = (time.perf_counter() - started) * 1e3

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"error: {self.process.args} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, line):
        self.send(line)
        return self.answer()

    def memory(self):
        return resident(self.process.pid)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


class Ours:
    def __init__(self, paths, precision):
        self.name = f"SoniqueBay {precision}"
        self.precision = precision
        self.command = [paths.engine, paths.model, paths.texts, precision]
        self.process = Process(self.command)

    def embed(self):
        return self.process.ask("embed 2")["seconds"]

    def single(self, count):
        return self.process.ask(f"single {count}")["milliseconds"]

    def vectors(self, path):
        self.process.ask(f"vectors {path}")
        return path

    def start_ms(self):
        process = Process(self.command)
        process.close()
        return process.start_ms

    def memory(self):
        return self.process.memory()

    def close(self):
        self.process.close()


class OnnxRuntime(Ours):
    """Two processes of one thread: faster than one of two threads."""

    def __init__(self, paths, precision, batch):
        self.name = f"ONNX Runtime {precision}"
        self.precision = precision
        self.command = [sys.executable, os.path.join(HERE, "engine_onnxruntime.py"), os.path.join(paths.graphs, f"{precision}.onnx"),
                        os.path.join(paths.model, "tokenizer.json"), paths.texts, str(batch)]
        self.processes = [Process(self.command) for _ in range(2)]
        self.process = self.processes[0]

    def embed(self):
        for share, process in enumerate(self.processes):
            process.send(f"embed 2/{share}")
        return max(process.answer()["seconds"] for process in self.processes)

    def memory(self):
        return sum(process.memory() for process in self.processes)

    def close(self):
        for process in self.processes:
            process.close()


class LlamaCpp:
    """Two servers of one thread, over HTTP as they are meant to be used."""

    name = "llama.cpp q8_0"
    precision = "int8"

    def __init__(self, paths):
        self.texts = paths.sample
        self.servers = []
        for _ in range(2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            server = subprocess.Popen(
                ["chroot", paths.llama, "/usr/bin/llama-server", "-m", "/models/q8_0.gguf", "--embedding", "--host", "127.0.0.1",
                 "--port", str(port), "-t", "1", "-tb", "1", "-np", "1", "-c", "512", "-b", "2048", "-ub", "2048"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.servers.append((server, port))
        for server, port in self.servers:
            self.wait(server, port)

    def wait(self, server, port):
        until = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            if server.poll() is not None or time.monotonic() > until:
                self.close()
                raise RuntimeError(f"llama-server did not start: {server.poll()}")
            time.sleep(0.02)

    def request(self, connection, texts):
        connection.request("POST", "/v1/embeddings", json.dumps({"input": texts}), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"llama-server answers {response.status}: {answer}")
        return [one["embedding"] for one in sorted(answer["data"], key=lambda one: one["index"])]

    def share(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.servers[number][1], timeout=120)
        mine = sorted(self.texts, key=len)[number::2]
        for start in range(0, len(mine), REQUEST):
            self.request(connection, mine[start:start + REQUEST])

    def embed(self):
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            list(both.map(self.share, range(2)))
        return time.perf_counter() - start

    def single(self, count):
        connection = http.client.HTTPConnection("127.0.0.1", self.servers[0][1], timeout=120)
        times = []
        for text in self.texts[:count]:
            start = time.perf_counter()
            self.request(connection, [text])
            times.append((time.perf_counter() - start) * 1e3)
        return times

    def vectors(self, path):
        import numpy
        connection = http.client.HTTPConnection("127.0.0.1", self.servers[0][1], timeout=120)
        parts = [self.request(connection, self.texts[start:start + REQUEST]) for start in range(0, len(self.texts), REQUEST)]
        numpy.array(sum(parts, []), numpy.float32).tofile(path)
        return path

    def start_ms(self):
        return None

    def memory(self):
        return sum(resident(server.pid) for server, _ in self.servers)

    def close(self):
        for server, _ in self.servers:
            server.terminate()
        for server, _ in self.servers:
            server.wait(30)


class Paths:
    """Where everything lies that engines need; what is missing is made."""

    def __init__(self, options):
        import corpus
        self.model = os.path.abspath(options.model)
        self.cache = os.path.abspath(options.cache)
        self.graphs = os.path.join(self.cache, "graphs")
        self.texts = os.path.join(self.cache, "sample.txt")
        self.corpus = os.path.join(self.cache, "corpus.txt")
        os.makedirs(self.graphs, exist_ok=True)
        texts = corpus.texts()
        #: Spread over the whole, in its order.
        self.sample = texts[::64 if options.quick else 16]
        self.whole = texts[::8] if options.quick else texts
        for path, lines in ((self.texts, self.sample), (self.corpus, self.whole)):
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")

        say("Building the engine's programs")
        cargo = ["cargo", "build", "--release", "--quiet", "-p", "soniquebay-embed", "--example", "engine", "--example", "peak"]
        subprocess.run(cargo, cwd=ROOT, check=True)
        examples = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "examples")
        self.engine, self.peak = os.path.join(examples, "engine"), os.path.join(examples, "peak")
        if not os.path.exists(os.path.join(self.graphs, "int8.onnx")):
            say("Making the ONNX graphs")
            self.python("engine_onnx.py", self.model, self.graphs)
        self.llama = self.prepare_llama()

    def python(self, script, *arguments):
        subprocess.run([sys.executable, os.path.join(HERE, script), *arguments], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def prepare_llama(self):
        """The root of llama-server, or none where it cannot be had."""
        folder = os.path.join(self.cache, "llama")
        root = os.path.join(folder, "root")
        say("Looking for llama.cpp")
        if os.geteuid() != 0:
            warn("llama.cpp is left out: it is run by chroot, which needs root")
            return None
        try:
            subprocess.run([os.path.join(ROOT, "scripts", "llama_server.sh"), folder], check=True, timeout=300)
            if not os.path.exists(os.path.join(root, "models", "q8_0.gguf")):
                self.python("engine_gguf.py", self.model, os.path.join(root, "models", "q8_0.gguf"))
        except (subprocess.SubprocessError, OSError) as error:
            warn(f"llama.cpp is left out: {error}")
            return None
        return root


def operations(path, tokenizer_file):
    """Operations that the model needs for a text of the file on the mean: 2 for each product, and no padding."""
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(tokenizer_file)
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    with open(path, encoding="utf-8") as file:
        lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(file.read().splitlines())]
    layers, hidden, intermediate = 6, 384, 1536
    token = 2 * layers * (4 * hidden * hidden + 2 * hidden * intermediate)
    return sum(n * token + 4 * n * n * hidden * layers for n in lengths) / len(lengths), sum(lengths) / len(lengths)


def load(path):
    import numpy
    vectors = numpy.fromfile(path, numpy.float32).reshape(-1, DIMENSIONS).astype(numpy.float64)
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def cosines(one, other):
    return (one * other).sum(axis=1)


def neighbours(vectors):
    import numpy
    nearest = []
    for start in range(0, len(vectors), 1024):
        scores = vectors[start:start + 1024] @ vectors.T
        scores[numpy.arange(len(scores)), numpy.arange(start, start + len(scores))] = -2
        nearest.append(numpy.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST])
    return numpy.concatenate(nearest)


def recall(exact, found):
    pairs = zip(neighbours(exact), neighbours(found))
    return statistics.mean(len(set(a) & set(b)) / NEAREST for a, b in pairs)


def spread(values, form="{:.1f}"):
    if not values:
        return "–"
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def measure(paths, options):
    engines = []
    try:
        return compare(engines, paths, options)
    finally:
        for engine in engines:
            engine.close()


def compare(engines, paths, options):
    engines += [Ours(paths, "fp32"), OnnxRuntime(paths, "fp32", 8), Ours(paths, "int8"), OnnxRuntime(paths, "int8", 4)]
    if paths.llama:
        try:
            engines.append(LlamaCpp(paths))
        except RuntimeError as error:
            warn(f"llama.cpp is left out: {error}")
    peak = Process([paths.peak])
    rates = {engine.name: [] for engine in engines}
    singles = {engine.name: [] for engine in engines}
    peaks = {1: [], 2: []}
    count = min(len(paths.sample), 100)
    for engine in engines:
        engine.single(10)
    for number in range(1, options.rounds + 1):
        say(f"Round {number} of {options.rounds}")
        # In another order each round: whoever disturbs one disturbs all.
        turn = number % len(engines)
        for engine in engines[turn:] + engines[:turn]:
            rates[engine.name].append(len(paths.sample) / engine.embed())
            singles[engine.name].append(statistics.median(engine.single(count)))
        for threads, found in peaks.items():
            found.append(peak.ask(str(threads)))
    peak.close()
    say("Starting each engine five times")
    starts = {engine.name: [] for engine in engines}
    for _ in range(5):
        for engine in engines:
            starts[engine.name] += [start for start in [engine.start_ms()] if start]
    memory = {engine.name: engine.memory() for engine in engines}
    say("Comparing vectors")
    samples = {engine.name: load(engine.vectors(os.path.join(paths.cache, "sample.f32"))) for engine in engines}
    return engines, rates, singles, starts, memory, peaks, samples


def whole_corpus(paths):
    """Vectors of all texts in both precisions, by our engine, two workers at once."""
    files = {}
    processes = {}
    for precision in ("fp32", "int8"):
        files[precision] = os.path.join(paths.cache, f"corpus-{precision}.f32")
        processes[precision] = Process([paths.engine, paths.model, paths.corpus, precision])
        processes[precision].send(f"vectors {files[precision]}")
    for process in processes.values():
        process.answer()
        process.close()
    return {precision: load(path) for precision, path in files.items()}


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = os.environ.get("SONIQUEBAY_TEST_MODEL", os.path.join(ROOT, ".cache/test/models/all-MiniLM-L6-v2"))
    arguments.add_argument("--model", default=model)
    arguments.add_argument("--cache", default=os.path.join(ROOT, ".cache/bench"))
    arguments.add_argument("--rounds", type=int)
    arguments.add_argument("--quick", action="store_true", help="fewer texts and rounds: a look, not a measurement")
    options = arguments.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    for file in ("model.safetensors", "tokenizer.json"):
        if not os.path.exists(os.path.join(options.model, file)):
            arguments.error(f"there is no {file} in {options.model}: run `soniquebay model pull`, then say --model")
    os.makedirs(options.cache, exist_ok=True)
    prepare(options)

    # What ends this program ends the engines that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    paths = Paths(options)
    load_before = os.getloadavg()[0]
    needed, tokens = operations(paths.texts, os.path.join(paths.model, "tokenizer.json"))
    engines, rates, singles, starts, memory, peaks, samples = measure(paths, options)
    isa = engines[0].process.ready["isa"]

    ceilings = {(threads, kind): [one[kind] for one in found if one[kind]] for threads, found in peaks.items()
                for kind in ("fp32", "int8")}
    # The most that was seen: a peak that was disturbed is none.
    ceiling = {key: max(values) for key, values in ceilings.items() if values}
    middle = {name: statistics.median(values) for name, values in rates.items()}
    exact = samples["ONNX Runtime fp32"]

    def ratio(name, other):
        """The median of the ratios within each round: what slows a round slows both."""
        return statistics.median(mine / theirs for mine, theirs in zip(rates[name], rates[other]))

    print(f"\n{processor()}, {os.cpu_count()} cores, {isa}; load before the run {load_before:.1f}. {len(paths.sample)} texts of "
          f"{tokens:.1f} tokens on the mean, {needed / 1e9:.3f} billion operations each; {options.rounds} rounds.\n")
    print("| engine, two cores | texts/s | beside ONNX Runtime | share of the peak | one text, one thread: p50 ms | start to first vector ms "
          "| memory MB | least cosine with ONNX Runtime fp32 |")
    print("|---|---|---|---|---|---|---|---|")
    for engine in engines:
        name = engine.name
        top = ceiling.get((2, engine.precision))
        share = f"{middle[name] * needed / 1e9 / (2 * top):.0%}" if top else "–"
        beside = f"{ratio(name, f'ONNX Runtime {engine.precision}'):.2f} ×"
        print(f"| {name} | {spread(rates[name])} | {beside} | {share} | {spread(singles[name], '{:.2f}')} | "
              f"{spread(starts[name], '{:.0f}')} | {memory[name]:.0f} | {cosines(samples[name], exact).min():.6f} |")
    if "llama.cpp q8_0" in rates:
        print(f"\nSoniqueBay int8 beside llama.cpp q8_0: {ratio('SoniqueBay int8', 'llama.cpp q8_0'):.2f} ×; "
              f"fp32: {ratio('SoniqueBay fp32', 'llama.cpp q8_0'):.2f} ×.")
    print("\n| billions of operations a second and core, in registers alone | one thread | two threads |")
    print("|---|---|---|")
    for kind in ("fp32", "int8"):
        print(f"| {kind} | {spread(ceilings[1, kind])} | {spread(ceilings[2, kind])} |")

    say(f"Embedding {len(paths.whole)} texts in both precisions")
    whole = whole_corpus(paths)
    found = cosines(whole["fp32"], whole["int8"])
    print(f"\n8 bits beside single precision, {len(paths.whole)} texts: cosine mean {found.mean():.4f}, least {found.min():.4f}; "
          f"recall@{NEAREST} of neighbours {recall(whole['fp32'], whole['int8']):.3f}.")
    print("\n| 8 bits on the sample | recall@10 beside fp32 | mean cosine |")
    print("|---|---|---|")
    for engine in engines:
        if engine.precision == "int8":
            print(f"| {engine.name} | {recall(exact, samples[engine.name]):.3f} | {cosines(exact, samples[engine.name]).mean():.4f} |")


if __name__ == "__main__":
    main()
