"""The sections of a report that come from other answers: the comparison of profiles, and the options with offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.comparison.compare import compare
from agent.comparison.matching import IncomparableError
from agent.comparison.setups import SetupError, group
from agent.cost.demand import DemandError
from agent.cost.limits import TariffError
from agent.cost.requirements import Requirements
from agent.profiling.offer_answer import answer
from agent.profiling.pricing import NoCostError
from agent.render.comparison_text import headlines
from agent.render.offers_text import break_even_table, notes_of, options_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.render.offers_text import TitledTable
    from agent.report.view import View


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; the first column names its row."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def compared(views: Sequence[View]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the differences of several profiles in words and their notes, or the reason why there are none."""
    documents = [view.document for view in views]
    try:
        setups = group(documents)
        found = compare(setups)
    except SetupError as error:
        return (f"No difference is tested: {error}.",), ()
    except IncomparableError as error:
        return ("No difference is tested, because these profiles are not comparable.",), tuple(error.reasons)
    names = ", ".join(f"{setup.label} is {setup.name}" for setup in setups)
    return (f"{names}.", *headlines(found)), found.notes


def options(view: View) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """Return the tables of own machines and offers with their notes, none without offers or a complete cost."""
    tariff = view.document.tariff
    if tariff is None or not tariff.offers:
        return (), ()
    try:
        found = answer(view.document, tariff, None, Requirements())
    except (NoCostError, DemandError, TariffError) as error:
        return (), (f"The offers are not compared: {error}.",)
    tables = [options_table(found)] if found["options"] else []
    tables += [break_even_table(found)] if found["break_even"] else []
    return tuple(map(_table, tables)), tuple(notes_of(found))


def _table(parts: TitledTable) -> Table:
    title, headings, rows = parts
    return Table(
        title.removesuffix(":"),
        tuple(each.removesuffix(">").lower().replace("1m", "1M") for each in headings),
        tuple(map(tuple, rows)),
    )
