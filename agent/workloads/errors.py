"""The one way a workload fails: what happened, and what to do about it."""

from __future__ import annotations

import re

_LONGEST = 600
_ENGINE_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")

# ONNX Runtime's own errors (onnxruntime_pybind11_state) share no ancestor, so they are told apart by their names.
_REMEDIES = {
    "InvalidProtobuf": "the file is no ONNX model or is cut short: export or download it again",
    "NotImplemented": "the engine has no kernel for an operator of this model: install a newer onnxruntime, or export "
    "the model with other operators or types",
    "EPFail": "the provider does not work on this host: try --provider cpu",
}
_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "out of memory", "failed to allocate")

CANNOT_LOAD = "run onnx.checker on the model and export it again, or install a newer onnxruntime"
CANNOT_RUN = "the model may want inputs of other sizes: say them with --shape name=1x3x224x224"


def printable(text: str, keep: str = "") -> str:
    """Return the text with escapes in place of control characters and of whatever else a terminal may not show."""
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode("ascii") for each in text
    )


class WorkloadError(Exception):
    """A workload cannot be loaded, prepared or measured; `message` says why, `remedy` what to do.

    Both may hold names from a model: control characters in them are escaped.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = printable(message, keep="\n")
        self.remedy = printable(remedy, keep="\n")
        super().__init__(self.message)


def explained(error: Exception, doing: str, remedy: str) -> WorkloadError:
    """Return whatever the engine or the kernel raised as a WorkloadError; `remedy` is for what is not known better."""
    if isinstance(error, WorkloadError):
        return error
    name = type(error).__name__
    said = _ENGINE_PREFIX.sub("", " ".join(str(error).split()))[:_LONGEST] or "no further word"
    if isinstance(error, ImportError):
        return WorkloadError(f"the engine cannot be loaded: {said}", "pip install 'inferometer[onnx]'")
    if isinstance(error, MemoryError) or any(sign in said.lower() for sign in _OUT_OF_MEMORY):
        return WorkloadError(f"{doing}: out of memory ({said})", "choose a smaller batch or a smaller model")
    return WorkloadError(f"{doing}: {name}: {said}", _REMEDIES.get(name, remedy))
