"""ONNX Runtime on one thread, for `bench/engine.py`; it speaks as crates/embed/examples/engine.rs does.

    python bench/engine_onnxruntime.py GRAPH TOKENIZER TEXT_FILE BATCH
"""

import json
import sys
import time

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def main():
    graph, tokenizer, file, batch = sys.argv[1:5]
    batch = int(batch)
    tokenizer = Tokenizer.from_file(tokenizer)
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def embed(texts):
        """Longest first in small batches: little padding, which is what such an engine loses most by."""
        tokens = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(texts)), key=lambda index: -len(tokens[index]))
        vectors = np.empty((len(texts), 384), np.float32)
        for start in range(0, len(order), batch):
            chosen = order[start:start + batch]
            ids = np.zeros((len(chosen), len(tokens[chosen[0]])), np.int64)
            mask = np.zeros_like(ids)
            for row, index in enumerate(chosen):
                ids[row, :len(tokens[index])] = tokens[index]
                mask[row, :len(tokens[index])] = 1
            vectors[chosen] = session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors

    embed(["Title: Golden River | Artist: Nina Redding | Genre: Soul"])
    print(json.dumps({"ready": True}), flush=True)
    with open(file, encoding="utf-8") as lines:
        texts = lines.read().splitlines()
    for line in sys.stdin:
        word, value = line.split()
        if word == "embed":
            # `2/1` is the second share of two. Every other one of the sorted texts: both shares cost the same.
            shares, share = map(int, value.split("/"))
            mine = sorted(texts, key=len)[share::shares]
            start = time.perf_counter()
            embed(mine)
            answer = {"seconds": time.perf_counter() - start}
        elif word == "single":
            times = []
            for text in texts[:int(value)]:
                start = time.perf_counter()
                embed([text])
                times.append((time.perf_counter() - start) * 1e3)
            answer = {"milliseconds": times}
        elif word == "vectors":
            embed(texts).tofile(value)
            answer = {"vectors": len(texts)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
