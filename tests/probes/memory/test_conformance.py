import pytest

from probes import memory
from probes.conformance import FakeSensor, NotOfferedError, TreeHost, assert_conforms
from probes.model import Roots
from trees import write

TOTAL_KIB = 16_384_000
FORM = f"MemTotal:       {TOTAL_KIB} kB\nMemFree:        9 kB\nMemAvailable:   {{}} kB\n"


class MeminfoHost(TreeHost):
    blanks = ()  # the kernel leaves the line out

    def __init__(self, folder):
        file = write(folder / "proc/meminfo", FORM.format(9_000_000).strip())
        sensor = FakeSensor(file, None, form=FORM)
        super().__init__(folder, Roots(procfs=str(folder / "proc")), [sensor], presence=(file,))

    def truth(self):
        (available,) = self._totals.values()
        used, total = (TOTAL_KIB - available) * 1024.0, TOTAL_KIB * 1024.0
        return {("memory/memory", "memory_used_bytes"): used, ("memory/memory", "memory_total_bytes"): total}

    def hang(self):
        raise NotOfferedError("hang: the kernel answers from its own memory")


@pytest.mark.system
def test_memory_conforms(tmp_path):
    left_out = {"blanks", "hanging reads", "hanging discovery", "renumbering", "suspension", "suspended discovery"}
    assert_conforms(memory.discover, MeminfoHost, tmp_path, not_exercised=left_out)
