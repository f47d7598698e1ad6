"""The execution providers of `--providers`: names and options, in the order of the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Providers = Mapping[str, Mapping[str, str]]

_NAME = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)
_OPTION = re.compile(r"([A-Za-z][\w.]{0,63})=(.{0,4096})", re.ASCII | re.DOTALL)
_COMMA = re.compile(r"(?<!\\),")
_EXAMPLE = "write cuda,cpu or cuda:device_id=1,gpu_mem_limit=4000000000,cpu"


def parse_providers(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    r"""Return the options of each provider in texts such as `cuda:device_id=1,cpu`, in order.

    A part `key=value` is one more option of the provider before it. A comma in a value is written `\,`. Raises
    ValueError that names the option.
    """
    providers: dict[str, dict[str, str]] = {}
    for text in texts:
        name = ""
        for part in map(str.strip, _COMMA.split(text)):
            if not (name and _OPTION.fullmatch(part)):
                name, colon, part = part.partition(":")  # noqa: PLW2901  the rest of the part is its option
                if name in providers:
                    raise ValueError(f"--providers {text}: {name} is given twice: give all its options at once")
                if not _NAME.fullmatch(name) or (colon and not _OPTION.fullmatch(part)):
                    raise ValueError(f"--providers {text}: {_EXAMPLE}")
                providers[name] = {}
            if found := _OPTION.fullmatch(part):
                providers[name][found[1]] = found[2].replace("\\,", ",")
    return providers


def check_providers(providers: Providers) -> None:
    """Raise ValueError if a provider or one of its options has an impossible name."""
    for name, options in providers.items():
        if not _NAME.fullmatch(name) or not all(_OPTION.fullmatch(f"{key}={value}") for key, value in options.items()):
            raise ValueError(f"--providers {name}: {_EXAMPLE}")


def shown_providers(providers: Providers) -> list[str]:
    """Return the providers for a profile, without the values that are paths of this host."""
    return [
        ":".join([name, *(f"{key}={'...' if '/' in value else value}" for key, value in options.items())])
        for name, options in providers.items()
    ]
