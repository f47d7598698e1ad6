"""The views of many hosts as frozen records, which `--json` prints. Units are in the names."""

from __future__ import annotations

import msgspec

from agent.cost.interval import Interval  # noqa: TC001  msgspec resolves the annotations


class Place(msgspec.Struct, frozen=True):
    """One machine and its work, as tables name them; `host_id` is that of its profiles, `work` that of `WorkCosts`."""

    host_id: str
    host: str
    hardware: str
    site: str
    rack: str
    work: str
    workload: str
    model: str
    precision: str
    engine: str
    engine_version: str
    point: str


class MachineCost(msgspec.Struct, frozen=True):
    """The machines of one group that did one work: the mean of their means.

    `group` has the values by which machines are grouped, such as hardware, site and month. `cost` is that of a million
    output tokens, in `currency` and on `cost_basis`, `joules` the energy of one; of inferences if the work has no
    tokens, which `unit` states. An interval is from the mean of the lower bounds of the profiles to that of the upper
    ones, widened by that of the mean between hosts (95 %, Student). None is unknown.
    """

    group: dict[str, str]
    hosts: int
    profiles: int
    cost: Interval | None
    joules: Interval | None
    currency: str
    cost_basis: str
    boundary: str
    energy_source: str


class WorkCosts(msgspec.Struct, frozen=True):
    """One work on the machines that did it.

    `work` is the digest of the model with its settings, the parameters of the point and the unit (16 hexadecimal
    digits). Works with other settings, such as the number of output tokens, can share all names.
    """

    work: str
    workload: str
    model: str
    precision: str
    point: str
    unit: str
    machines: tuple[MachineCost, ...]


class Outlier(msgspec.Struct, frozen=True):
    """A machine that needs more or less energy than its siblings: hosts with its hardware, engine, work and sensors.

    `ratio` is the energy of its `days` over the mean of `siblings` others, without the outliers that are farther from
    them; its 95 % interval contains the spread of single siblings. `p` is corrected for the number of tested machines
    (Holm).
    """

    place: Place
    ratio: Interval
    p: float
    days: int
    siblings: int


class Drift(msgspec.Struct, frozen=True):
    """A lasting change of the energy of one machine, with the same engine, work and sensors before and after it.

    `since` is the first profile after the change, `previous` the first one of the last day before it. `ratio` is the
    mean energy after over before, with its 95 % interval; `p` is corrected for the possible moments (Bonferroni) and
    for the number of tested machines (Holm). `upgrade` names the versions of Inferometer if they differ at the change.
    """

    place: Place
    since: str
    previous: str
    ratio: Interval
    p: float
    days_before: int
    days_after: int
    upgrade: str | None = None


class FleetView(msgspec.Struct, frozen=True):
    """A fleet: its extent, the costs of its machines, machines apart from their siblings, and those that changed.

    `outliers_tested` and `drift_tested` are the numbers of tests, one for each host and setup. `notes` qualify the
    numbers.
    """

    source: str
    hosts: int
    points: int
    first: str
    last: str
    group_by: tuple[str, ...]
    costs: tuple[WorkCosts, ...]
    outliers: tuple[Outlier, ...]
    outliers_tested: int
    drift: tuple[Drift, ...]
    drift_tested: int
    notes: tuple[str, ...]
