"""One row of the table of settings, and one table of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config.value_types import ValueType


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    `name` is unique in its table, and the field of the record that holds the value. A setting without a default is
    absent unless it is set, and the sample file shows `example`. The file has it as `key`, or as one of `old_keys`
    (with their tables, such as "sampling.speed"), which cause a warning and are removed in the next minor version. An
    option takes it from the command line, of every command or of `command` alone. `help` is one sentence, `more` is
    for the file and the documentation only. `default_text` is the default in words.
    """

    name: str
    type: ValueType
    default: object
    help: str
    more: str = ""
    key: str = ""
    variable: str = ""
    option: str = ""
    command: str = ""
    default_text: str = ""
    example: object = None
    old_keys: tuple[str, ...] = ()

    @property
    def file_key(self) -> str:
        """Return the key in its table of the file."""
        return self.key or self.name


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the file; its name is empty for the top, and has dots if it is inside another.

    A repeated table, `[[name]]`, stands for any number of records, each with the same settings. These have neither
    options nor variables. A table with `any_key` has keys that the user chooses; its settings are the usual ones, and
    their type is that of all.
    """

    name: str
    settings: tuple[Setting, ...]
    repeated: bool = False
    any_key: bool = False

    def path(self, setting: Setting) -> str:
        """Return the key of a setting with its table: `exporter.listen`."""
        return f"{self.name}.{setting.file_key}" if self.name else setting.file_key
