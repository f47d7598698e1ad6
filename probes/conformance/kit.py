"""Runs every check on a family of sensors, each on a new fake host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from probes.conformance import counting, description, effects, presence, reads
from probes.conformance.bench import Bench, NotApplicableError
from probes.conformance.host import NotOfferedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from probes.conformance.bench import Discover
    from probes.conformance.host import FakeHost

    Build = Callable[[Path], FakeHost]

CHECKS: Mapping[str, Callable[[Bench], str]] = {
    "order": description.order,
    "description": description.description,
    "containment": description.containment,
    "absence": description.absence,
    "exclusion": description.exclusion,
    "units": reads.units,
    "blanks": reads.blanks,
    "garbage": reads.garbage,
    "failing reads": reads.failing_reads,
    "failing discovery": reads.failing_discovery,
    "hanging reads": reads.hanging_reads,
    "hanging discovery": reads.hanging_discovery,
    "counters alone": reads.counters_alone,
    "wraps": counting.wraps,
    "resets": counting.resets,
    "removal": presence.removal,
    "renumbering": presence.renumbering,
    "suspension": presence.suspension,
    "suspended discovery": presence.suspended_discovery,
    "writing": effects.writing,
    "handles": effects.handles,
    "cost": effects.cost,
}
"""The checks by their names; the docstring of each states the guarantee."""


class Verdict(StrEnum):
    """The result of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_EXERCISED = "not exercised"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of one check, with the fault, the figure or the reason as a sentence."""

    check: str
    verdict: Verdict
    sentence: str

    def __str__(self) -> str:
        return f"{self.check}: {self.verdict}: {self.sentence}"


def examine(discover: Discover, build: Build, folder: Path) -> list[Outcome]:
    """Run every check; `build` makes a fake host in an empty folder below `folder` for each of them."""
    return [_outcome(name, discover, build, folder / name.replace(" ", "-")) for name in CHECKS]


def assert_conforms(
    discover: Discover, build: Build, folder: Path, not_exercised: Collection[str] = ()
) -> list[Outcome]:
    """Run every check and return the outcomes. Raises AssertionError with a sentence for each fault.

    `not_exercised` names the checks that the fake host does not offer; another check that is not exercised is a fault,
    and so is a named one that is.
    """
    outcomes = examine(discover, build, folder)
    faults = [str(outcome) for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    left_out = {outcome.check: outcome for outcome in outcomes if outcome.verdict is Verdict.NOT_EXERCISED}
    faults += [str(outcome) for name, outcome in left_out.items() if name not in not_exercised]
    faults += [
        f"{name}: named in not_exercised, and {'exercised' if name in CHECKS else 'no check'}"
        for name in sorted({*not_exercised} - left_out.keys())
    ]
    if faults:
        raise AssertionError("\n".join([f"{len(faults)} faults of {len(outcomes)} checks:", *faults]))
    return outcomes


def _outcome(name: str, discover: Discover, build: Build, folder: Path) -> Outcome:
    folder.mkdir(parents=True)
    bench = Bench(discover, build(folder), folder)
    try:
        return Outcome(name, Verdict.PASSED, CHECKS[name](bench))
    except AssertionError as fault:
        return Outcome(name, Verdict.FAILED, str(fault))
    except NotOfferedError as missing:
        return Outcome(name, Verdict.NOT_EXERCISED, f"the fake host does not offer {missing}")
    except NotApplicableError as reason:
        return Outcome(name, Verdict.NOT_APPLICABLE, str(reason))
    finally:
        bench.close()
