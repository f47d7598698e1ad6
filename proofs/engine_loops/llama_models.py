"""Writes the GGUF files of the proof: a generated model with 16 bits, and it and a real one in smaller types.

    llama_models.py FOLDER REAL.gguf

The quantizer is that of llama.cpp. Prints the paths by name as JSON.
"""

import ctypes
import json
import sys
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

LAYERS, WIDTH, HEADS, CACHED_HEADS, INNER, VOCABULARY, CONTEXT = 6, 512, 8, 4, 1536, 8192, 2048
FILE_TYPES = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15}


def write_model(path: Path) -> None:
    """Write a model of 27 million random weights, without a tokenizer."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in (
        (writer.add_context_length, CONTEXT), (writer.add_embedding_length, WIDTH), (writer.add_block_count, LAYERS),
        (writer.add_feed_forward_length, INNER), (writer.add_head_count, HEADS),
        (writer.add_head_count_kv, CACHED_HEADS), (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_rope_dimension_count, WIDTH // HEADS), (writer.add_vocab_size, VOCABULARY),
        (writer.add_file_type, FILE_TYPES["F16"]), (writer.add_tokenizer_model, "no_vocab"),
    ):  # fmt: skip
        add(value)

    def matrix(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", (random.standard_normal((rows, columns)) * 0.03).astype(np.float16))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    matrix("token_embd", VOCABULARY, WIDTH)
    cached = WIDTH * CACHED_HEADS // HEADS
    for number in range(LAYERS):
        block = f"blk.{number}"
        norm(f"{block}.attn_norm")
        norm(f"{block}.ffn_norm")
        for name, rows, columns in (
            ("attn_q", WIDTH, WIDTH), ("attn_k", cached, WIDTH), ("attn_v", cached, WIDTH),
            ("attn_output", WIDTH, WIDTH), ("ffn_gate", INNER, WIDTH), ("ffn_up", INNER, WIDTH),
            ("ffn_down", WIDTH, INNER),
        ):  # fmt: skip
            matrix(f"{block}.{name}", rows, columns)
    norm("output_norm")
    matrix("output", VOCABULARY, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source: Path, to: Path, file_type: str) -> None:
    """Write a file in another type."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.allow_requantize = FILE_TYPES[file_type], True
    if llama_cpp.llama_model_quantize(str(source).encode(), str(to).encode(), ctypes.byref(parameters)):
        raise SystemExit(f"llama.cpp cannot quantize {source} to {file_type}")


def main(folder: Path, real: Path) -> None:
    """Write each file that does not exist."""
    files = {f"generated.{kind}": folder / f"generated.{kind}.gguf" for kind in FILE_TYPES}
    if not files["generated.F16"].exists():
        write_model(files["generated.F16"])
    for kind in ("Q8_0", "Q4_K_M"):
        files[f"real.{kind}"] = folder / f"SmolLM2-135M-Instruct.{kind}.gguf"
        for source, name in ((files["generated.F16"], "generated"), (real, "real")):
            if not files[f"{name}.{kind}"].exists():
                quantize(source, files[f"{name}.{kind}"], kind)
    print(json.dumps({name: str(path) for name, path in files.items()}))


main(Path(sys.argv[1]), Path(sys.argv[2]))
