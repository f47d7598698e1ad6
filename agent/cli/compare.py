"""`inferometer compare`: setups side by side, and the cheapest mix of their machines for a demand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agent.cli.fleet_views import (
    Fleet,
    FleetOptions,
    GroupBy,
    LeftOut,
    PasswordFile,
    Since,
    Where,
    fleet_view_of,
    refuse_with_fleet,
)
from agent.cli.numbers import choice
from agent.cli.options import JSON_HELP, fail, option_value
from agent.cli.service_options import ServiceOptions
from agent.cli.stored_profiles import SOURCE_HELP, document_named
from agent.comparison.setups import Grouping
from agent.runtime.console import ExitCode, print_json, print_out, terminal_width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.comparison.fleet_records import FleetView
    from agent.comparison.matching import IncomparableError
    from agent.comparison.records import Comparison
    from agent.comparison.setups import Setup
    from agent.cost.tariff import Tariff
    from agent.profiling.records import Document

_MAX_RESULT_BYTES = 64 << 20
"""A result of lm-evaluation-harness has the configuration of each task, thousands in a large suite."""


def compare(
    context: typer.Context,
    profiles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROFILE...",
            help=f"Two or more profiles, or groups of them joined by commas (a,b,c): of each profile, {SOURCE_HELP} "
            "With --fleet, the place of its profiles.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        Grouping | None,
        choice(
            Grouping,
            "Profiles that form one group. [default: those of one setup; if all have one, those of one day; else each]",
        ),
    ] = None,
    tariff: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.toml", help="Prices in place of those in the profiles: for all groups, or once for each."
        ),
    ] = None,
    accuracy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RESULTS.json", help="Results of lm-evaluation-harness, once for each group, in their order."
        ),
    ] = None,
    accuracy_energy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MEASURE.json", help="Output of `inferometer measure --json -- lm_eval ...` for each --accuracy."
        ),
    ] = None,
    demand: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Print the cheapest mix of machines for this demand instead, such as 40/s."),
    ] = None,
    slo: Annotated[
        str | None,
        typer.Option(
            metavar="LIMITS", help="Latency limits that a machine of the mix must meet, such as ttft=500ms,tpot=50ms."
        ),
    ] = None,
    attainment: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Share of the requests that must meet --slo, such as 95%; 99% by default."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare profiles that are not comparable; the result states the reasons.")
    ] = False,
    fleet: Fleet = False,
    group_by: GroupBy = None,
    since: Since = None,
    where: Where = None,
    password_file: PasswordFile = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Compare profiles: devices, engines, precisions or dates side by side.

    Profiles of one setup are its independent runs. With three or more on each side a difference is tested, and stated
    with its 95 % interval: "B is 1.8x ± 0.1 cheaper". With fewer it holds within these runs only. Points are matched by
    their parameters. Another boundary or source of the energy, other work, and prompts or outputs that differ by more
    than 5 % are refused. docs/comparing.md explains the rules.

    With --fleet the machines of a fleet are compared: their costs by hardware, engine, site and month, machines that
    need 10 % more or less energy than their siblings, and machines whose energy changed. PROFILE is then a URL of
    PostgreSQL or a directory of bundles, by default the store. A file that is no bundle is left out, and the exit code
    is 1. docs/fleet-views.md explains the tests.

    Example: inferometer compare fp32-1 fp32-2 fp32-3 int8-1 int8-2 int8-3 --tariff tariff.toml

    Example: inferometer compare monday friday --by profile

    Example: inferometer compare plain-1,plain-2,plain-3 tuned-1,tuned-2,tuned-3

    Example: inferometer compare small large --tariff small.toml --tariff large.toml --demand 40/s --slo ttft=500ms

    Example: inferometer compare fp32 int8 --accuracy fp32-results.json --accuracy int8-results.json

    Example: inferometer compare --fleet postgresql://reader@db.example.org/fleet --since 90d --where site=ams1
    """
    options = FleetOptions(group_by, since, where, password_file)
    if fleet:
        others: dict[str, object] = {
            "--by": by,
            "--tariff": tariff,
            "--accuracy": accuracy,
            "--accuracy-energy": accuracy_energy,
        }
        others |= {"--demand": demand, "--slo": slo, "--attainment": attainment, "--force": force}
        refuse_with_fleet(others)
        left_out = LeftOut()
        _print_fleet(fleet_view_of(context, profiles or [], options, left_out), as_json=as_json)
        left_out.end()
        return
    options.refuse_without_fleet()
    if not profiles:
        fail("name two or more profiles, or give --fleet; `inferometer profiles list` lists them", ExitCode.USAGE)
    if demand is None and (slo is not None or attainment is not None):
        fail("--slo and --attainment are limits of a mix: give --demand too", ExitCode.USAGE)
    setups = _priced(_setups(context, profiles, by), [_tariff(path) for path in tariff or []])
    if demand is not None:
        _print_mix(setups, demand, ServiceOptions(slo=slo, attainment=attainment), force=force, as_json=as_json)
        return
    found = _compared(setups, accuracy or [], accuracy_energy or [], force=force)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(found))
    else:
        from agent.render.comparison_text import comparison_text

        print_out(comparison_text(found, terminal_width()))


