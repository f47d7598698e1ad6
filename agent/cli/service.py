"""`inferometer service`: installs the systemd service, shows its state and removes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import JSON_HELP, fail
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.install.drop_ins import FamilyFiles
    from agent.install.files import Change

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run Inferometer as a systemd service.")

_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
_Root = Annotated[
    str, typer.Option("--root", metavar="DIR", help="Change only files below DIR, for example of an image.")
]


@app.command()
def install(
    root: _Root = "",
    no_start: Annotated[bool, typer.Option("--no-start", help="Enable the service without starting it.")] = False,
    enable: Annotated[
        list[str] | None,
        typer.Option(
            "--enable",
            metavar="FAMILY",
            help="Open the unit for a family of sensors, and no further; may be repeated. `none` closes it for all "
            "that were opened before.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be written for the families, and change nothing.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Install and start the service.

    The command writes the unit, its files and a first configuration, then enables and starts the service. An existing
    configuration is not overwritten. After an upgrade of Inferometer, install again: the service restarts. Nothing is
    written if the service cannot run from this Python environment, with or without --root.

    The unit lets the service read what needs no permission. --enable adds, in a file of its own, what one family needs:
    the addresses of its configured meters, a device, a capability. Families stay enabled through later installations.
    `inferometer devices --families` lists those that need it.

    Example: sudo /opt/inferometer/bin/inferometer service install

    Example: inferometer service install --enable redfish --enable ipmi --dry-run

    Example: inferometer service install --root /srv/image
    """
    from pathlib import Path

    from agent.install import drop_ins
    from agent.install import python_env as environment
    from agent.install import systemd as service

    if not root and not dry_run:
        _need_root("install")
    below, program = Path(root or "/"), environment.service_program()
    try:
        families, notes = drop_ins.files_for(below, below / service.CONFIG, enable or ())
    except drop_ins.FamilyError as error:
        fail(f"--enable: {error}")
    if dry_run:
        _show(below, families, notes, as_json=as_json)
        return
    if problems := (environment.problems(environment.needed_paths()) or environment.image_problems(below, program)):
        remedy = environment.remedy(service.files_folder().parent)
        reasons = "\n  ".join(problems)
        fail(
            f"the service cannot run from this environment:\n  {reasons}\n"
            f"These commands make a suitable environment{', in the image' if root else ''}:\n  {remedy}"
        )
    if not root and not service.systemd_runs():
        fail("systemd does not run on this machine; `inferometer service install --root /` only writes the files")
    try:
        changes = service.write_files(below, program, families)
        warnings = [*notes, *(() if root else service.activate(start=not no_start, families=families))]
    except (service.ServiceError, OSError, ValueError) as error:
        fail(f"{error}\nThe files already written remain. Correct this, then install again.")
    _report(changes, warnings, as_json=as_json)


@app.command()
def uninstall(
    root: _Root = "",
    purge: Annotated[bool, typer.Option("--purge", help="Also remove the configuration and the database.")] = False,
    as_json: _Json = False,
) -> None:
    """Stop and remove the service.

    The command can be repeated. The configuration and the database stay unless --purge is given. The user inferometer
    always stays.

    Example: sudo /opt/inferometer/bin/inferometer service uninstall

    Example: sudo /opt/inferometer/bin/inferometer service uninstall --purge
    """
    from pathlib import Path

    from agent.install import systemd as service

    if not root:
        _need_root("uninstall")
    live = not root and service.systemd_runs()
    failures = [service.deactivate()] if live and service.is_installed(Path("/")) else []
    try:
        if not root:
            service.close_counters(Path("/sys"))
        changes = service.remove_files(Path(root or "/"), purge=purge)
    except OSError as error:
        fail(f"{error}\nCorrect this, then uninstall again.")
    failures += [service.reload_units()] if live else []
    _report(changes, [failure for failure in failures if failure], as_json=as_json)
    raise typer.Exit(ExitCode.FAILURE if any(failures) else ExitCode.OK)


@app.command()
def status(
    root: _Root = "",
    as_json: _Json = False,
) -> None:
    """Show the state of the service.

    The state is that of its files, of the unit and of the daemon. The exit code is that of LSB and systemctl: 0 if the
    service runs, 3 if it does not, 4 if it is not installed. With --root only the files are checked.

    Example: inferometer service status

    Example: inferometer service status --json
    """
    import dataclasses
    from pathlib import Path

    from agent.install import python_env as environment
    from agent.install import systemd as service
    from agent.render.service_text import state_text

    run = service.run_command if not root and service.systemd_runs() else None
    health = None if root else service.ask_health(service.listen_address(Path("/", service.CONFIG)))
    state = service.service_state(Path(root or "/"), environment.service_program(), run=run, health=health)
    if as_json:
        print_json(dataclasses.asdict(state))
    else:
        print_out(state_text(state))
    raise typer.Exit(0 if state.running else ExitCode.NOT_RUNNING if state.installed else ExitCode.NOT_INSTALLED)


def _show(root: Path, families: Sequence[FamilyFiles], notes: Sequence[str], *, as_json: bool) -> None:
    """Print the files of families, and the notes."""
    from agent.render.service_text import files_text

    files = [(str(root / place), text) for each in families for place, text in each.files]
    if as_json:
        print_json({"files": [{"path": path, "text": text} for path, text in files], "warnings": list(notes)})
        return
    if files:
        print_out(files_text(files))
    else:
        print_err("no family is enabled, so the unit stays as closed as it is")
    for note in notes:
        print_err(f"warning: {note}")


def _report(changes: Sequence[Change], warnings: Sequence[str], *, as_json: bool) -> None:
    import dataclasses

    from agent.render.service_text import changes_text

    if as_json:
        print_json({"changes": [dataclasses.asdict(change) for change in changes], "warnings": list(warnings)})
        return
    if changes:
        print_out(changes_text(changes))
    else:
        print_err("nothing is installed, so nothing was removed")
    for sentence in warnings:
        print_err(f"warning: {sentence}")


def _need_root(command: str) -> None:
    import os

    from agent.install import python_env as environment

    if os.geteuid() != 0:
        fail(f"this needs root: sudo {environment.program()} service {command}")
