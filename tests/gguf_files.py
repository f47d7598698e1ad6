"""Small GGUF files, written by hand."""

from __future__ import annotations

import struct

_STRING, _ARRAY, _U32, _F32 = 8, 9, 4, 6
F32 = 0


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(found):
    if isinstance(found, str):
        return struct.pack("<I", _STRING) + string(found)
    if isinstance(found, float):
        return struct.pack("<If", _F32, found)
    if isinstance(found, list):
        texts = found and isinstance(found[0], str)
        parts = [string(each) if texts else struct.pack("<f", each) for each in found]
        return struct.pack("<IIQ", _ARRAY, _STRING if texts else _F32, len(found)) + b"".join(parts)
    return struct.pack("<II", _U32, found)


def header(keys, tensors, version=3):
    """Return the begin of a file; `tensors` are (name, sizes, type, offset)."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(keys))]
    parts += [string(name) + value(found) for name, found in keys.items()]
    for name, sizes, kind, offset in tensors:
        parts.append(string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset))
    return b"".join(parts)


def small_file(file_type=0, **keys):
    """Return a whole file: two tensors of 64 and 8 numbers of 4 bytes, and a list of words."""
    known = {
        "general.architecture": "llama",
        "general.file_type": file_type,
        "llama.context_length": 2048,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.tokens": ["<s>", "a", "b"],
        "tokenizer.ggml.scores": [0.0, -1.0, -2.0],
        **keys,
    }
    start = header(known, [("token_embd.weight", (8, 8), F32, 0), ("output_norm.weight", (8,), F32, 256)])
    return start + bytes(-len(start) % 32) + bytes(288)
