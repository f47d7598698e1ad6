"""The facts of a host that the head of a campaign verifies: one JSON document, which `campaign facts` prints."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.bundles.manifest import UnixNanoseconds  # noqa: TC001  msgspec resolves the annotations
from agent.campaigns.errors import CampaignError
from agent.runtime import typed_json
from agent.runtime.text_input import quoted
from probes.text import one_line

_MOST_BYTES = 1 << 20
_MOST_DEVICES = 10_000


class DeviceFacts(msgspec.Struct, frozen=True):
    """A device with a readable sensor: its id, kind and name."""

    id: str
    kind: str
    name: str


class HostFacts(msgspec.Struct, frozen=True):
    """A host: `id` and `name` as in its profiles, `version` of its Inferometer, and its state.

    `started_ns` and `ended_ns` are its Unix times at the start of the process and at the end of its work. `energy` is
    the source of its total: measured, estimated, mixed, or None without one. `other_load` is the share of its CPUs that
    other programs use, None if unknown; `gpu_users` are the GPUs that other programs have open. `measuring` is the id
    of the profile that is being measured, empty for none.
    """

    schema: Literal["inferometer.facts"]
    id: str
    name: str
    version: str
    started_ns: UnixNanoseconds
    ended_ns: UnixNanoseconds
    devices: tuple[DeviceFacts, ...]
    energy: str | None
    boundary: str
    other_load: Annotated[float, msgspec.Meta(ge=0.0)] | None
    gpu_users: tuple[str, ...]
    measuring: str


def read_facts(content: bytes) -> HostFacts:
    """Return the facts that a host printed, whose texts are not trusted. Raises CampaignError."""
    if len(content) > _MOST_BYTES:
        raise CampaignError(f"its facts are larger than {_MOST_BYTES >> 20} MiB")
    try:
        facts: HostFacts = typed_json.from_json(content, HostFacts)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CampaignError(
            f"its facts are not those of `inferometer campaign facts` ({one_line(str(error))})"
        ) from error
    if len(facts.devices) > _MOST_DEVICES or len(facts.gpu_users) > _MOST_DEVICES:
        raise CampaignError(f"it lists more than {_MOST_DEVICES:,} devices")
    texts = (facts.id, facts.name, facts.version, facts.measuring, facts.energy or "", facts.boundary, *facts.gpu_users)
    for text in (*texts, *(word for each in facts.devices for word in (each.id, each.kind, each.name))):
        if one_line(text) != text:
            raise CampaignError(f"its facts have a text of several lines: {quoted(text)}")
    return facts
