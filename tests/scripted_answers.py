"""The answers of the scripted server, and their texts on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

TEMPLATE_TOKENS = 5
"""The prompt tokens that a chat has beside its words; each word is one token."""
Fault = Literal["", "hang", "close", "truncated", "garbage", "no done"]


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    The first token is written `first_seconds` after the request was read (and got a slot), each other one
    `gap_seconds` after the one before. `tokens` is a limit beside that of the request, None for only that one.
    `status` other than 200 is answered at once. Faults: `hang` never answers, `close` closes the connection without
    an answer, `truncated` closes it after half of the tokens, `garbage` writes an event that is not JSON after half
    of the tokens, `no done` ends without [DONE].
    """

    first_seconds: float = 0.0
    gap_seconds: float = 0.0
    tokens: int | None = None
    finish: str = "length"
    status: int = 200
    fault: Fault = ""
    usage: bool = True
    usage_tokens: int | None = None  # the reported number of output tokens, None for the true one
    cached_tokens: int | None = None
    reasoning_tokens: int = 0  # this number of tokens at the start are reasoning
    tokens_per_event: int = 1
    events_per_packet: int = 1
    split: bool = False  # each event goes out in two packets, split in the middle of a character
    comments: bool = False  # a keep-alive comment before each event
    crlf: bool = False
    space: bool = True  # `data: ` or `data:`
    piece: str = " wörd"
    joules: float = 0.0


@dataclass
class Served:
    """One request as the server saw it; times are on CLOCK_MONOTONIC in nanoseconds.

    `written_ns` has the time just before the write of each event with output.
    """

    path: str
    headers: dict[str, str]
    body: Any
    received_ns: int
    prompt_tokens: int = 0
    output_tokens: int = 0
    written_ns: list[int] = field(default_factory=list)
    end_ns: int = 0


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def event(content: Any, answer: Answer) -> bytes:
    end = "\r\n" if answer.crlf else "\n"
    comment = f": keep-alive{end}{end}" if answer.comments else ""
    text = json.dumps(content, ensure_ascii=False)
    return f"{comment}data:{' ' if answer.space else ''}{text}{end}{end}".encode()


def delta(answer: Answer, api: str, number: int, here: int) -> Any:
    text = answer.piece * here
    if api == "chat" and number < answer.reasoning_tokens:
        return {"choices": [{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}]}
    return {"choices": [choice(api, text, None)]}


def choice(api: str, text: str, finish: str | None) -> Any:
    if api == "chat":
        return {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"index": 0, "text": text, "finish_reason": finish}


def usage(served: Served, answer: Answer) -> Any:
    output = served.output_tokens if answer.usage_tokens is None else answer.usage_tokens
    details = {} if answer.cached_tokens is None else {"prompt_tokens_details": {"cached_tokens": answer.cached_tokens}}
    return {"prompt_tokens": served.prompt_tokens, "completion_tokens": output, **details}


def response(served: Served, answer: Answer, api: str, count: int) -> Any:
    if not api:
        return {"outputs": [1.0]}
    counts = {"usage": usage(served, answer)} if answer.usage else {}
    if api == "embeddings":
        return {"data": [{"index": 0, "embedding": [0.5, 0.5]}], **counts}
    text = answer.piece * count
    content = {"message": {"role": "assistant", "content": text}} if api == "chat" else {"text": text}
    return {"choices": [{"index": 0, "finish_reason": answer.finish, **content}], **counts}


def output_tokens(body: Any, answer: Answer) -> int:
    limits = [each for each in (answer.tokens, body.get("max_tokens"), body.get("max_completion_tokens")) if each]
    return min(limits, default=16)


def prompt_tokens(body: Any, api: str) -> int:
    if api == "chat":
        return TEMPLATE_TOKENS + sum(len(str(each["content"]).split()) for each in body["messages"])
    prompt = body.get("prompt", body.get("input", "")) if isinstance(body, dict) else ""
    texts = prompt if isinstance(prompt, list) else [prompt]
    return sum(len(each.split()) for each in texts)
