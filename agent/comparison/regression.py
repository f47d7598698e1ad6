"""Finds regressions of machines against earlier runs of their own: significant, and larger than a share; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.comparison.matching import NoSharedLoadError, matched, reasons_against
from agent.comparison.metrics import METRICS
from agent.comparison.setups import Setup
from agent.comparison.significance import MIN_RUNS, holm, is_significant, mean_bounds, welch_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent.comparison.matching import Match
    from agent.comparison.metrics import Metric, Reading
    from agent.comparison.significance import Ratio
    from agent.profiling.records import Document

_WORSE_ABOVE: Mapping[str, bool] = {
    "mean_latency_seconds": True,
    "median_time_to_first_token_seconds": True,
    "inferences_per_second": False,
    "joules_per_inference": True,
}
"""The metrics that are tested, and whether more of it is worse; those per token follow from these."""


class Change(msgspec.Struct, frozen=True):
    """A metric of one machine at one point: `ratio` is now over before, with its 95 % interval.

    `p` is corrected for the number of all changes (Holm). `regressed`: significant, for the worse, and by more than the
    allowed share.
    """

    subject: str
    point: str
    metric: str
    ratio: float
    lower: float | None
    upper: float | None
    p: float
    regressed: bool


class Drift(msgspec.Struct, frozen=True):
    """The changes of machines since the accepted runs, and the reasons why something could not be tested."""

    changes: tuple[Change, ...]
    untested: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """The changes for the worse."""
        return tuple(change for change in self.changes if change.regressed)


_Tested = tuple[str, str, str, "Ratio"]
"""The subject, the point, the metric and the ratio of one test."""


def drift(groups: Iterable[tuple[str, tuple[Sequence[Document], Sequence[Document]]]], share: float) -> Drift:
    """Return the drift of subjects, each with its accepted documents and its new ones, which are held one at a time.

    A subject is one machine with one workload. The p values of all subjects, points and metrics are corrected
    together, so that the scatter of repetitions alone causes a false alarm in at most 5 % of the campaigns, however
    many machines there are. A regression is significant, and its mean is worse by at least `share`, which must be above
    the changes from day to day: the repetitions of a campaign share its day. Each point and metric that the accepted
    profiles have is tested, or there is a reason.
    """
    untested: list[str] = []
    tests: list[_Tested] = []
    for subject, (before, now) in groups:
        reason = _reason_against(before, now)
        if reason:
            untested.append(f"{subject}: {reason}")
            continue
        setups = (Setup("A", "accepted", tuple(before)), Setup("B", "now", tuple(now)))
        try:
            matches = matched(setups)
        except NoSharedLoadError as error:
            untested.append(f"{subject}: {error}")
            continue
        if reasons := reasons_against(setups, matches):
            untested.append(f"{subject}: {'; '.join(reasons)}")
            continue
        untested += (f"{subject}: {name}: the new profiles lack it" for name in _lost_points(setups, matches))
        for match in matches:
            for name, found in _ratios(match, setups):
                if isinstance(found, str):
                    untested.append(f"{subject}: {match.name}: {name}: {found}")
                else:
                    tests.append((subject, match.name, name, found))
    corrected = holm([p for *_, ratio in tests if (p := ratio.p) is not None])
    return Drift(tuple(_change(test, p, share) for test, p in zip(tests, corrected, strict=True)), tuple(untested))


def _reason_against(before: Sequence[Document], now: Sequence[Document]) -> str:
    for documents, words in ((before, "accepted"), (now, "new")):
        if len(documents) < MIN_RUNS:
            return f"{len(documents)} {words} profiles, and a difference needs {MIN_RUNS}"
    return ""


def _lost_points(setups: Sequence[Setup], matches: Iterable[Match]) -> Iterable[str]:
    """Return the names of the accepted points that no new profile has."""
    found = {id(run.point) for match in matches for run in match.runs[0]}
    points = [point for document in setups[0].documents for point in document.points]
    return dict.fromkeys(point.name for point in points if id(point) not in found)


def _ratios(match: Match, setups: Sequence[Setup]) -> Iterator[tuple[str, Ratio | str]]:
    """Yield the ratio of each metric of the accepted profiles, or the reason why it cannot be tested."""
    documents = [document for setup in setups for document in setup.documents]
    shared = len({each.coverage.includes for each in documents}) == 1
    for metric in METRICS:
        if metric.name not in _WORSE_ABOVE:
            continue
        before, now = (_readings(match, side, metric) for side in (0, 1))
        if not before:
            continue
        if min(len(before), len(now)) < MIN_RUNS:
            counts = f"{len(before)} accepted and {len(now)} new profiles have a valid one"
            yield metric.name, f"{counts}, and a difference needs {MIN_RUNS}"
            continue
        if min(each.value.mean for each in (*before, *now)) <= 0:
            yield metric.name, "a profile has 0, which has no ratio"
            continue
        bounds = [mean_bounds([each.shared if shared else each.sensors for each in side]) for side in (now, before)]
        yield (
            metric.name,
            welch_ratio([each.value.mean for each in now], [each.value.mean for each in before], bounds[0], bounds[1]),
        )


def _readings(match: Match, side: int, metric: Metric) -> list[Reading]:
    found = (metric.of(run.point, None) for run in match.runs[side] if run.point.valid or not metric.by_sensors)
    return [each for each in found if each is not None]


def _change(test: _Tested, p: float, share: float) -> Change:
    subject, point, metric, ratio = test
    worse = ratio.ratio if _WORSE_ABOVE[metric] else 1 / ratio.ratio
    regressed = worse >= 1 + share and is_significant(ratio, p)
    return Change(subject, point, metric, ratio.ratio, ratio.lower, ratio.upper, p, regressed)
