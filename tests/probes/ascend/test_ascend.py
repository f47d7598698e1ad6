import math
from pathlib import Path

import pytest

import vendor_programs
from probes import ascend
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import write

FOLDER = Path(__file__).parents[2] / "fixtures/ascend"
TWO_CHIPS = (FOLDER / "npu-smi_info_910.txt").read_text(encoding="utf-8")
COMMON = (FOLDER / "npu-smi_info_-t_common_-i_0.txt").read_text(encoding="utf-8")
COMMON_310P = (FOLDER / "npu-smi_common_310P.txt").read_text(encoding="utf-8")
POWER = (FOLDER / "npu-smi_info_-t_power_-i_0.txt").read_text(encoding="utf-8")
TABLE_310P = """\
+-------------------+-----------------+------------------------------------------------------+
| npu-smi 23.0.0    Version: 23.0.0                                                          |
+-------------------+-----------------+------------------------------------------------------+
| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===================+=================+======================================================+
| 1       310P3     | OK              | NA           47                0    / 0              |
| 0       0         | 0000:07:00.0    | 25           3404 / 44280                            |
+-------------------+-----------------+------------------------------------------------------+
| 1       310P3     | OK              | NA           47                0    / 0              |
| 1       1         | 0000:07:00.0    | 0            263  / 43693                            |
+===================+=================+======================================================+
"""
"""Made for this project in the layout of public captures: two chips behind one address, without a power."""
OLD = """\
| 0     910A           | OK            | 70.9        42                15   / 15            |
| 0                    | 0000:C1:00.0  | 0           839  / 15170      1    / 32768         |
"""
FIRST, SECOND_CHIP = "0000:9d:00.0", "0000:9f:00.0"
MIB = 2.0**20
SECOND = 1_000_000_000


@pytest.fixture
def npu_smi(tmp_path):
    return vendor_programs.install(tmp_path, "npu-smi", TWO_CHIPS)


