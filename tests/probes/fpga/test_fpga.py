import json
import math
import shutil
from pathlib import Path

import pytest

from probes import fpga
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Roots
from probes.settings import SensorSettings
from trees import copy_tree, write
from vendor_programs import FOLDER, VendorProgram

FIXTURES = Path(__file__).parents[2] / "fixtures/xrt"
REPORT = (FIXTURES / "xbutil_examine_electrical.json").read_text(encoding="utf-8")
NOTHING = (FIXTURES / "xbutil_examine_electrical_NA.json").read_text(encoding="utf-8")
USER, MANAGEMENT = "devices/pci0000:b3/0000:b3:00.1", "devices/pci0000:b3/0000:b3:00.0"
SECOND = 1_000_000_000


class XrtSmi(VendorProgram):
    """Writes its report into the file after --output, and refuses one that exists, as the real program does."""

    def reports(self, text):
        write(self.folder / "report.json", text)
        self.runs(
            'for each; do file="$each"; done',
            '[ -e "$file" ] && { echo "ERROR: Output file exists, use --force" >&2; exit 1; }',
            f'cat {self.folder}/report.json > "$file"',
            "echo Successfully wrote the JSON file",
        )


@pytest.fixture
def sysfs(tmp_path):
    """Two cards, of which hwmon reads the second only."""
    tree = copy_tree("alveo", tmp_path / "tree")
    shutil.rmtree(tree / USER / "xmc.u.1")
    shutil.rmtree(tree / MANAGEMENT / "xmc.m.0")
    return tree


@pytest.fixture
def xrt_smi(tmp_path):
    program = XrtSmi(tmp_path, "xrt-smi")
    program.reports(REPORT)
    return program


@pytest.fixture
def search(tmp_path, sysfs):
    found = []

    def run(**settings):
        found.append(fpga.discover(Roots(str(sysfs), commands=str(tmp_path / FOLDER)), SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


@pytest.mark.usefixtures("xrt_smi")
def test_a_card_without_power_in_hwmon_has_that_of_the_report(search):
    (probe,) = search().probes
    (channel,) = probe.channels
    assert (probe.name, channel.path, channel.metric) == ("fpga/0000:b3:00.1", "0000:b3:00.1/card", "power_watts")
    assert (channel.device.kind, channel.max_plausible, channel.aliased) == (Kind.FPGA, 300.0, True)
    assert probe.read(0) == [20.989838]


def test_the_report_is_written_to_a_new_file_each_time_which_is_deleted(search, xrt_smi):
    (probe,) = search().probes
    assert probe.read(0) == probe.read(2 * SECOND)
    files = [call.rpartition(" ")[2] for call in xrt_smi.calls]
    assert len(set(files)) == 3
    assert not any(Path(file).parent.exists() for file in files)
    assert xrt_smi.calls[0].startswith("examine -d 0000:b3:00.1 -r electrical -f JSON --output /")


def test_the_program_runs_at_most_every_two_seconds(search, xrt_smi):
    (probe,) = search().probes
    probe.read(0)
    assert math.isnan(probe.read(SECOND)[0])
    assert len(xrt_smi.calls) == 2


def test_the_older_name_of_the_program_is_used_too(search, tmp_path):
    XrtSmi(tmp_path, "xbutil").reports(REPORT)
    assert search().probes[0].read(0) == [20.989838]


def test_the_attribute_of_the_controller_precedes_the_program(search, sysfs, xrt_smi):
    write(sysfs / USER / "xmc.u.1/xmc_power", 21_500_000)
    assert search().probes[0].read(0) == [21.5]
    assert xrt_smi.calls == []


@pytest.mark.parametrize("function", [USER, MANAGEMENT])
def test_a_card_that_hwmon_reads_by_either_function_is_left_to_it(search, sysfs, function):
    write(sysfs / function / "xmc.x.1/hwmon/hwmon7/power1_input", 1)
    with pytest.raises(ProbeUnavailableError, match="hwmon reads the power of every Alveo card"):
        search()


def test_a_report_without_power_lists_the_card_as_missing(search, xrt_smi):
    xrt_smi.reports(NOTHING)
    (problem,) = search().problems
    assert problem.reason == "xrt-smi reports no power of this card"
    assert problem.device.device.id == "0000:b3:00.1"


def test_a_program_without_a_report_or_without_rights_is_a_problem(search, xrt_smi):
    xrt_smi.runs("exit 0")
    assert "wrote no report" in search().problems[0].reason
    xrt_smi.prints("", status=1, error="ERROR: Permission denied")
    (problem,) = search().problems
    assert "Permission denied" in problem.reason
    assert "/dev/dri" in problem.remedy


def test_a_missing_program_is_a_problem_of_the_card(search):
    assert "xbutil is not installed" in search().problems[0].reason


def test_a_report_that_is_too_long_is_a_read_error(search, xrt_smi):
    (probe,) = search().probes
    xrt_smi.runs('for each; do file="$each"; done', 'head -c 5000000 /dev/zero > "$file"')
    with pytest.raises(ReadError, match="wrote more than"):
        probe.read(0)


@pytest.mark.parametrize(
    "report",
    [[], {}, {"devices": None}, {"devices": [None, {}, {"electrical": {}}, {"device_id": "x", "electrical": {}}]}],
)
def test_a_report_of_another_form_has_no_power(report):
    assert fpga.parse(json.dumps(report)) == {}


def test_a_truncated_report_has_no_power():
    assert fpga.parse(REPORT[: REPORT.index("power_consumption_max")]) == {}


@pytest.mark.parametrize("entry", ["0000:b3:00.1", "0000:b3:00.1/card"])
def test_an_excluded_card_is_not_examined(search, xrt_smi, entry):
    found = search(exclude=(entry,))
    assert (found.probes, found.excluded, xrt_smi.calls) == ((), {entry}, [])


def test_a_host_without_a_card_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="no Alveo card of the driver xocl"):
        fpga.discover(Roots(str(tmp_path)))
