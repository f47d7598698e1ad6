"""Names the extra that contains the library of a family of meters."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from probes.errors import ProbeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def library(name: str, extra: str = "meters") -> Iterator[None]:
    """Import a library inside; raises ProbeUnavailableError with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ProbeUnavailableError(
            f"the library {name} is not installed",
            f"pip install 'inferometer[{extra}]' in the environment of this program",
        ) from error
