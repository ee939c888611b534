#!/usr/bin/env python3
"""The memory index beside FAISS, sqlite-vec and pgvector: the same vectors, the same questions, one run in turns on one core.

    python3 bench/index.py [--quick] [--vectors 100000] [--kinds random,clusters,tight] [--model DIR [--tracks FILE]]
                          [--without hnsw,sqlite-vec,pgvector]

Builds the example `index_bench`, which makes vectors and questions from a seed; makes a venv in .cache/bench with numpy, faiss-cpu,
apsw, sqlite-vec and psycopg; and prints a Markdown table a kind of vectors. With --model (`soniquebay model path`) a last kind is real: the
tracks of the demo, or of a file of yours (--tracks), made vectors by the program, then as many as --vectors by putting the words of one
track and the numbers of another together. --quick asks fewer questions and leaves out FAISS HNSW and pgvector, whose graphs take up to a
minute to build for 100,000 vectors, and up to a quarter of an hour for a million.

All take turns, so that whatever else the machine does meets all alike: first ten questions in a row each, then one at a time.
Recall is against FAISS flat: an answer counts as right when it scores no less than the last right one.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

from pgvector import PgVector

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".cache", "bench")
PACKAGES = ["numpy", "faiss-cpu", "apsw", "sqlite-vec", "psycopg[binary]"]
DIMS, NUMBERS, K = 396, 12, 10
WEIGHTS = [0, 0.5, 1]
# Name, and the last year that passes: each year is one row in a thousand.
FILTERS = [("none", None), ("5 %", 49), ("0.1 %", 0)]
# sqlite-vec takes a hundred times as long as the others: it is asked fewer questions, evenly spread among theirs.
SQLITE_QUESTIONS = 5
# How many questions one is asked before the next one's turn: as a server is asked, and where each one comes to caches that others have
# filled, FAISS flat with every vector.
ORDERS = [("Ten in a row", 10), ("One at a time, after the others", 1)]


def in_venv():
    """Goes on in the venv, which is made where there is none."""
    python = os.path.join(VENV, "bin", "python")
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    if not os.path.exists(os.path.join(VENV, "ready-2")):
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        open(os.path.join(VENV, "ready-2"), "w", encoding="ascii").close()
    os.execv(python, [python, *sys.argv])


class Ours:
    """The example, which answers questions from its standard input."""

    def __init__(self, kind, folder, options):
        command = [os.path.join(ROOT, "target", "release", "examples", "index_bench"), "--kind", kind, "--serve", folder,
                   "--vectors", str(options.vectors), "--queries", str(options.queries)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("index_bench stopped: its message is above")
        self.about = json.loads(line)

    def search(self, number, weight, year):
        """Milliseconds, and scores by row."""
        self.process.stdin.write(f"{number} {weight} {-1 if year is None else year}\n")
        self.process.stdin.flush()
        took, *hits = self.process.stdout.readline().split()
        return float(took) / 1e3, [(int(row), float(score)) for row, score in (hit.split(":") for hit in hits)]

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def timed(call):
    began = time.perf_counter()
    answer = call()
    return (time.perf_counter() - began) * 1e3, answer


class Flat:
    """FAISS, comparing all."""

    name = "FAISS flat"

    def __init__(self, vectors):
        import faiss
        self.faiss = faiss
        self.built, self.index = timed(lambda: self.build(vectors))
        self.bytes = DIMS * 4

    def build(self, vectors):
        index = self.faiss.IndexFlatIP(DIMS)
        index.add(vectors)
        return index

    def parameters(self, selector):
        return self.faiss.SearchParameters(sel=selector)

    def search(self, query, passing):
        parameters = self.parameters(passing) if passing is not None else None
        took, (scores, rows) = timed(lambda: self.index.search(query[None], K, params=parameters))
        return took, [(int(row), float(score)) for row, score in zip(rows[0], scores[0]) if row >= 0]


class Hnsw(Flat):
    """FAISS's graph, with its usual settings but for a wider search."""

    name = "FAISS HNSW"

    def build(self, vectors):
        index = self.faiss.IndexHNSWFlat(DIMS, 32, self.faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = 64
        index.add(vectors)
        return index

    def __init__(self, vectors):
        super().__init__(vectors)
        self.bytes = self.faiss.serialize_index(self.index).nbytes / len(vectors)

    def parameters(self, selector):
        return self.faiss.SearchParametersHNSW(sel=selector, efSearch=64)


class SqliteVec:
    """The table that the product itself keeps for commands that ask once."""

    name = "sqlite-vec"

    def __init__(self, vectors, years, folder):
        import apsw
        import sqlite_vec
        self.file = os.path.join(folder, "vec.db")
        self.connection = apsw.Connection(self.file)
        self.connection.enable_load_extension(True)
        self.connection.load_extension(sqlite_vec.loadable_path())
        self.connection.execute(f"CREATE VIRTUAL TABLE vec USING vec0(id INTEGER PRIMARY KEY, year INTEGER, "
                                f"v FLOAT[{DIMS}] distance_metric=cosine)")
        rows = ((row, int(years[row]), vectors[row].tobytes()) for row in range(len(vectors)))
        began = time.perf_counter()
        with self.connection:
            self.connection.executemany("INSERT INTO vec VALUES (?, ?, ?)", rows)
        self.built = (time.perf_counter() - began) * 1e3

    def search(self, query, year):
        condition = "" if year is None else f" AND year <= {year}"
        sql = f"SELECT id, 1 - distance FROM vec WHERE v MATCH ? AND k = {K}{condition}"
        return timed(lambda: list(self.connection.execute(sql, (query.tobytes(),))))


def weighted(query, weight):
    import numpy
    query = query.copy()
    query[-NUMBERS:] *= weight
    return (query / numpy.linalg.norm(query)).astype("float32")


def percentiles(times):
    times = sorted(times)
    return statistics.median(times), times[min(len(times) - 1, len(times) * 99 // 100)]


def blocks(count, length):
    """The numbers below count, so many at a time."""
    return [range(first, min(first + length, count)) for first in range(0, count, length)]


class Column:
    """What one index did in one case."""

    def __init__(self):
        self.times, self.right, self.wanted = [], 0, 0

    def add(self, answer, truth):
        took, hits = answer
        self.times.append(took)
        least = min((score for _, score in truth), default=0) - 1e-6
        self.right += min(sum(score >= least for _, score in hits), len(truth))
        self.wanted += len(truth)

    def __str__(self):
        if not self.times:
            return ""
        p50, p99 = percentiles(self.times)
        return f"{p50:.2f} / {p99:.2f}, {self.right / max(self.wanted, 1):.4f}"


def measure(kind, options, folder):
    import faiss
    import numpy
    ours = Ours(kind, folder, options)
    vectors = numpy.fromfile(os.path.join(folder, "vectors.f32"), "float32").reshape(-1, DIMS)
    queries = numpy.fromfile(os.path.join(folder, "queries.f32"), "float32").reshape(-1, DIMS)
    years = numpy.fromfile(os.path.join(folder, "years.i32"), "int32")
    # Building may use all cores, and its time is told; searching may not.
    flat = Flat(vectors)
    hnsw = None if "hnsw" in options.without else Hnsw(vectors)
    sqlite = None if "sqlite-vec" in options.without else SqliteVec(vectors, years, folder)
    pgvector = None if "pgvector" in options.without else PgVector(vectors, years, K)
    faiss.omp_set_num_threads(1)
    about, rows = ours.about, len(vectors)
    others = [index for index in (flat, hnsw, sqlite, pgvector) if index]
    print(f"\n**{os.path.basename(kind)}**, {rows:,} × {DIMS}, k = {K}, {len(queries)} questions a line; memory read at "
          f"{about['bandwidth'] / 1e9:.1f} GB/s. Milliseconds p50 / p99, recall@10.")
    off = 0.0
    for order, in_a_row in ORDERS:
        print(f"\n{order}:\n\n| weight | filter | floor | SoniqueBay | " + " | ".join(index.name for index in others) + " |")
        print("|---|---|---|---|" + "---|" * len(others))
        for weight in WEIGHTS:
            asked = [weighted(query, weight) for query in queries]
            for (name, year), floor in zip(FILTERS, about["floors_ms"]):
                passing = None if year is None else faiss.IDSelectorBatch(numpy.flatnonzero(years <= year))
                columns = {index: Column() for index in (ours, *others)}
                for block in blocks(len(asked), in_a_row):
                    truths = {number: flat.search(asked[number], passing) for number in block}
                    for number, truth in truths.items():
                        columns[flat].add(truth, truth[1])
                    for number in block:
                        answer = ours.search(number, weight, year)
                        columns[ours].add(answer, truths[number][1])
                        off = max([off, *(abs(score - float(vectors[row] @ asked[number])) for row, score in answer[1])])
                    for number in block if hnsw else ():
                        columns[hnsw].add(hnsw.search(asked[number], passing), truths[number][1])
                    for number in block if sqlite else ():
                        if number % max(len(asked) // SQLITE_QUESTIONS, 1) == 0:
                            columns[sqlite].add(sqlite.search(asked[number], year), truths[number][1])
                    for number in block if pgvector else ():
                        took, hits = pgvector.search(asked[number], year)
                        hits = [(row, float(vectors[row] @ asked[number])) for row, _ in hits]
                        columns[pgvector].add((took, hits), truths[number][1])
                print(f"| {weight} | {name} | {floor:.2f} | " + " | ".join(str(columns[i]) for i in (ours, *others)) + " |", flush=True)
    codes, facts = about["code_bytes"] / rows, about["fact_bytes"] / rows
    print(f"\nBuilding: SoniqueBay {about['built_s']:.1f} s" + "".join(f", {i.name} {i.built / 1e3:.1f} s" for i in others)
          + f". Bytes of memory a vector: SoniqueBay {codes:.0f} and {facts:.0f} of facts, FAISS flat {flat.bytes}"
          + (f", FAISS HNSW {hnsw.bytes:.0f}" if hnsw else "") + f". Scores are off by {off:.1e} at most.")
    ours.close()
    if sqlite:
        sqlite.connection.close()
        os.remove(sqlite.file)
    if pgvector:
        pgvector.close()


def real_vectors(options, folder):
    """Writes vectors of real tracks into a file; its name."""
    import numpy
    program, data = os.path.join(ROOT, "target", "release", "soniquebay"), os.path.join(folder, "library")
    os.makedirs(os.path.join(data, "models"))
    os.symlink(os.path.abspath(options.model), os.path.join(data, "models", "all-MiniLM-L6-v2"))
    # Lines that say too much are told and left out: 4.
    ran = subprocess.run([program, "--data", data, "import", options.tracks], stdout=subprocess.DEVNULL, check=False)
    if ran.returncode not in (0, 4):
        sys.exit(f"{options.tracks} was not imported: what is said above tells why")
    connection = sqlite3.connect(f"file:{os.path.join(data, 'soniquebay.db')}?mode=ro", uri=True)
    blobs = [blob for (blob,) in connection.execute("SELECT vector FROM track_vectors WHERE length(vector) = ?", (DIMS * 4,))]
    if len(blobs) ** 2 < options.vectors:
        sys.exit(f"{options.tracks}: {len(blobs)} vectors came of it, too few for {options.vectors} pairs")
    vectors = numpy.frombuffer(b"".join(blobs), "float32").reshape(-1, DIMS)
    chance = numpy.random.default_rng(20261120)
    words, numbers = chance.integers(len(vectors), size=(2, options.vectors))
    vectors = numpy.hstack([vectors[words, :-NUMBERS], vectors[numbers, -NUMBERS:]])
    name = os.path.join(folder, f"{len(blobs)} real tracks, recombined")
    vectors.astype("float32").tofile(name)
    return name


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--vectors", type=int, default=100_000)
    arguments.add_argument("--queries", type=int)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--kinds", default="random,clusters,tight")
    arguments.add_argument("--model")
    arguments.add_argument("--tracks", default=os.path.join(ROOT, "data", "demo-tracks.jsonl"))
    arguments.add_argument("--without", default="")
    options = arguments.parse_args()
    options.queries = options.queries or (20 if options.quick else 60)
    options.without = set(options.without.split(",")) | ({"hnsw", "pgvector"} if options.quick else set())
    if options.vectors > 200_000:
        options.without.add("sqlite-vec")
    in_venv()
    build = ["cargo", "build", "--release", "--quiet"]
    subprocess.run([*build, "-p", "soniquebay-search", "--example", "index_bench"], cwd=ROOT, check=True)
    if options.model:
        subprocess.run([*build, "--bin", "soniquebay"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="soniquebay-index-") as folder:
        kinds = [kind for kind in options.kinds.split(",") if kind]
        if options.model:
            kinds.append(real_vectors(options, folder))
        for kind in kinds:
            measure(kind, options, folder)


if __name__ == "__main__":
    main()
