import pytest

from probes import estimate
from probes.conformance import NotOfferedError, assert_conforms
from probes.estimate.table import GENERIC
from proc_hosts import SHARE, ProcessorHost

NOT_OF_A_MODEL = {
    "blanks",
    "hanging reads",
    "hanging discovery",
    "resets",
    "renumbering",
    "suspension",
    "suspended discovery",
}


class ModeledHost(ProcessorHost):
    """Each package has one core without a second thread, which counts as two threads of the model."""

    def __init__(self, folder):
        super().__init__(folder, clocks=False)
        self._seconds = 0.0

    def advance(self, seconds):
        self._seconds += seconds
        super().advance(seconds)

    def truth(self):
        watts = 2 * (GENERIC.min_watts + SHARE * (GENERIC.max_watts - GENERIC.min_watts))
        return {(f"package-{number}/package", "energy_joules"): watts * self._seconds for number in range(2)}

    def reset(self):
        raise NotOfferedError("reset: a model has no hardware counter")


@pytest.mark.system
def test_the_estimate_conforms(tmp_path):
    assert_conforms(estimate.discover, ModeledHost, tmp_path, not_exercised=NOT_OF_A_MODEL)
