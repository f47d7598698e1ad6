from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from agent.runtime.typed_json import from_json, to_json


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Path
    sizes: tuple[int, ...] = ()


class Weight(msgspec.Struct, frozen=True):
    grams: float
    owner: object = None


def test_a_record_comes_back_from_its_json_with_its_path() -> None:
    place = Place(Path("a/b"), (1, 2))
    assert to_json(place, sort_keys=True) == '{"path": "a/b", "sizes": [1, 2]}'
    assert from_json(to_json(place), Place) == place


@pytest.mark.parametrize("grams", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_refused(grams: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(Weight(grams))


def test_a_type_that_json_lacks_is_refused() -> None:
    with pytest.raises(TypeError, match="complex has no place in JSON"):
        to_json(Weight(1.0, 1j))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"path": 1}', r"expected Path - at `\$\.path`"),
        ('{"path": "a", "sizes": ["b"]}', r"Expected `int`, got `str` - at `\$\.sizes\[0\]`"),
        ('{"path": "a", "size": 1}', "unknown field `size`"),
        ('{"x":' + "[" * 100_000, "^JSON is malformed: its values are nested too deep$|unknown field"),
        ('{"path": "a", "sizes": [NaN]}', "malformed"),
    ],
)
def test_a_violation_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_json(text, Place)
