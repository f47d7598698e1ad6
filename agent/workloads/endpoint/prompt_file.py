"""Reads prompts from a file of JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

Message = dict[str, Any]
_MOST_BYTES = 256 << 20
_MOST_LINE_BYTES = 4 << 20
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_REMEDY = (
    'write a line as "TEXT", {"prompt": "TEXT"}, {"messages": [{"role": "user", "content": "TEXT"}]} or '
    '{"conversations": [{"from": "human", "value": "TEXT"}]}'
)


def read_prompts(path: Path) -> list[list[Message]]:
    """Return the messages of each line; a text is one message of the user.

    A ShareGPT conversation ends with its first message of the user. Raises WorkloadError that names the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)  # a device such as /dev/zero has no size and never ends
    except OSError as error:
        raise WorkloadError(f"--prompts {path.name}: {error.strerror}", "check the path and its permissions") from error
    if len(content) > _MOST_BYTES:
        raise WorkloadError(f"--prompts {path.name}: larger than {_MOST_BYTES >> 20} MiB", "give a part of it")
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    prompts = [_messages(line, f"--prompts {path.name}, line {number}") for number, line in lines]
    if not prompts:
        raise WorkloadError(f"--prompts {path.name}: no prompts", _REMEDY)
    return prompts


def _messages(line: bytes, place: str) -> list[Message]:
    if len(line) > _MOST_LINE_BYTES:
        raise WorkloadError(f"{place}: longer than {_MOST_LINE_BYTES >> 20} MiB", "shorten the prompt")
    try:
        value = msgspec.json.decode(line)
    except (ValueError, RecursionError):  # the message of the error could have parts of the prompt
        raise WorkloadError(f"{place}: not JSON", _REMEDY) from None
    if isinstance(value, dict):
        value = next((value[key] for key in ("messages", "prompt", "conversations") if key in value), None)
    if isinstance(value, str) and value:
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise WorkloadError(f"{place}: no prompt, messages or conversations", _REMEDY)
    messages = [_message(each, place) for each in value]
    if "from" in value[0]:
        return _first_turn(messages, place)
    return messages


def _message(value: Any, place: str) -> Message:
    if isinstance(value, dict):
        if isinstance(value.get("role"), str) and "content" in value:
            return value
        if isinstance(value.get("value"), str) and value.get("from") in _ROLES:
            return {"role": _ROLES[value["from"]], "content": value["value"]}
    raise WorkloadError(f"{place}: a message without a known role and content", _REMEDY)


def _first_turn(messages: list[Message], place: str) -> list[Message]:
    for number, message in enumerate(messages, 1):
        if message["role"] == "user":
            return messages[:number]
    raise WorkloadError(f"{place}: the conversation has no message of the user", _REMEDY)


def as_text(messages: list[Message]) -> str:
    """Return the messages as one text, for an API that takes a text, and for counting."""
    return "\n".join(each["content"] for each in messages if isinstance(each["content"], str))
