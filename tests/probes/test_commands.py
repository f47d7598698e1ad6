import math
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from probes import at_exit
from probes.commands import CPU_SHARE, MOST_BYTES, CommandProbe, Program, find
from probes.counter import Counter
from probes.deadline import Call
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Channel, Device, Kind, Reason, Roots
from probes.printed import Printed, json_in, quantity
from waiting import await_true

DEVICE = Device("0000:01:00.0", Kind.NPU)
POWER, ENERGY = Channel(DEVICE, "card", "power_watts"), Channel(DEVICE, "card", "energy_joules")


def script(folder, text, name="vendor-smi"):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_output_is_text_in_the_c_locale_without_the_callers_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    program = Program(script(tmp_path, 'echo "$LC_ALL [$SECRET] $1"; printf "\\377"'), 60)
    assert program.run("-q") == "C [] -q\n\N{REPLACEMENT CHARACTER}"


def test_a_failed_program_is_reported_with_its_last_line(tmp_path):
    program = Program(script(tmp_path, "echo banner; echo first >&2; echo 'no driver' >&2; exit 3"), 60)
    with pytest.raises(ReadError, match="vendor-smi -q ended with 3: no driver"):
        program.run("-q")


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path):
    children = tmp_path / "children"
    program = Program(script(tmp_path, f"sleep 60 & echo $! $$ > {children}; wait"), 2.0)
    with pytest.raises(ReadError, match="did not end within 2 s"):
        program.run()
    await_true(lambda: not any(map(is_running, children.read_text(encoding="utf-8").split())))


def test_a_program_that_closes_its_outputs_and_goes_on_is_killed(tmp_path):
    number = tmp_path / "number"
    program = Program(script(tmp_path, f"echo $$ > {number}; exec >&- 2>&-; sleep 60"), 2.0)
    with pytest.raises(ReadError, match="did not end within 2 s"):
        program.run()
    assert not is_running(int(number.read_text(encoding="utf-8")))


def test_a_program_that_prints_too_much_is_killed(tmp_path):
    with pytest.raises(ReadError, match=f"printed more than {MOST_BYTES} bytes"):
        Program(script(tmp_path, "while :; do cat /proc/self/exe; done"), 20).run()


def test_a_program_that_cannot_be_started_is_a_read_error(tmp_path):
    with pytest.raises(ReadError, match="No such file"):
        Program(tmp_path / "gone", 5).run()


def test_closing_ends_the_program_that_another_thread_runs(tmp_path):
    started = tmp_path / "started"
    program = Program(script(tmp_path, f"touch {started}; sleep 60"), 60)
    raised = []

    def run():
        try:
            program.run()
        except ReadError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    await_true(started.exists)
    program.close()
    thread.join(60)
    assert len(raised) == 1


def test_no_descriptor_and_no_zombie_is_left(tmp_path):
    program = Program(script(tmp_path, "echo 1"), 60)
    program.run()
    before = list(Path("/proc/self/fd").iterdir())
    for _ in range(5):
        program.run()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


def test_a_program_is_found_in_the_given_folders(tmp_path):
    path = script(tmp_path, "echo")
    assert find(Roots(commands=f"/nowhere:{tmp_path}"), "vendor-smi") == path
    assert find(Roots(), "vendor-smi", str(tmp_path)) == path
    with pytest.raises(ProbeUnavailableError, match="the program vendor-smi is not installed in /nowhere"):
        find(Roots(commands="/nowhere"), "vendor-smi")


def test_a_program_that_others_may_write_to_is_not_run(tmp_path):
    script(tmp_path, "echo").chmod(0o777)
    with pytest.raises(ProbeUnavailableError):
        find(Roots(commands=str(tmp_path)), "vendor-smi")


def test_a_program_in_a_folder_that_others_may_write_to_is_not_run_unless_they_cannot_replace_it(tmp_path):
    folder = tmp_path / "open/bin"
    folder.mkdir(parents=True)
    script(folder, "echo")
    (tmp_path / "link").mkdir()
    (tmp_path / "link/vendor-smi").symlink_to(folder / "vendor-smi")
    for mode, is_run in ((0o755, True), (0o775, True), (0o777, False), (0o1777, True)):
        folder.parent.chmod(mode)
        for searched in (folder, tmp_path / "link"):
            if is_run:
                assert find(Roots(commands=str(searched)), "vendor-smi")
            else:
                with pytest.raises(ProbeUnavailableError, match=r"other users may change .*/vendor-smi") as error:
                    find(Roots(commands=str(searched)), "vendor-smi")
                assert "chmod go-w" in error.value.remedy


def test_json_is_found_after_a_banner():
    assert json_in('WARNING: [driver] {old}\nversion 2\n{"a": [1]}\ntrailer') == {"a": [1]}
    with pytest.raises(ReadError, match="no JSON in the output 'nothing'"):
        json_in("nothing")


def test_json_behind_very_many_brackets_is_not_searched():
    assert json_in("[" * 50 + '{"a": 1}') == {"a": 1}
    with pytest.raises(ReadError, match="no JSON"):
        json_in("[" * 200 + '{"a": 1}')


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("38.40 W", "W", 38.4),
        ("17521800uW", "W", 17.5218),
        (" 16.0", "W", 16.0),
        (226, "W", 226.0),
        ("40.98°C", "C", 40.98),
        ("131072 MiB", "B", 131072 * 2**20),
        ("7 %", "%", 0.07),
        ("50", "%", 0.5),
        ("1.5e3 mW", "W", 1.5),
        ("1400MHz", "Hz", 1.4e9),
        ("2 kWh", "J", 7.2e6),
        ("N/A", "W", None),
        ("-", "W", None),
        ("[Not Supported]", "W", None),
        (None, "W", None),
        (True, "W", None),
        (math.inf, "W", None),
        ("12 C", "W", None),
        ("12 parsecs", "W", None),
        ("12 W of 30 W", "W", None),
        ("9" * 70 + " W", "W", None),
        (10**400, "W", None),
        ("1e308 kW", "W", None),
    ],
)
def test_quantities_have_their_unit(text, unit, value):
    assert quantity(text, unit) == (pytest.approx(value) if value is not None else None)


