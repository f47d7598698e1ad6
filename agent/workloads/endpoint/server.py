"""The server and its models: finds the model to request, and the kind and version of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.runtime.console import printable_line
from agent.workloads.errors import WorkloadError
from agent.workloads.load.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.workloads.load.client import Client

UNKNOWN = "openai-compatible"
_VERSIONS = {
    "vllm": ("/version", "version"),
    "llama.cpp": ("/props", "build_info"),
    "sglang": ("/server_info", "version"),
    "ollama": ("/api/version", "version"),
    "tgi": ("/info", "version"),
}
"""The path and the key of the version of each kind of server."""
_OWNERS = {"vllm": "vllm", "llamacpp": "llama.cpp", "sglang": "sglang", "library": "ollama"}
"""The kind of a server by `owned_by` in its list of models."""
_MOST_NAMES = 20
_LONGEST_NAME = 100


class JsonExchange(Exchange):
    """A small JSON response."""

    __slots__ = ("content",)

    def __init__(self) -> None:
        super().__init__(b"")
        self.content = bytearray()

    def _read(self, chunk: bytes, at_ns: int) -> None:  # noqa: ARG002  only the content counts
        self.content += chunk

    def decoded(self) -> Any:
        """Return the object, an empty one if there is none."""
        try:
            found = msgspec.json.decode(self.content) if self.ok else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Server:
    """A server as it describes itself. `root` is the path before /v1.

    `parameters` and `model_bytes` are those of the model, None if the server does not list them.
    """

    def __init__(self, client: Client, root: str) -> None:
        self._client = client
        self._root = root
        self._owner = ""
        self.parameters: int | None = None
        self.model_bytes: int | None = None
        self._headers: Mapping[bytes, bytes] = {}

    async def is_ready(self) -> bool:
        """Return whether the server lists its models."""
        return (await self._get("/v1/models")).ok

    async def model(self, asked: str) -> str:
        """Return the model to request: the one asked for, else the only one. Raises WorkloadError."""
        exchange = await self._get("/v1/models")
        if exchange.outcome in {"http 404", "http 405"} and asked:
            return asked
        if not exchange.ok:
            raise WorkloadError(*self._unavailable(exchange))
        listed = exchange.decoded().get("data")
        models = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        found = [each for each in models if not asked or asked in _names(each)]
        if asked and not models:
            return asked
        if len(found) != 1:
            raise WorkloadError(*_refusal(asked, models))
        self._owner = str(found[0].get("owned_by", ""))
        meta = found[0].get("meta")
        if isinstance(meta, dict):  # llama.cpp
            self.parameters, self.model_bytes = _whole(meta.get("n_params")), _whole(meta.get("size"))
        return asked or str(found[0].get("id", ""))

    async def kind(self) -> tuple[str, str]:
        """Return the kind of the server and its version, which is empty if it is unknown."""
        header = self._headers.get(b"server", b"").decode("latin-1").lower()
        name = "llama.cpp" if "llama.cpp" in header else _OWNERS.get(self._owner, UNKNOWN)
        candidates = {name: _VERSIONS[name]} if name in _VERSIONS else {"tgi": _VERSIONS["tgi"]}
        for kind, (path, key) in candidates.items():
            version = (await self._get(path)).decoded().get(key)
            if isinstance(version, str) and version:
                return kind, printable_line(version)[:_LONGEST_NAME]
        return name, ""

    async def _get(self, path: str) -> JsonExchange:
        exchange = JsonExchange()
        self._headers = await self._client.send(self._client.head("GET", f"{self._root}{path}"), exchange)
        return exchange

    def _unavailable(self, exchange: Exchange) -> tuple[str, str]:
        if exchange.outcome in {"http 401", "http 403"}:
            return (
                f"the server refuses the list of its models ({exchange.outcome})",
                "give its key: --api-key-file FILE",
            )
        if exchange.status:
            return f"the server does not list its models ({exchange.outcome})", "check --url, or give --model"
        return f"the server does not answer: {self._client.cause(exchange)}", "start it, and check --url"


def _names(model: dict[str, Any]) -> set[str]:
    """Return the names that a server accepts for a model: Ollama leaves out `:latest`, llama.cpp lists others."""
    name, aliases = str(model.get("id", "")), model.get("aliases")
    return {name, name.removesuffix(":latest"), *(map(str, aliases) if isinstance(aliases, list) else ())}


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _refusal(asked: str, models: Sequence[dict[str, Any]]) -> tuple[str, str]:
    names = [printable_line(str(each.get("id", "")))[:_LONGEST_NAME] for each in models[:_MOST_NAMES]]
    more = f" and {len(models) - _MOST_NAMES} more" if len(models) > _MOST_NAMES else ""
    shown = f"{', '.join(names) or 'none'}{more}"
    if asked:
        return f"--model {printable_line(asked)}: the server lists {shown}", "give one of these"
    return f"the server lists {len(models)} models: {shown}", "choose one with --model"
