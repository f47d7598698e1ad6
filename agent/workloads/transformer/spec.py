"""The declaration of the transformer: its parameters, its phases, its size in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from agent.workloads.axes import at_point
from agent.workloads.declaration import ONNXRUNTIME, TORCH, Engine, Workload
from agent.workloads.engine_spec import AUTO
from agent.workloads.limits import available_bytes, require_memory, size
from agent.workloads.parameter import check_parameters, parameter
from agent.workloads.point import point_name
from agent.workloads.transformer.presets import preset_values
from agent.workloads.transformer.sizes import QUANTIZED, Precision, Shape, element_bytes, matrix_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.workloads.declaration import Spec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.limits import Limits
    from agent.workloads.point import Point

Kind = Literal["decoder", "encoder"]
Positions = Literal["rope", "learned"]
FeedForward = Literal["gated", "plain"]
EngineName = Literal["onnxruntime", "onnxruntime-genai", "openvino", "torch"]

_LARGEST = (1 << 31) - 1
_LARGEST_BATCH = 1 << 20
_LARGEST_MLP_RATIO = 64
_MOST_EXPERTS = 4096


def _filled_by_kind(kind: str) -> Mapping[str, object]:
    return {"output_tokens": (0,)} if kind == "encoder" else {}


@dataclass(frozen=True, slots=True)
class TransformerSpec:
    """A transformer with random weights and pre-norm.

    A request to a decoder reads `prompt_tokens` at once and then writes `output_tokens` one by one, with a cache. A
    request to an encoder reads `prompt_tokens`, each of which attends to all, and writes none. After construction
    `kv_heads` and `head_width` are never 0.
    """

    preset: str = parameter(
        "", help="Shape of a well-known model, such as SmolLM2-135M; other options override it.", fills=preset_values
    )
    kind: Kind = parameter("decoder", help="Decoder or encoder.", fills=_filled_by_kind)
    batch: int = parameter(
        1,
        help="Batch size: requests processed together.",
        least=1,
        most=_LARGEST_BATCH,
        sweep=(1, 2, 4, 8),
        in_every_point=True,
    )
    layers: int = parameter(4, help="Layers.", least=1, most=_LARGEST)
    width: int = parameter(256, help="Width of the model.", least=1, most=_LARGEST)
    heads: int = parameter(4, help="Attention heads.", least=1, most=_LARGEST)
    kv_heads: int = parameter(
        0, help="Heads of keys and values, each shared by equally many --heads; 0: as many as --heads.", least=0
    )
    head_width: int = parameter(0, help="Width of an attention head; 0: --width divided by --heads.", least=0)
    vocabulary: int = parameter(8192, help="Size of the vocabulary.", least=2, most=_LARGEST)
    tied: bool = parameter(False, help="Score the vocabulary with the table of the embedding.")
    mlp: FeedForward = parameter("gated", help="Feed-forward: gated (SiLU, three matrices) or plain (GELU, two).")
    mlp_ratio: float = parameter(3.5, help="Width of the feed-forward as a multiple of the model's width.")
    experts: int = parameter(1, help="Feed-forwards of a layer, each an expert.", least=1, most=_MOST_EXPERTS)
    active_experts: int = parameter(1, help="Experts that each token passes, chosen by a router.", least=1)
    positions: Positions = parameter("rope", help="Encoding of the positions.")
    prompt_tokens: int = parameter(64, help="Length of a prompt in tokens.", least=1, most=_LARGEST, sweep=(64,))
    output_tokens: int = parameter(
        32, help="Generated tokens of a request to a decoder.", least=0, most=_LARGEST, sweep=(32,)
    )
    precision: Precision = parameter(
        "fp32",
        help="Precision of the weights: fp32, bf16, fp16, int8, int8_static or int4; of several, the first is the "
        "reference of the others.",
        sweep=("fp32",),
    )
    engine: EngineName = parameter("onnxruntime", help="Engine that runs the model.")
    compiled: bool = parameter(
        False,
        option="--compile",
        help="Compile the model with torch.compile before it is measured; for --engine torch.",
    )
    seed: int = parameter(0, help="Seed of the weights.", least=0)

    workload: ClassVar[str] = "transformer"

    def __post_init__(self) -> None:
        check_parameters(self)
        self._check_heads()
        if not (0 < self.mlp_ratio <= _LARGEST_MLP_RATIO and self.mlp_width >= 1):
            raise ValueError(f"--mlp-ratio: {self.mlp_ratio} is out of range: above 0 and up to 64, such as 3.5")
        if self.active_experts > self.experts:
            raise ValueError(
                f"--active-experts {self.active_experts} is more than --experts {self.experts}: choose at most that"
            )
        if self.kind == "encoder" and self.output_tokens:
            raise ValueError(f"--output-tokens {self.output_tokens}: an encoder writes no tokens; leave it out")
        if self.kind == "decoder" and not self.output_tokens:
            raise ValueError("--output-tokens: 0 is out of range for a decoder: 1 or more")
        if self.kind == "encoder" and self.tied:
            raise ValueError("--tied: an encoder does not score the vocabulary; leave it out")
        if self.compiled:
            self._check_compiled()

    def _check_heads(self) -> None:
        """Raise ValueError if the heads do not fit the width or each other; set the widths that were left out."""
        rope = self.positions == "rope"
        step = self.heads * (2 if rope else 1)
        if not self.head_width and self.width % step:
            why = f"an even multiple of --heads {self.heads} (rope rotates pairs)" if step > self.heads else ""
            raise ValueError(
                f"--width {self.width} is not {why or f'a multiple of --heads {self.heads}'}: "
                f"choose --width {-(-self.width // step) * step}"
            )
        if rope and self.head_width % 2:
            raise ValueError(
                f"--head-width {self.head_width} is odd (rope rotates pairs): choose --head-width {self.head_width + 1}"
            )
        object.__setattr__(self, "head_width", self.head_width or self.width // self.heads)
        object.__setattr__(self, "kv_heads", self.kv_heads or self.heads)
        if self.heads % self.kv_heads:
            fits = max(fit for fit in range(1, min(self.kv_heads, self.heads) + 1) if self.heads % fit == 0)
            raise ValueError(
                f"--heads {self.heads} is not a multiple of --kv-heads {self.kv_heads}: choose --kv-heads {fits}"
            )

    def _check_compiled(self) -> None:
        """Raise ValueError if the engine cannot compile the model, or would compile it again while it is measured."""
        if self.engine != "torch":
            raise ValueError(f"--compile: {self.engine} has no compiler; choose --engine torch, or leave it out")
        if self.experts > 1:
            raise ValueError("--compile: a router chooses experts at run time; leave out --compile or --experts")

    @property
    def label(self) -> str:
        """The model in a message."""
        return "the transformer"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of a request, in order; the prefill writes the first token."""
        if self.kind == "encoder":
            return ("encode",)
        return ("prefill", "decode") if self.output_tokens > 1 else ("prefill",)

    @property
    def mlp_width(self) -> int:
        """Width of the feed-forward, or of one expert."""
        return round(self.width * self.mlp_ratio)

    @property
    def context_tokens(self) -> int:
        """The largest number of tokens in a request: its prompt and its output."""
        return self.prompt_tokens + self.output_tokens

    @property
    def shape(self) -> Shape:
        """The widths of the model."""
        return Shape(
            layers=self.layers,
            width=self.width,
            queries=self.heads * self.head_width,
            keys=self.kv_heads * self.head_width,
            up=(2 if self.mlp == "gated" else 1) * self.mlp_width,
            inner=self.mlp_width,
            experts=self.experts,
            active_experts=self.active_experts,
            vocabulary=self.vocabulary,
            positions=self.context_tokens if self.positions == "learned" else 0,
            scored=self.vocabulary if self.kind == "decoder" else 0,
        )

    def parameter_count(self) -> int:
        """Return the number of weights; a tied table counts once, fixed tables and quantization scales never."""
        shape = self.shape
        matrices = (*shape.layer_matrices(), *(() if self.tied else shape.head_matrices()))
        return sum(each.count * each.size for each in matrices) + shape.tables() + shape.routers() + shape.vectors()

    def model_bytes(self) -> int:
        """Return the bytes of the weights in the model, with the scales of quantized matrices.

        Tables, routers and norms are not quantized, so a quantized head is a matrix of its own even if it is tied.
        """
        shape, shared = self.shape, self.tied and self.precision not in QUANTIZED
        matrices = (*shape.layer_matrices(), *(() if shared else shape.head_matrices()))
        stored = sum(each.count * matrix_bytes(self.precision, each.rows, each.columns) for each in matrices)
        return stored + element_bytes(self.precision) * (shape.tables() + shape.routers() + shape.vectors())

    def minimum_bytes(self, *, on_host: bool) -> int:
        """Return the least host memory of a batch: the weights, and the activations if the batch runs on the host.

        The activations are the cache, the attention scores of one layer, the outputs and the rotations.
        """
        if not on_host:
            return self.model_bytes()
        cached = (self.context_tokens - 1) * self.layers if self.kind == "decoder" else 0
        cache = 2 * self.batch * cached * self.kv_heads * self.head_width
        scores = self.batch * self.heads * self.prompt_tokens * self.prompt_tokens
        rotations = self.context_tokens * self.head_width if self.positions == "rope" else 0
        outputs = self.batch * (self.vocabulary if self.kind == "decoder" else self.width)
        return self.model_bytes() + element_bytes(self.precision) * (cache + scores + rotations + outputs)

    def prompt_operations(self) -> int:
        """Return the additions and multiplications of the matrices for one prompt, which is scored once.

        Of a mixture of experts only the chosen experts count, and the router.
        """
        shape = self.shape
        used = sum(each.used * each.size for each in shape.layer_matrices()) + shape.routers()
        attention = 4 * self.layers * self.prompt_tokens * self.prompt_tokens * shape.queries
        return 2 * self.prompt_tokens * used + attention + 2 * sum(each.size for each in shape.head_matrices())

    def step_bytes(self) -> int:
        """Return the bytes of the weights that one step of the decode reads: all but the tables.

        Of a mixture of experts these are the experts of one token, the least that a batch reads.
        """
        shape = self.shape
        matrices = (*shape.layer_matrices(), *shape.head_matrices())
        read = sum(each.used * matrix_bytes(self.precision, each.rows, each.columns) for each in matrices)
        return read + element_bytes(self.precision) * (shape.routers() + shape.vectors())


