"""The declaration of the workload that loads an OpenAI-compatible server: its parameters and its phase."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  the declaration resolves the annotations
from typing import ClassVar, Literal

from agent.workloads.declaration import Engine, Workload
from agent.workloads.endpoint.lengths import parse_length_list, parse_lengths
from agent.workloads.load.spec import LoadSpec
from agent.workloads.load.target import parse_url
from agent.workloads.parameter import parameter

Api = Literal["chat", "completions", "embeddings"]


@dataclass(frozen=True, slots=True)
class EndpointSpec(LoadSpec):
    """A load of text requests. `model` is empty for the only model of the server."""

    model: str = parameter("", help="Model to request; by default the only one that the server lists.", metavar="NAME")
    api: Api = parameter("chat", help="Kind of request: /v1/chat/completions, /v1/completions or /v1/embeddings.")
    stream: bool = parameter(
        True,
        help="Stream the tokens; without streaming, token times are not measured.",
    )
    prompt_tokens: int | str = parameter(
        256,
        help="Tokens of a prompt: a number, a list, lognormal:MEDIAN,SIGMA or uniform:MIN,MAX.",
        metavar="N,N,...",
        sweep=(256,),
        values=parse_length_list,
    )
    output_tokens: int | str = parameter(
        64,
        help="Tokens of an output, given like --prompt-tokens; with --prompts, the maximum.",
        metavar="N,N,...",
        sweep=(64,),
        values=parse_length_list,
    )
    shared_prefix: float = parameter(
        0.0, help="Share of a prompt that all prompts have in common.", metavar="SHARE", least=0.0, most=1.0
    )
    prompts: Path | None = parameter(
        None,
        help="File of prompts, one JSON value per line: a text, a list of messages, or a conversation.",
        metavar="FILE.jsonl",
        replaces="prompt_tokens",
    )
    tokenizer: Path | None = parameter(
        None,
        help="Tokenizer that counts tokens if the server reports no usage.",
        metavar="tokenizer.json",
        private=True,
    )
    api_key_file: Path | None = parameter(
        None,
        help="File with the API key, readable by its owner only; by default the variable OPENAI_API_KEY.",
        metavar="FILE",
        private=True,
    )

    workload: ClassVar[str] = "endpoint"

    def __post_init__(self) -> None:
        LoadSpec.__post_init__(self)  # super() has no class in a dataclass with slots
        path = parse_url(self.url).path
        if "?" in path:
            raise ValueError(f"--url is {self.url!r}: leave out the part after the question mark")
        for end in ("/chat/completions", "/completions", "/embeddings", "/models"):
            if path.endswith(end):
                raise ValueError(f"--url is {self.url!r}: leave out {end}; --api chooses the kind of requests")
        for option, value in (("--prompt-tokens", self.prompt_tokens), ("--output-tokens", self.output_tokens)):
            try:
                parse_lengths(value)
            except ValueError as error:
                raise ValueError(f"{option}: {error}") from error

    @property
    def streams(self) -> bool:
        """Whether responses are streams of events."""
        return self.stream and self.api != "embeddings"


WORKLOAD = Workload(
    spec=EndpointSpec,
    implementation="agent.workloads.endpoint.workload",
    help="""Profile an OpenAI-compatible server that is running.

    vLLM, SGLang, llama.cpp, Ollama, TGI and others are such servers. The command sends requests from a process of its
    own and measures time to first token, time between tokens, rates, and the energy of the host per request and token.
    Run it on the host of the server, or name the Inferometer service of that host with --energy-from.

    --concurrency is a closed loop: its results do not include queueing, since clients wait for the server. --rate is an
    open loop, with latencies from the intended time of each request. --concurrency, --rate, --prompt-tokens and
    --output-tokens take lists; several lists sweep all combinations.

    Token counts are those that the server reports. Prompts are synthetic and unique unless --prompts or --shared-prefix
    is given. Prompts and outputs are neither stored nor logged.

    Example: inferometer profile endpoint --url http://127.0.0.1:8000

    Example: inferometer profile endpoint --url http://127.0.0.1:8000 --rate 0.5,1,2 --prompt-tokens lognormal:512,0.6

    Example: inferometer profile endpoint --url http://node1:8000 --energy-from http://node1:19795

    Example: inferometer profile endpoint --url http://127.0.0.1:8000 --for llm-d-planner --rate 1,2,4

    Example: inferometer profile endpoint --url http://127.0.0.1:8080 --server-command 'llama-server -m model.gguf'
    """,
    engines=(Engine("httptools", ("httptools",), remedy="pip install 'inferometer[endpoint]'"),),
)
