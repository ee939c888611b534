#!/usr/bin/env python3
"""The whole pipeline beside a Python reference of it: throughput, latency, import, memory, and what faults cost.

    python3 bench/pipeline.py throughput|latency|import|memory|losses|all [--model DIR] [--binary target/release/soniquebay]

DIR is the model's folder (`soniquebay model path`). Needs redis-server, and pip for Celery (`scripts/celery.sh`). The
reference is what the Python system does, in bench/pipeline_reference.py: a listener on Redis, a Celery worker that acknowledges late.
Both have the same Redis, the same recommender (ours) and the same embeddings, and take turns. `latency`, `import` and `memory` give
the reference the same model in ONNX Runtime where `bench/engine.py` was run before, and leave it out where not. `memory` is what
`latency` prints after its run.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from pipeline_reference import field_text, hash_vector
from pipeline_stage import CELERY, GRAPH, ROOT, VENV, Client, Stage, free_port
from serve import ADJECTIVES, GENRES, NAMES, NOUNS

# An embedding server's model and one text a track: both sides ask it for the same texts.
REMOTE = {"EMBEDDING_MODEL": "nomic-embed-text", "TEXT_TEMPLATE": "fields"}
PREFIX = "search_document: "


def tracks(count, seed=20261120):
    """Made-up tracks as a library holds them: some twelve of each artist, no two of one title."""
    chance = random.Random(seed)
    artists = [f"{chance.choice(NAMES)} {chance.choice(NOUNS)} {number}" for number in range(count // 12 + 1)]
    for number in range(count):
        artist = number // 12
        yield {
            "title": f"{chance.choice(ADJECTIVES)} {chance.choice(NOUNS)} {number}",
            "artist": artists[artist],
            "album": f"{NOUNS[artist % len(NOUNS)]}s of {ADJECTIVES[artist % len(ADJECTIVES)]}",
            "genre": GENRES[artist % len(GENRES)],
            "year": 1960 + artist % 60,
            "duration": chance.randint(120, 420),
            "bpm": chance.randint(70, 170),
        }


def ready(recommender, space=""):
    """Right vectors that the recommender holds."""
    return sum(one["ready"] for one in recommender.get("/api/spaces")["spaces"] if one["space"].startswith(space))


def until(count, recommender, within=300):
    """Waits for the vectors of tracks 1 to `count`. Counting costs the recommender time, so that the last track is waited for first."""
    began = time.monotonic()
    while recommender.call("GET", f"/api/track-vectors/{count}")[0] != 200 or ready(recommender) < count:
        passed = time.monotonic() - began
        if passed > within:
            raise RuntimeError(f"{ready(recommender)} of {count} vectors after {within} s")
        # A fiftieth of what has passed is the error.
        time.sleep(min(max(passed / 50, 0.01), 0.25))


def event(number, track):
    return json.dumps({"type": "track_created", "track_id": number, "metadata": track, "timestamp": time.time()})


def publish(stage, events):
    for start in range(0, len(events), 500):
        pipe = stage.redis.pipeline(transaction=False)
        for number, track in events[start:start + 500]:
            pipe.publish("vectorization", event(number, track))
        pipe.execute()


def machine():
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def middle(values, digits=0):
    """Median, and the range of what was measured."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def table(title, command, heads, rows):
    print(f"\n### {title}\n\n    python3 bench/pipeline.py {command}\n\n{machine().capitalize()} at the end.\n")
    for line in [heads, ["---"] * len(heads), *rows]:
        print("| " + " | ".join(line) + " |")
    sys.stdout.flush()


SIDES = {
    "events": "SoniqueBay: library, recommender, listener, worker",
    "writes": "the same, from writes to the library (`/api/tracks/batch`)",
    "reference": "Python: listener, Celery worker of 2 processes; our recommender",
}


def throughput(options):
    """Events a second, from the first one published to the last vector stored, and the processors' time for each event."""
    rates, memory, costs = ({side: [] for side in SIDES} for _ in range(3))
    for _ in range(options.rounds):
        for side in SIDES:
            with Stage(options) as stage:
                rate, cost, names = one_run(stage, options, side)
                rates[side].append(rate)
                costs[side].append(cost)
                memory[side].append(stage.memory(names))
    rows = []
    for side, name in SIDES.items():
        ratios = [rate / reference for rate, reference in zip(rates[side], rates["reference"])]
        rows.append([name, middle(rates[side]), f"{middle(ratios, 1)} ×", middle(memory[side])])
    command = f"throughput --tracks {options.tracks} --rounds {options.rounds}"
    table("Events a second, from publish to stored vector", command, ["", "events/s", "beside the reference", "memory, MB"], rows)
    processes = ["redis", "facade", "library", "recommender", "listener", "worker"]
    rows = [[name] + [f"{statistics.median(cost[process] for cost in costs[side]):.2f}" if process in costs[side][0] else "–"
                      for process in processes] for side, name in SIDES.items()]
    table("Processor time an event, ms", command, ["", "Redis", "embedding server", *processes[2:]], rows)