def probe_of(tmp_path, text, printed, interval=0.0, now=(5,)):
    def parse(output):
        return {"power": quantity(output.split(",")[0], "W"), "energy": quantity(output.split(",")[1], "J")}

    program = Program(script(tmp_path, text), 60)
    return CommandProbe("vendor", program, (), parse, printed, interval, iter(now).__next__)


def test_a_probe_returns_the_printed_values_and_their_time(tmp_path):
    probe = probe_of(tmp_path, "echo 12 W, 3 J", [Printed(POWER, "power")], now=(1_500,))
    assert probe.read(1_000) == [12.0]
    assert probe.taken_ns == (1_000, 1_500)


def test_a_probe_does_not_run_its_program_more_often_than_its_interval(tmp_path):
    runs = tmp_path / "runs"
    text = f"echo >> {runs}; echo 12 W, 3 J"
    probe = probe_of(tmp_path, text, [Printed(POWER, "power")], interval=1.0, now=(1, 2))
    assert probe.read(0) == [12.0]
    assert math.isnan(probe.read(899_999_999)[0])
    assert probe.taken_ns is None
    assert probe.read(1_000_000_000) == [12.0]
    assert runs.read_text(encoding="utf-8") == "\n\n"


@pytest.mark.parametrize("offsets_ms", [(0, 40, 0, 80, 20), (90, 0, 30, 0, 60)])
def test_a_schedule_of_the_interval_runs_the_program_every_time_despite_jitter(tmp_path, offsets_ms):
    probe = probe_of(tmp_path, "echo 12 W, 3 J", [Printed(POWER, "power")], interval=1.0, now=range(5))
    times = [(second * 1000 + offset) * 1_000_000 for second, offset in enumerate(offsets_ms)]
    assert [probe.read(at_ns) for at_ns in times] == [[12.0]] * len(times)


BUSY = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"


def test_a_program_that_needs_much_cpu_time_runs_less_often_and_its_channels_state_it(tmp_path):
    program = Program(script(tmp_path, f"{BUSY}; echo 1"), 60)
    program.run()
    assert program.cpu_seconds > 0.02
    seconds = program.cpu_seconds / CPU_SHARE
    stated = Channel(DEVICE, "card", "power_watts", refresh_seconds=0.01)
    probe = CommandProbe("vendor", program, (), lambda _: {"power": 1.0}, [Printed(stated, "power")], 0.01)
    assert probe.channels[0].refresh_seconds == pytest.approx(seconds, abs=0.051)
    assert probe.read(0) == [1.0]
    seconds = max(probe.channels[0].refresh_seconds, program.cpu_seconds / CPU_SHARE)
    assert math.isnan(probe.read(round(seconds * 0.8e9))[0])
    assert probe.read(round(seconds * 1e9)) == [1.0]


def test_a_program_that_computes_until_it_is_killed_rests_as_well(tmp_path):
    program = Program(script(tmp_path, "while :; do :; done"), 2.0)
    probe = CommandProbe("vendor", program, (), lambda _: {}, [Printed(POWER, "power")], 0.0)
    with pytest.raises(ReadError, match="did not end"):
        probe.read(0)
    assert program.cpu_seconds > 0.05
    assert math.isnan(probe.read(round(program.cpu_seconds / CPU_SHARE * 0.8e9))[0])


def test_the_end_of_this_process_ends_a_program_that_hangs(tmp_path):
    number = tmp_path / "number"
    program = Program(script(tmp_path, f"echo $$ > {number}; sleep 60"), 60)
    call = Call(program.run, "hangs")
    await_true(lambda: number.exists() and number.read_text(encoding="utf-8").strip())
    at_exit.close_all()
    with pytest.raises(ReadError, match=r"ended with -9|was ended"):
        call.result(30)
    assert not is_running(int(number.read_text(encoding="utf-8")))


def test_the_end_of_this_process_ends_a_program_that_is_being_started(tmp_path, monkeypatch):
    started = tmp_path / "started"
    program = Program(script(tmp_path, f"touch {started}; sleep 60"), 60)
    start = subprocess.Popen

    def start_as_the_process_ends(*arguments, **options):
        child = start(*arguments, **options)
        await_true(started.exists)
        at_exit.close_all()
        return child

    monkeypatch.setattr(subprocess, "Popen", start_as_the_process_ends)
    with pytest.raises(ReadError, match="was ended"):
        Call(program.run, "starts").result(30)


def test_the_exit_code_is_lost_if_the_caller_ignores_the_end_of_children(tmp_path):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert Program(script(tmp_path, "echo 1"), 60).run() == "1\n"
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_an_absent_value_is_nan_and_an_impossible_one_is_rejected(tmp_path):
    printed = [Printed(POWER, "power"), Printed(ENERGY, "energy", Counter(0, 1e9, 1.0))]
    probe = probe_of(tmp_path, "echo 99999 W, N/A", printed)
    assert all(map(math.isnan, probe.read(0)))
    assert [(each.channel, each.reason) for each in probe.rejections] == [(0, Reason.IMPOSSIBLE)]


def test_a_program_that_prints_nothing_of_a_probe_is_a_read_error(tmp_path):
    probe = probe_of(tmp_path, "echo 1 W, 1 J", [Printed(POWER, "voltage")])
    with pytest.raises(ReadError, match="printed none of the 1 values of vendor"):
        probe.read(0)
