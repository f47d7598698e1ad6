"""Puts a load on an OpenAI-compatible server: finds out what it accepts, then measures windows of requests."""

from __future__ import annotations

import os
import time
from itertools import cycle
from typing import TYPE_CHECKING

import msgspec

from agent.runtime.console import printable_line
from agent.workloads.axes import at_point
from agent.workloads.endpoint.api_key import read_api_key
from agent.workloads.endpoint.lengths import parse_lengths
from agent.workloads.endpoint.prompt_file import read_prompts
from agent.workloads.endpoint.prompts import Calibration, SyntheticText
from agent.workloads.endpoint.requests import PATHS, Dialect, PromptTraffic
from agent.workloads.endpoint.responses import NO_USAGE, TOKEN_MISMATCH
from agent.workloads.endpoint.server import Server
from agent.workloads.endpoint.tokenizer import load_counter
from agent.workloads.errors import WorkloadError
from agent.workloads.load.session import Session
from agent.workloads.load.target import parse_url, require_private_channel
from agent.workloads.runner.protocol import Ready

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.workloads.endpoint.prompt_file import Message
    from agent.workloads.endpoint.responses import Completion
    from agent.workloads.endpoint.spec import EndpointSpec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.load.engine import LoadPhase
    from agent.workloads.point import Point

_PROBE_WORDS = (32, 160)
"""The lengths of two prompts that show the tokens of a word, and of the chat template."""
_UNCALIBRATED = Calibration(0.0, 1.0)
_NEAR_TOKENS, _NEAR_SHARE = 2, 0.02
_REFUSALS = {"http 400", "http 422"}
_LONGEST_MESSAGE = 300


class _ErrorMessage(msgspec.Struct):
    message: str


class _ErrorBody(msgspec.Struct):
    error: _ErrorMessage


def check(spec: EndpointSpec, _engine: EngineSpec, _points: Sequence[Point]) -> None:
    """Read the files of a spec, and ask a running server for its model. Raises WorkloadError."""
    session = _session(spec)
    _files(spec)
    if not spec.server_command:
        try:
            session.run(Server(session.client, _root(session)).model(spec.model))
        finally:
            session.close()


def load(spec: EndpointSpec, _engine: EngineSpec) -> EndpointWorkload:
    """Find the server, its model and its version, or start it first. Raises WorkloadError."""
    return EndpointWorkload(spec, _session(spec))


def _session(spec: EndpointSpec) -> Session:
    key = read_api_key(spec.api_key_file, os.environ)
    if key is not None:
        require_private_channel(parse_url(spec.url), "the API key")
    return Session(spec, {"Authorization": f"Bearer {key}"} if key else {})


def _root(session: Session) -> str:
    """Return the path before /v1."""
    return session.target.path.removesuffix("/v1")


def _files(spec: EndpointSpec) -> tuple[list[list[Message]], Callable[[str], int] | None]:
    """Return the prompts of the file, and the counter of tokens."""
    prompts = read_prompts(spec.prompts) if spec.prompts else []
    return prompts, load_counter(spec.tokenizer) if spec.tokenizer else None


