"""llama.cpp through llama-cpp-python: loads GGUF files on its devices, and decodes batches of tokens."""

from __future__ import annotations

import ctypes
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import llama_cpp
import llama_cpp.llama_cpp as library
import numpy as np

from agent.workloads.engine_spec import AUTO
from agent.workloads.errors import WorkloadError, as_workload_error
from agent.workloads.llama.placement import CPU, check_use, is_cpu, placement_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.llama.spec import LlamaSpec

ENGINE = "llama-cpp-python"
VERSION = str(llama_cpp.__version__)

_MOST_LOG_LINES = 2000
_SMALLER = "choose a smaller model, or fewer --prompt-tokens, --output-tokens or --batch"
_WITH_GPU = (
    "install llama-cpp-python with support of the GPU, such as "
    "CMAKE_ARGS=-DGGML_CUDA=on pip install --force-reinstall --no-binary :all: --no-deps llama-cpp-python; "
    "or --device cpu"
)
_CPU_DEVICE = 0
_CACHE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "bf16": 30}
"""The numbers of `ggml_type` (ggml.h)."""
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
"""The numbers of `llama_flash_attn_type` (llama.h)."""

_log: deque[str] = deque(maxlen=_MOST_LOG_LINES)


def _on_log(_level: int, text: bytes, _user: object) -> None:
    _log.append(text.decode("utf-8", "replace"))


_log_callback = library.llama_log_callback(_on_log)  # the library does not hold it
library.llama_log_set(_log_callback, None)
library.llama_backend_init()

_native = library._lib  # noqa: SLF001  the functions of ggml have no binding
for _function, _result, _arguments in (
    ("ggml_backend_dev_count", ctypes.c_size_t, []),
    ("ggml_backend_dev_get", ctypes.c_void_p, [ctypes.c_size_t]),
    ("ggml_backend_dev_name", ctypes.c_char_p, [ctypes.c_void_p]),
    ("ggml_backend_dev_type", ctypes.c_int, [ctypes.c_void_p]),
):
    getattr(_native, _function).restype = _result
    getattr(_native, _function).argtypes = _arguments


def devices() -> dict[str, int]:
    """Return the addresses of the devices other than the CPU, by llama.cpp's names for them: `CUDA0`."""
    found = [_native.ggml_backend_dev_get(number) for number in range(_native.ggml_backend_dev_count())]
    others = [each for each in found if _native.ggml_backend_dev_type(each) != _CPU_DEVICE]
    return {_native.ggml_backend_dev_name(each).decode(): each for each in others}


def check_device(engine: EngineSpec, gpu_layers: int) -> None:
    """Raise WorkloadError if this installation of the engine lacks the device."""
    offered = devices()
    if engine.device not in {AUTO, CPU, *offered}:
        names = ", ".join((AUTO, CPU, *offered))
        raise WorkloadError(f"--device: {engine.device!r} is not one of {names} of this llama-cpp-python", _WITH_GPU)
    if gpu_layers > 0 and not offered:
        raise WorkloadError(f"--gpu-layers {gpu_layers}: this llama-cpp-python {VERSION} finds no GPU", _WITH_GPU)


def _failure(doing: str) -> WorkloadError:
    """Return the error of a call that failed, with the cause that llama.cpp logged."""
    words = [line for line in "".join(_log).splitlines() if any(w in line for w in ("error", "fail", "memory"))]
    return as_workload_error(RuntimeError(" | ".join(words[-3:]) or "no cause is in the log"), doing, _SMALLER)


