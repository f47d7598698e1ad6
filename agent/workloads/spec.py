"""What a workload is made of, as the options of the command line say it."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - msgspec resolves the annotations
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import msgspec

from agent.runtime.console import printable_line
from agent.runtime.typed_json import from_json, to_json
from agent.workloads.input_spec import InputSpec  # noqa: TC001 - same

Positions = Literal["rope", "learned"]
Precision = Literal["fp32", "fp16", "int8"]
Provider = Literal["auto", "cpu", "cuda"]

_LARGEST = (1 << 31) - 1
_MOST_DIGITS = 19  # more do not fit into 64 bits
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}


def _minimum(least: int, **options: float) -> None:
    for name, value in options.items():
        if not value >= least:
            raise ValueError(f"{_option(name)} is {value}: give a number of at least {least}")


def _maximum(most: int, **options: int) -> None:
    for name, value in options.items():
        if value > most:
            raise ValueError(f"{_option(name)} is {value}: give a number up to {most}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{_option(name)} is {value!r}: choose one of {', '.join(choices)}")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


class EngineSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the engine runs the model: on which provider, with how many threads (0: the engine's own choice)."""

    provider: Provider = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        _one_of("provider", self.provider, get_args(Provider))
        _minimum(0, threads=self.threads)


class TransformerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="workload", tag="transformer"):
    """A decoder-only transformer with made-up weights: pre-norm, attention with a cache, a gated feed-forward.

    One request is `prompt_tokens` read at once, then `output_tokens` written one by one. The feed-forward is
    `mlp_ratio` times as wide as the model. int8 keeps the matrices in 8 bits and everything else in fp32.
    """

    batch: int = 1
    layers: int = 4
    width: int = 256
    heads: int = 4
    vocabulary: int = 8192
    mlp_ratio: float = 3.5
    prompt_tokens: int = 64
    output_tokens: int = 32
    positions: Positions = "rope"
    precision: Precision = "fp32"
    seed: int = 0

    workload: ClassVar[str] = "transformer"

    def __post_init__(self) -> None:
        _minimum(1, batch=self.batch, layers=self.layers, width=self.width, heads=self.heads)
        _minimum(1, prompt_tokens=self.prompt_tokens, output_tokens=self.output_tokens)
        _minimum(2, vocabulary=self.vocabulary)
        _minimum(0, seed=self.seed)
        _maximum(_LARGEST, layers=self.layers, width=self.width, heads=self.heads, vocabulary=self.vocabulary)
        _maximum(_LARGEST, prompt_tokens=self.prompt_tokens, output_tokens=self.output_tokens)
        _one_of("positions", self.positions, get_args(Positions))
        _one_of("precision", self.precision, get_args(Precision))
        step = self.heads * (2 if self.positions == "rope" else 1)
        if self.width % step:
            why = f"an even multiple of --heads {self.heads} (rope rotates pairs)" if step > self.heads else ""
            raise ValueError(
                f"--width {self.width} is not {why or f'a multiple of --heads {self.heads}'}: "
                f"choose --width {-(-self.width // step) * step}"
            )
        if not (0 < self.mlp_ratio <= 64 and self.mlp_width >= 1):  # noqa: PLR2004 - far above any known model
            raise ValueError(f"--mlp-ratio is {self.mlp_ratio}: give a number above 0 and up to 64, such as 3.5")

    @property
    def label(self) -> str:
        """The model in a message."""
        return "the transformer"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of a request, in order."""
        return ("prefill", "decode") if self.output_tokens > 1 else ("prefill",)

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def mlp_width(self) -> int:
        """Width of the feed-forward."""
        return int(self.width * self.mlp_ratio)

    @property
    def context_tokens(self) -> int:
        """The most tokens a request holds: its prompt and its output."""
        return self.prompt_tokens + self.output_tokens

    def parameters(self) -> int:
        """How many weights the model has; fixed tables (rotations) and quantization scales are none."""
        return self._matrices() + self._vectors()

    def model_bytes(self) -> int:
        """Bytes of the weights as kept in the model, with the scale of each column where matrices are int8."""
        if self.precision != "int8":
            return self.parameters() * _BYTES[self.precision]
        columns = self.layers * (5 * self.width + 2 * self.mlp_width) + self.vocabulary
        return self._matrices() + 4 * (self._vectors() + columns)

    def minimum_bytes(self, *, on_host: bool) -> int:
        """Return the least host memory of a batch: the weights, and the activations if the batch runs on the host.

        The activations are the cache, the attention scores of one layer, the logits and the rotations.
        """
        if not on_host:
            return self.model_bytes()
        batch, element = self.batch, _BYTES["fp16" if self.precision == "fp16" else "fp32"]
        cache = 2 * self.layers * batch * (self.context_tokens - 1) * self.width
        scores = batch * self.heads * self.prompt_tokens * self.prompt_tokens
        rotations = self.context_tokens * self.head_width if self.positions == "rope" else 0
        return self.model_bytes() + element * (cache + scores + rotations + batch * self.vocabulary)

    def _matrices(self) -> int:
        layer = 4 * self.width * self.width + 3 * self.width * self.mlp_width
        return self.layers * layer + self.vocabulary * self.width

    def _vectors(self) -> int:
        rows = self.vocabulary + (self.context_tokens if self.positions == "learned" else 0)
        return (rows + 2 * self.layers + 1) * self.width

    def to_json(self) -> str:
        """Return the spec as canonical JSON: equal specs give equal text."""
        return to_json(self, sort_keys=True, separators=(",", ":"))

    def settings(self) -> dict[str, Any]:
        """Return the settings that a profile shows."""
        shown: dict[str, Any] = json.loads(to_json(self))
        return shown


class OnnxSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="workload", tag="onnx"):
    """Any ONNX model: the path of its file, the shapes of inputs that the model leaves open, and values of inputs."""

    model: Path
    shapes: Mapping[str, tuple[int, ...]] = {}
    seed: int = 0
    inputs: Mapping[str, InputSpec] = {}
    batch: int = 1

    workload: ClassVar[str] = "onnx"

    def __post_init__(self) -> None:
        if not self.model.name:
            raise ValueError(f"the model is {str(self.model)!r}: give the path of an .onnx file")
        _minimum(0, seed=self.seed)
        _minimum(1, batch=self.batch)
        for name, shape in self.shapes.items():
            if not name or not shape or min(shape) < 0:
                raise ValueError(_shape_refusal(f"{name}={'x'.join(map(str, shape))}"))

    def __hash__(self) -> int:
        return hash((self.model, self.seed, self.batch))

    @property
    def label(self) -> str:
        """The model in a message: its file's name without its path, since the message can become part of a profile."""
        return f"the model {self.model.name}"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of a request: one run of the graph."""
        return ("inference",)

    def to_json(self) -> str:
        """Return the spec as canonical JSON: equal specs give equal text."""
        return to_json(self, sort_keys=True, separators=(",", ":"))

    def settings(self) -> dict[str, Any]:
        """Return the settings that a profile may show: no values of inputs, and no path but the file's name."""
        shown: dict[str, Any] = json.loads(
            to_json(msgspec.structs.replace(self, model=Path(printable_line(self.model.name)), inputs={}))
        )
        shown.pop("inputs")
        return shown


Spec = TransformerSpec | OnnxSpec


def spec_from_json(text: str | bytes) -> Spec:
    """Return the spec of whichever workload the text names. Raises ValueError."""
    spec: Spec = from_json(text, Spec)
    return spec


def parse_shapes(texts: tuple[str, ...] | list[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes said as `name=1x3x224x224`, by input name. Raises ValueError for a bad or second one."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, shape = parse_shape(text)
        if name in shapes:
            raise ValueError(f"--shape {text}: the input {name!r} was given a shape before, give it once")
        shapes[name] = shape
    return shapes


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the input name and the sizes in `name=1x3x224x224`; the name may itself hold `=`. Raises ValueError."""
    name, _, sizes = text.rpartition("=")
    parts = sizes.strip().lower().split("x")
    if not name.strip() or not all(part.isascii() and part.isdigit() and len(part) < _MOST_DIGITS for part in parts):
        raise ValueError(_shape_refusal(text))
    return name.strip(), tuple(map(int, parts))


def _shape_refusal(text: str) -> str:
    return f"--shape {text}: say it as name=1x3x224x224, with whole sizes of at least 0"