class EndpointWorkload:
    """A server under load. Each point is tried with single requests before its first window."""

    def __init__(self, spec: EndpointSpec, session: Session) -> None:
        self._spec, self._session = spec, session
        prompts, self._tokenizer = _files(spec)
        self._prompts = cycle(prompts) if prompts else None
        server = Server(session.client, _root(session))
        began_ns = time.monotonic_ns()
        session.start(spec, server.is_ready)
        load_seconds = (time.monotonic_ns() - began_ns) / 1e9 if spec.server_command else 0.0
        try:
            model = session.run(server.model(spec.model))
            engine, version = session.run(server.kind())
        except BaseException:  # an interruption too must end the server that this run started
            session.close()
            raise
        self._head = session.client.head("POST", f"{_root(session)}/v1{PATHS[spec.api]}")
        self._dialect = Dialect(spec.api, model, spec.streams)
        self._text = SyntheticText(spec.shared_prefix)
        self._calibration: Calibration | None = None
        self._counts_tokens = False
        self.ready = Ready(
            engine=engine,
            version=version,
            provider="server",
            threads=0,
            precision=None,
            parameters=server.parameters,
            model_bytes=server.model_bytes,
            sha256=None,
            phases=spec.phases,
            load_seconds=load_seconds,
            load_start_ns=began_ns if spec.server_command else 0,
            model=printable_line(model)[:_LONGEST_MESSAGE],
        )

    def close(self) -> None:
        """Close the connections, and end the server if this run started it."""
        self._session.close()

    def prepare(self, parameters: Point) -> Mapping[str, LoadPhase]:
        """Try a request of the point, and return its load."""
        spec = at_point(self._spec, parameters)
        try:
            tried = self._trial(spec)
        finally:
            self._session.client.close()
        return {
            "serving": self._session.phase(
                spec,
                self._traffic(spec),
                counted_by="tokenizer" if self._counts_tokens else "usage",
                streams=spec.streams,
                request_seconds=(tried.end_ns - tried.sent_ns) / 1e9,
            )
        }

    def _traffic(self, spec: EndpointSpec) -> PromptTraffic:
        count = self._tokenizer if self._counts_tokens else None
        calibration = self._calibration or _UNCALIBRATED
        client = self._session.client
        seed, turns = self._session.seed(spec), self._prompts
        return PromptTraffic(client, self._head, self._dialect, spec, self._text, calibration, turns, count, seed)

    def _trial(self, spec: EndpointSpec) -> Completion:
        """Send single requests until prompts have their length, and return the last one. Raises WorkloadError."""
        output_tokens = parse_lengths(spec.output_tokens).middle
        wanted = parse_lengths(spec.prompt_tokens).middle
        if self._prompts:
            return self._accepted(spec, wanted, output_tokens)
        if self._calibration is None:
            few, many = (_tokens(self._accepted(spec, words, 1)) for words in _PROBE_WORDS)
            per_word = (many - few) / (_PROBE_WORDS[1] - _PROBE_WORDS[0])
            if per_word <= 0:
                raise WorkloadError(
                    f"prompts of {_PROBE_WORDS[0]} and {_PROBE_WORDS[1]} words have {few} and {many} tokens",
                    "the token counts of the server are wrong: give --prompts FILE",
                )
            self._calibration = Calibration(few - _PROBE_WORDS[0] * per_word, per_word)
        if wanted < self._calibration.least_tokens:
            raise WorkloadError(
                f"--prompt-tokens {wanted}: a prompt of one word has {self._calibration.least_tokens} tokens here, "
                "because the server adds its chat template",
                f"give at least --prompt-tokens {self._calibration.least_tokens}",
            )
        tried = self._accepted(spec, wanted, output_tokens)
        if abs(_tokens(tried) - wanted) > max(_NEAR_TOKENS, _NEAR_SHARE * wanted):
            offset = self._calibration.offset
            per_word = (_tokens(tried) - offset) / self._calibration.words(wanted)
            self._calibration = Calibration(offset, per_word)
        return tried

    def _accepted(self, spec: EndpointSpec, input_tokens: int, output_tokens: int) -> Completion:
        """Send one request, without the fields that the server refuses; return its successful end."""
        while True:
            exchange = self._traffic(spec).request(input_tokens, output_tokens)
            self._session.run(self._session.client.send(self._head, exchange))
            if exchange.ok:
                exchange.settle()
                return exchange
            if exchange.outcome in {NO_USAGE, TOKEN_MISMATCH} and self._tokenizer and not self._counts_tokens:
                self._counts_tokens = True
            elif exchange.outcome not in _REFUSALS or not self._dialect.adapt(exchange.error):
                self._session.check()
                raise WorkloadError(*self._failed(exchange))

    def _failed(self, exchange: Completion) -> tuple[str, str]:
        """Return the message and the remedy of a failed request.

        The server's own message can have a part of the prompt, so it is shown only for synthetic prompts.
        """
        if exchange.outcome == NO_USAGE:
            return "the server reports no token counts", "give the tokenizer of its model: --tokenizer tokenizer.json"
        if exchange.outcome == TOKEN_MISMATCH:
            events, tokens = len(exchange.outputs_ns), exchange.output_tokens
            return (
                f"the server reports {tokens} output tokens, but sent {events} events with output",
                "its counts are wrong: give the tokenizer of its model with --tokenizer tokenizer.json",
            )
        error = self._session.client.without_secrets(_error_text(exchange.error))
        said = "" if self._prompts else printable_line(error)[:_LONGEST_MESSAGE]
        cause = said or ("" if exchange.status else self._session.client.cause(exchange))
        detail = f": {cause}" if cause else ""
        return f"the server did not answer a request ({exchange.outcome}){detail}", "correct the request or the server"


def _error_text(body: bytes) -> str:
    """Return the message in the body of an error, the body itself if it has another form."""
    try:
        return msgspec.json.decode(body, type=_ErrorBody).error.message
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _tokens(exchange: Completion) -> int:
    if exchange.input_tokens is None:
        raise WorkloadError(
            "the server reports no tokens of prompts", "give the tokenizer of its model: --tokenizer tokenizer.json"
        )
    return exchange.input_tokens
