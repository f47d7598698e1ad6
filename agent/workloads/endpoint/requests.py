"""The bodies of requests to an OpenAI-compatible server, in the dialect that the server accepts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from agent.workloads.endpoint.lengths import parse_lengths
from agent.workloads.endpoint.prompt_file import Message, as_text
from agent.workloads.endpoint.responses import Completion, Embedding, StreamedCompletion, WholeCompletion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent.workloads.endpoint.prompts import Calibration, SyntheticText
    from agent.workloads.endpoint.spec import Api, EndpointSpec
    from agent.workloads.load.client import Client
    from agent.workloads.load.exchange import Exchange

PATHS: Mapping[Api, str] = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}
_OPTIONAL_FIELDS = (("ignore_eos", "min_tokens"), ("temperature",), ("stream_options",))
"""The fields that a server may refuse, in the order in which they are left out."""
_LIMIT, _NEWER_LIMIT = "max_tokens", "max_completion_tokens"
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Dialect:
    """The kind of the requests, and the fields that this server refuses."""

    api: Api
    model: str
    streams: bool
    refused: set[str] = field(default_factory=set)
    limit: str = _LIMIT

    def adapt(self, refusal: bytes) -> bool:
        """Leave out one more field after a refusal, best one that it names; return False if none is left."""
        if _NEWER_LIMIT.encode() in refusal and self.limit == _LIMIT:
            self.limit = _NEWER_LIMIT
            return True
        left = [names for names in _OPTIONAL_FIELDS if not self.refused.issuperset(names)]
        named = [names for names in left if any(name.encode() in refusal for name in names)]
        if left:
            self.refused.update((named or left)[0])
        return bool(left)

    def body(self, messages: Sequence[Message], output_tokens: int, *, exact: bool) -> bytes:
        """Return the body of a request; with `exact`, the output does not end before its last token."""
        if self.api == "embeddings":
            return _encode({"model": self.model, "input": as_text(list(messages))})
        prompt = {"messages": messages} if self.api == "chat" else {"prompt": as_text(list(messages))}
        fields: dict[str, Any] = {
            "model": self.model,
            **prompt,
            self.limit: output_tokens,
            "temperature": 0,
            "stream": self.streams,
        }
        if exact:
            fields |= {"ignore_eos": True, "min_tokens": output_tokens}
        if self.streams:
            fields["stream_options"] = {"include_usage": True}
        return _encode({name: value for name, value in fields.items() if name not in self.refused})

    def exchange(self, body: bytes, prompt: str, count: Callable[[str], int] | None) -> Completion:
        """Return a request of this kind."""
        if self.api == "embeddings":
            return Embedding(body, prompt, count)
        return (StreamedCompletion if self.streams else WholeCompletion)(body, prompt, count)


class PromptTraffic:
    """The requests of one point: synthetic prompts of the wanted lengths, or those of a file in turn."""

    def __init__(
        self,
        client: Client,
        head: bytes,
        dialect: Dialect,
        spec: EndpointSpec,
        text: SyntheticText,
        calibration: Calibration,
        prompts: Iterator[list[Message]] | None,
        count: Callable[[str], int] | None,
        seed: str,
    ) -> None:
        self._client, self._head, self._dialect = client, head, dialect
        self._text, self._calibration, self._prompts, self._count = text, calibration, prompts, count
        self._input, self._output = parse_lengths(spec.prompt_tokens), parse_lengths(spec.output_tokens)
        self._random = random.Random(seed)  # noqa: S311  lengths that can be repeated, no secret

    def next(self) -> Exchange:
        """Return the next request."""
        return self.request(self._input.draw(self._random), self._output.draw(self._random))

    def request(self, input_tokens: int, output_tokens: int) -> Completion:
        """Return a request of these lengths; a prompt of the file has its own length."""
        if self._prompts:
            messages = next(self._prompts)
        else:
            messages = [{"role": "user", "content": self._text.text(self._calibration.words(input_tokens))}]
        body = self._dialect.body(messages, output_tokens, exact=not self._prompts)
        return self._dialect.exchange(body, as_text(messages) if self._count else "", self._count)

    async def send(self, exchange: Exchange) -> None:
        """Send a request, and return after its end."""
        await self._client.send(self._head, exchange)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()
