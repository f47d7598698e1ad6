"""Groups profiles by their setup, so that the runs of one setup count as its independent repeats; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from store.model_name import model_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.profiling.records import Document

Grouping = Literal["setup", "date", "profile"]
"""The profiles that form one group: those of a setup, those of a setup on one day, or each alone."""
MOST_SETUPS = 26
_LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OTHER_FACTS = frozenset({"url", "seed", "workload", "provider", "device", "threads", "model", "precision"})
"""The settings that do not make another setup, or that are facts under another name."""
_PREFERRED = ("host", "devices", "engine", "model", "precision")
"""The facts that name a setup, if they differ between setups."""
_MOST_NAMED = 3


class SetupError(ValueError):
    """Profiles that cannot be grouped; the message has the remedy."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The profiles of one setup. `label` is a letter; `name` has the facts in which it differs from the others."""

    label: str
    name: str
    documents: tuple[Document, ...]

    @property
    def first(self) -> Document:
        """Its first profile."""
        return self.documents[0]


def group(documents: Sequence[Document], by: Grouping | None = None) -> tuple[Setup, ...]:
    """Return the setups of profiles, in the order of their first profiles.

    Without `by` the groups are the setups; the days if there is one setup; the profiles if there is one day. Raises
    SetupError as `named` does.
    """
    choices: Sequence[Grouping] = ("setup", "date", "profile") if by is None else (by,)
    groups: dict[object, list[Document]] = {}
    for choice in choices:
        groups = {}
        for document in documents:
            groups.setdefault(_key(document, choice), []).append(document)
        if len(groups) > 1:
            break
    return named(list(groups.values()))


def named(groups: Sequence[Sequence[Document]]) -> tuple[Setup, ...]:
    """Return groups of profiles with their labels and names.

    Raises SetupError for a profile that is given twice, or a number of groups other than 2 to 26.
    """
    given = [document.id for members in groups for document in members]
    twice = next((each for each in given if given.count(each) > 1), None)
    if twice is not None:
        raise SetupError(f"the profile {twice} is given twice, and one run is not a repeat of itself; give it once")
    if len(groups) == 1:
        raise SetupError("a comparison needs two groups of profiles, and there is one; give more, or change --by")
    if len(groups) > MOST_SETUPS:
        raise SetupError(f"a comparison has at most {MOST_SETUPS} groups, not {len(groups)}; give fewer profiles")
    return tuple(map(Setup, _LABELS, _names([members[0] for members in groups]), map(tuple, groups)))


def mixed(setup: Setup) -> tuple[str, ...]:
    """Return the names of the facts in which the profiles of one group differ."""
    every = [facts(document) for document in setup.documents]
    names = dict.fromkeys(name for each in every for name in each)
    return tuple(name for name in names if len({each.get(name) for each in every}) > 1)


def facts(document: Document) -> Mapping[str, str]:
    """Return the facts that identify a setup, as texts; parameters of points are not among them."""
    workload, engine = document.workload, document.engine
    before = document.host_state.before
    swept = {name for point in document.points for name in point.parameters}
    shown: dict[str, object] = {
        "host": f"{document.host.name} {document.host.id}",
        "devices": ", ".join(sorted({each.name for each in document.devices if each.name})),
        "engine": " ".join(filter(None, (engine.name, engine.version, engine.provider))),
        "threads": engine.threads,
        "workload": workload.name,
        "model": model(document),
        "model_sha256": workload.model_sha256,
        "precision": workload.precision,
        "governors": before and sorted(set(before.cpu_governors)),
        "power_limits": before and sorted(before.power_limits_watts.items()),
        "cpu_quota": before and before.cpu_quota_cpus,
        "device_power_limits": sorted(_power_limits(document)),
        "boundary": document.coverage.boundary.value,
        "source": document.coverage.source and document.coverage.source.value,
        "sensors": sorted(f"{each.device}/{each.domain}" for each in document.coverage.includes),
    }
    ignored = swept | _OTHER_FACTS | set(document.plan.sweep)
    shown |= {name: value for name, value in workload.settings.items() if name not in ignored}
    return {name: "-" if value is None else str(value) for name, value in shown.items()}


def model(document: Document) -> str:
    """Return the name of the model: that of its file or server, or its number of weights."""
    workload = document.workload
    return model_name(workload.name, workload.settings.get("model"), workload.parameter_count)


def _power_limits(document: Document) -> set[tuple[str, float]]:
    """Return the power limits of accelerators at the starts of the points, by device."""
    return {
        (device.device, device.start_power_limit_watts)
        for point in document.points
        for device in point.conditions.devices
        if device.start_power_limit_watts is not None
    }


def _key(document: Document, by: Grouping) -> object:
    if by == "profile":
        return document.id
    own = tuple(sorted(facts(document).items()))
    return (own, document.created[:10]) if by == "date" else own


def _names(documents: Sequence[Document]) -> Iterable[str]:
    """Return a name for each group: the values of the facts that differ, else its date, else its id."""
    every = [facts(document) for document in documents]
    names = dict.fromkeys(name for each in every for name in each)
    different = [name for name in names if len({each.get(name) for each in every}) > 1]
    chosen = [name for name in _PREFERRED if name in different] or different
    if chosen:
        shown = [", ".join(_shown(name, each.get(name, "-")) for name in chosen[:_MOST_NAMED]) for each in every]
    else:
        shown = [document.created[:10] for document in documents]
    if len(set(shown)) == len(shown):
        return shown
    return [f"{name}, {document.id}" for name, document in zip(shown, documents, strict=True)]


def _shown(name: str, value: str) -> str:
    if name == "host":
        return value.partition(" ")[0]
    return value if name in _PREFERRED else f"{name}={value}"
