"""Headers from the command line; a secret one comes from a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from agent.workloads.load.secret_file import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.1
_SECRET = re.compile(r"auth|cookie|key|token|secret|passw|credential|session", re.IGNORECASE)
_OWN = {"content-length", "transfer-encoding", "connection"}


def parse_headers(texts: Sequence[str]) -> dict[str, str]:
    """Return the headers in texts such as `Accept: text/plain`. Raises ValueError that names the option.

    The value `@FILE` stands for the content of a file, whose path becomes absolute.
    """
    headers: dict[str, str] = {}
    for text in texts:
        name, colon, value = (part.strip() for part in text.partition(":"))
        if not colon or not _NAME.fullmatch(name):
            raise ValueError(f"--header: {name!r} is not the name of a header; write 'Name: value' or 'Name: @FILE'")
        if name.lower() in _OWN:
            raise ValueError(f"--header {name}: the client sets it itself; leave it out")
        if name.lower() in {each.lower() for each in headers}:
            raise ValueError(f"--header {name}: it is given twice; give it once")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"--header {name}: its value has other characters than printable ASCII")
        if is_secret(name) and not value.startswith("@"):
            raise ValueError(f"--header {name}: every process can read its value; write '{name}: @FILE'")
        headers[name] = f"@{Path(value[1:]).absolute()}" if value.startswith("@") else value
    return headers


def is_secret(name: str) -> bool:
    """Return whether the value of a header is a secret, by its name."""
    return bool(_SECRET.search(name))


def resolved(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the content of their files. Raises WorkloadError."""
    return {
        name: read_secret(Path(value[1:]), f"--header {name}") if value.startswith("@") else value
        for name, value in headers.items()
    }
