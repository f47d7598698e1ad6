"""The known causes of engine failures, recognized by the text of the exception, each with its remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

OUT_OF_MEMORY = "out_of_memory"
_LONGEST = 400
_MOST_READ = 5000
_NEWER = "install a newer onnxruntime"
_ONE_GRAPH = "run onnx.checker on the model, correct what it reports, and export it again"

# The engine begins a message with the place in its source: `/onnxruntime_src/a/b.cc:12 void f(int) `.
_SOURCE_PLACE = re.compile(
    r"(?:/onnxruntime_src/\S+|\b\w+\.(?:cc|h)):\d+ (?:[^()]*\((?:[^()]|\([^()]*\))*\)(?: const)? |\w+ )?"
)
_PREFIXES = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from \S* failed: ?|This is an invalid model\. "
    r"|Exception during (?:initialization|loading): |Error in execution: |Non-zero status code returned while "
    r"|Exception from src/\S+:\d+:\s*"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of a failure: the pattern of the exception, a message and a remedy.

    In message and remedy `{1}` is the first group of the pattern, and `{inputs}` are options that set every integer
    input to 0. An empty message repeats the message of the engine.
    """

    name: str
    pattern: re.Pattern[str]
    message: str
    remedy: str


def _cause(name: str, pattern: str, message: str, remedy: str) -> Cause:
    return Cause(name, re.compile(pattern, re.IGNORECASE), message, remedy)


CAUSES = (
    _cause(
        OUT_OF_MEMORY,
        r"bad_alloc|bad allocation|out of memory|(?:failed|unable) to allocate|can't allocate memory|^MemoryError"
        r"|CL_OUT_OF_|ALLOCATION_FAILURE|exceeded max size of memory",
        "out of memory ({words})",
        "choose a smaller batch or a smaller model",
    ),
    _cause(
        "newer_microsoft_operator",
        r"(com\.microsoft[\w.]*|ai\.onnx[\w.]*):(\w+)\(-?\d+\) is not a registered",
        "this onnxruntime lacks the operator {1}:{2}",
        f"{_NEWER}, or export the model without it",
    ),
    _cause(
        "custom_operator",
        r"([\w.-]+):(\w+)\(-?\d+\) is not a registered",
        "the custom operator {1}:{2} is not part of onnxruntime",
        "export the model with standard ONNX operators; libraries of custom operators are not loaded",
    ),
    _cause(
        "domain_not_imported",
        r"In Node, \(\".*?\", (\w+), .*No opset import for domain '(.*?)'",
        "the operator {1} belongs to the domain {2!r}, which the model does not import",
        "export the model with standard ONNX operators; libraries of custom operators are not loaded",
    ),
    _cause(
        "unknown_operator",
        r"No Op registered for (\w+) with domain_version of (\d+)",
        "the opset {2} of the model has no operator {1}",
        f"export the model for an opset that has it, or {_NEWER}",
    ),
    _cause(
        "newer_opset",
        r"Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)",
        "the model uses opset {1} of {2}, this onnxruntime supports up to {3}",
        f"export the model for opset {{3}}, or {_NEWER}",
    ),
    _cause(
        "newer_ir_version",
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        "the model has IR version {1}, this onnxruntime supports up to {2}",
        f"save the model with ir_version={{2}}, or {_NEWER}",
    ),
    _cause(
        "no_kernel",
        r"Could not find an implementation for (?:the node )?(\w+)\((\d+)\)",
        "the provider has no kernel for the operator {1} (opset {2}) with these types",
        f"export the model with other types, such as float32, or {_NEWER}",
    ),
    _cause(
        "unknown_type",
        r"Tensor '(.*?)' does not have valid data type",
        "the weights {1!r} have an unknown type",
        f"export the model with other types, or {_NEWER}",
    ),
    _cause(
        "short_weights",
        r"Initializer '(.*?)': .*?size \((\d+) bytes\) does not match expected size.*?\((\d+) bytes\)",
        "the weights {1!r} have {2} bytes, their shape needs {3}",
        "export or download the model again",
    ),
    _cause("wrong_types", r"Type Error: ", "", "export the model again so that the types of each operator agree"),
    _cause(
        "shapes_in_graph",
        r"ShapeInferenceError|Incompatible dimensions",
        "",
        "export the model again so that the shapes of each operator agree",
    ),
    _cause(
        "invalid_graph",
        r"not acyclic|is not a graph input|Duplicate definition|Required attribute|invalid model|INVALID_GRAPH",
        "",
        _ONE_GRAPH,
    ),
    _cause(
        "invalid_file",
        r"InvalidProtobuf|Protobuf parsing failed|No graph was found",
        "the file is not an ONNX model, or it is truncated",
        "export or download it again",
    ),
    _cause(
        "value_out_of_range",
        r"out of data bounds|out of bounds|out of range|must be within the inclusive range",
        "",
        "the value of an integer input is out of range: give one that fits, such as {inputs}",
    ),
    _cause(
        "sizes_of_inputs",
        r"cannot be reshaped|invalid dimensions|dimension mismatch|Incompatible|broadcast|must match|same shape",
        "",
        "the inputs may need other sizes: give them with --shape NAME=1x3x224x224",
    ),
    _cause("provider", r"EPFail|CUDA|cuDNN", "", "check that nvidia-smi works, or choose --device cpu"),
)


def match_cause(error: Exception) -> Cause | None:
    """Return the known cause of an exception of the engine or of Python, None for an unknown one."""
    text = _text(error)
    return next((cause for cause in CAUSES if cause.pattern.search(text)), None)


def format_failure(error: Exception, cause: Cause | None, integers: Sequence[str]) -> tuple[str, str]:
    """Return message and remedy of a failure; without a cause the message of the engine and no remedy."""
    words = clean(str(error))
    if cause is None:
        return f"{type(error).__name__}: {words}", ""
    found = cause.pattern.search(_text(error))
    groups = ("", *(found.groups() if found else ()))
    inputs = " ".join(f"--input {name}=0" for name in integers) or "--input NAME=0"
    message = (cause.message or "{words}").format(*groups, words=words, inputs=inputs)
    return message, cause.remedy.format(*groups, words=words, inputs=inputs)


def clean(text: str) -> str:
    """Return a message of the engine on one line, without the places in its source."""
    line = _PREFIXES.sub("", _SOURCE_PLACE.sub("", " ".join(text[:_MOST_READ].split())))
    return _PREFIXES.sub("", line).strip()[:_LONGEST] or "no details"


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error)[:_MOST_READ].split())}"
