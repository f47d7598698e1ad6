"""The declaration of the transformer: its parameters, its phases, its size in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from agent.workloads.axes import at_point
from agent.workloads.declaration import ONNXRUNTIME, Workload
from agent.workloads.engine_spec import AUTO
from agent.workloads.limits import require_memory
from agent.workloads.parameter import check_parameters, parameter
from agent.workloads.point import point_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.workloads.declaration import Spec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.limits import Limits
    from agent.workloads.point import Point

Positions = Literal["rope", "learned"]
Precision = Literal["fp32", "fp16", "int8"]
EngineName = Literal["onnxruntime"]

_LARGEST = (1 << 31) - 1
_LARGEST_BATCH = 1 << 20
_LARGEST_MLP_RATIO = 64
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class TransformerSpec:
    """A decoder-only transformer with random weights: pre-norm, attention with a cache, a gated feed-forward.

    One request reads `prompt_tokens` at once and then writes `output_tokens` one by one. int8 stores the matrices in 8
    bits and everything else in fp32.
    """

    batch: int = parameter(
        1,
        help="Batch size: requests processed together.",
        least=1,
        most=_LARGEST_BATCH,
        sweep=(1, 2, 4, 8),
        in_every_point=True,
    )
    layers: int = parameter(4, help="Decoder layers.", least=1, most=_LARGEST)
    width: int = parameter(256, help="Width of the model.", least=1, most=_LARGEST)
    heads: int = parameter(4, help="Attention heads.", least=1, most=_LARGEST)
    vocabulary: int = parameter(8192, help="Size of the vocabulary.", least=2, most=_LARGEST)
    mlp_ratio: float = parameter(3.5, help="Width of the feed-forward as a multiple of the model's width.")
    prompt_tokens: int = parameter(64, help="Length of a prompt in tokens.", least=1, most=_LARGEST, sweep=(64,))
    output_tokens: int = parameter(32, help="Generated tokens of a request.", least=1, most=_LARGEST, sweep=(32,))
    positions: Positions = parameter("rope", help="Encoding of the positions.")
    precision: Precision = parameter(
        "fp32", help="Precision of the weights; of several, the first is the reference of the others.", sweep=("fp32",)
    )
    engine: EngineName = parameter("onnxruntime", help="Engine that runs the model.")
    seed: int = parameter(0, help="Seed of the weights.", least=0)

    workload: ClassVar[str] = "transformer"

    def __post_init__(self) -> None:
        check_parameters(self)
        step = self.heads * (2 if self.positions == "rope" else 1)
        if self.width % step:
            why = f"an even multiple of --heads {self.heads} (rope rotates pairs)" if step > self.heads else ""
            raise ValueError(
                f"--width {self.width} is not {why or f'a multiple of --heads {self.heads}'}: "
                f"choose --width {-(-self.width // step) * step}"
            )
        if not (0 < self.mlp_ratio <= _LARGEST_MLP_RATIO and self.mlp_width >= 1):
            raise ValueError(f"--mlp-ratio: {self.mlp_ratio} is out of range: above 0 and up to 64, such as 3.5")

    @property
    def label(self) -> str:
        """The model in a message."""
        return "the transformer"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of a request, in order; the prefill writes the first token."""
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
        """The largest number of tokens in a request: its prompt and its output."""
        return self.prompt_tokens + self.output_tokens

    def parameter_count(self) -> int:
        """Return the number of weights; fixed tables (rotations) and quantization scales do not count."""
        return self._matrices() + self._vectors()

    def model_bytes(self) -> int:
        """Return the bytes of the weights in the model, with the scale of each column if matrices are int8."""
        if self.precision != "int8":
            return self.parameter_count() * _BYTES[self.precision]
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

    def prompt_operations(self) -> int:
        """Return the additions and multiplications of the matrices for one prompt, which writes logits once."""
        weights = 2 * self.prompt_tokens * self.layers * self._layer()
        attention = 4 * self.layers * self.prompt_tokens * self.prompt_tokens * self.width
        return weights + attention + 2 * self.vocabulary * self.width

    def step_bytes(self) -> int:
        """Return the bytes of the weights that one step of the decode reads: all but the table of the embedding."""
        element = _BYTES["fp16" if self.precision == "fp16" else "fp32"]
        return self.model_bytes() - element * self.vocabulary * self.width

    def _layer(self) -> int:
        return 4 * self.width * self.width + 3 * self.width * self.mlp_width

    def _matrices(self) -> int:
        return self.layers * self._layer() + self.vocabulary * self.width

    def _vectors(self) -> int:
        rows = self.vocabulary + (self.context_tokens if self.positions == "learned" else 0)
        return (rows + 2 * self.layers + 1) * self.width


def check_memory(spec: Spec, engine: EngineSpec, points: Sequence[Point], limits: Limits) -> None:
    """Raise WorkloadError if a point needs more memory than this host or the limits allow."""
    on_host = engine.device == AUTO or engine.device.lower().startswith("cpu")
    specs = [at_point(cast("TransformerSpec", spec), point) for point in points]
    models = {own.precision: own.model_bytes() for own in specs}
    for own, point in zip(specs, points, strict=True):
        others = sum(models.values()) - models[own.precision]
        subject = f"a transformer of {own.parameter_count():.3g} parameters at {point_name(point)}"
        remedy = "choose fewer --layers, a smaller --width, --vocabulary, --prompt-tokens or --batch"
        require_memory(others + own.minimum_bytes(on_host=on_host), subject, remedy, limits)


WORKLOAD = Workload(
    spec=TransformerSpec,
    implementation="agent.workloads.transformer.workload",
    help="""Profile a decoder-only transformer with random weights.

    The points are batch sizes by default; each measures prefill and decode. Time and energy depend on shapes and
    precision, not on the values of the weights. The model is therefore generated from a seed, and nothing is
    downloaded. The profile has money figures only if prices are given.

    --batch, --prompt-tokens and --output-tokens take lists; several lists sweep all combinations.

    Example: inferometer profile transformer

    Example: inferometer profile transformer --layers 12 --width 768 --heads 12 --standard

    Example: inferometer profile transformer --batch 1,8 --prompt-tokens 128,512

    Example: inferometer profile transformer --price-per-kwh 0.21 --currency EUR --capital 9000
    """,
    engines=(ONNXRUNTIME,),
    check=check_memory,
)
