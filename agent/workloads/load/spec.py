"""The parameters that all loads on a server share."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  the declaration resolves the annotations
from typing import TYPE_CHECKING, Literal

from agent.runtime.numbers import shortened
from agent.workloads.declaration import Service
from agent.workloads.load.target import origin, parse_url
from agent.workloads.parameter import check_parameters, parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.workloads.load_records import Arrivals

_MOST_CLIENTS = 4096
_MOST_RATE = 100_000.0
_LONGEST_SECONDS = 86400.0
_MOST_CPUS = 4096


def parse_rates(text: str) -> Sequence[float]:
    """Return the rates in a comma-separated list. Raises ValueError."""
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0 < rate <= _MOST_RATE for rate in rates):
        wanted = f"a list of numbers above 0 and up to {_MOST_RATE:g}, such as 0.5,1,2"
        raise ValueError(f"{shortened(text)!r} is not {wanted}")
    return rates


def parse_cpus(text: str) -> frozenset[int]:
    """Return the CPUs in a list such as `0-2,5`. Raises ValueError that names the option."""
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)) or len(part) > len("4095-4095"):
            raise ValueError(_not_cpus(text))
        cpus.update(range(int(first), int(last or first) + 1))
    if not cpus or max(cpus) >= _MOST_CPUS:
        raise ValueError(_not_cpus(text))
    return frozenset(cpus)


def _not_cpus(text: str) -> str:
    return f"--client-cpus: {shortened(text)!r} is not a list of CPUs, such as 0 or 0-2,5"


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """A load on a server: a closed loop of clients, or requests at a rate.

    `rate` is 0 for a closed loop. `server_command` is empty if somebody else runs the server.
    """

    url: str = parameter(help="URL of the server, such as http://127.0.0.1:8000.", metavar="URL", shown=origin)
    concurrency: int = parameter(
        1,
        help="Clients, each of which sends its next request after the last answer (closed loop).",
        least=1,
        most=_MOST_CLIENTS,
        sweep=(1, 2, 4, 8),
        in_every_point=True,
    )
    rate: float = parameter(
        0.0,
        help="Requests per second, sent whether earlier ones were answered or not (open loop), instead of clients.",
        metavar="R,R,...",
        least=0.0,
        most=_MOST_RATE,
        values=parse_rates,
        in_every_point=True,
        replaces="concurrency",
    )
    arrivals: Literal["poisson", "constant"] = parameter(
        "poisson", help="Times between the requests of an open loop: random, or all equal."
    )
    seed: int = parameter(0, help="Seed of the arrivals and of the lengths.", least=0)
    request_timeout: float = parameter(
        120.0,
        help="Seconds after which a request counts as failed.",
        metavar="SECONDS",
        least=0.1,
        most=_LONGEST_SECONDS,
    )
    ca_file: Path | None = parameter(
        None,
        help="Certificates that verify the server, instead of those of this host.",
        metavar="FILE.pem",
        private=True,
    )
    client_cpus: str = parameter("", help="CPUs that the client may use, such as 0 or 0-2,5.", metavar="CPUS")
    server_command: str = parameter(
        "",
        help="Command that starts the server, without a shell; it is started and ended by this run.",
        metavar="COMMAND",
        private=True,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        parse_url(self.url)
        if self.client_cpus:
            parse_cpus(self.client_cpus)
        self.command()

    @property
    def label(self) -> str:
        """The server in a message."""
        return f"the server {origin(self.url)}"

    @property
    def phases(self) -> tuple[str, ...]:
        """The one phase of a load."""
        return ("serving",)

    @property
    def service(self) -> Service:
        """The server that gets the requests."""
        return Service(self.url, bool(self.server_command))

    @property
    def loop(self) -> Arrivals:
        """The kind of the loop."""
        return self.arrivals if self.rate else "closed"

    def command(self) -> tuple[str, ...]:
        """Return the arguments of the server's command, none without one. Raises ValueError."""
        try:
            return tuple(shlex.split(self.server_command))
        except ValueError as error:
            raise ValueError(f"--server-command: {error}; close every quotation mark") from error
