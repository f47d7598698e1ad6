"""`inferometer cost`: the cost of stored profiles under a tariff, without measuring again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.cost_offers import DemandText, RequireTexts
from agent.cli.numbers import real, whole
from agent.cli.options import JSON_HELP, fail, option_value
from agent.cli.stored_profiles import NEWEST, SOURCE_HELP, document_named
from agent.runtime.console import ExitCode, print_err, print_json, print_out, terminal_width

if TYPE_CHECKING:
    from agent.cost.tariff import Tariff
    from agent.profiling.costing import CostAnswer
    from agent.profiling.records import Document

_MOST_YEARS = 50


def cost(
    context: typer.Context,
    profiles: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROFILE...", help=f"The profiles, the newest by default: of each, {SOURCE_HELP}"),
    ] = None,
    tariff: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="The prices. [default: those in each profile]"),
    ] = None,
    site: Annotated[
        str | None, typer.Option(metavar="NAME", help="The [[site]] of the tariff whose values count.")
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,...", help="Other values of the tariff, such as pue=1.1,price_per_kwh=0.30."),
    ] = None,
    price_per_hour: Annotated[
        float | None,
        real("The rent of the machine with its energy, in place of its purchase.", 0, metavar="PRICE"),
    ] = None,
    demand: DemandText = None,
    require: RequireTexts = None,
    years: Annotated[
        int | None, whole("Add a table of the payments of N years, with their net present value.", 1, _MOST_YEARS)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Price stored profiles under a tariff.

    Nothing is measured again. The price of a million output tokens (or inferences) is that at the highest sustainable
    rate of the profile, once at full use and once at the utilization of the tariff, each with its 95 % interval and its
    worst case. Then follow the lines of an hour, the prices of input and output tokens, carbon, and the inputs with the
    largest influence. --demand adds the number of machines; offers in the tariff add the comparison with renting. The
    last table has the origin of each value.

    Example: inferometer cost --tariff tariff.toml

    Example: inferometer cost baseline tuned --tariff tariff.toml --what-if pue=1.1,price_per_kwh=0.30

    Example: inferometer cost latest --tariff tariff.toml --demand 40/s --years 5

    Example: inferometer cost latest --tariff tariff.toml --demand day.csv --require on_premises

    Example: inferometer cost ./profile.json --tariff tariff.toml --price-per-hour 2.49 --json
    """
    _check_extra()
    changes = option_value("--what-if", ",".join(what_if or []), _changes)
    _note_sites(tariff, site)
    documents = [_document(context, name) for name in profiles or [NEWEST]]
    answers = []
    for document in documents:
        prices = _prices(document, tariff, site, changes, price_per_hour)
        answers.append(_answer(context, document, prices, demand, require, years))
    if as_json:
        print_json({"costs": answers})
        return
    from agent.render.cost_text import cost_text

    print_out("\n\n".join(cost_text(answer, terminal_width()) for answer in answers))


def _note_sites(file: Path | None, site: str | None) -> None:
    """Name the sites of a tariff of which none was chosen."""
    from agent.cost.tariff_file import check_file

    if file is None or site is not None:
        return
    try:
        sites = check_file(file)
    except ValueError as error:
        fail(str(error), ExitCode.USAGE)
    if sites:
        print_err(f"note: the tariff has the sites {', '.join(sites)}; --site counts the values of one")


def _check_extra() -> None:
    from importlib.util import find_spec

    if find_spec("numpy") is None or find_spec("scipy") is None:
        fail("this command needs NumPy and SciPy: pip install 'inferometer[planning]'", ExitCode.USAGE)


def _document(context: typer.Context, name: str) -> Document:
    import msgspec

    from agent.profiling.records import Document

    try:
        return msgspec.convert(document_named(context, name), Document)
    except ValueError as error:
        fail(f"{name}: not a profile: {error}", ExitCode.USAGE)


def _changes(text: str) -> dict[str, Any]:
    """Return the values of `key=value,...`; a value is one of TOML, or else a text. Raises ValueError."""
    import tomllib

    from agent.cost.tariff_file import check_key
    from agent.runtime.text_input import parser_fault

    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not value:
            raise ValueError(f"{part[:80]!r} is not KEY=VALUE, such as pue=1.1")
        check_key(name)
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = value
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name}: {parser_fault(error)}") from error
    return found


def _prices(
    document: Document, file: Path | None, site: str | None, changes: dict[str, Any], rent: float | None
) -> Tariff:
    """Return the tariff of a profile with all changes; an invalid one ends the command."""
    from agent.cost.limits import TariffError
    from agent.cost.tariff import Tariff
    from agent.cost.tariff_file import load_tariff

    tariff = document.tariff
    try:
        if file is not None:
            tariff = load_tariff(file, site)
        elif site is not None:
            fail("--site: a site is one of a tariff: name it with --tariff FILE.toml", ExitCode.USAGE)
        if tariff is None and not changes and rent is None:
            fail(
                f"profile {document.id} has no prices: give them with --tariff FILE.toml, which `inferometer tariff "
                "init` writes",
                ExitCode.USAGE,
            )
        tariff = tariff or Tariff()
        tariff = tariff if rent is None else tariff.rented(rent)
    except TariffError as error:
        fail(str(error), ExitCode.USAGE)
    try:
        return tariff.with_values(changes)
    except TariffError as error:
        fail(f"--what-if: {error}", ExitCode.USAGE)


def _answer(
    context: typer.Context,
    document: Document,
    tariff: Tariff,
    demand_text: str | None,
    require: list[str] | None,
    years: int | None,
) -> dict[str, Any]:
    """Return the answer for one profile as a document, with that about the offers of the tariff."""
    import msgspec

    from agent.cli.cost_offers import demand_of, offers_answer
    from agent.profiling.costing import cost_answer
    from agent.profiling.offer_inputs import at_prices, mix_of
    from agent.profiling.pricing import NoCostError, sustained_point

    try:
        demand = demand_of(context, demand_text, mix_of(sustained_point(document)[0])) if demand_text else None
        demand = demand and at_prices(demand, tariff)
        found: CostAnswer = cost_answer(document, tariff, demand, years)
    except NoCostError as error:
        fail(str(error))
    except ValueError as error:  # of a demand, a rack or years that are not possible
        fail(f"{document.id}: {error}", ExitCode.USAGE)
    answer: dict[str, Any] = msgspec.to_builtins(found)
    has_offers = bool(tariff.offers)
    if require and not has_offers:
        fail("--require: the tariff has no [[offer]] that could meet it", ExitCode.USAGE)
    answer["offers"] = offers_answer(document, tariff, demand, require, years) if has_offers else None
    return answer
