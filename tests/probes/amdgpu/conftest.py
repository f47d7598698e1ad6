from contextlib import ExitStack

import pytest

from probes.amdgpu import discover
from probes.model import Roots
from probes.settings import SensorSettings


@pytest.fixture
def found(tmp_path):
    """Return a function that discovers the cards below tmp_path and closes them after the test."""
    with ExitStack() as stack:

        def search(**settings):
            result = discover(Roots(str(tmp_path), str(tmp_path / "proc")), SensorSettings(**settings))
            for probe in result.probes:
                stack.callback(probe.close)
            return result

        yield search
