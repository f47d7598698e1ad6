"""Input values from the command line: a number, a list, or an array in a .npy or .npz file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_EXAMPLE = "write NAME=200, NAME=[16, 8], NAME=FILE.npy, NAME=FILE.npz or FILE.npz"
_MOST_NOTED = 12
_SUFFIXES = (".npy", ".npz")


class InputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of one input: either JSON `text` or a `file`.

    `array` is the name of the array in an .npz file, None for a .npy file.
    """

    text: str | None = None
    file: Path | None = None
    array: str | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.file is None):
            raise ValueError(f"an input needs either a value or a file: {_EXAMPLE}")


def parse_inputs(options: Sequence[str]) -> dict[str, InputSpec]:
    """Return the given inputs by name. Raises ValueError that names the option."""
    inputs: dict[str, InputSpec] = {}
    for option in options:
        for name, given in _parsed(option):
            if name in inputs:
                raise ValueError(f"--input {option}: the input {name!r} has a value already; give it once")
            inputs[name] = given
    return inputs


def _parsed(option: str) -> Iterator[tuple[str, InputSpec]]:
    name, equals, value = option.partition("=")
    name, value = name.strip(), value.strip()
    if not equals and option.lower().endswith(".npz"):
        path = _file(option, option)
        for array in _array_names(option, path):
            yield array, InputSpec(file=path, array=array)
    elif not name or not value:
        raise ValueError(f"--input {option}: {_EXAMPLE}")
    elif value.lower().endswith(_SUFFIXES):
        path = _file(option, value)
        yield name, InputSpec(file=path, array=name if value.lower().endswith(".npz") else None)
    else:
        yield name, InputSpec(text=_literal(option, value))


def _file(option: str, name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        found = "is not a regular file" if path.exists() else "does not exist"
        raise ValueError(f"--input {option}: {name} {found}; give the path of a .npy or .npz file")
    return path.absolute()


def _array_names(option: str, path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.removesuffix(".npy") for entry in archive.namelist()]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ValueError(f"--input {option}: not an .npz file ({error}); write it with numpy.savez") from error
    if not names:
        raise ValueError(f"--input {option}: the file contains no array; write it with numpy.savez")
    return names


def _literal(option: str, value: str) -> str:
    """Return the value as JSON text; `1,2` is short for `[1, 2]`."""
    text = f"[{value}]" if "," in value and not value.startswith("[") else value
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        parsed = None
    if not _numeric(parsed):
        raise ValueError(
            f"--input {option}: {value!r} is not a number, true, false, a list of these, or a .npy or .npz file; "
            f"{_EXAMPLE}"
        )
    return text


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _numeric(value: object) -> bool:
    waiting = [value]
    for each in waiting:
        if isinstance(each, list):
            waiting += each
        elif not isinstance(each, (bool, int, float)):
            return False
    return True


def synthetic_note(inputs: Sequence[InputFacts]) -> str | None:
    """Return a note on the synthetic inputs that can change the work of a model: all except arrays of floats."""
    deciding = [
        each for each in inputs if each.values == "synthetic" and (not each.shape or "float" not in each.element)
    ]
    if not deciding:
        return None
    shown = ", ".join(
        f"{printable_line(each.name)} ({each.element} {'x'.join(map(str, each.shape)) or 'scalar'})"
        for each in deciding[:_MOST_NOTED]
    )
    more = f" and {len(deciding) - _MOST_NOTED} more" if len(deciding) > _MOST_NOTED else ""
    first = printable_line(deciding[0].name)
    return (
        f"synthetic input values: {shown}{more}. Integers and booleans are random 0 and 1, scalars are one random "
        f"number. They can change the work of the model: give real values with --input {first}=VALUE"
    )


class InputFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of the model and the origin of its values; the values are not part of it.

    `shape` is the shape for a batch of 1, or the shape of the given array. `sha256` is the hash of the file, or of the
    bytes of a value from the command line; None for synthetic values.
    """

    name: str
    element: str
    shape: tuple[int, ...]
    values: Literal["given", "synthetic"]
    sha256: str | None
