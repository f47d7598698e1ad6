"""An exporter with one tick, and the address of a server for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from http_clients import export, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.api.metrics import Exporter


@pytest.fixture(scope="module")
def exporter() -> Exporter:
    return export()


@pytest.fixture(scope="module")
def address(exporter: Exporter) -> Iterator[str]:
    with serving(exporter) as server:
        yield server.address
