"""Synthetic prompts of a wanted length, each of them unlike every other one."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass

_TEXT = """
time year people way day man thing woman life child world school state family student group country problem hand
part place case week company system program question work government number night point home water room mother area
money story fact month lot right study book eye job word business issue side kind head house service friend father
power hour game line end member law car city community name president team minute idea body back parent face level
office door health person art war history party result change morning reason research girl guy moment air teacher
force education foot boy age policy music market sense nation plan college interest death experience effect use
class control field development role effort rate heart drug show leader light voice wife police mind price report
decision son view town road arm difference value building action season society tax director position player record
paper space ground form event official matter center couple site project activity star table need court american oil
situation cost industry figure street image phone data picture practice piece land product doctor wall worker news
test movie north love support technology step baby computer type attention film tree
"""
_WORDS = tuple(_TEXT.split())
"""Common words: one token each, with the space before it, in the vocabularies of most models."""
_UNIQUE_WORDS = 12
"""The random words at the start of a prompt, so that no cache of prefixes has it."""
_POOL_WORDS = 1 << 14


@dataclass(frozen=True, slots=True)
class Calibration:
    """The tokens of a prompt as a line over its words: `offset` of the chat template, plus `per_word` each."""

    offset: float
    per_word: float

    def words(self, tokens: int) -> int:
        """Return the number of words of a prompt of this many tokens, at least 1."""
        return max(1, round((tokens - self.offset) / self.per_word))

    @property
    def least_tokens(self) -> int:
        """The tokens of the shortest prompt."""
        return round(self.offset + self.per_word)


class SyntheticText:
    """Makes texts of random words. The first words of a text differ in each call, and in each process.

    `shared_prefix` is the part of each text that is equal in all of them.
    """

    def __init__(self, shared_prefix: float) -> None:
        source = random.Random(0)  # noqa: S311  words, no secret
        self._pool = source.choices(_WORDS, k=_POOL_WORDS)
        self._shared = source.choices(_WORDS, k=_POOL_WORDS)
        self._shared_prefix = shared_prefix
        self._unique = random.Random(secrets.token_bytes(16))  # noqa: S311 - same

    def text(self, words: int) -> str:
        """Return a text of this number of words."""
        shared = round(words * self._shared_prefix)
        own = words - shared
        unique = min(own, _UNIQUE_WORDS)
        rest = own - unique
        start = self._unique.randrange(_POOL_WORDS)
        return " ".join(
            [
                *_slice(self._shared, 0, shared),
                *self._unique.choices(_WORDS, k=unique),
                *_slice(self._pool, start, rest),
            ]
        )


def _slice(pool: list[str], start: int, count: int) -> list[str]:
    """Return words of a pool from `start` on, from its begin again after its end."""
    whole = pool[start : start + count]
    while len(whole) < count:
        whole += pool[: count - len(whole)]
    return whole
