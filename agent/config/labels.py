"""The settings of `[host.labels]`: the site, the rack and the owner of this host, and any other label."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.config.errors import ConfigError
from agent.config.setting import Setting, Table
from agent.config.value_types import ValueType
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

Labels = tuple[tuple[str, str], ...]
"""The labels of a host: names and values, in the order of the file."""
MOST_LABELS = 16
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_VALUE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,64}")


def _value(value: object) -> str:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ValueError
    return value


LABEL = ValueType("one line of at most 64 characters in quotes", _value)
LABELS = Table(
    "host.labels",
    (
        Setting(
            "site",
            LABEL,
            "",
            "Site of this host, such as its data center.",
            "Profiles have the labels, and the views of a fleet group machines by site, rack and owner. A label with "
            "another name, of a-z, 0-9 and _, is in the profiles only. At most 16 labels are allowed.",
            default_text="no label",
            example="ams1",
        ),
        Setting("rack", LABEL, "", "Rack of this host.", default_text="no label", example="r12"),
        Setting("owner", LABEL, "", "Owner of this host, such as a team.", default_text="no label", example="search"),
    ),
    any_key=True,
)


def labels_of(found: Mapping[str, Any], where: str) -> Labels:
    """Return the labels of the table of a file, without those that are empty. Raises ConfigError."""
    if len(found) > MOST_LABELS:
        raise ConfigError(f"{where}: {LABELS.name} has {len(found)} labels; remove all but {MOST_LABELS}")
    for name in found:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{where}: {LABELS.name}: {quoted(name)} is not the name of a label; use a-z, 0-9 and _, no digit first"
            )
    return tuple((name, value) for name, value in found.items() if value)
