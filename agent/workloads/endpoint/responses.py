"""The responses of an OpenAI-compatible server: a stream of events, one JSON object, or embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from agent.workloads.load.exchange import TRUNCATED, Exchange
from agent.workloads.load.sse import EventStream
from agent.workloads.load_records import OK

if TYPE_CHECKING:
    from collections.abc import Callable

NO_USAGE, TOKEN_MISMATCH, SERVER_ERROR = "no usage", "token mismatch", "server error"
"""Outcomes: token counts are missing, are smaller than the events with output, or the stream reports an error."""
_DONE = b"[DONE]"
_MOST_ERROR_BYTES = 4096
_LONGEST_REASON = 64
_Tokens = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]


class _CachedTokens(msgspec.Struct):
    cached_tokens: _Tokens | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None
    prompt_tokens_details: _CachedTokens | None = None


class _Output(msgspec.Struct):
    """A delta or a message; servers name the reasoning differently."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None

    @property
    def text(self) -> str:
        return f"{self.reasoning_content or self.reasoning or ''}{self.content or ''}"


class _Choice(msgspec.Struct):
    delta: _Output | None = None
    message: _Output | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class _Embeddings(msgspec.Struct):
    usage: _Usage | None = None


_DECODE = msgspec.json.Decoder(_Completion).decode
_DECODE_EMBEDDINGS = msgspec.json.Decoder(_Embeddings).decode


class Completion(Exchange):
    """A response with output tokens. Without usage, `count` counts the tokens of the prompt and of the output.

    The text of an output is stored only for that, until after the window.
    """

    __slots__ = ("_count", "_prompt", "_texts", "_usage", "error")

    def __init__(self, body: bytes, prompt: str = "", count: Callable[[str], int] | None = None) -> None:
        super().__init__(body)
        self.error = b""
        self._prompt = prompt if count else ""
        self._count = count
        self._texts: list[str] = []
        self._usage: _Usage | None = None

    def settle(self) -> None:
        """Count tokens if the server reported none, and drop the texts."""
        if self.ok and self._usage is None and self._count is not None:
            self.input_tokens = self._count(self._prompt)
            self.output_tokens = self._count("".join(self._texts))
        self._texts, self._prompt = [], ""

    def _read_error(self, chunk: bytes) -> None:
        self.error = (self.error + chunk)[:_MOST_ERROR_BYTES]

    def _take(self, completion: _Completion) -> bool:
        """Take a part of the response; return whether it has output."""
        output = False
        if completion.usage is not None:
            self._usage = completion.usage
        for choice in completion.choices:
            made = choice.delta or choice.message
            text = choice.text or (made.text if made else "")
            output = output or bool(text or (made and made.tool_calls))
            self.finish_reason = (choice.finish_reason or "")[:_LONGEST_REASON] or self.finish_reason
            if self._count is not None and text:
                self._texts.append(text)
        return output

    def _counted(self) -> str:
        """Take the token counts of the server, and return the outcome."""
        usage = self._usage
        if usage is None or usage.completion_tokens is None:
            self._usage = None
            return OK if self._count is not None else NO_USAGE
        self.input_tokens, self.output_tokens = usage.prompt_tokens, usage.completion_tokens
        if usage.prompt_tokens_details is not None:
            self.cached_tokens = usage.prompt_tokens_details.cached_tokens
        return OK if len(self.outputs_ns) <= usage.completion_tokens else TOKEN_MISMATCH


class StreamedCompletion(Completion):
    """A stream of events. An output event is one with text, reasoning or a tool call; several can share a packet."""

    __slots__ = ("_done", "_events")

    def __init__(self, body: bytes, prompt: str = "", count: Callable[[str], int] | None = None) -> None:
        super().__init__(body, prompt, count)
        self._events = EventStream()
        self._done = False

    def _read(self, chunk: bytes, at_ns: int) -> None:
        for event in self._events.feed(chunk):
            self._event(event, at_ns)

    def _event(self, event: bytes, at_ns: int) -> None:
        if event == _DONE:
            self._done = True
            return
        completion = _DECODE(event)
        if completion.error is not None:
            self.end(SERVER_ERROR, at_ns)
        elif self._take(completion):
            self.outputs_ns.append(at_ns)

    def _complete(self, at_ns: int) -> str:
        for event in self._events.finish():
            self._event(event, at_ns)
        return self._counted() if self._done or self.finish_reason else TRUNCATED


class WholeCompletion(Completion):
    """One JSON object after the whole output; there are no times of tokens."""

    __slots__ = ("_content",)

    def __init__(self, body: bytes, prompt: str = "", count: Callable[[str], int] | None = None) -> None:
        super().__init__(body, prompt, count)
        self._content = bytearray()

    def _read(self, chunk: bytes, at_ns: int) -> None:  # noqa: ARG002  the end counts, not the parts
        self._content += chunk

    def _complete(self, _at_ns: int) -> str:
        completion = _DECODE(self._content)
        self._content.clear()
        if completion.error is not None:
            return SERVER_ERROR
        self._take(completion)
        return self._counted()


class Embedding(WholeCompletion):
    """The embedding of one text; it has no output tokens."""

    __slots__ = ()

    def settle(self) -> None:
        """Count the tokens of the prompt if the server reported none."""
        if self.ok and self.input_tokens is None and self._count is not None:
            self.input_tokens = self._count(self._prompt)
        self._prompt = ""

    def _complete(self, _at_ns: int) -> str:
        usage = _DECODE_EMBEDDINGS(self._content).usage
        self._content.clear()
        self.input_tokens = usage.prompt_tokens if usage else None
        return OK if self.input_tokens is not None or self._count is not None else NO_USAGE
