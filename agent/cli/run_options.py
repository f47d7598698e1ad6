"""The options that all workloads of `inferometer profile` share: engine, plan, limits and prices."""

from __future__ import annotations

import inspect
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.numbers import real, whole
from agent.cli.options import JSON_HELP, fail
from agent.render.quantities import bytes_of, seconds_of, share_of
from agent.runtime.console import ExitCode
from agent.workloads.engine_spec import AUTO
from agent.workloads.limits import DEFAULT_TIMEOUT_SECONDS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.cost.tariff import Tariff
    from agent.profiling.plan import MeasurementPlan

_CUSTOM = "custom"
_LONGEST_SECONDS = 86400.0
_LONGEST_TIMEOUT_SECONDS = 7 * 86400.0
_MIN_MEMORY_BYTES, _MAX_MEMORY_BYTES = 1 << 20, 1 << 60
_MIN_TOLERANCE = 0.0001
_MIN_BUDGET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The given options; a field has the name of its option."""

    quick: Annotated[bool, typer.Option("--quick", help="Windows of 1.5 s, three repeats. This is the default.")] = (
        False
    )
    standard: Annotated[bool, typer.Option("--standard", help="Windows of 10 s, five repeats.")] = False
    rigorous: Annotated[bool, typer.Option("--rigorous", help="Windows of 60 s, five repeats.")] = False
    repeats: Annotated[int | None, whole("Number of repeats; energy needs at least 3.", 1, 1000)] = None
    window_seconds: Annotated[float | None, real("Minimum length of a window.", 0.01, _LONGEST_SECONDS, "SECONDS")] = (
        None
    )
    idle_seconds: Annotated[float | None, real("Length of each idle baseline.", 0.1, _LONGEST_SECONDS, "SECONDS")] = (
        None
    )
    warmup_seconds: Annotated[
        float | None, real("Maximum warm-up of each phase.", 0.0, _LONGEST_SECONDS, "SECONDS")
    ] = None
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Repeat until the half-width of every point's 95 % interval is at most this share of the mean (of "
            "the energy, or the rate if nothing measures energy), such as 5%; windows become as long as the sensors "
            "need, and idle baselines end as soon as their power is known as well. Repeats count as correlated until "
            "they have shown that they are not, so a steady host needs 8 repeats and a restless one dozens.",
        ),
    ] = None
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Maximum duration of a run with --tolerance, such as 90s, 10m or 2h; by default four times the least "
            "duration. The repeats of the plan are measured in any case.",
        ),
    ] = None
    equivalence: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Measure a point no further once its figure is proved to be within this share of the best point's, "
            "such as 2%, even if its interval is wider than --tolerance; the profile names such points.",
        ),
    ] = None
    order_seed: Annotated[
        int | None, whole("Seed of the order of the points, to reproduce a run; random and recorded by default.", 0)
    ] = None
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Device that runs the model, by the engine's name for it, such as cpu, cuda or cuda:1."
        ),
    ] = AUTO
    threads: Annotated[int, whole("Threads of the engine; 0 is its own choice, within a CPU quota or CPU set.", 0)] = 0
    timeout: Annotated[
        float,
        real(
            "Time limit for loading the model, for running a point once, and for a window beyond its own length; a "
            "point that exceeds it is left out.",
            1.0,
            _LONGEST_TIMEOUT_SECONDS,
            "SECONDS",
        ),
    ] = int(DEFAULT_TIMEOUT_SECONDS)  # the help shows 600, not 600.0
    memory_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Maximum host memory of the workload process, such as 8GiB; the run ends beyond it."
        ),
    ] = None
    tariff: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Prices from a file; the options below override it."),
    ] = None
    price_per_kwh: Annotated[float | None, real("Price of a kilowatt-hour.", metavar="PRICE")] = None
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Currency of all prices, such as EUR.")] = None
    capital: Annotated[float | None, real("Acquisition cost of this host.", metavar="PRICE")] = None
    life_years: Annotated[float | None, real("Years until the host is written off.", metavar="YEARS")] = None
    pue: Annotated[float | None, real("Facility energy over host energy (power usage effectiveness).")] = None
    utilization: Annotated[
        float | None, real("Share of the measured rate that is in demand, above 0 and up to 1.", metavar="SHARE")
    ] = None
    ambient_celsius: Annotated[
        float | None,
        real("Temperature of the room; by default that of the sensor in [sensors] ambient.", -60.0, 80.0, "CELSIUS"),
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Measure even if other programs use half of the CPUs or more.")
    ] = False
    require_energy: Annotated[
        bool, typer.Option("--require-energy", help="Fail if any point has no energy figures.")
    ] = False
    no_store: Annotated[
        bool,
        typer.Option("--no-store", help="Print the profile without storing it, for hosts without a writable database."),
    ] = False
    profile_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="Give the profile this id. A complete profile that is stored under it is shown, and not measured "
            "again; while another profile with --id is measured from this store, this one waits. Campaigns use it.",
        ),
    ] = None
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the profile as a bundle without samples, for another store; /dev/stdout writes the bundle "
            "in place of the profile.",
        ),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Also write a report, as `inferometer report` does; `make profile` does."
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False

    def plan(self, *, of_programs: bool = False) -> MeasurementPlan:
        """Return the plan of the mode; with a changed number it is named custom.

        A run of a program is at least one iteration, and starts without a warm-up unless one is requested.
        """
        from agent.profiling.plan import PLANS

        if self.quick + self.standard + self.rigorous > 1:
            fail("give one of --quick, --standard and --rigorous", ExitCode.USAGE)
        chosen = PLANS["rigorous" if self.rigorous else "standard" if self.standard else "quick"]
        if of_programs:
            chosen = replace(chosen, iterations=1, warmup_seconds=0.0)
        given = {
            name: value
            for name in ("repeats", "window_seconds", "idle_seconds", "warmup_seconds")
            if (value := getattr(self, name)) is not None
        }
        changed = replace(chosen, **given)
        named = chosen if changed == chosen else replace(changed, name=_CUSTOM)
        if self.budget is not None and self.tolerance is None:
            fail("--budget limits a run with --tolerance: give that option too", ExitCode.USAGE)
        if self.equivalence is not None and self.tolerance is None:
            fail("--equivalence ends points of a run with --tolerance early: give that option too", ExitCode.USAGE)
        tolerance = _parsed("--tolerance", self.tolerance, share_of, _MIN_TOLERANCE, 1.0)
        budget = _parsed("--budget", self.budget, seconds_of, _MIN_BUDGET_SECONDS, _LONGEST_SECONDS)
        margin = _parsed("--equivalence", self.equivalence, share_of, _MIN_TOLERANCE, 1.0)
        return replace(named, tolerance=tolerance, budget_seconds=budget, equivalence=margin)

    def limits(self) -> Limits:
        """Return the limits of the workload process."""
        limit = _parsed(
            "--memory-limit", self.memory_limit, bytes_of, _MIN_MEMORY_BYTES, _MAX_MEMORY_BYTES, show=_mebibytes
        )
        return Limits(self.timeout, None if limit is None else int(limit))

    def seed(self) -> int:
        """Return the seed of the order of the points, a random one if none is given."""
        return secrets.randbelow(1 << 32) if self.order_seed is None else self.order_seed

    def prices(self) -> Tariff | None:
        """Return the tariff of the file, overridden by the options; None if neither is given."""
        from agent.cost.limits import TariffError
        from agent.cost.tariff import Tariff
        from agent.cost.tariff_file import load_tariff

        names = ("price_per_kwh", "currency", "capital", "life_years", "pue", "utilization")
        given = {name: getattr(self, name) for name in names}
        if self.tariff is None and all(value is None for value in given.values()):
            return None
        try:
            tariff = load_tariff(self.tariff) if self.tariff else Tariff()
        except TariffError as error:
            fail(str(error), ExitCode.USAGE)
        try:
            return tariff.with_options(**given)
        except TariffError as error:
            name, _, problem = str(error).partition(" = ")
            fail(f"--{name.replace('_', '-')}: {problem}" if problem else name, ExitCode.USAGE)


def _mebibytes(count: float) -> str:
    return f"{count / (1 << 20):.0f}MiB"


def _plain(value: float) -> str:
    return f"{value:g}"


def _parsed(
    option: str,
    text: str | None,
    parse: Callable[[str], float],
    least: float,
    most: float,
    show: Callable[[float], str] = _plain,
) -> float | None:
    """Return the parsed value of an option, None if it is not given; end the command if it is invalid."""
    if text is None:
        return None
    try:
        value = parse(text)
    except ValueError as error:
        fail(f"{option}: {error}", ExitCode.USAGE)
    if not least <= value <= most:
        fail(f"{option}: {text} is out of range: {show(least)} to {show(most)}", ExitCode.USAGE)
    return value


_OF_THE_ENGINE = {"device", "threads", "memory_limit"}


def shared_options(*, runs_engine: bool) -> list[inspect.Parameter]:
    """Return the options of `RunOptions` as parameters of a function; servers and programs have none of an engine."""
    parameters = inspect.signature(RunOptions, eval_str=True).parameters.values()
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in parameters
        if runs_engine or parameter.name not in _OF_THE_ENGINE
    ]
