"""Writes the model and the tokenizer of a GGUF file as a Hugging Face folder, because vLLM reads no GGUF file.

    python proofs/huggingface_model.py MODEL.gguf FOLDER

It runs in the environment of vLLM. It reads llama models with SmolLM2's byte-level BPE, and writes 16-bit weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "token_embd": "embed_tokens",
    "output_norm": "norm",
}
"""The name of each weight in a GGUF file, and in a Hugging Face folder."""
_CONTROL = 3
"""The type of the special tokens in a GGUF file."""


def write_weights(reader: GGUFReader, folder: Path) -> None:
    """Write the weights, with the two halves of each rotary pair apart; llama.cpp has them side by side."""
    heads = {"attn_q": _field(reader, "llama.attention.head_count")}
    heads["attn_k"] = _field(reader, "llama.attention.head_count_kv")
    weights = {}
    for tensor in reader.tensors:
        *block, part, _ = tensor.name.split(".")
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
        if part in heads:
            rows, columns = weight.shape
            pairs = weight.reshape(heads[part], rows // heads[part] // 2, 2, columns)
            weight = pairs.swapaxes(1, 2).reshape(rows, columns)
        layer = f"layers.{block[1]}." if block else ""
        weights[f"model.{layer}{_PARTS[part]}.weight"] = np.ascontiguousarray(weight)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": _field(reader, "llama.embedding_length"),
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_attention_heads": heads["attn_q"],
        "num_key_value_heads": heads["attn_k"],
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "rms_norm_eps": float(_field(reader, "llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": float(_field(reader, "llama.rope.freq_base")),
        "vocab_size": weights["model.embed_tokens.weight"].shape[0],
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def write_tokenizer(reader: GGUFReader, folder: Path) -> None:
    """Write the tokenizer and the chat template."""
    tokens = _field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ", 1)) for pair in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(tokens, _field(reader, "tokenizer.ggml.token_type"), strict=True)
    special = [AddedToken(token, normalized=False, special=True) for token, kind in kinds if kind == _CONTROL]
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[_field(reader, "tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[_field(reader, "tokenizer.ggml.eos_token_id")],
        "clean_up_tokenization_spaces": False,
        "chat_template": _field(reader, "tokenizer.chat_template"),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def _field(reader: GGUFReader, name: str) -> Any:
    return reader.fields[name].contents()


if __name__ == "__main__":
    to = Path(sys.argv[2])
    to.mkdir()
    write_weights(GGUFReader(sys.argv[1]), to)
    write_tokenizer(GGUFReader(sys.argv[1]), to)
