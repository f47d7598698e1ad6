"""The shapes of well-known open models, from their public configurations (`config.json` on Hugging Face)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Preset:
    """The shape of a model: `published` is its number of weights by its authors, `source` its configuration.

    `kv_heads` and `head_width` of 0 have the meaning that they have in the spec. `context` is the longest context, the
    rows of a learned table of positions.
    """

    source: str
    published: float
    layers: int
    width: int
    heads: int
    mlp_width: int
    vocabulary: int
    kv_heads: int = 0
    head_width: int = 0
    kind: Literal["decoder", "encoder"] = "decoder"
    tied: bool = False
    mlp: Literal["gated", "plain"] = "gated"
    positions: Literal["rope", "learned"] = "rope"
    experts: int = 1
    active_experts: int = 1
    context: int = 0

    def values(self) -> dict[str, Any]:
        """Return the values of the spec's parameters."""
        names = ("kind", "layers", "width", "heads", "kv_heads", "head_width", "vocabulary", "tied", "mlp")
        shape = {name: getattr(self, name) for name in (*names, "positions", "experts", "active_experts")}
        return {**shape, "mlp_ratio": self.mlp_width / self.width}


def _encoder(source: str, published: float, layers: int, width: int, heads: int, **changes: Any) -> Preset:
    """Return an encoder of the BERT family: a feed-forward of four widths, without a gate."""
    facts: dict[str, Any] = {"vocabulary": 30_522, "context": 512, "mlp_width": 4 * width, **changes}
    return Preset(source, published, layers, width, heads, kind="encoder", mlp="plain", positions="learned", **facts)


PRESETS: Mapping[str, Preset] = {
    "all-MiniLM-L6-v2": _encoder("sentence-transformers/all-MiniLM-L6-v2", 22.7e6, 6, 384, 12),
    "bge-small-en-v1.5": _encoder("BAAI/bge-small-en-v1.5", 33.4e6, 12, 384, 12),
    "bert-base": _encoder("google-bert/bert-base-uncased", 109.5e6, 12, 768, 12),
    "bge-large-en-v1.5": _encoder("BAAI/bge-large-en-v1.5", 335.1e6, 24, 1024, 16),
    "bge-m3": _encoder("BAAI/bge-m3", 567.8e6, 24, 1024, 16, vocabulary=250_002, context=8194),
    "gpt2": Preset(
        *("openai-community/gpt2", 124.4e6, 12, 768, 12, 3072, 50_257),
        tied=True,
        mlp="plain",
        positions="learned",
        context=1024,
    ),
    "SmolLM2-135M": Preset("HuggingFaceTB/SmolLM2-135M", 134.5e6, 30, 576, 9, 1536, 49_152, 3, tied=True),
    "SmolLM2-360M": Preset("HuggingFaceTB/SmolLM2-360M", 361.8e6, 32, 960, 15, 2560, 49_152, 5, tied=True),
    "Qwen2.5-0.5B": Preset("Qwen/Qwen2.5-0.5B", 494.0e6, 24, 896, 14, 4864, 151_936, 2, tied=True),
    "Qwen3-0.6B": Preset("Qwen/Qwen3-0.6B", 596.0e6, 28, 1024, 16, 3072, 151_936, 8, 128, tied=True),
    "TinyLlama-1.1B": Preset("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1.100e9, 22, 2048, 32, 5632, 32_000, 4),
    "Llama-3.2-1B": Preset("meta-llama/Llama-3.2-1B", 1.236e9, 16, 2048, 32, 8192, 128_256, 8, tied=True),
    "SmolLM2-1.7B": Preset("HuggingFaceTB/SmolLM2-1.7B", 1.711e9, 24, 2048, 32, 8192, 49_152, tied=True),
    "Llama-3.2-3B": Preset("meta-llama/Llama-3.2-3B", 3.213e9, 28, 3072, 24, 8192, 128_256, 8, tied=True),
    "Phi-3-mini": Preset("microsoft/Phi-3-mini-4k-instruct", 3.821e9, 32, 3072, 32, 8192, 32_064),
    "Qwen3-4B": Preset("Qwen/Qwen3-4B", 4.022e9, 36, 2560, 32, 9728, 151_936, 8, 128, tied=True),
    "Mistral-7B": Preset("mistralai/Mistral-7B-v0.1", 7.242e9, 32, 4096, 32, 14_336, 32_000, 8),
    "Llama-3.1-8B": Preset("meta-llama/Llama-3.1-8B", 8.030e9, 32, 4096, 32, 14_336, 128_256, 8),
    "Qwen3-8B": Preset("Qwen/Qwen3-8B", 8.191e9, 36, 4096, 32, 12_288, 151_936, 8, 128),
    "Qwen3-30B-A3B": Preset(
        *("Qwen/Qwen3-30B-A3B", 30.53e9, 48, 2048, 32, 768, 151_936, 4, 128), experts=128, active_experts=8
    ),
    "Qwen2.5-32B": Preset("Qwen/Qwen2.5-32B", 32.76e9, 64, 5120, 40, 27_648, 152_064, 8),
    "Mixtral-8x7B": Preset(
        "mistralai/Mixtral-8x7B-v0.1", 46.70e9, 32, 4096, 32, 14_336, 32_000, 8, experts=8, active_experts=2
    ),
    "Llama-3.1-70B": Preset("meta-llama/Llama-3.1-70B", 70.55e9, 80, 8192, 64, 28_672, 128_256, 8),
}
"""By name, encoders first, then by size."""


def find_preset(name: str) -> Preset:
    """Return a preset by its name in any case. Raises ValueError that lists the names."""
    found = next((preset for each, preset in PRESETS.items() if each.lower() == name.lower()), None)
    if found is None:
        raise ValueError(f"--preset: {name!r} is not one of {', '.join(PRESETS)}")
    return found


def preset_values(name: str) -> Mapping[str, Any]:
    """Return the values of the spec's parameters for a preset, none without a name. Raises ValueError."""
    return find_preset(name).values() if name else {}
