"""The parent's side alone, against small programs that play the child."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.limits import Limits
from agent.workloads.runner.client import WorkloadProcess
from agent.workloads.runner.protocol import Checked, Failed, Measured, Prepared, Ready, encode
from agent.workloads.transformer.spec import TransformerSpec
from waiting import await_true

READY = Ready("fake", "1", "cpu", 1, None, 0, 0, None, ("inference",), 0.0)
MEASURED = Measured("inference", 1, 2, 1, 1, 0, 0, (1e-9,), ())


def playing(program):
    """Give a process whose child is a program; `take()` waits for a command, `say(name)` writes a reply."""
    replies = {
        "checked": encode(Checked()),
        "ready": encode(READY),
        "prepared": encode(Prepared(1, 2)),
        "measured": encode(MEASURED),
        "failed": encode(Failed("it broke", "repair it")),
    }
    start = (
        "import os, signal, sys, time\n"
        f"replies = {replies!r}\n"
        "take = sys.stdin.buffer.readline\n"
        "def say(name): os.write(1, replies[name])\n"
    )
    return WorkloadProcess([sys.executable, "-I", "-c", start + program], limits=Limits(60.0))


def start(process):
    return process.start(TransformerSpec(), EngineSpec())


def gone(pid):
    return not Path(f"/proc/{pid}").exists()


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_child_answers_its_calls_and_ends_on_request(monkeypatch):
    monkeypatch.setattr("agent.workloads.runner.client._STOP_TIMEOUT_SECONDS", 60.0)
    with playing("take(); say('ready'); take(); say('prepared'); take(); say('measured'); take()") as process:
        assert start(process) == READY
        process.prepare({"batch": 2})
        assert process.measure("inference", 0.1, 1) == MEASURED
        pid = process.pid
        began = time.monotonic()
    assert gone(pid)
    assert time.monotonic() - began < 30


def test_a_child_that_checked_the_model_loads_it_and_is_started_once():
    with playing("take(); say('checked'); take(); say('ready'); take()") as process:
        process.check(TransformerSpec(), EngineSpec(), ({"batch": 1},))
        pid = process.pid
        assert start(process) == READY
        assert process.pid == pid
        with pytest.raises(WorkloadError, match="running already"):
            start(process)


def test_a_reply_is_read_in_pieces_beside_a_long_error_output():
    program = (
        "take(); os.write(2, b'x' * 300_000); line = replies['ready']\n"
        "os.write(1, line[:9]); time.sleep(0.05); os.write(1, line[9:]); take()"
    )
    with playing(program) as process:
        assert start(process) == READY


def test_a_failed_child_reports_message_and_remedy_and_is_gone():
    process = playing("take(); say('failed'); sys.exit(1)")
    with pytest.raises(WorkloadError, match="it broke") as failure:
        start(process)
    assert failure.value.remedy == "repair it"
    with pytest.raises(WorkloadError, match="not running"):
        _ = process.pid


def test_a_child_that_dies_is_reported_with_its_exit_reason_and_the_end_of_its_error_output():
    process = playing("take(); say('ready'); take(); os.write(2, b'first\\n' * 9000 + b'the last word'); sys.exit(3)")
    start(process)
    with pytest.raises(WorkloadError, match="ended during 'prepare' \\(exit status 3\\)") as failure:
        process.prepare({"batch": 1})
    assert failure.value.stderr_tail.endswith("the last word")
    assert str(failure.value) == f"{failure.value.message}: {failure.value.stderr_tail}"
    assert len(str(failure.value)) < 5000
    assert "last word" not in failure.value.message


def test_a_killed_child_is_reported_with_the_signal_and_a_hint_at_memory():
    process = playing("take(); os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(WorkloadError, match="killed by SIGKILL") as failure:
        start(process)
    assert "out of memory" in failure.value.remedy


def test_a_child_that_cannot_start_is_reported_with_the_message_of_python():
    process = WorkloadProcess([sys.executable, "-I", "-m", "no_such_module_anywhere"])
    with pytest.raises(WorkloadError, match="No module named no_such_module_anywhere"):
        start(process)


def test_a_child_that_does_not_answer_in_time_is_ended():
    process = playing("take(); say('ready'); time.sleep(60)")
    start(process)
    pid, process._limits = process.pid, Limits(0.2)
    with pytest.raises(WorkloadError) as failure:
        process.measure("inference", 0.1, 1)
    assert failure.value.message == (
        "the transformer did not finish being measured (inference) within 0.2 s beyond the 0.1 s of the window, "
        "the limit of --timeout"
    )
    assert "longer --timeout" in failure.value.remedy
    assert gone(pid)


def test_a_child_that_takes_more_memory_than_its_limit_is_ended():
    process = playing("take(); say('ready'); take(); held = b'x' * (300 << 20); time.sleep(60)")
    start(process)
    pid, process._limits = process.pid, Limits(60.0, 100 << 20)
    with pytest.raises(WorkloadError, match=r"the transformer took .* MiB of memory while running batch=2 once"):
        process.prepare({"batch": 2})
    assert gone(pid)


def test_a_child_below_its_memory_limit_answers():
    process = playing("take(); say('ready'); take(); time.sleep(0.5); say('prepared'); take()")
    process._limits = Limits(60.0, 1 << 40)
    with process:
        start(process)
        process.prepare({"batch": 2})


def test_a_child_inherits_no_descriptor_but_its_pipes_and_no_setting_of_this_program(monkeypatch):
    monkeypatch.setenv("INFEROMETER_DATABASE", "postgresql://user:secret@host/db")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    program = (
        "take(); open_now = sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1]\n"
        "assert open_now == [0, 1, 2], open_now\n"
        "assert not [n for n in os.environ if n.startswith('INFEROMETER_')]\n"
        "say('ready'); take()"
    )
    with playing(program) as process:
        assert start(process) == READY
    os.close(reading)
    os.close(writing)


def test_an_invalid_or_unexpected_reply_is_an_error():
    process = playing("take(); os.write(1, b'hello\\n'); take()")
    with pytest.raises(WorkloadError, match="wrote an invalid reply: JSON is malformed"):
        start(process)
    process = playing("take(); say('prepared'); take()")
    with pytest.raises(WorkloadError, match="replied Prepared, not Ready"):
        start(process)


def test_a_child_that_ignores_stop_and_sigterm_is_killed_with_its_children(tmp_path):
    note = tmp_path / "pids"
    program = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "import subprocess\n"
        "deaf = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)'\n"
        "inner = subprocess.Popen([sys.executable, '-I', '-c', deaf], stdout=subprocess.PIPE)\n"
        f"inner.stdout.readline(); open({str(note)!r}, 'w').write(str(inner.pid))\n"
        "take(); say('ready'); time.sleep(60)"
    )
    process = playing(program)
    start(process)
    inner, outer = int(note.read_text()), process.pid
    process._child.awaiting_reply = True
    process.stop()
    assert gone(outer)
    await_true(lambda: ended(inner))


def test_stopping_twice_or_before_the_start_does_nothing():
    process = playing("take(); say('ready'); take()")
    process.stop()
    start(process)
    process.stop()
    process.stop()


def test_a_stopped_process_can_be_started_again():
    process = playing("take(); say('ready'); take()")
    with process:
        start(process)
        with pytest.raises(WorkloadError, match="running already"):
            start(process)
        process.stop()
        assert start(process) == READY


def test_a_call_before_the_start_is_an_error():
    with pytest.raises(WorkloadError, match="not running"):
        playing("").prepare({"batch": 1})


def test_an_interrupt_ends_the_wait_and_the_child_at_once():
    process = playing("take(); say('ready'); take(); time.sleep(60)")
    start(process)
    pid = process.pid
    timer = threading.Timer(0.3, os.kill, (os.getpid(), 2))

    def measure():
        with process:
            timer.start()  # not before the interrupt is expected
            process.measure("inference", 60, 1)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measure()
    timer.join()
    assert time.monotonic() - began < 30
    assert gone(pid)


def test_the_child_has_its_own_process_group_which_the_terminal_does_not_interrupt():
    with playing("take(); say('ready'); take()") as process:
        start(process)
        assert os.getpgid(process.pid) == process.pid != os.getpgrp()


def test_the_spec_and_protocol_and_process_modules_load_nothing_heavy():
    runner = "agent.workloads.runner"
    modules = f"agent.workloads.engine_spec, {runner}.protocol, {runner}.client, {runner}.worker"
    program = f"import sys, {modules}; print({{'numpy', 'onnx', 'onnxruntime', 'sqlalchemy'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
