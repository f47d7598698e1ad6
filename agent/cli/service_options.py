"""The options of `inferometer profile NAME` for workloads whose requests go to a server: service level and search."""

from __future__ import annotations

import inspect
import re
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from agent.cli.options import fail
from agent.render.quantities import share_of
from agent.runtime.console import ExitCode
from agent.workloads.declaration import service_of

if TYPE_CHECKING:
    from agent.profiling.serving_records import ServiceLevel
    from agent.workloads.declaration import Spec

_DEFAULT_ATTAINMENT = 0.99
_SECONDS = {"ms": 0.001, "s": 1.0}
_LIMIT = re.compile(r"(ttft|tpot|e2e)=(\d+(?:\.\d+)?)(ms|s)", re.ASCII)
_LONGEST_SECONDS = 86400.0
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The given options; a field has the name of its option."""

    slo: Annotated[
        str | None,
        typer.Option(
            metavar="LIMITS",
            help="Latency limits of a request, such as ttft=500ms,tpot=50ms,e2e=10s: time to the first token, mean "
            "time of an output token after it, whole request.",
        ),
    ] = None
    attainment: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Share of the requests that must meet --slo, such as 95%; 99% by default."),
    ] = None
    find_max: Annotated[
        bool,
        typer.Option(
            "--find-max",
            help="Search for the highest rate that meets --slo, from --rate or 1 request per second, and profile it.",
        ),
    ] = False
    energy_from: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Service of Inferometer on the host of the server, such as http://node1:19795, which measures the "
            "energy; by default the sensors of this host do.",
        ),
    ] = ""
    energy_credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with user:password for the service of --energy-from, with mode 0600; it is sent by https, or "
            "within this host, only.",
        ),
    ] = None

    def measuring_service(self, spec: Spec) -> str:
        """Return the URL of the service that measures the server's host, empty for this host.

        Ends the command if it is not a URL, or if the server starts on this host.
        """
        from agent.runtime.http_get import HttpError, checked_url

        service = service_of(spec)
        if not self.energy_from:
            return ""
        try:
            checked_url(self.energy_from)
        except HttpError as error:
            fail(f"--energy-from: {error}", ExitCode.USAGE)
        if service and service.started_here:
            fail(
                "--energy-from reads the energy of another host, and --server-command starts the server on this one: "
                "give one of them",
                ExitCode.USAGE,
            )
        return self.energy_from

    def energy_authorization(self) -> str:
        """Return the Authorization header for the service of --energy-from, empty without --energy-credentials.

        Ends the command if the file cannot be used, or if the password would be sent in plain text to another host.
        """
        if self.energy_credentials is None:
            return ""
        from agent.workloads.errors import WorkloadError
        from agent.workloads.load.secret_file import read_secret

        name = f"--energy-credentials {self.energy_credentials.name}"
        parts = urlsplit(self.energy_from)
        if parts.scheme != "https" and parts.hostname not in _OWN_NAMES:
            fail(f"{name}: a password needs --energy-from with https, or with the address 127.0.0.1", ExitCode.USAGE)
        try:
            secret = read_secret(self.energy_credentials, name)
        except WorkloadError as error:
            fail(f"{error}: {error.remedy}", ExitCode.USAGE)
        if not secret.partition(":")[2]:
            fail(f"{name}: this is not user:password", ExitCode.USAGE)
        return f"Basic {b64encode(secret.encode()).decode()}"

    def level(self) -> ServiceLevel | None:
        """Return the service level, None without limits; end the command if an option is invalid."""
        from agent.profiling.serving_records import ServiceLevel

        if self.slo is None:
            for option, given in (("--attainment", self.attainment is not None), ("--find-max", self.find_max)):
                if given:
                    fail(f"{option} needs the limits of a request: give --slo too", ExitCode.USAGE)
            return None
        limits = _limits(self.slo)
        return ServiceLevel(
            _DEFAULT_ATTAINMENT if self.attainment is None else _attainment(self.attainment),
            limits.get("ttft"),
            limits.get("tpot"),
            limits.get("e2e"),
        )


def _limits(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(","):
        match = _LIMIT.fullmatch(part.strip())
        seconds = float(match[2]) * _SECONDS[match[3]] if match else 0.0
        if not match or not 0 < seconds <= _LONGEST_SECONDS or match[1] in found:
            fail(
                f"--slo: {part.strip()[:40]!r} is not a limit; give each of ttft, tpot and e2e once, in ms or s, "
                "such as ttft=500ms,tpot=50ms,e2e=10s",
                ExitCode.USAGE,
            )
        found[match[1]] = seconds
    return found


def _attainment(text: str) -> float:
    try:
        return share_of(text)
    except ValueError as error:
        fail(f"--attainment: {error}", ExitCode.USAGE)


def service_options() -> list[inspect.Parameter]:
    """Return the options of `ServiceOptions` as parameters of a function."""
    parameters = inspect.signature(ServiceOptions, eval_str=True).parameters.values()
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
