"""all-MiniLM-L6-v2 as an ONNX graph, straight from model.safetensors: no torch, no export.

    python bench/engine_onnx.py MODEL_FOLDER OUT_FOLDER      # writes fp32.onnx and int8.onnx
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

LAYERS, HIDDEN, HEADS, EPSILON = 6, 384, 12, 1e-12


def build(weights):
    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def linear(x, parts, output):
        """One product for all parts, as whoever tunes a graph would do it."""
        matrix = np.concatenate([weights[f"{part}.weight"] for part in parts]).T
        bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
        product = node("MatMul", [x, constant(f"{output}.weight", matrix)], f"{output}.product")
        return node("Add", [product, constant(f"{output}.bias", bias)], output)

    def norm(x, name, output):
        gain, bias = (constant(f"{output}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return node("LayerNormalization", [x, gain, bias], output, axis=-1, epsilon=EPSILON)

    embeddings = "embeddings."
    words = constant("words", weights[embeddings + "word_embeddings.weight"])
    table = weights[embeddings + "position_embeddings.weight"] + weights[embeddings + "token_type_embeddings.weight"][0]
    length = node("Shape", ["ids"], "length", start=1, end=2)
    zero = constant("zero", np.array([0], np.int64))
    positions = node("Slice", [constant("positions", table), zero, length], "positions.used")
    x = node("Add", [node("Gather", [words, "ids"], "words.used"), positions], "embedded")
    x = norm(x, embeddings + "LayerNorm", "embedded.norm")

    # Padding gets nothing of the attention: added before softmax.
    real = node("Cast", ["mask"], "mask.real", to=TensorProto.FLOAT)
    missing = node("Sub", [constant("one", np.float32(1)), real], "mask.missing")
    penalty = node("Mul", [missing, constant("never", np.float32(-1e9))], "mask.flat")
    penalty = node("Unsqueeze", [penalty, constant("axes", np.array([1, 2], np.int64))], "mask.penalty")
    split = constant("split", np.array([0, 0, HEADS, HIDDEN // HEADS], np.int64))
    join = constant("join", np.array([0, 0, HIDDEN], np.int64))
    scale = constant("scale", np.float32((HIDDEN // HEADS) ** -0.5))
    for index in range(LAYERS):
        name = f"encoder.layer.{index}."
        own = name + "attention.self."
        qkv = linear(x, [own + "query", own + "key", own + "value"], f"{index}.qkv")
        parts = [f"{index}.{part}" for part in "qkv"]
        nodes.append(helper.make_node("Split", [qkv], parts, name=f"{index}.parts", axis=-1, num_outputs=3))
        query, key, value = (
            node("Transpose", [node("Reshape", [part, split], part + ".split")], part + ".heads", perm=order)
            for part, order in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])))
        scores = node("Mul", [node("MatMul", [query, key], f"{index}.products"), scale], f"{index}.scores")
        shares = node("Softmax", [node("Add", [scores, penalty], f"{index}.masked")], f"{index}.shares", axis=-1)
        context = node("MatMul", [shares, value], f"{index}.context")
        context = node("Transpose", [context], f"{index}.context.rows", perm=[0, 2, 1, 3])
        context = node("Reshape", [context, join], f"{index}.context.joined")
        out = linear(context, [name + "attention.output.dense"], f"{index}.out")
        x = norm(node("Add", [x, out], f"{index}.attended"), name + "attention.output.LayerNorm", f"{index}.attended.norm")
        up = node("Gelu", [linear(x, [name + "intermediate.dense"], f"{index}.up")], f"{index}.gelu")
        down = linear(up, [name + "output.dense"], f"{index}.down")
        x = norm(node("Add", [x, down], f"{index}.sum"), name + "output.LayerNorm", f"{index}.norm")

    column = node("Unsqueeze", [real, constant("last", np.array([2], np.int64))], "mask.column")
    total = node("ReduceSum", [node("Mul", [x, column], "kept"), constant("tokens", np.array([1], np.int64))], "total", keepdims=0)
    node("LpNormalization", [total], "vectors", axis=-1, p=2)
    batch = ["batch", "length"]
    graph = helper.make_graph(
        nodes, "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, batch) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", HIDDEN])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def main():
    folder, out = sys.argv[1:]
    onnx.save(build(load_file(f"{folder}/model.safetensors")), f"{out}/fp32.onnx")
    # One scale an output channel: the default of one a matrix is a little faster to make and far less exact.
    quantize_dynamic(f"{out}/fp32.onnx", f"{out}/int8.onnx", per_channel=True, weight_type=QuantType.QInt8)


if __name__ == "__main__":
    main()