@pytest.fixture
def search(tmp_path):
    write(tmp_path / "dev/davinci0", "")
    found = []

    def run(**settings):
        roots = Roots(dev=str(tmp_path / "dev"), commands=str(tmp_path / vendor_programs.FOLDER))
        found.append(ascend.discover(roots, SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


def two_tables(npu_smi, table, common):
    """Print `common` for `-t common` of card 1, else the table."""
    for name, text in (("table", table), ("common", common)):
        (npu_smi.folder / f"{name}.txt").write_text(text, encoding="utf-8")
    of_card = f'[ "$*" = "info -t common -i 1" ] && exec cat {npu_smi.folder}/common.txt'
    npu_smi.runs(of_card, f"exec cat {npu_smi.folder}/table.txt")


@pytest.mark.usefixtures("npu_smi")
def test_a_card_with_two_chips_has_one_power_and_the_load_of_each_chip(search):
    (probe,) = search().probes
    assert dict(zip([(c.path, c.metric) for c in probe.channels], probe.read(0), strict=True)) == {
        (f"{FIRST}/card", "power_watts"): 178.5,
        (f"{FIRST}/chip", "utilization_ratio"): 0.0,
        (f"{FIRST}/chip", "memory_used_bytes"): 3416 * MIB,
        (f"{FIRST}/chip", "memory_total_bytes"): 65536 * MIB,
        (f"{FIRST}/chip", "temperature_celsius"): 36.0,
        (f"{SECOND_CHIP}/chip", "utilization_ratio"): 0.0,
        (f"{SECOND_CHIP}/chip", "memory_used_bytes"): 3177 * MIB,
        (f"{SECOND_CHIP}/chip", "memory_total_bytes"): 65536 * MIB,
        (f"{SECOND_CHIP}/chip", "temperature_celsius"): 36.0,
    }
    assert {c.contained_in for c in probe.channels if c.domain == "chip"} == {((FIRST, "card"),)}
    assert {c.device.kind for c in probe.channels} == {Kind.NPU}
    assert probe.channels[0].aliased
    assert dict(probe.channels[0].device.attributes)["npu_smi"] == "25.0.rc1"


def test_the_captured_layouts_are_read():
    (chip,) = ascend.chips_in(OLD)
    assert (chip.id, chip.name) == ("0000:c1:00.0", "910A")
    assert chip.values == {
        "power": 70.9,
        "celsius": 42.0,
        "aicore": 0.0,
        "used": 1 * MIB,
        "total": 32768 * MIB,
    }
    first, second = ascend.chips_in(TABLE_310P)
    assert (first.id, second.id, second.first) == ("0000:07:00.0", "0000:07:00.0-1", "0000:07:00.0")
    assert first.values == {
        "power": None,
        "celsius": 47.0,
        "aicore": 0.25,
        "used": 3404 * MIB,
        "total": 44280 * MIB,
    }


@pytest.mark.parametrize(
    ("output", "watts"),
    [
        (COMMON, 69.0),
        (COMMON_310P, 13.4),
        (POWER, 103.5),
        (COMMON.replace("69.0", "NA"), None),
        (COMMON_310P.replace("NPU Real-time Power(W)", "Power Dissipation(W)"), 13.4),
        (COMMON_310P.replace("13.4", "NA"), None),
        (COMMON_310P.replace("mcu", "3559"), None),
        (COMMON + COMMON, None),
        ("", None),
        ("\0:\0\n:::", None),
    ],
)
def test_the_power_of_a_card_is_that_of_its_chip_else_that_of_its_controller(output, watts):
    assert ascend.parse_common(output) == {"power": watts}


def test_a_card_whose_power_the_table_lacks_has_that_of_its_controller(search, npu_smi):
    two_tables(npu_smi, TABLE_310P, COMMON_310P)
    found = search()
    assert [probe.name for probe in found.probes] == ["ascend/npu-smi", "ascend/0000:07:00.0"]
    assert [(c.path, c.metric) for c in found.probes[1].channels] == [("0000:07:00.0/card", "power_watts")]
    assert found.probes[1].read(0) == [13.4]
    assert npu_smi.calls[-1] == "info -t common -i 1"
    assert found.problems == ()


def test_a_card_without_any_power_is_listed_as_missing(search, npu_smi):
    two_tables(npu_smi, TABLE_310P, COMMON_310P.replace("13.4", "NA"))
    found = search()
    (problem,) = found.problems
    assert problem.reason == "npu-smi shows no power of this card"
    assert problem.device.device.id == "0000:07:00.0"
    assert len(found.probes) == 1


@pytest.mark.parametrize(
    "output",
    [
        "",
        "dcmi module initialize failed. ret is -8005",
        TWO_CHIPS.replace("0000:9", "slot-"),
        "\n".join(TWO_CHIPS.splitlines()[::-1]),
        "| 1792  310P3       OK          NA       47               3404 / 44280           0 / 0               |",
        "|||\n|||",
        "| a b | OK | 1 2 |\n| 0 | 0000:9D:00.0 | 0 |",
    ],
)
def test_a_table_of_an_unknown_layout_has_no_chip(search, npu_smi, output):
    assert ascend.chips_in(output) == []
    npu_smi.prints(output)
    (problem,) = search().problems
    assert "no chip in a known layout" in problem.reason


def test_a_truncated_table_has_the_chips_before_its_end():
    assert [chip.id for chip in ascend.chips_in(TWO_CHIPS[: TWO_CHIPS.index("0000:9F")])] == [FIRST]


def test_a_missing_power_and_an_impossible_load_are_no_values(search, npu_smi):
    (probe,) = search().probes
    changed = TWO_CHIPS.replace("178.5", "-    ").replace("| 0           0    / 0          3416", "| 300 0 / 0 3416")
    npu_smi.prints(changed)
    values = probe.read(0)
    assert all(map(math.isnan, values[:2]))
    assert probe.rejections == [Rejection(1, Reason.IMPOSSIBLE)]


def test_the_program_runs_at_most_every_two_seconds(search, npu_smi):
    (probe,) = search().probes
    probe.read(0)
    assert all(map(math.isnan, probe.read(SECOND)))
    assert probe.read(2 * SECOND)[0] == 178.5
    assert npu_smi.calls == ["info"] * 3


def test_a_program_that_fails_later_is_a_failed_read(search, npu_smi):
    (probe,) = search().probes
    npu_smi.prints("", status=1, error="dcmi module initialize failed")
    with pytest.raises(ReadError, match="dcmi module initialize failed"):
        probe.read(0)


def test_a_missing_or_failing_program_names_the_group(search, npu_smi):
    npu_smi.prints("", status=255, error="permission denied")
    (problem,) = search().problems
    assert "permission denied" in problem.reason
    assert "HwHiAiUser" in problem.remedy
    npu_smi.remove()
    assert "npu-smi is not installed" in search().problems[0].reason


@pytest.mark.usefixtures("npu_smi")
@pytest.mark.parametrize(
    ("entry", "left"), [("ascend", 0), (FIRST, 4), ("ascend/npu-smi", 0), (f"{FIRST}/card", 8), (SECOND_CHIP, 5)]
)
def test_an_excluded_chip_card_or_program_is_not_read(search, entry, left):
    found = search(exclude=(entry,))
    assert sum(len(probe.channels) for probe in found.probes) == left
    assert found.excluded == {entry}


def test_an_excluded_card_is_not_asked_for_its_power(search, npu_smi):
    two_tables(npu_smi, TABLE_310P, COMMON_310P)
    found = search(exclude=("0000:07:00.0/card",))
    assert [probe.name for probe in found.probes] == ["ascend/npu-smi"]
    assert found.excluded == {"0000:07:00.0/card"}


def test_a_host_without_an_npu_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="davinci"):
        ascend.discover(Roots(dev=str(tmp_path)))