def check_memory(spec: Spec, engine: EngineSpec, points: Sequence[Point], limits: Limits) -> str:
    """Return the least memory of the run; raise WorkloadError if a point needs more than this host or the limits allow.

    The models of all precisions are in memory together. The calibration of int8_static needs one in fp32 beside them.
    """
    on_host = engine.device == AUTO or engine.device.lower().startswith("cpu")
    specs = [at_point(cast("TransformerSpec", spec), point) for point in points]
    models = {own.precision: own.model_bytes() for own in specs}
    calibrating = specs[0].parameter_count() * element_bytes("fp32") if "int8_static" in models else 0
    several = f" in {', '.join(models)}" if len(models) > 1 else ""
    most = 0
    for own, point in zip(specs, points, strict=True):
        others = sum(models.values()) - models[own.precision]
        subject = f"a transformer of {own.parameter_count():.3g} parameters{several} at {point_name(point)}"
        remedy = "choose a smaller model (--preset, --layers, --width, --vocabulary), fewer or smaller --precision, "
        remedy += "a smaller --batch or fewer --prompt-tokens"
        needed = others + max(own.minimum_bytes(on_host=on_host), models[own.precision] + calibrating)
        require_memory(needed, subject, remedy, limits)
        most = max(most, needed)
    available = available_bytes()
    rest = "" if available is None else f", {size(available)} are available"
    return f"the run needs at least {size(most)} of memory{rest}"


