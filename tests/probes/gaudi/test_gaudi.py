import math
from pathlib import Path

import pytest

import vendor_programs
from probes import gaudi
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import copy_tree, write

CAPTURE = (Path(__file__).parents[2] / "fixtures/gaudi/hl-smi_query.csv").read_text(encoding="utf-8")
ROW = (
    "0000:19:00.0, 01P4-HL3090A0-18-U4V193-22-07-00, HL-325L, 1.22.1-97ec1a4, 131072 MiB, 672 MiB, "
    "226 W, 850 W, 36 C, 12 %"
)
OTHER = ROW.replace("0000:19", "0000:B3").replace("226 W", "230 W").replace("U4V193", "U4V298")
BOTH = f"{ROW}\n{OTHER}\n"
SECOND = 1_000_000_000


@pytest.fixture
def sysfs(tmp_path):
    return copy_tree("gaudi2", tmp_path / "tree")


@pytest.fixture
def hl_smi(tmp_path):
    return vendor_programs.install(tmp_path, "hl-smi", BOTH)


@pytest.fixture
def search(tmp_path, sysfs):
    found = []

    def run(**settings):
        roots = Roots(str(sysfs), commands=str(tmp_path / vendor_programs.FOLDER))
        found.append(gaudi.discover(roots, SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


def probes(found):
    return {probe.name: probe for probe in found.probes}


def test_the_captured_rows_are_those_that_the_query_prints():
    """The capture lacks the address, and has two columns that are not asked for."""
    header, *rows = (line.split(", ") for line in CAPTURE.splitlines())
    for row, address in zip(rows, ("0000:19:00.0", "0000:B3:00.0"), strict=True):
        cells = {"bus_id": address, **dict(zip(header, row, strict=True))}
        line = ", ".join(cells[column] for column in gaudi.ARGUMENTS[1].split(","))
        assert gaudi.parse(line) == {
            (address.lower(), "memory.total"): 131072 * 2**20,
            (address.lower(), "memory.used"): 672 * 2**20,
            (address.lower(), "power.draw"): float(row[7].split()[0]),
            (address.lower(), "power.max"): 850.0,
            (address.lower(), "temperature.aip"): float(row[9].split()[0]),
            (address.lower(), "utilization.aip"): 0.0,
        }


@pytest.mark.parametrize(
    "output",
    ["", "No devices found", ROW[:70], ROW + ", 5", ROW.replace("0000:19:00.0", "0"), CAPTURE, "\0" * 100, "," * 9],
)
def test_a_row_of_another_layout_is_left_out(output):
    assert gaudi.parse(output) == {}


def test_a_value_without_a_number_or_of_another_unit_is_absent():
    values = gaudi.parse(ROW.replace("226 W", "N/A").replace("672 MiB", "672 pages"))
    assert values["0000:19:00.0", "power.draw"] is None
    assert values["0000:19:00.0", "memory.used"] is None
    assert values["0000:19:00.0", "utilization.aip"] == 0.12


def test_the_program_adds_what_hwmon_lacks_to_the_same_device(search, hl_smi):
    found = probes(search())
    assert list(found) == ["gaudi/0000:19:00.0", "gaudi/0000:b3:00.0", "gaudi/hl-smi"]
    assert found["gaudi/0000:19:00.0"].read(0) == [1.65e9, 600.0]
    program = found["gaudi/hl-smi"]
    assert [(channel.path, channel.metric) for channel in program.channels[:3]] == [
        ("0000:19:00.0/card", "utilization_ratio"),
        ("0000:19:00.0/memory", "memory_used_bytes"),
        ("0000:19:00.0/memory", "memory_total_bytes"),
    ]
    assert program.read(0) == [0.12, 672 * 2**20, 128 * 2**30] * 2
    assert dict(program.channels[0].device.attributes)["uuid"] == "01P4-HL3090A0-18-U4V193-22-07-00"
    assert hl_smi.calls == [" ".join(gaudi.ARGUMENTS)] * 2


@pytest.mark.usefixtures("hl_smi")
def test_a_card_has_one_identity_in_hwmon_and_here(search, sysfs):
    from probes.hwmon import discover as discover_hwmon

    of_hwmon = discover_hwmon(Roots(str(sysfs)))
    wanted = {(c.device.id, c.device.kind, c.device.name) for p in of_hwmon.probes for c in p.channels}
    assert {(c.device.id, c.device.kind, c.device.name) for p in search().probes for c in p.channels} == wanted
    assert {kind for _, kind, _ in wanted} == {Kind.ACCELERATOR}
    for probe in of_hwmon.probes:
        probe.close()


@pytest.mark.usefixtures("hl_smi")
def test_without_hwmon_the_power_is_that_of_the_program(search, sysfs):
    for number, address in enumerate(("0000:19", "0000:b3")):
        chip = sysfs / f"devices/pci{address}/{address}:00.0/hwmon/hwmon{number}"
        for file in ("power1_input", "temp1_input"):
            (chip / file).unlink()
    program = probes(search())["gaudi/hl-smi"]
    power = program.channels[0]
    assert (power.metric, power.max_plausible, power.aliased) == ("power_watts", 3400.0, True)
    assert dict(zip([(c.path, c.metric) for c in program.channels], program.read(0), strict=True)) == {
        ("0000:19:00.0/card", "power_watts"): 226.0,
        ("0000:19:00.0/card", "utilization_ratio"): 0.12,
        ("0000:19:00.0/memory", "memory_used_bytes"): 672 * 2**20,
        ("0000:19:00.0/memory", "memory_total_bytes"): 128 * 2**30,
        ("0000:19:00.0/card", "temperature_celsius"): 36.0,
        ("0000:b3:00.0/card", "power_watts"): 230.0,
        ("0000:b3:00.0/card", "utilization_ratio"): 0.12,
        ("0000:b3:00.0/memory", "memory_used_bytes"): 672 * 2**20,
        ("0000:b3:00.0/memory", "memory_total_bytes"): 128 * 2**30,
        ("0000:b3:00.0/card", "temperature_celsius"): 36.0,
    }


def test_cards_are_identified_by_their_address_if_the_rows_change_places(search, hl_smi):
    hl_smi.prints(f"Warning: 2 devices\n{OTHER}\n{ROW.replace('12 %', '50 %')}\n")
    assert probes(search())["gaudi/hl-smi"].read(0)[::3] == [0.5, 0.12]


def test_the_program_runs_at_most_once_a_second(search, hl_smi):
    program = probes(search())["gaudi/hl-smi"]
    program.read(0)
    assert all(map(math.isnan, program.read(SECOND // 2)))
    assert program.taken_ns is None
    program.read(SECOND)
    assert program.taken_ns is not None
    assert len(hl_smi.calls) == 3


def test_a_card_that_is_no_longer_printed_has_no_value(search, hl_smi):
    program = probes(search())["gaudi/hl-smi"]
    hl_smi.prints(OTHER)
    values = program.read(0)
    assert all(map(math.isnan, values[:3]))
    assert values[3] == 0.12


def test_an_impossible_utilization_is_rejected(search, hl_smi):
    program = probes(search())["gaudi/hl-smi"]
    hl_smi.prints(BOTH.replace("12 %", "250 %"))
    program.read(0)
    assert program.rejections == [Rejection(0, Reason.IMPOSSIBLE), Rejection(3, Reason.IMPOSSIBLE)]


def test_an_output_without_a_card_is_a_failed_read(search, hl_smi):
    program = probes(search())["gaudi/hl-smi"]
    hl_smi.prints("hl-smi: driver is not loaded")
    with pytest.raises(ReadError, match="printed none of the 6 values"):
        program.read(0)


def test_a_failing_program_is_a_problem_with_its_last_words(search, hl_smi):
    hl_smi.prints("", status=1, error="Failed to initialize the HLML library")
    (problem,) = search().problems
    assert "Failed to initialize the HLML library" in problem.reason
    assert "/dev/accel" in problem.remedy


def test_each_run_has_a_private_folder_for_the_log_of_the_program(search, hl_smi):
    hl_smi.runs('[ -d "$HABANA_LOGS" ] && touch "$HABANA_LOGS/hl-smi.log" && echo "$HABANA_LOGS" >&2; exit 1')
    folder = Path(search().problems[0].reason.rpartition(" ")[2])
    assert folder.name.startswith("inferometer-hl-smi-")
    assert not folder.exists()


def test_a_program_that_does_not_end_in_time_is_a_problem(search, hl_smi, monkeypatch):
    monkeypatch.setattr(gaudi, "SECONDS", 0.2)
    hl_smi.prints(BOTH, seconds=60)
    assert "did not end within 0.2 s" in search().problems[0].reason


def test_a_missing_program_is_a_note_and_the_attributes_are_read(search):
    found = search()
    assert len(found.probes) == 2
    (problem,) = found.problems
    assert not problem.is_unreadable
    assert "hl-smi is not installed" in problem.reason


def test_a_card_that_the_program_does_not_list_is_a_problem(search, hl_smi):
    hl_smi.prints(ROW)
    found = search()
    assert "does not list the card 0000:b3:00.0" in found.problems[0].reason
    assert len(probes(found)["gaudi/hl-smi"].channels) == 3


@pytest.mark.usefixtures("hl_smi")
def test_older_drivers_show_the_clock_in_the_folder_of_their_class(search, sysfs):
    card = sysfs / "devices/pci0000:19/0000:19:00.0"
    (sysfs / "class/accel").rename(sysfs / "class/habanalabs")
    (card / "clk_cur_freq_mhz").unlink()
    write(card / "accel/accel0/clk_cur_freq_mhz", 800)
    assert probes(search())["gaudi/0000:19:00.0"].read(0)[0] == 8e8


@pytest.mark.usefixtures("hl_smi")
@pytest.mark.parametrize("entry", ["0000:19:00.0", "gaudi/0000:19:00.0"])
def test_an_excluded_card_is_not_read(search, entry):
    found = search(exclude=(entry,))
    assert {channel.device.id for probe in found.probes for channel in probe.channels} == {"0000:b3:00.0"}
    assert found.excluded == {entry}


def test_the_program_can_be_excluded_alone(search, hl_smi):
    found = search(exclude=("gaudi/hl-smi",))
    assert (len(found.probes), hl_smi.calls) == (2, [])


def test_a_host_without_a_card_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="no card of the driver habanalabs"):
        gaudi.discover(Roots(str(tmp_path)))
