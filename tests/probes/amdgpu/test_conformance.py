"""The probes of AMD GPUs guarantee what every probe must."""

import pytest

from instinct_host import InstinctHost
from probes.amdgpu import discover
from probes.conformance import assert_conforms


@pytest.mark.system
def test_amd_gpus_conform(tmp_path):
    not_exercised = {"hanging reads", "renumbering"}
    assert_conforms(discover, InstinctHost, tmp_path, not_exercised)