class Model:
    """A loaded model. The load began at `load_start_ns` on CLOCK_MONOTONIC."""

    def __init__(self, path: Path, engine: EngineSpec, gpu_layers: int) -> None:
        parameters = library.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        self._devices: Any = None
        if engine.device != AUTO or is_cpu(engine, gpu_layers):
            chosen = [] if is_cpu(engine, gpu_layers) else [devices()[engine.device]]
            self._devices = (ctypes.c_void_p * (len(chosen) + 1))(*chosen, None)
            parameters.devices = ctypes.cast(self._devices, ctypes.c_void_p)
        _log.clear()
        self.load_start_ns = time.monotonic_ns()
        self.handle = library.llama_model_load_from_file(str(path).encode(), parameters)
        self.load_seconds = (time.monotonic_ns() - self.load_start_ns) / 1e9
        if not self.handle:
            raise _failure(f"loading {path.name}")
        self.placement = placement_in("".join(_log))
        check_use(self.placement, engine, gpu_layers, _WITH_GPU)
        self._vocabulary = library.llama_model_get_vocab(self.handle)
        self.vocabulary_size: int = library.llama_vocab_n_tokens(self._vocabulary)

    def close(self) -> None:
        """Free the model."""
        library.llama_model_free(self.handle)

    @property
    def first_token(self) -> int | None:
        """The token that begins each text, None if the model has none."""
        begins = library.llama_vocab_get_add_bos(self._vocabulary)
        return int(library.llama_vocab_bos(self._vocabulary)) if begins else None

    def tokens_of(self, text: str, most: int) -> list[int] | None:
        """Return the tokens of a text, None for a model without a tokenizer."""
        if library.llama_vocab_type(self._vocabulary) == library.LLAMA_VOCAB_TYPE_NONE:
            return None
        words, found = text.encode(), (library.llama_token * most)()
        count = library.llama_tokenize(self._vocabulary, words, len(words), found, most, True, False)
        return list(found[:count]) if count > 0 else None


class Context:
    """A cache of keys and values for `sequences` requests of `tokens` each."""

    def __init__(self, model: Model, spec: LlamaSpec, tokens: int, sequences: int, threads: int) -> None:
        parameters = library.llama_context_default_params()
        parameters.n_ctx = tokens * sequences
        parameters.n_batch, parameters.n_ubatch = spec.n_batch, spec.n_ubatch
        parameters.n_seq_max = sequences
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.type_k = parameters.type_v = _CACHE_TYPES[spec.cache_type]
        parameters.flash_attn_type = _FLASH_ATTENTION[spec.flash_attention]
        self._model = model
        _log.clear()
        self.handle = library.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            raise _failure(f"making a context of {tokens * sequences} tokens")
        self._memory = library.llama_get_memory(self.handle)

    @property
    def batch_tokens(self) -> int:
        """The largest number of tokens of a batch."""
        return int(library.llama_n_batch(self.handle))

    def clear(self) -> None:
        """Empty the cache."""
        library.llama_memory_clear(self._memory, False)

    def decode(self, batch: Any) -> None:
        """Process a batch; the device may still be busy afterwards. Raises WorkloadError."""
        if library.llama_decode(self.handle, batch):
            raise _failure("processing tokens")

    @property
    def step(self) -> Callable[[Any], None]:
        """The function that processes a batch and waits, with as little Python as possible between two batches."""
        handle, process, wait = self.handle, library.llama_decode, library.llama_synchronize

        def step(batch: Any) -> None:
            if process(handle, batch):
                raise _failure("processing tokens")
            wait(handle)

        return step

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        library.llama_synchronize(self.handle)

    def scores(self, count: int) -> NDArray[np.float32]:
        """Return the scores after each token of the last batch: [count, vocabulary]."""
        size = self._model.vocabulary_size
        rows = [library.llama_get_logits_ith(self.handle, number) for number in range(count)]
        return np.stack([np.ctypeslib.as_array(row, (size,)).copy() for row in rows])

    def close(self) -> None:
        """Free the cache."""
        if self.handle:
            library.llama_free(self.handle)
        self.handle = None


Token = tuple[int, int, int, bool]
"""A token of a batch: its id, its position, its request, and whether its scores are needed."""


def batch_of(tokens: Sequence[Token]) -> Any:
    """Return a batch for `decode`; it owns its memory."""
    count = len(tokens)
    sequences = [(ctypes.c_int32 * 1)(each[2]) for each in tokens]
    pointers = (ctypes.POINTER(ctypes.c_int32) * count)(
        *(ctypes.cast(each, ctypes.POINTER(ctypes.c_int32)) for each in sequences)
    )
    batch = library.llama_batch(
        count,
        _array(ctypes.c_int32, (each[0] for each in tokens), count),
        None,
        _array(ctypes.c_int32, (each[1] for each in tokens), count),
        _array(ctypes.c_int32, (1 for _ in tokens), count),
        pointers,
        _array(ctypes.c_int8, (each[3] for each in tokens), count),
    )
    batch.owned = sequences
    return batch


def _array(kind: Any, values: Iterable[int], count: int) -> Any:
    return (kind * count)(*values)
