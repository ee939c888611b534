"""all-MiniLM-L6-v2 as a GGUF file with weights in q8_0, for llama.cpp, straight from model.safetensors.

    python bench/engine_gguf.py MODEL_FOLDER OUT
"""

import json
import sys

import gguf
from gguf.quants import quantize
from safetensors.numpy import load_file

LAYERS, HIDDEN, HEADS, INTERMEDIATE, POSITIONS = 6, 384, 12, 1536, 512
TENSORS = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


def spelling(token):
    """llama.cpp marks where words start, and not where they go on."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def main():
    folder, out = sys.argv[1:]
    weights = load_file(f"{folder}/model.safetensors")
    with open(f"{folder}/tokenizer.json", encoding="utf-8") as file:
        numbers = json.load(file)["model"]["vocab"]
    tokens = sorted(numbers, key=numbers.get)

    writer = gguf.GGUFWriter(out, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("bert")
    writer.add_token_list([spelling(token) for token in tokens])
    special = [token.startswith("[") and token.endswith("]") for token in tokens]
    writer.add_token_types([gguf.TokenType.CONTROL if one else gguf.TokenType.NORMAL for one in special])
    writer.add_token_type_count(2)
    writer.add_bos_token_id(numbers["[CLS]"])
    writer.add_eos_token_id(numbers["[SEP]"])
    writer.add_unk_token_id(numbers["[UNK]"])
    writer.add_sep_token_id(numbers["[SEP]"])
    writer.add_pad_token_id(numbers["[PAD]"])
    writer.add_mask_token_id(numbers["[MASK]"])

    def matrix(name, values):
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)

    matrix("token_embd.weight", weights["embeddings.word_embeddings.weight"])
    writer.add_tensor("position_embd.weight", weights["embeddings.position_embeddings.weight"])
    writer.add_tensor("token_types.weight", weights["embeddings.token_type_embeddings.weight"])
    for part in ("weight", "bias"):
        writer.add_tensor(f"token_embd_norm.{part}", weights[f"embeddings.LayerNorm.{part}"])
    for layer in range(LAYERS):
        for name, source in TENSORS.items():
            values = weights[f"encoder.layer.{layer}.{source}.weight"]
            add = matrix if values.ndim == 2 else writer.add_tensor
            add(f"blk.{layer}.{name}.weight", values)
            writer.add_tensor(f"blk.{layer}.{name}.bias", weights[f"encoder.layer.{layer}.{source}.bias"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
