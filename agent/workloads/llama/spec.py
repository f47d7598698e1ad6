"""The declaration of the workload that runs a GGUF file in llama.cpp: its parameters and its phases."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  the declaration resolves the annotations
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from agent.workloads.declaration import Engine, Workload
from agent.workloads.parameter import check_parameters, parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

EngineName = Literal["auto", "llama-cpp-python", "llama-bench"]
CacheType = Literal["f16", "f32", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

_MOST_TOKENS = 1 << 20
_MOST_SEQUENCES = 256
"""LLAMA_MAX_SEQ of llama.cpp."""
_MOST_LAYERS = 10_000


def parse_models(texts: Sequence[str]) -> Mapping[str, Path]:
    """Return the files by their names; a text with commas lists several, unless it is a file. Raises ValueError."""
    models: dict[str, Path] = {}
    for text in texts:
        for part in [text] if Path(text).is_file() else text.split(","):
            path = Path(part.strip())
            if not path.is_file():
                found = "is not a regular file" if path.exists() else "does not exist"
                raise ValueError(f"--model: {path} {found}; give the path of a GGUF file")
            if models.get(path.name, path.absolute()) != path.absolute():
                raise ValueError(f"--model: two files are named {path.name}; rename one, as points have their names")
            models[path.name] = path.absolute()
    return models


def _names(models: Mapping[str, Path]) -> object:
    names = list(models)
    return names[0] if len(names) == 1 else names


@dataclass(frozen=True, slots=True)
class LlamaSpec:
    """One or several GGUF files, which are points of their own, and the settings of llama.cpp.

    Phases are those of llama-bench: `prefill` (pp) reads the prompt into an empty context, in batches of `n_batch`;
    `decode` (tg) processes `output_tokens` one by one, also from an empty context.
    """

    model: Mapping[str, Path] = parameter(
        help="The GGUF file; several, as a list or by several options, are compared with the first.",
        metavar="FILE.gguf",
        parse=parse_models,
        keys_are_axis=True,
        shown=_names,
    )
    prompt_tokens: int = parameter(
        512, help="Length of a prompt in tokens.", least=1, most=_MOST_TOKENS, sweep=(512,), in_every_point=True
    )
    output_tokens: int = parameter(128, help="Generated tokens of a request.", least=1, most=_MOST_TOKENS, sweep=(128,))
    batch: int = parameter(
        1, help="Requests processed together; llama-bench has one.", least=1, most=_MOST_SEQUENCES, sweep=(1,)
    )
    engine: EngineName = parameter("auto", help="Engine that runs the model; auto: the first that is installed.")
    program: Path | None = parameter(
        None, help="The program llama-bench, if it is not on PATH.", metavar="FILE", private=True
    )
    gpu_layers: int = parameter(
        -1, help="Layers on the GPU; -1: all, if there is a GPU. 0: the CPU only.", least=-1, most=_MOST_LAYERS
    )
    n_batch: int = parameter(2048, help="Largest number of tokens of one call.", least=1, most=_MOST_TOKENS)
    n_ubatch: int = parameter(512, help="Largest number of tokens computed at once.", least=1, most=_MOST_TOKENS)
    cache_type: CacheType = parameter("f16", help="Type of the cache of keys and values.")
    flash_attention: Literal["auto", "on", "off"] = parameter("auto", help="Flash attention.")
    seed: int = parameter(0, help="Seed of the tokens; llama-bench has its own.", least=0)

    workload: ClassVar[str] = "llama"

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("--model: give the path of a GGUF file")
        check_parameters(self)

    @property
    def label(self) -> str:
        """The model in a message: the names of the files without their paths."""
        return f"the model {', '.join(self.model)}"

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of a request."""
        return ("prefill", "decode")

    @property
    def path(self) -> Path:
        """The file of a point; of several, the first."""
        return next(iter(self.model.values()))


WORKLOAD = Workload(
    spec=LlamaSpec,
    implementation="agent.workloads.llama.workload",
    help="""Profile a GGUF file in llama.cpp.

    The phases are those of llama-bench: prefill (its pp) reads a prompt of --prompt-tokens into an empty context,
    decode (its tg) generates --output-tokens one by one, also from an empty context. The profile has rates and energy
    of both.

    The engine is llama-cpp-python, or the program llama-bench, which is started for each window; its load and its
    warm-up are not part of the window. Several files, such as quantizations of one model, are measured side by side.
    With llama-cpp-python the profile also states how far their outputs agree with those of the first.

    Example: inferometer profile llama --model SmolLM2-135M.Q4_K_M.gguf

    Example: inferometer profile llama --model m.F16.gguf,m.Q8_0.gguf,m.Q4_K_M.gguf --price-per-kwh 0.21

    Example: inferometer profile llama --model m.gguf --prompt-tokens 128,2048 --gpu-layers 20

    Example: inferometer profile llama --model m.gguf --engine llama-bench --program ~/llama.cpp/build/bin/llama-bench
    """,
    engines=(
        Engine("llama-cpp-python", ("llama_cpp", "numpy"), remedy="pip install 'inferometer[llama]'"),
        Engine(
            "llama-bench",
            programs=("llama-bench",),
            remedy="build it from https://github.com/ggml-org/llama.cpp, and put it on PATH or give --program FILE",
        ),
    ),
    on_demand=True,
)
