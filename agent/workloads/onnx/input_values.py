"""The values of model inputs: element types, synthetic values, and values that the user gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Kind = Literal["float", "integer", "bool"]


@dataclass(frozen=True, slots=True)
class Element:
    """An element type that inputs can have: its name in a profile, its kind, and the numpy type that holds it.

    `onnx_type` is set if numpy lacks the type: `dtype` then only holds its bits.
    """

    name: str
    kind: Kind
    dtype: np.dtype[Any]
    onnx_type: int | None = None


def _elements() -> dict[str, Element]:
    """Return the element types by the engine's name for them, without `tensor()`."""
    found = {
        "float16": Element("float16", "float", np.dtype(np.float16)),
        "float": Element("float32", "float", np.dtype(np.float32)),
        "double": Element("float64", "float", np.dtype(np.float64)),
        "bool": Element("bool", "bool", np.dtype(np.bool_)),
    }
    for name in (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)):
        found[name] = Element(name, "integer", np.dtype(name))
    held = {"bfloat16": np.uint16, "int4": np.uint8, "uint4": np.uint8}
    held |= dict.fromkeys(("float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"), np.uint8)
    known = {name.lower(): number for name, number in onnx.TensorProto.DataType.items()}
    for name, holder in held.items():
        if name in known:  # an older onnx lacks the 4-bit types
            kind: Kind = "integer" if "int" in name else "float"
            found[name] = Element(name, kind, np.dtype(holder), known[name])
    return found


ELEMENTS = _elements()

_REASONS: dict[str, str] = {
    "seq": "a sequence",
    "map": "a map",
    "optional": "an optional value",
    "sparse_tensor": "a sparse tensor",
    "tensor(string)": "text",
    "tensor(complex": "complex numbers",
}


def element_of(name: str, declared: str) -> Element:
    """Return the element type of an input that the engine declares as `tensor(float)`. Raises WorkloadError."""
    found = ELEMENTS.get(declared.removeprefix("tensor(").removesuffix(")"))
    if found is not None:
        return found
    reason = next((words for start, words in _REASONS.items() if declared.startswith(start)), "an unknown type")
    raise WorkloadError(
        f"the input {name!r} takes {declared}: {reason} can be neither generated nor given",
        "export the model with inputs that are tensors of floats, integers or booleans",
    )


def synthetic(element: Element, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    """Return values for an input: standard normal floats, and random 0 and 1 for integers and booleans."""
    if element.onnx_type is not None:
        return _BITS[element.name](shape, random)
    if element.kind == "float":
        return np.asarray(random.standard_normal(shape), element.dtype)
    return np.asarray(random.integers(0, 2, shape), element.dtype)


def _bfloat16(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    wide = np.asarray(random.standard_normal(shape), np.float32).view(np.uint32)
    return np.asarray(wide >> 16, np.uint16)


def _float8(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    """Return bit patterns of moderate numbers of either sign: the highest exponents, which hold NaN, stay unused."""
    return np.asarray(random.integers(0x20, 0x58, shape) | random.integers(0, 2, shape) << 7, np.uint8)


def _int4(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    """Return bytes that hold two elements each, 0 or 1."""
    return np.asarray(random.integers(0, 2, shape) | random.integers(0, 2, shape) << 4, np.uint8)


_BITS: dict[str, Callable[[tuple[int, ...], np.random.Generator], NDArray[Any]]] = {
    "bfloat16": _bfloat16,
    "int4": _int4,
    "uint4": _int4,
    **dict.fromkeys([name for name in ELEMENTS if name.startswith("float8")], _float8),
}


def from_text(name: str, text: str, element: Element) -> NDArray[Any]:
    """Return a JSON scalar or list in the type of an input. Raises WorkloadError."""
    try:
        values = np.asarray(json.loads(text))
    except (ValueError, RecursionError):
        values = np.asarray(None)
    if values.dtype.kind not in "biuf":
        raise WorkloadError(
            f"--input {name}: the value is not a list of equal rows, or a number is too large for {element.name}",
            "give one number, or a list whose rows have equal lengths",
        )
    return _converted(name, values, element)


def _converted(name: str, values: NDArray[Any], element: Element) -> NDArray[Any]:
    if element.onnx_type is not None:
        raise WorkloadError(
            f"--input {name}: values of the type {element.name} cannot be given", "leave this input synthetic"
        )
    fits = values.size == 0 or element.kind == "float"
    fits = fits or (element.kind == "integer" and values.dtype.kind in "iu")
    fits = fits or (element.kind == "bool" and (values.dtype.kind == "b" or set(np.unique(values)) <= {0, 1}))
    with np.errstate(over="ignore", invalid="ignore"):
        converted = values.astype(element.dtype)
    if element.kind == "integer" and fits:
        fits = bool(np.array_equal(converted, values))
    if element.kind == "float":
        fits = bool(np.isfinite(converted).all())
    if fits:
        return converted
    example = {"float": "a number such as 0.5", "integer": "whole numbers", "bool": "true or false"}[element.kind]
    raise WorkloadError(f"--input {name}: the value does not fit the type {element.name}", f"give {example} in range")
