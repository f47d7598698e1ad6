"""Names the extra that contains the library of a family of meters."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from probes.errors import ProbeUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def library(name: str, extra: str = "meters", logger: str = "") -> Iterator[None]:
    """Import a library inside; raises ProbeUnavailableError with the command that installs it.

    What it logs below `logger` is dropped, because the probe reports each failed read itself.
    """
    try:
        yield
        if logger:
            logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    except ModuleNotFoundError as error:
        raise ProbeUnavailableError(
            f"the library {name} is not installed",
            f"pip install 'inferometer[{extra}]' in the environment of this program",
        ) from error
