import pytest

from probes import cpu
from probes.conformance import assert_conforms
from proc_hosts import ProcessorHost

NOT_OF_PROCESSORS = {"blanks", "hanging reads", "hanging discovery", "renumbering", "suspension", "suspended discovery"}


@pytest.mark.system
def test_cpu_conforms(tmp_path):
    assert_conforms(cpu.discover, ProcessorHost, tmp_path, not_exercised=NOT_OF_PROCESSORS)


def throttled_host(folder):
    return ProcessorHost(folder, throttled=True)


@pytest.mark.system
def test_cpu_conforms_on_processors_that_count_throttled_time(tmp_path):
    assert_conforms(cpu.discover, throttled_host, tmp_path, not_exercised=NOT_OF_PROCESSORS)
