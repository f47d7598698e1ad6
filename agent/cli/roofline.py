"""`inferometer roofline`: the measured ceiling of this host, and the profiles below it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP, check_output_path, fail, writing
from agent.cli.stored_profiles import SOURCE_HELP, document_named, stored_profiles
from agent.runtime.console import ExitCode, print_err, print_json, print_out, terminal_width

if TYPE_CHECKING:
    from agent.profiling.roofline import Roofline

_SUFFIXES = (".svg", ".png")
_HELP = f"Profiles whose phases are placed below the ceiling, each by {SOURCE_HELP}"


def roofline(
    context: typer.Context,
    profile_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID|FILE]...", help=_HELP)] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="Device, such as cpu or cuda:0, as the profiles name it.")
    ] = "cpu",
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Also draw it; the name of the image ends in .svg or .png."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Show the measured ceiling of this host: its highest rates of operations and of memory.

    The rates are those of the newest stored profiles of `gemm` and `stream` on the device, one of each engine. A plot
    needs the extra `report`.

    Example: inferometer profile gemm --dtype fp32,fp64 && inferometer profile stream && inferometer roofline

    Example: inferometer roofline latest --plot roofline.svg
    """
    if plot is not None:
        if plot.suffix not in _SUFFIXES:
            fail(f"{plot}: the name of the image must end in .svg or .png", ExitCode.USAGE)
        check_output_path(plot, "--plot")
    found = _roofline(context, device, profile_ids or [])
    if plot is not None:
        _draw(found, plot)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(found))
    else:
        from agent.render.roofline_text import roofline_text

        print_out(roofline_text(found, terminal_width()))


def _roofline(context: typer.Context, device: str, profile_ids: list[str]) -> Roofline:
    from agent.host.inventory import host_id
    from agent.profiling.ceiling import GEMM, STREAM
    from agent.profiling.roofline import devices, roofline

    placed = [document_named(context, name) for name in profile_ids]
    stored = [_parsed(each.document) for each in stored_profiles(context) if each.workload in {GEMM, STREAM}]
    host = host_id()
    found = roofline(stored, host, device.lower(), placed)
    if not found.ceilings:
        others = [each for each in devices(stored, host) if each != device]
        hint = f"; the stored profiles are of {', '.join(others)}: choose with --device" if others else ""
        fail(f"no ceiling of {device} is stored: run `inferometer profile gemm` and `inferometer profile stream`{hint}")
    return found


def _parsed(text: str) -> dict[str, Any]:
    from agent.profiling.document.versions import ProfileError, parse

    try:
        return parse(text)
    except ProfileError as error:
        fail(f"a stored profile cannot be read: {error}")


def _draw(found: Roofline, path: Path) -> None:
    from agent.cli.report import check_extra

    check_extra()
    from agent.report.roofline import roofline_chart
    from agent.report.static_image import image

    drawn = image(roofline_chart(found), "svg" if path.suffix == ".svg" else "png")
    with writing(path, "--plot") as stream:
        stream.write(drawn)
    print_err(f"roofline written to {path.absolute()}")