def one_run(stage, options, side):
    """Events a second, milliseconds of each process an event, and the processes whose memory counts."""
    _, ollama = stage.facade()
    embedding = REMOTE | {"OLLAMA_HOST": ollama}
    names = ["library", "recommender", "listener", "worker"]
    if side == "reference":
        recommender, url = stage.role("recommender", embedding)
        stage.reference(embedding, {}, url)
        names = ["listener", "worker"]
    else:
        library, recommender = stage.ours(embedding, asks_library=side == "writes")

    def tell(events):
        if side != "writes":
            return publish(stage, events)
        for start in range(0, len(events), 500):
            status, answer = library.call("POST", "/api/tracks/batch", [track for _, track in events[start:start + 500]])
            if status not in (200, 201):
                raise RuntimeError(f"a batch was answered {status}: {answer[:300]!r}")

    listed = list(enumerate(tracks(options.tracks + 100), 1))
    tell(listed[:100])
    until(100, recommender)
    before = {name: stage.spent(name) for name in stage.processes}
    began = time.perf_counter()
    tell(listed[100:])
    until(len(listed), recommender)
    seconds = time.perf_counter() - began
    cost = {name: (stage.spent(name) - spent) / options.tracks * 1e3 for name, spent in before.items()}
    return options.tracks / seconds, cost, names


def model_environment(options):
    return {"GRAPH": GRAPH, "TOKENIZER": os.path.join(options.model, "tokenizer.json")}


def has_graph():
    return os.path.exists(GRAPH) and os.path.exists(VENV)


def searchable(library, recommender, count, seed):
    """Milliseconds of each track from POST to an answer about it, and of a request beside it that does nothing."""
    times, idle = [], []
    for number, track in enumerate(tracks(count + 20, seed)):
        began = time.perf_counter()
        status, answer = library.call("POST", "/api/tracks/", track)
        if status != 201:
            raise RuntimeError(f"a track was answered {status}: {answer!r}")
        path = f"/api/tracks/{json.loads(answer)['id']}/similar?limit=1"
        while recommender.call("GET", path)[0] != 200:
            if time.perf_counter() - began > 30:
                raise RuntimeError(f"{path} is not answered after 30 s")
            time.sleep(0.0005)
        if number >= 20:
            times.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        recommender.call("GET", "/healthz")
        idle.append((time.perf_counter() - began) * 1e3)
    return times, idle


def latency(options):
    """From POST to searchable, one track after the other, and the memory of all afterwards."""
    rows, memory = [], []

    def row(name, values):
        times, idle = values
        p99 = sorted(times)[int(len(times) * 0.99)]
        rows.append([name, f"{statistics.median(times):.1f} ms", f"{p99:.1f} ms", f"{statistics.median(idle):.2f} ms", machine()])

    with Stage(options) as stage:
        client, _ = stage.role("serve", {})
        row("`serve`", searchable(client, client, options.asked, 1))
        memory.append(["`serve`", f"{stage.memory(['serve']):.0f}"])
    with Stage(options) as stage:
        library, recommender = stage.ours({})
        row("services", searchable(library, recommender, options.asked, 2))
        names = ["library", "recommender", "listener", "worker"]
        memory.append(["services: " + ", ".join(f"{name} {stage.memory([name]):.0f}" for name in names), f"{stage.memory(names):.0f}"])
    if has_graph():
        with Stage(options) as stage:
            library, recommender, names = python_system(stage, options)
            row("Python: Celery, ONNX Runtime, our two APIs", searchable(library, recommender, options.asked, 3))
            memory.append(["Python: listener, Celery worker of 2 processes with ONNX Runtime", f"{stage.memory(names):.0f}"])
    table("From `POST /api/tracks/` to searchable, with the model", f"latency --asked {options.asked}",
          ["", "p50", "p99", "`/healthz` p50", "machine"], rows)
    table("Memory after it", f"latency --asked {options.asked}", ["", "MB"], memory)


def python_system(stage, options):
    """Our two APIs with a Python listener and worker between them."""
    external = {"SERVING_SPACE": "external/384"}
    port = free_port()
    environment = {"REDIS_URL": stage.url, "VECTOR_DIMENSION": "384"}
    recommender, url = stage.role("recommender", environment | external | {"LIBRARY_API_URL": f"http://127.0.0.1:{port}"})
    library = Client(port)
    command = [options.binary, "--data", stage.data("library"), "library", "--listen", f"127.0.0.1:{port}"]
    stage.start("library", command, environment | {"RECOMMENDER_API_URL": url},
                lambda: library.call("GET", "/healthz")[0] == 200)
    stage.reference({}, model_environment(options), url)
    return library, recommender, ["listener", "worker"]