def _print_fleet(view: FleetView, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(view))
    else:
        from agent.render.fleet_view_text import fleet_view_text

        print_out(fleet_view_text(view, terminal_width()))


def _setups(context: typer.Context, names: Sequence[str], by: Grouping | None) -> tuple[Setup, ...]:
    """Return the groups that the names form, or else those by setup, date or profile."""
    from agent.comparison.setups import SetupError, group, named

    groups = [_read(context, name.split(",")) for name in names]
    explicit = any(len(members) > 1 for members in groups)
    if explicit and by is not None:
        fail("--by forms groups, and the commas between profiles do too: give one of them", ExitCode.USAGE)
    try:
        return named(groups) if explicit else group([members[0] for members in groups], by)
    except SetupError as error:
        fail(str(error), ExitCode.USAGE)


def _read(context: typer.Context, names: Sequence[str]) -> list[Document]:
    import msgspec

    from agent.profiling.records import Document

    documents = []
    for name in names:
        try:
            documents.append(msgspec.convert(document_named(context, name), Document))
        except ValueError as error:
            fail(f"{name}: {error}")
    return documents


def _tariff(path: Path) -> Tariff:
    from agent.cost.limits import TariffError
    from agent.cost.tariff_file import load_tariff

    try:
        return load_tariff(path)
    except TariffError as error:
        fail(str(error), ExitCode.USAGE)


def _priced(setups: tuple[Setup, ...], tariffs: Sequence[Tariff]) -> tuple[Setup, ...]:
    """Return the setups with the costs of these tariffs: one for all, or one for each; without any with their own."""
    from dataclasses import replace

    from agent.profiling.pricing import price_document

    if not tariffs:
        return setups
    if len(tariffs) not in {1, len(setups)}:
        labels = ", ".join(f"{each.label}: {each.name}" for each in setups)
        fail(f"--tariff: give one for all groups, or one for each of the {len(setups)} ({labels})", ExitCode.USAGE)
    each = list(tariffs) * (len(setups) if len(tariffs) == 1 else 1)
    return tuple(
        replace(setup, documents=tuple(price_document(document, prices) for document in setup.documents))
        for setup, prices in zip(setups, each, strict=True)
    )


def _compared(
    setups: tuple[Setup, ...], accuracy: Sequence[Path], energies: Sequence[Path], *, force: bool
) -> Comparison:
    import msgspec

    from agent.comparison.accuracy import quality
    from agent.comparison.compare import compare as compared
    from agent.comparison.lm_eval import read_evaluation, read_measurement
    from agent.comparison.matching import IncomparableError, NoSharedLoadError

    if accuracy and len(accuracy) != len(setups):
        fail(f"--accuracy: give one for each of the {len(setups)} groups, in their order", ExitCode.USAGE)
    if energies and len(energies) != len(accuracy):
        fail("--accuracy-energy: give one for each --accuracy, in their order", ExitCode.USAGE)
    evaluations = [_file(path, read_evaluation) for path in accuracy]
    measured = [_file(path, read_measurement) for path in energies]
    try:
        found = compared(setups, force=force)
    except NoSharedLoadError as error:
        fail(f"these profiles cannot be compared: {error}", ExitCode.USAGE)
    except IncomparableError as error:
        _refuse(error)
    if not evaluations:
        return found
    qualities, notes = quality(setups, evaluations, measured)
    return msgspec.structs.replace(found, quality=qualities, notes=(*found.notes, *notes))


def _file(path: Path, read: Callable[[str], Any]) -> Any:
    """Return the content of a file that another tool wrote; end the command if it is not one."""
    from agent.runtime.text_input import named, read_text

    try:
        return read(read_text(path, _MAX_RESULT_BYTES))
    except ValueError as error:
        fail(f"{named(path)}: {error}", ExitCode.USAGE)


def _refuse(error: IncomparableError) -> NoReturn:
    lines = ["these profiles are not comparable; --force compares them and marks the result:"]
    fail("\n".join([*lines, *(f"  - {reason}" for reason in error.reasons)]), ExitCode.USAGE)


def _print_mix(setups: tuple[Setup, ...], demand: str, service: ServiceOptions, *, force: bool, as_json: bool) -> None:
    from agent.comparison.matching import IncomparableError
    from agent.comparison.mix import MixError, mix_of
    from agent.cost.demand import parse_rate

    rate = option_value("--demand", demand, parse_rate).peak
    level = service.level()
    try:
        found = mix_of(setups, rate, level, force=force)
    except ModuleNotFoundError as error:
        fail(f"a mix needs {error.name}: pip install 'inferometer[planning]'", ExitCode.USAGE)
    except IncomparableError as error:
        _refuse(error)
    except MixError as error:
        fail(f"there is no mix: {error}")
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(found))
    else:
        from agent.render.mix_text import mix_text

        print_out(mix_text(found, terminal_width()))
