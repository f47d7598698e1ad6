"""Reads the keys of a campaign file; an error names the table, the key and the fix."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.campaigns.errors import CampaignError
from agent.campaigns.trust import check_trusted, read_trusted
from agent.runtime.text_input import MAX_BYTES, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_TEXT = 4096


class Fields:
    """The keys of one table; `end` refuses those that were not read. Paths are relative to `folder`."""

    def __init__(self, place: str, table: Mapping[str, Any], folder: Path = Path()) -> None:
        self.place = place
        self.folder = folder
        self._table = table
        self._known: list[str] = []

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text of one line. Raises CampaignError if it is absent and has no default."""
        value = self._of(key, default)
        self._check(key, value, is_line(value), "a text of one line")
        return str(value)

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Return a list of texts of one line each."""
        value = self._of(key, list(default))
        fits = isinstance(value, list) and all(map(is_line, value))
        self._check(key, value, fits, 'a list of texts such as ["a", "b"]')
        return tuple(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self._of(key, default)
        self._check(key, value, isinstance(value, bool), "true or false")
        return bool(value)

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        """Return an integer from `least` to `most`."""
        value = self._of(key, default)
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        self._check(key, value, fits, f"an integer from {least} to {most}")
        return int(value)

    def real(self, key: str, default: float, least: float, most: float) -> float:
        """Return a number from `least` to `most`."""
        value = self._of(key, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
        self._check(key, value, fits, f"a number from {least:g} to {most:g}")
        return float(value)

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        """Return one of the choices."""
        value = self._of(key, default)
        self._check(key, value, value in choices, f"one of {', '.join(choices)}")
        return str(value)

    def path(self, key: str) -> Path | None:
        """Return the path of a file that only this user and root can write, None if it is absent."""
        path = self._path(key)
        try:
            if path is not None:
                check_trusted(path)
        except CampaignError as error:
            raise self.error(key, str(error)) from error
        return path

    def content(self, key: str) -> bytes | None:
        """Return the content of such a file, None if it is absent."""
        path = self._path(key)
        try:
            return None if path is None else read_trusted(path, MAX_BYTES)
        except CampaignError as error:
            raise self.error(key, str(error)) from error

    def has(self, key: str) -> bool:
        """Return whether the key is there, even without a value that counts, such as an empty table."""
        return key in self._table

    def table(self, key: str) -> Mapping[str, Any]:
        """Return a table, empty if it is absent."""
        value = self._of(key, {})
        self._check(key, value, isinstance(value, dict), f"a table: begin it with a line [{key}]")
        found: Mapping[str, Any] = value
        return found

    def tables(self, key: str, most: int) -> tuple[Mapping[str, Any], ...]:
        """Return the tables of a list, at most `most`."""
        value = self._of(key, [])
        fits = isinstance(value, list) and len(value) <= most and all(isinstance(each, dict) for each in value)
        self._check(key, value, fits, f"a list of at most {most} tables: begin each with a line [[{key}]]")
        return tuple(value)

    def end(self) -> None:
        """Raise CampaignError for a key that is not known, with the nearest known one."""
        for key in self._table:
            if key not in self._known:
                near = get_close_matches(key, self._known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(self._known)}"
                raise CampaignError(f"{self.place}: unknown key {quoted(key)}: {hint}")

    def error(self, key: str, problem: str) -> CampaignError:
        """Return the error of a key; `problem` has the cause and the fix."""
        return CampaignError(f"{self.place}: {key}: {problem}")

    def _path(self, key: str) -> Path | None:
        text = self.text(key, "")
        try:
            return self.folder / Path(text).expanduser() if text else None
        except RuntimeError as error:  # there is no such user
            raise self.error(key, f"{quoted(text)}: {error}. Write the path in full") from error

    def _of(self, key: str, default: object) -> Any:
        self._known.append(key)
        value = self._table.get(key, default)
        if value is None:
            raise CampaignError(f"{self.place}: {key} is missing: add it")
        return value

    def _check(self, key: str, value: object, fits: bool, expected: str) -> None:
        if not fits:
            raise CampaignError(f"{self.place}: {key} = {quoted(value)} is not {expected}")


def is_line(value: object) -> bool:
    """Return whether a value is a text of one printable line."""
    return isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_TEXT