def imported(options):
    """Tracks a second from a file to stored vectors; what is slow gets a part of the tracks."""
    listed = list(tracks(options.catalogue))
    fifth, tenth = listed[:options.catalogue // 5], listed[:options.catalogue // 10]
    rates = {}
    for _ in range(options.rounds):
        def measure(name, part, seconds):
            rates.setdefault(f"{name}, {len(part):,} tracks", []).append(len(part) / seconds)

        measure("default template and cache", listed, import_file(options, listed, {}))
        measure("`TEXT_TEMPLATE=fields`, no cache", fifth, import_file(options, fifth, {"TEXT_TEMPLATE": "fields", "EMBEDDING_CACHE_MB": "0"}))
        if options.engine:
            measure("the engine alone on the texts of fields", fifth, engine_alone(options, fifth))
        if has_graph():
            measure("Python: events to a Celery worker with ONNX Runtime", tenth, import_in_python(options, tenth))
    table("Import until the last vector is stored", f"import --catalogue {options.catalogue} --rounds {options.rounds}",
          ["", "tracks/s"], [[name, middle(values)] for name, values in rates.items()])


def import_file(options, listed, settings):
    with Stage(options) as stage:
        source = os.path.join(stage.folder, "tracks.jsonl")
        with open(source, "w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(track) + "\n" for track in listed)
        began = time.perf_counter()
        subprocess.run([options.binary, "--data", stage.data("import"), "import", source], check=True,
                       env={"PATH": os.environ["PATH"]} | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - began


def import_in_python(options, listed):
    with Stage(options) as stage:
        recommender, url = stage.role("recommender", {})
        stage.reference({}, model_environment(options), url)
        began = time.perf_counter()
        publish(stage, list(enumerate(listed, 1)))
        until(len(listed), recommender)
        return time.perf_counter() - began


def engine_alone(options, listed):
    """The same texts of `TEXT_TEMPLATE=fields`, embedded by crates/embed/examples/engine.rs with nothing around it."""
    with Stage(options) as stage:
        source = os.path.join(stage.folder, "texts.txt")
        with open(source, "w", encoding="utf-8") as lines:
            lines.writelines(field_text(track) + "\n" for track in listed)
        engine = subprocess.run([options.engine, options.model, source, "fp32"], input="embed 2\n", check=True, capture_output=True, text=True)
        return json.loads(engine.stdout.splitlines()[-1])["seconds"]


class Losses:
    """One run with faults at moments that are the same for both sides."""

    def __init__(self, stage, options, side):
        self.stage, self.options, self.side = stage, options, side
        self.facade, url = stage.facade(delay_ms=options.delay)
        embedding = REMOTE | {"OLLAMA_HOST": url}
        if side == "ours":
            self.library, self.recommender = stage.ours(embedding, reconcile=5, cached=False)
        else:
            self.recommender, recommender = stage.role("recommender", embedding)
            stage.reference(embedding, {}, recommender, visibility=20)
        self.subscribers = stage.subscribers()
        self.unheard = self.wiped = 0

    def tell(self, number, track):
        self.unheard += self.stage.subscribers() < self.subscribers
        if self.side == "ours":
            status, answer = self.library.call("POST", "/api/tracks/", track | {"id": number})
            if status != 201:
                raise RuntimeError(f"track {number} was answered {status}: {answer!r}")
        else:
            self.stage.redis.publish("vectorization", event(number, track))

    def waiting(self):
        lists = [key for key in self.stage.redis.keys("vectorization*") if self.stage.redis.type(key) == b"list"]
        return sum(map(self.stage.redis.llen, lists)) + self.stage.redis.hlen("unacked")

    def act(self, what):
        if what == "worker":
            self.stage.kill("worker")
            self.stage.restart("worker", is_waited_for=False)
        elif what == "listener is killed":
            self.stage.kill("listener")
        elif what == "listener is back":
            self.stage.restart("listener", is_waited_for=False)
        else:
            self.wiped = self.waiting()
            self.stage.redis.flushall()

    def run(self):
        chance = random.Random(self.options.seed)
        span = self.options.seconds
        plan = [(chance.uniform(1, span), "worker", None) for _ in range(20)]
        for slot in range(5):
            moment = (slot + chance.uniform(0.1, 0.7)) * span / 5
            plan += [(moment, "listener is killed", None), (moment + 1, "listener is back", None)]
        plan.append((chance.uniform(0.3, 0.7) * span, "flush", None))
        listed = list(enumerate(tracks(self.options.events), 1))
        plan += [(number * span / len(listed), number, track) for number, track in listed]
        began = time.monotonic()
        for moment, what, track in sorted(plan, key=lambda step: step[0]):
            time.sleep(max(0, began + moment - time.monotonic()))
            self.tell(what, track) if track else self.act(what)
        ended = time.monotonic()
        quiet = None
        while time.monotonic() - ended < 300:
            if self.side == "ours" and ready(self.recommender) == len(listed):
                break
            # The reference has nothing that would find what is lost: it has ended when nothing waits any more.
            is_quiet = self.side != "ours" and self.waiting() == 0
            quiet = (quiet or time.monotonic()) if is_quiet else None
            if quiet and time.monotonic() - quiet > 5:
                break
            time.sleep(0.1)
        took = (quiet or time.monotonic()) - ended
        counts = self.facade.get("/counts")
        wrong = sum(not self.is_right(number, track) for number, track in listed)
        sent = "–"
        if self.side != "ours":
            with open(os.path.join(self.stage.folder, "sent"), encoding="ascii") as lines:
                sent = str(len(listed) - len(set(lines.read().split())))
        return [f"{self.unheard}", sent, f"{self.wiped}", f"{counts['again']}", f"{wrong}", f"{took:.0f} s"]

    def is_right(self, number, track):
        status, answer = self.recommender.call("GET", f"/api/track-vectors/{number}")
        if status != 200:
            return False
        vector, right = json.loads(answer)["embedding"], hash_vector(PREFIX + field_text(track))
        return sum(map(float.__mul__, map(float, vector), right)) / math.hypot(*vector) / math.hypot(*right) > 0.9999


def losses(options):
    """Kills and a FLUSHALL while events come; what is left when all is quiet."""
    rows = []
    for side, name in (("ours", "SoniqueBay"), ("reference", "Python, Celery")):
        with Stage(options) as stage:
            run = Losses(stage, options, side)
            try:
                rows.append([name, *run.run()])
            except Exception:
                for process in ("listener", "worker"):
                    print(f"{process} said: {stage.log(process)[-3000:]}", file=sys.stderr)
                raise
            if options.keep_logs:
                shutil.copytree(stage.folder, f"{options.keep_logs}-{side}", symlinks=True, ignore_dangling_symlinks=True)
    table(f"{options.events:,} events in {options.seconds} s, a worker killed 20 times, the listener 5 times, one FLUSHALL",
          f"losses --events {options.events} --seconds {options.seconds} --delay {options.delay} --seed {options.seed}",
          ["", "events that nobody heard", "events without a task", "tasks wiped out", "texts embedded again", "tracks without the right vector", "until settled"], rows)


PARTS = {"throughput": throughput, "latency": latency, "import": imported, "memory": latency, "losses": losses}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("part", choices=[*PARTS, "all"])
    model = os.environ.get("SONIQUEBAY_TEST_MODEL", os.path.join(ROOT, ".cache/test/models/all-MiniLM-L6-v2"))
    arguments.add_argument("--model", default=model)
    arguments.add_argument("--binary", default=os.path.join(ROOT, "target/release/soniquebay"))
    arguments.add_argument("--engine", help="crates/embed/examples/engine.rs, built: measured beside the import")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tracks", type=int, default=3000, help="events of `throughput`")
    arguments.add_argument("--asked", type=int, default=300, help="tracks of `latency`")
    arguments.add_argument("--catalogue", type=int, default=5000, help="tracks of `import`")
    arguments.add_argument("--events", type=int, default=1000, help="events of `losses`")
    arguments.add_argument("--seconds", type=int, default=60, help="over which they come")
    arguments.add_argument("--delay", type=int, default=30, help="ms that the embedding server takes a text there")
    arguments.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    arguments.add_argument("--keep-logs", metavar="FOLDER", help="where `losses` leaves what the processes wrote")
    options = arguments.parse_args()
    options.model, options.binary = os.path.abspath(options.model), os.path.abspath(options.binary)
    if not os.path.exists(os.path.join(options.model, "model.safetensors")):
        arguments.error(f"there is no model in {options.model}: run `soniquebay model pull` first")
    if not os.path.exists(os.path.join(CELERY, "celery")):
        subprocess.run([os.path.join(ROOT, "scripts/celery.sh")], check=True)
    # Told to stop, it stops what it started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"{machine().capitalize()} before.")
    with tempfile.TemporaryDirectory(prefix="soniquebay-model-") as folder:
        # A copy: whoever else has the model open shares no memory with what is measured.
        model = os.path.join(folder, "all-MiniLM-L6-v2")
        shutil.copytree(options.model, model)
        options.model = model
        for name in ["throughput", "latency", "import", "losses"] if options.part == "all" else [options.part]:
            PARTS[name](options)


if __name__ == "__main__":
    main()
