"""The declaration of the workload that repeats one HTTP request: its parameters and its phase."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  the declaration resolves the annotations
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - same
from typing import ClassVar, Literal

from agent.workloads.declaration import Engine, Workload
from agent.workloads.http.headers import parse_headers
from agent.workloads.load.spec import LoadSpec
from agent.workloads.parameter import parameter

_MOST_INFERENCES = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpSpec(LoadSpec):
    """A load of equal requests. `headers` are by name; a value `@PATH` is in a file."""

    body: Path | None = parameter(None, help="File with the body of each request.", metavar="FILE")
    method: Literal["POST", "GET", "PUT"] = parameter("POST", help="Method of the requests.")
    headers: Mapping[str, str] = parameter(
        help="Header of the requests; a secret one from a file, as 'Authorization: @FILE'.",
        option="--header",
        metavar="'NAME: VALUE'",
        parse=parse_headers,
        private=True,
    )
    expect_status: int = parameter(
        200, help="Status of a successful response; every other one is an error.", least=200, most=599
    )
    inferences_per_request: int = parameter(
        1, help="Inferences in a request, such as the batch in its body.", least=1, most=_MOST_INFERENCES
    )

    workload: ClassVar[str] = "http"


WORKLOAD = Workload(
    spec=HttpSpec,
    implementation="agent.workloads.http.workload",
    help="""Profile any HTTP inference service.

    KServe, Triton and OpenVINO Model Server are examples. The command repeats one request from a process of its own,
    and measures rate, latency and the energy of the host per inference. Run it on the host of the service, or name the
    Inferometer service of that host with --energy-from.

    --concurrency is a closed loop: its results do not include queueing, since clients wait for the server. --rate is an
    open loop, with latencies from the intended time of each request.

    Example: inferometer profile http --url http://127.0.0.1:8000/v2/models/resnet/infer --body request.json

    Example: inferometer profile http --url http://127.0.0.1:8000/score --body request.json --rate 50,100

    Example: inferometer profile http --url https://host/score --body batch.bin --header 'Authorization: @key'
    """,
    engines=(Engine("httptools", ("httptools",), remedy="pip install 'inferometer[endpoint]'"),),
)
