"""A spec declares whether its requests go to a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.workloads.declaration import Service, service_of, uses_service
from agent.workloads.transformer.spec import TransformerSpec


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    url: str = "http://[::1]:8000/v1"
    workload: ClassVar[str] = "remote"
    label: ClassVar[str] = "the server"
    phases: ClassVar[tuple[str, ...]] = ("serving",)

    @property
    def service(self) -> Service:
        return Service(self.url)


def test_a_spec_with_a_service_sends_its_requests_to_a_server():
    assert uses_service(RemoteSpec)
    assert service_of(RemoteSpec()) == Service("http://[::1]:8000/v1", started_here=False)


def test_a_spec_without_a_service_runs_its_own_model():
    assert not uses_service(TransformerSpec)
    assert service_of(TransformerSpec()) is None
