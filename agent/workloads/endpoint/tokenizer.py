"""Counts tokens with a tokenizer file, for servers that report no usage."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_BYTES = 256 << 20


def load_counter(file: Path) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text, without special tokens. Raises WorkloadError."""
    try:
        kind = import_module("tokenizers").Tokenizer
    except ImportError as error:
        raise WorkloadError("--tokenizer needs the package tokenizers", "pip install tokenizers") from error
    try:
        with file.open("rb") as stream:
            tokenizer = kind.from_str(stream.read(_MOST_BYTES).decode())
    except Exception as error:  # the package raises Exception itself
        raise WorkloadError(
            f"--tokenizer {file.name}: {error}", "give the file tokenizer.json of the model that the server has"
        ) from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