_GENAI = Engine("onnxruntime-genai", ("onnxruntime_genai", "onnx", "numpy"), remedy="pip install 'inferometer[genai]'")
_OPENVINO = Engine("openvino", ("openvino", "nncf", "onnx", "numpy"), remedy="pip install 'inferometer[openvino]'")

WORKLOAD = Workload(
    spec=TransformerSpec,
    implementation="agent.workloads.transformer.workload",
    help="""Profile a transformer in the shape of an open model.

    Time and energy depend on shapes and precision, not on the values of the weights. The model is therefore generated
    from a seed, and nothing is downloaded. The points are batch sizes by default; each measures prefill and decode, or
    the encode of an encoder. The profile has money figures only if prices are given.

    --preset takes the shape of a well-known model from 22 M to 70 G parameters, decoder or encoder; docs/workloads.md
    lists them, and so does the error for an unknown name. Without it, the options give a shape of your own. The memory
    needed is checked and printed before anything is built.

    --batch, --prompt-tokens, --output-tokens and --precision take lists; several lists sweep all combinations. The
    outputs of each precision are compared with those of the first.

    Example: inferometer profile transformer

    Example: inferometer profile transformer --preset SmolLM2-135M --precision fp32,int8,int4 --batch 1

    Example: inferometer profile transformer --preset all-MiniLM-L6-v2 --batch 1,32 --prompt-tokens 128

    Example: inferometer profile transformer --layers 12 --width 768 --heads 12 --kv-heads 4 --tied --standard

    Example: inferometer profile transformer --experts 8 --active-experts 2 --batch 1,8 --prompt-tokens 128,512

    Example: inferometer profile transformer --engine torch --precision fp32,bf16,int8

    Example: inferometer profile transformer --price-per-kwh 0.21 --currency EUR --capital 9000
    """,
    engines=(ONNXRUNTIME, _GENAI, _OPENVINO, TORCH),
    check=check_memory,
)
