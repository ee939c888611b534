"""Processes of one run of bench/pipeline.py: Redis, an embedding server, our services, the Python reference."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CELERY = os.environ.get("SONIQUEBAY_CELERY", os.path.join(ROOT, ".cache/celery"))
REFERENCE = os.path.join(HERE, "pipeline_reference.py")
VENV = os.path.join(ROOT, ".cache/bench/venv/bin/python")
GRAPH = os.path.join(ROOT, ".cache/bench/graphs/fp32.onnx")
sys.path.append(CELERY)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Client:
    """One kept connection, opened anew where the other side closed it."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body)
        for attempt in range(2):
            try:
                self.connection.request(method, path, data, {"content-type": "application/json"} if data else {})
                response = self.connection.getresponse()
                return response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                # A connection that nothing was asked of for a while is closed at the other end.
                if attempt or not isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError)):
                    raise

    def get(self, path):
        status, answer = self.call("GET", path)
        if status != 200:
            raise RuntimeError(f"{path} was answered {status}: {answer[:300]!r}")
        return json.loads(answer)


class Stage:
    """Processes of one run, in a folder of their own: all are gone when it ends."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="soniquebay-pipeline-")
        self.processes = {}
        self.starts = {}

    def __enter__(self):
        self.redis_port = free_port()
        self.url = f"redis://127.0.0.1:{self.redis_port}/0"
        command = ["redis-server", "--port", str(self.redis_port), "--save", "", "--appendonly", "no", "--dir", self.folder]
        import redis
        self.redis = redis.Redis(port=self.redis_port)
        self.start("redis", command, {}, self.redis.ping)
        return self

    def __exit__(self, *_):
        for name in reversed(list(self.processes)):
            self.kill(name, signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, environment, is_ready):
        """Starts a process (in a group of its own) and waits until it is ready."""
        self.starts[name] = (command, environment, is_ready)
        log = open(os.path.join(self.folder, f"{name}.log"), "ab")
        inherited = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
        self.processes[name] = subprocess.Popen(command, env=inherited | environment, stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=log, start_new_session=True)
        log.close()
        if is_ready:
            self.wait(name, is_ready)

    def wait(self, name, is_ready, within=60):
        end = time.monotonic() + within
        while True:
            try:
                if is_ready():
                    return
            except Exception as error:  # Whatever a server that is not there yet makes a client say.
                last = error
            else:
                last = "not yet"
            if self.processes[name].poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} is not ready ({last}): {self.log(name)[-2000:]}")
            time.sleep(0.02)

    def restart(self, name, is_waited_for=True):
        command, environment, is_ready = self.starts[name]
        self.start(name, command, environment, is_ready if is_waited_for else None)
        self.starts[name] = (command, environment, is_ready)

    def kill(self, name, how=signal.SIGKILL):
        process = self.processes.pop(name)
        try:
            # The group is this process's own, and gone with its last member.
            os.killpg(process.pid, how)
            process.wait(20)
        except ProcessLookupError:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)

    def log(self, name):
        with open(os.path.join(self.folder, f"{name}.log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    def data(self, name):
        folder = os.path.join(self.folder, name)
        if not os.path.exists(folder):
            os.makedirs(os.path.join(folder, "models"))
            os.symlink(self.options.model, os.path.join(folder, "models", "all-MiniLM-L6-v2"))
        return folder

    def role(self, name, environment, arguments=()):
        """One of our roles; a client of it."""
        port = free_port()
        client = Client(port)
        command = [self.options.binary, "--data", self.data(name), name, "--listen", f"127.0.0.1:{port}", *arguments]
        self.start(name, command, environment, lambda: client.call("GET", "/healthz")[0] == 200)
        return client, f"http://127.0.0.1:{port}"

    def facade(self, delay_ms=0):
        port = free_port()
        client = Client(port)
        self.start("facade", [sys.executable, REFERENCE, "facade", str(port), str(delay_ms)], {},
                   lambda: client.get("/api/version"))
        return client, f"http://127.0.0.1:{port}"

    def ours(self, embedding, asks_library=True, library=None, reconcile=3600, cached=True):
        """All our services, started; clients of library and recommender."""
        environment = {"REDIS_URL": self.url} | embedding
        ports = [free_port(), free_port()]
        urls = {"LIBRARY_API_URL": f"http://127.0.0.1:{ports[0]}", "RECOMMENDER_API_URL": f"http://127.0.0.1:{ports[1]}"}
        clients = []
        for name, port in zip(("library", "recommender"), ports):
            client = Client(port)
            command = [self.options.binary, "--data", self.data(name), name, "--listen", f"127.0.0.1:{port}"]
            self.start(name, command, environment | urls, lambda client=client: client.call("GET", "/healthz")[0] == 200)
            clients.append(client)
        self.role("listener", environment | urls, ["--reconcile-every", str(reconcile)])
        if not asks_library:
            del urls["LIBRARY_API_URL"]
        if not cached:
            # Jobs alone: what was embedded is not remembered, and each run of a task is seen where it embeds.
            environment["CELERY_BROKER_URL"] = environment.pop("REDIS_URL")
        self.role("worker", environment | urls)
        return clients

    def reference(self, embedding, environment, recommender, concurrency=2, visibility=3600):
        """The Python listener and worker."""
        python = VENV if "GRAPH" in environment else sys.executable
        environment = {"PYTHONPATH": CELERY, "PYTHONUNBUFFERED": "1", "REDIS": self.url, "RECOMMENDER": recommender, "SENT":
                       os.path.join(self.folder, "sent"), "VISIBILITY": str(visibility), **embedding, **environment}
        self.start("worker", [python, REFERENCE, "worker", str(concurrency)], environment,
                   lambda: b"ready" in self.log("worker").encode())
        before = self.subscribers()
        self.start("listener", [sys.executable, REFERENCE, "listener"], environment, lambda: self.subscribers() > before)

    def subscribers(self):
        """Who hears events; our APIs are among them, for whoever watches their progress."""
        return dict(self.redis.pubsub_numsub("vectorization"))[b"vectorization"]

    def spent(self, name):
        """Seconds that processors worked for a process and its children."""
        return sum(map(seconds, family(self.processes[name].pid)))

    def memory(self, names):
        """MB of these processes and their children, pages that several share counted once among them."""
        return sum(share(pid) for name in names for pid in family(self.processes[name].pid)) / 1024


def seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        # Of the fields behind the name, the 12th and 13th: in the program and in the kernel.
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [pid, *(member for child in children.read().split() for member in family(int(child)))]


def share(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
