"""The other processes of bench/pipeline.py: an embedding server, and the Python system's listener and Celery worker.

    python3 bench/pipeline_reference.py facade PORT DELAY_MS | listener | worker PROCESSES

The server speaks as Ollama does and makes vectors out of hashes. Listener and worker do what the Python system's do, in as few steps as can be:
each event becomes a task, each task one request for a vector and one for storing it, over kept connections.
"""

import asyncio
import collections
import hashlib
import http.client
import json
import os
import random
import sys
import urllib.parse

# A text's hash has 32 bytes, and each chooses one of these 24 numbers: 768, of length 1.
CHANCE = random.Random(7)
PIECES = []
for _ in range(256):
    piece = [CHANCE.gauss(0, 1) for _ in range(24)]
    length = (32 * sum(value * value for value in piece)) ** 0.5
    PIECES.append([round(value / length, 6) for value in piece])
WRITTEN = [",".join(map(str, piece)) for piece in PIECES]


def hash_vector(text):
    return [value for byte in hashlib.sha256(text.encode()).digest() for value in PIECES[byte]]


def written_vector(text):
    return "[" + ",".join(WRITTEN[byte] for byte in hashlib.sha256(text.encode()).digest()) + "]"


def field_text(track):
    """A track as one text, as the Python system writes it and `TEXT_TEMPLATE=fields`."""
    parts = (("Title", "title"), ("Artist", "artist"), ("Album", "album"), ("Genre", "genre"), ("Key", "key"), ("BPM", "bpm"))
    return " | ".join(f"{name}: {track[field]}" for name, field in parts if track.get(field))


async def facade(port, delay_ms):
    seen = collections.Counter()
    one_at_a_time = asyncio.Lock()

    async def embed(body):
        texts = body.get("input") or []
        texts = [texts] if isinstance(texts, str) else texts
        if delay_ms and texts:
            async with one_at_a_time:
                await asyncio.sleep(delay_ms / 1000 * len(texts))
        seen.update(texts)
        return '{"model":"nomic-embed-text","embeddings":[' + ",".join(map(written_vector, texts)) + '],"prompt_eval_count":8}'

    async def answer(path, body):
        if path == "/api/embed":
            return await embed(json.loads(body))
        if path == "/counts":
            tracks = [count for text, count in seen.items() if "Title: " in text]
            return json.dumps({"texts": len(tracks), "again": sum(tracks) - len(tracks)})
        name = "nomic-embed-text:latest"
        return json.dumps({
            "/api/version": {"version": "0.33.0"},
            "/api/tags": {"models": [{"name": name, "model": name, "size": 1, "digest": "0" * 64}]},
            "/api/show": {"capabilities": ["embedding"], "details": {}, "model_info": {
                "general.architecture": "nomic-bert", "nomic-bert.context_length": 2048, "nomic-bert.embedding_length": 768}},
        }.get(path, {}))

    async def serve(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                data = (await answer(head.split(" ")[1], body)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 20)
    await server.serve_forever()


def application():
    from celery import Celery
    app = Celery("reference", broker=os.environ["REDIS"], backend=os.environ["REDIS"])
    app.conf.update(
        task_default_queue="vectorization",
        task_acks_late=True,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": int(os.environ.get("VISIBILITY", "3600"))},
        worker_hijack_root_logger=False,
    )
    return app


def listener():
    import redis
    app = application()
    heard = redis.Redis.from_url(os.environ["REDIS"])
    sent = open(os.environ["SENT"], "a", buffering=1, encoding="ascii")
    while True:
        try:
            channel = heard.pubsub(ignore_subscribe_messages=True)
            channel.subscribe("vectorization")
            for message in channel.listen():
                event = json.loads(message["data"])
                app.send_task("calculate_vector", [event["track_id"], event["metadata"]], queue="vectorization")
                sent.write(f"{event['track_id']}\n")
        except Exception as error:  # As the Python system's: said, and gone on from.
            print(f"listener: {error!r}", file=sys.stderr)


def worker(processes):
    app = application()
    connections = {}

    def post(url, path, body):
        host = urllib.parse.urlsplit(url)
        connection = connections.get(url) or http.client.HTTPConnection(host.hostname, host.port, timeout=60)
        connections[url] = connection
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if answer.status >= 300:
            raise RuntimeError(f"{path} was answered {answer.status}: {data[:200]!r}")
        return json.loads(data)

    def from_server(text):
        body = {"model": os.environ["EMBEDDING_MODEL"], "input": ["search_document: " + text]}
        return post(os.environ["OLLAMA_HOST"], "/api/embed", body)["embeddings"][0]

    loaded = []

    def from_model(text):
        if not loaded:
            import onnxruntime
            from tokenizers import Tokenizer
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = settings.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(os.environ["GRAPH"], settings, providers=["CPUExecutionProvider"])
            loaded[:] = [session, Tokenizer.from_file(os.environ["TOKENIZER"])]
            loaded[1].no_padding()
            loaded[1].enable_truncation(256)
        session, tokenizer = loaded
        ids = tokenizer.encode(text).ids
        import numpy
        row = numpy.array([ids], numpy.int64)
        return session.run(None, {"ids": row, "mask": numpy.ones_like(row)})[0][0].tolist()

    embed = from_model if "GRAPH" in os.environ else from_server

    @app.task(name="calculate_vector", autoretry_for=(Exception,), max_retries=3, retry_backoff=True)
    def calculate_vector(track_id, metadata):
        vector = embed(field_text(metadata))
        post(os.environ["RECOMMENDER"], "/api/track-vectors/", {"track_id": track_id, "embedding": vector, "metadata": metadata})
        return {"track_id": track_id, "status": "success", "vector_dimension": len(vector)}

    app.worker_main(["worker", "-P", "prefork", "-c", str(processes), "-Q", "vectorization", "-l", "INFO"])


if __name__ == "__main__":
    if sys.argv[1] == "facade":
        asyncio.run(facade(int(sys.argv[2]), int(sys.argv[3])))
    elif sys.argv[1] == "listener":
        listener()
    else:
        worker(int(sys.argv[2]))
