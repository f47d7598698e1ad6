"""The rows of a simulated fleet in PostgreSQL: hosts with some faults among them, written by COPY."""

from __future__ import annotations

import random
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from store import schema
from store.codec.checksums import NAME, ChecksumAppender
from store.profile_point import PROFILE_POINT_COLUMNS, ProfilePoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import psycopg
    from sqlalchemy import Table

DAY_NS = 86_400 * 10**9
START_NS = 1_767_225_600 * 10**9
"""2026-01-01."""
HARDWARE = (
    ("2x AMD EPYC 9654 + 8x NVIDIA H100 80GB HBM3", 1.0),
    ("2x AMD EPYC 9655 + 8x AMD Instinct MI300X", 1.1),
    ("2x Intel Xeon Platinum 8592+ + 4x NVIDIA L40S", 1.9),
    ("1x AMD EPYC 9454P + 2x NVIDIA H200 NVL", 0.9),
)
SITES = ("ams1", "fra2", "iad1", "sin3", "syd1")
MODELS = ("Llama-3.1-8B-Instruct", "Qwen3-32B")
POINTS = (("rate=1", 4.0), ("rate=4", 2.0), ("rate=16", 1.0), ("rate=64", 0.8))
_DAYS_BETWEEN = 7
_HOST_SCATTER, _RUN_SCATTER = 0.02, 0.01
OUTLIER, DRIFT = 1.25, 1.12


class Fault(NamedTuple):
    """The numbers of the hosts with a fault."""

    outliers: frozenset[int]
    drifts: frozenset[int]


def faults(hosts: int) -> Fault:
    """Return one host of 500 that needs a quarter more energy, and one that needs 12 % more since its 21st profile."""
    return Fault(frozenset(range(7, hosts, 500)), frozenset(range(257, hosts, 500)))


def points(host: int, profiles: int, found: Fault, source: random.Random) -> Iterator[ProfilePoint]:
    """Yield the points of a host."""
    hardware, base = HARDWARE[host % len(HARDWARE)]
    model = host // len(HARDWARE) % len(MODELS)
    own = base * (1 + 3 * model) * source.gauss(1, _HOST_SCATTER) * (OUTLIER if host in found.outliers else 1)
    name = f"node{host:05d}"
    for number in range(profiles):
        created_ns = START_NS + number * _DAYS_BETWEEN * DAY_NS + host * 10**9
        date = datetime.fromtimestamp(created_ns // 10**9, UTC).date()
        changed = DRIFT if host in found.drifts and number >= 20 * profiles // 30 else 1.0
        for at, (point, factor) in enumerate(POINTS):
            joules = own * factor * changed * source.gauss(1, _RUN_SCATTER)
            figures = _figures(joules, factor)
            work = 1 + len(POINTS) * model + at
            yield ProfilePoint(
                profile_id=profile_id(host, number),
                host_id=f"{host:032x}",
                host_name=name,
                hardware=hardware,
                site=SITES[host % len(SITES)],
                rack=f"r{host // 40:03d}",
                owner="",
                created_ns=created_ns,
                date=date.isoformat(),
                month=f"{date:%Y-%m}",
                workload="endpoint",
                model=MODELS[model],
                precision="fp16",
                engine="vllm",
                engine_version="0.11.0",
                inferometer_version="0.1.0",
                schema_version="2.5",
                point=point,
                unit="output token",
                parameters=f'{{"rate":{point[5:]}}}',
                work=work,
                setup=(host % len(HARDWARE) + 1) * 1000 + work,
                cost_group=(host % len(HARDWARE) + 1) * 1000 + work,
                valid=True,
                repeats=5,
                energy_source="measured",
                boundary="wall",
                currency="EUR",
                cost_basis="allocation",
                **figures,
            )


def profile_id(host: int, number: int) -> str:
    """Return the id of a profile in the form of a fleet's store."""
    return f"20260101-000000-{host:06x}{number:06x}.{host:012x}"


def _figures(joules: float, factor: float) -> dict[str, float]:
    means = {
        "joules_per_unit": joules,
        "output_tokens_per_second": 2000 / factor,
        "inferences_per_second": 8 / factor,
        "watts": 2000 * joules / factor,
        "cost_per_million_units": 0.1 * joules + factor,
    }
    ends = {"": 1.0, "_lower": 0.97, "_upper": 1.03}
    return {f"{name}{end}": value * share for name, value in means.items() for end, share in ends.items()}


def fill(connection: psycopg.Connection[Any], hosts: int, profiles: int, document: str) -> None:
    """Store a fleet: its hosts, recordings, runs, profiles of one document, and points."""
    found, source = faults(hosts), random.Random(1)
    everyone = range(hosts)
    runs = [(host, number) for host in everyone for number in range(profiles)]
    texts = ("kernel", "operating_system", "cpu_model", "microarchitecture", "cpu_flags")
    _copy(
        connection,
        schema.hosts,
        ("id", "name", *texts, "cores", "memory_bytes", "virtual"),
        ((f"import-{host:032x}", f"node{host:05d}", *[""] * len(texts), 384, 2**40, False) for host in everyone),
    )
    _copy(
        connection,
        schema.recordings,
        ("id", "host_id", "boot_id", "program", "process_id", "started_ns"),
        ((host + 1, f"import-{host:032x}", "", "import", 1, START_NS) for host in everyone),
    )
    _copy(
        connection,
        schema.runs,
        ("id", "host_id", "recording_id", "workload", "settings", "status", "started_ns", "ended_ns"),
        (
            (profile_id(h, n), f"import-{h:032x}", h + 1, "endpoint", "{}", "complete", at, at)
            for h, n in runs
            for at in [START_NS + n * _DAYS_BETWEEN * DAY_NS]
        ),
    )
    _copy(
        connection,
        schema.profiles,
        ("id", "run_id", "created_ns", "workload", "document", "tag"),
        (
            (profile_id(h, n), profile_id(h, n), START_NS + n * _DAYS_BETWEEN * DAY_NS, "endpoint", document, None)
            for h, n in runs
        ),
    )
    _copy(
        connection,
        schema.profile_points,
        PROFILE_POINT_COLUMNS,
        (tuple(asdict(each).values()) for host in everyone for each in points(host, profiles, found, source)),
    )
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")


def _copy(
    connection: psycopg.Connection[Any], table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    append = ChecksumAppender(table, columns)
    words = f"COPY {table.name} ({', '.join((*columns, NAME))}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(words) as copy:
        for row in rows:
            copy.write_row((*row, append.of(row)))
