"""`inferometer profile`: the main job, from a workload to a stored profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import JSON_HELP, ExitCode, answer, configuration, fail, say
from agent.workloads.spec import Positions, Precision, Provider

if TYPE_CHECKING:
    from agent.cost.tariff import Tariff
    from agent.profiling.session import Effort
    from agent.workloads.spec import EngineSpec, Spec

app = typer.Typer(
    no_args_is_help=True,
    help="Measure what an inference costs on this host, and keep the profile.",
    rich_markup_mode=None,
)

_Batch = Annotated[str, typer.Option(metavar="N,N,...", help="Batch sizes to sweep.")]
_Quick = Annotated[bool, typer.Option("--quick", help="About two minutes, wide intervals. This is the default.")]
_Standard = Annotated[bool, typer.Option("--standard", help="Windows of 10 s, five repeats.")]
_Rigorous = Annotated[bool, typer.Option("--rigorous", help="Windows of 60 s, five repeats.")]
_Provider = Annotated[Provider, typer.Option(help="What the engine runs on.")]
_Threads = Annotated[int, typer.Option(min=0, help="Threads of the engine; 0 lets it choose.")]
_Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
_TariffFile = Annotated[
    Path | None, typer.Option("--tariff", metavar="FILE.toml", help="Tariff file; see docs/cost.md.")
]
_Price = Annotated[float | None, typer.Option("--price-per-kwh", help="Price of a kilowatt-hour.")]
_Currency = Annotated[str | None, typer.Option(help="Currency of all prices, such as EUR.")]
_Capital = Annotated[float | None, typer.Option(help="Acquisition cost of this host.")]
_Life = Annotated[float | None, typer.Option("--life-years", help="Years until it is written off.")]
_Pue = Annotated[float | None, typer.Option(help="Facility energy over machine energy.")]
_Utilization = Annotated[float | None, typer.Option(help="Share of the measured rate that is asked for, above 0 to 1.")]


@app.command()
def transformer(
    context: typer.Context,
    *,
    layers: Annotated[int, typer.Option(help="Decoder layers.")] = 4,
    width: Annotated[int, typer.Option(help="Width of the model.")] = 256,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 4,
    vocabulary: Annotated[int, typer.Option(help="Size of the vocabulary.")] = 8192,
    mlp_ratio: Annotated[float, typer.Option(help="Width of the feed-forward over the width.")] = 3.5,
    prompt_tokens: Annotated[int, typer.Option(help="Tokens read at once.")] = 64,
    output_tokens: Annotated[int, typer.Option(help="Tokens written one by one.")] = 32,
    positions: Annotated[Positions, typer.Option(help="How positions are told apart.")] = "rope",
    precision: Annotated[Precision, typer.Option(help="Precision of the weights.")] = "fp32",
    batch: _Batch = "1,2,4,8",
    quick: _Quick = False,
    standard: _Standard = False,
    rigorous: _Rigorous = False,
    provider: _Provider = "auto",
    threads: _Threads = 0,
    seed: _Seed = 0,
    tariff: _TariffFile = None,
    price_per_kwh: _Price = None,
    currency: _Currency = None,
    capital: _Capital = None,
    life_years: _Life = None,
    pue: _Pue = None,
    utilization: _Utilization = None,
    as_json: _Json = False,
) -> None:
    """Profile a decoder-only transformer with random weights: prefill and decode, over a sweep of batch sizes.

    Time and energy depend on shapes and precision, not on what the weights are, so the model is built here from a
    seed and nothing is downloaded.

    Example: inferometer profile transformer

    Example: inferometer profile transformer --layers 12 --width 768 --heads 12 --batch 1,8 --standard
    --price-per-kwh 0.21 --currency EUR --capital 9000 --utilization 0.4
    """
    from agent.workloads.spec import EngineSpec, TransformerSpec

    try:
        spec = TransformerSpec(
            layers,
            width,
            heads,
            vocabulary,
            mlp_ratio,
            prompt_tokens,
            output_tokens,
            positions,
            precision,
            seed,
        )
        engine = EngineSpec(provider, threads)
    except ValueError as error:
        fail(str(error), ExitCode.USAGE)
    prices = _tariff(tariff, price_per_kwh, currency, capital, life_years, pue, utilization)
    _profile(context, spec, engine, _batches(batch), _effort(quick, standard, rigorous), prices, as_json=as_json)


@app.command()
def onnx(
    context: typer.Context,
    *,
    model: Annotated[Path, typer.Option(help="The model file.")],
    shape: Annotated[
        list[str] | None, typer.Option(metavar="NAME=1x3x224x224", help="Shape of an input the model leaves open.")
    ] = None,
    batch: _Batch = "1",
    quick: _Quick = False,
    standard: _Standard = False,
    rigorous: _Rigorous = False,
    provider: _Provider = "auto",
    threads: _Threads = 0,
    seed: _Seed = 0,
    tariff: _TariffFile = None,
    price_per_kwh: _Price = None,
    currency: _Currency = None,
    capital: _Capital = None,
    life_years: _Life = None,
    pue: _Pue = None,
    utilization: _Utilization = None,
    as_json: _Json = False,
) -> None:
    """Profile any ONNX model; inputs are made from its declared shapes, and one inference is one run of the graph.

    Where only the first dimension of every input is open, it is the batch, and --batch sweeps it.

    Example: inferometer profile onnx --model resnet50.onnx --shape data=1x3x224x224
    """
    from agent.workloads.spec import EngineSpec, OnnxSpec, parse_shapes

    try:
        spec = OnnxSpec(model.absolute(), parse_shapes(shape or []), seed)
        engine = EngineSpec(provider, threads)
    except ValueError as error:
        fail(str(error), ExitCode.USAGE)
    prices = _tariff(tariff, price_per_kwh, currency, capital, life_years, pue, utilization)
    _profile(context, spec, engine, _batches(batch), _effort(quick, standard, rigorous), prices, as_json=as_json)


def _batches(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        fail(f"--batch {text}: give whole numbers of at least 1, such as 1,2,4,8", ExitCode.USAGE)
    return sizes


def _effort(quick: bool, standard: bool, rigorous: bool) -> Effort:
    from agent.profiling.session import EFFORTS

    if quick + standard + rigorous > 1:
        fail("give one of --quick, --standard and --rigorous", ExitCode.USAGE)
    return EFFORTS["rigorous" if rigorous else "standard" if standard else "quick"]


def _tariff(
    path: Path | None,
    price_per_kwh: float | None,
    currency: str | None,
    capital: float | None,
    life_years: float | None,
    pue: float | None,
    utilization: float | None,
) -> Tariff | None:
    from agent.cost.tariff import Tariff, TariffError, load_tariff

    options = (price_per_kwh, currency, capital, life_years, pue, utilization)
    if path is None and all(option is None for option in options):
        return None
    try:
        return (load_tariff(path) if path else Tariff()).with_options(
            price_per_kwh=price_per_kwh,
            currency=currency,
            capital=capital,
            life_years=life_years,
            pue=pue,
            utilization=utilization,
        )
    except TariffError as error:
        fail(str(error), ExitCode.USAGE)


def _profile(
    context: typer.Context,
    spec: Spec,
    engine: EngineSpec,
    batches: tuple[int, ...],
    effort: Effort,
    tariff: Tariff | None,
    *,
    as_json: bool,
) -> None:
    from agent.cli.progress import progress
    from agent.cli.report import show_profile
    from agent.profiling.main_job import Job, run
    from agent.workloads.errors import WorkloadError
    from store.errors import StoreError

    config = configuration(context)
    job = Job(spec, engine, batches, effort, tariff)
    try:
        with progress() as shown:
            outcome = run(job, config, shown)
    except (WorkloadError, StoreError) as error:
        remedy = getattr(error, "remedy", "")
        fail(f"{error}" if isinstance(error, StoreError) or not remedy else f"{error}. Remedy: {remedy}")
    if outcome.document is None:
        say("interrupted: no repeat was complete yet, so there is no profile")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if as_json:
        answer(outcome.text)
    else:
        show_profile(outcome.document)
        answer(f"\nProfile {outcome.document['id']} is stored in {outcome.database}")
        answer(f"Again: inferometer profiles show {outcome.document['id']}")
    if outcome.interrupted:
        say("interrupted: the workload was stopped; what was complete until then is kept in this profile")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not any(point["valid"] for point in outcome.document["points"]):
        say("error: no point met the expectations, so there are no energy figures; their reasons are in the profile")
        raise typer.Exit(ExitCode.FAILURE)
