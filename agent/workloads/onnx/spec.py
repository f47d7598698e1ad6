"""The declaration of the workload that runs any ONNX model: its parameters and its phase."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  the declaration resolves the annotations
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - same
from typing import ClassVar

from agent.workloads.declaration import ONNXRUNTIME, Workload
from agent.workloads.input_spec import InputSpec, parse_inputs
from agent.workloads.onnx.precision_spec import ORIGINAL, QUANTIZED, check_precision, parse_precisions
from agent.workloads.onnx.provider_spec import check_providers, parse_providers, shown_providers
from agent.workloads.onnx.shape_spec import check_shapes, parse_dims, parse_shapes
from agent.workloads.parameter import check_parameters, parameter

_LARGEST_BATCH = 1 << 20


@dataclass(frozen=True, slots=True)
class OnnxSpec:
    """Any ONNX model: the path of its file, sizes that the model leaves open, and values of inputs.

    `shapes` and `inputs` are by the name of the input, `dims` by the name of the dimension. `providers` are the options
    of each execution provider. `precision` is that of a variant which the engine's tools make from the model.
    """

    model: Path = parameter(help="The model file.", metavar="FILE.onnx")
    shapes: Mapping[str, tuple[int, ...]] = parameter(
        help="Shape of an input that the model leaves open.",
        option="--shape",
        metavar="NAME=1x3x224x224",
        parse=parse_shapes,
    )
    dims: Mapping[str, int] = parameter(
        help="Size of a dimension that the model names; a list sweeps it.",
        option="--dim",
        metavar="NAME=N,N,...",
        parse=parse_dims,
        names_axes=True,
    )
    inputs: Mapping[str, InputSpec] = parameter(
        help="Value of an input: a number or list, broadcast to its shape, or an array in a .npy or .npz file.",
        option="--input",
        metavar="NAME=VALUE|FILE",
        parse=parse_inputs,
        private=True,
    )
    providers: Mapping[str, Mapping[str, str]] = parameter(
        help="Execution providers in their order, with their options; the CPU runs what none of them can.",
        option="--providers",
        metavar="NAME[:KEY=VALUE,...],...",
        parse=parse_providers,
        shown=shown_providers,
    )
    seed: int = parameter(0, help="Seed of the inputs.", least=0)
    batch: int = parameter(1, help="Batch size.", least=1, most=_LARGEST_BATCH, sweep=(1,), in_every_point=True)
    precision: str = parameter(
        ORIGINAL,
        help=f"Quantized variants of the model to measure beside it: {', '.join(QUANTIZED)}.",
        option="--quantize",
        metavar="PRECISION,...",
        values=parse_precisions,
        private=True,
    )

    workload: ClassVar[str] = "onnx"

    def __post_init__(self) -> None:
        if not self.model.name:
            raise ValueError(f"the model is {str(self.model)!r}: give the path of an .onnx file")
        check_parameters(self)
        check_shapes(self.shapes)
        check_providers(self.providers)
        check_precision(self.precision)

    @property
    def label(self) -> str:
        """The model in a message: its file's name without its path, since the message can become part of a profile."""
        return f"the model {self.model.name}"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of a request: one run of the graph."""
        return ("inference",)


WORKLOAD = Workload(
    spec=OnnxSpec,
    implementation="agent.workloads.onnx.workload",
    help="""Profile an ONNX model.

    One inference is one run of the graph. Inputs without a value are synthetic: random floats of the declared shape,
    and 0 and 1 for integers. Integers and scalars often decide how much a model computes (lengths, loop counts, sample
    rates), so give those with --input.

    If only the first dimension of every input is open, it is the batch: --batch sweeps it, and one inference is one
    element of it. An array of --input then needs one row, or as many as the largest batch.

    --dim gives the dimensions that the model names, such as batch and seq, in all inputs at once; several lists sweep
    all combinations. A dimension that is the first of every input is the batch.

    --quantize makes variants of the model with the tools of ONNX Runtime and measures them beside the original; the
    profile has the agreement of their outputs with those of the original on the inputs used. int8 quantizes activations
    while the model runs, int8_static calibrates them on these inputs, int4 stores the matrices of MatMul in 4 bits.

    --providers chooses the execution providers of ONNX Runtime, by full or short name, in place of --device.

    A model with a state as input and output starts every run with the same state.

    Example: inferometer profile onnx --model resnet50.onnx --shape data=1x3x224x224

    Example: inferometer profile onnx --model bert.onnx --dim batch=1,8 --dim seq=128,512

    Example: inferometer profile onnx --model vad.onnx --input sr=16000 --input input=speech.npy

    Example: inferometer profile onnx --model bert.onnx --dim batch=1 --dim seq=128 --quantize int8,int4

    Example: inferometer profile onnx --model resnet50.onnx --providers cuda:device_id=1,cpu

    Example: inferometer profile onnx --model mobilenet.onnx --batch 1,8,32 --tariff tariff.toml
    """,
    engines=(ONNXRUNTIME,),
)
