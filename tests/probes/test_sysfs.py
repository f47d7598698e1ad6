import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from fake_files import FAILED, GONE, FakeFiles
from probes.errors import ReadError
from probes.sysfs import RuntimeStatus, ValueFile, ValueFiles, errno_of, is_device_removed, open_value_file
from trees import write
from waiting import await_true


def test_files_return_their_values_in_order(tmp_path):
    answers = FakeFiles(tmp_path, 7, 0, 18_446_744_073_709_551_615, -3)
    assert ValueFiles(answers.files, answers.pread).read() == ([7, 0, 18_446_744_073_709_551_615, -3], {})


def test_a_file_without_a_number_is_none_with_its_error_and_the_others_are_read(tmp_path):
    answers = FakeFiles(tmp_path, 7, FAILED, "N/A", "", 8)
    values, errors = ValueFiles(answers.files, answers.pread).read()
    assert values == [7, None, None, None, 8]
    assert [errno_of(errors[position]) for position in (1, 2, 3)] == [FAILED.errno, 0, 0]
    assert "file1" in str(errors[1])


def test_only_a_removed_device_is_gone(tmp_path):
    answers = FakeFiles(tmp_path, GONE, FAILED, "")
    _, errors = ValueFiles(answers.files, answers.pread).read()
    assert [is_device_removed(errors[position]) for position in range(3)] == [True, False, False]


def test_closed_files_return_nothing_and_can_be_closed_again(tmp_path):
    file = ValueFile(write(tmp_path / "value", 5))
    files = ValueFiles([file])
    assert files.read() == ([5], {})
    files.close()
    files.close()
    assert file.fileno() == -1
    with pytest.raises(ReadError):
        file.read()


@pytest.mark.parametrize(("text", "sleeps"), [("suspended", True), ("active", False), ("suspending", False)])
def test_a_suspended_device_is_recognized(tmp_path, text, sleeps):
    status = RuntimeStatus(write(tmp_path / "runtime_status", text))
    assert status.is_suspended() is sleeps
    status.close()
    status.close()
    assert not status.is_suspended()


def test_a_device_without_a_suspend_state_counts_as_awake(tmp_path):
    assert not RuntimeStatus(None).is_suspended()
    assert not RuntimeStatus(tmp_path / "missing").is_suspended()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def hanging_file(path):
    """Replace a file by a pipe: opening it waits for a writer."""
    os.mkfifo(path)
    return path


def answer(path, text=b"7\n"):
    """Let a hanging file answer. Its reader may find a pipe, and close it before the text is written."""
    fd = os.open(path, os.O_WRONLY)
    with suppress(BrokenPipeError):
        os.write(fd, text)
    os.close(fd)


def test_a_file_that_answers_is_opened_and_proved(tmp_path):
    file = open_value_file(write(tmp_path / "file", 7))
    assert file.read() == 7
    file.close()


def test_a_file_that_fails_its_proof_is_closed_and_says_why(tmp_path):
    before = open_files()
    with pytest.raises(ReadError):
        open_value_file(write(tmp_path / "file", "no number"))
    with pytest.raises(FileNotFoundError):
        open_value_file(tmp_path / "none")
    assert open_files() <= before


def test_a_hanging_file_is_abandoned_and_closed_when_it_answers(tmp_path):
    path, before = hanging_file(tmp_path / "file"), open_files()
    with pytest.raises(ReadError, match=r"file: no answer within 0\.05 s") as failure:
        open_value_file(path, seconds=0.05)
    assert errno_of(failure.value) == errno.ETIMEDOUT
    answer(path)
    await_true(lambda: not any(thread.name == f"open-{path}" for thread in threading.enumerate()))
    assert open_files() <= before


def test_a_hanging_file_is_left_out_and_its_read_changes_nothing(tmp_path):
    answers, gate, entered = FakeFiles(tmp_path, 1, 2, 3), threading.Event(), threading.Event()
    hanging = answers.files[1].fileno()
    ended = []

    def pread(fd, size, offset):
        if fd == hanging and not gate.is_set():
            entered.set()
            gate.wait(60)
        return answers.pread(fd, size, offset)

    files = ValueFiles(answers.files, pread)

    def read():
        try:
            ended.append(files.read())
        except ReadError as error:
            ended.append(error)

    assert files.isolate() is None
    thread = threading.Thread(target=read)
    thread.start()
    assert entered.wait(20)
    assert files.isolate() == 1
    assert files.isolate() is None
    values, errors = files.read()
    assert (values, sorted(errors)) == ([1, None, 3], [1])
    gate.set()
    thread.join(20)
    assert isinstance(ended[0], ReadError)
    hung = files.isolated_file(1, (4,))
    assert (hung.path, hung.channels) == (str(answers.files[1].path), (4,))
    hung.restore()
    assert files.read() == ([1, 2, 3], {})
    assert files.isolate() is None


def test_a_second_hanging_file_is_left_out_too(tmp_path):
    answers, gate = FakeFiles(tmp_path, 1, 2, 3), threading.Event()
    waiting = []

    def pread(fd, size, offset):
        if fd in {file.fileno() for file in answers.files[:2]} and not gate.is_set():
            waiting.append(fd)
            gate.wait(60)
        return answers.pread(fd, size, offset)

    files = ValueFiles(answers.files, pread)

    def read():
        with pytest.raises(ReadError):
            files.read()

    threads = []
    for position in range(2):
        threads.append(threading.Thread(target=read))
        threads[-1].start()
        await_true(lambda position=position: len(waiting) == position + 1)
        assert files.isolate() == position
    assert files.read()[0] == [None, None, 3]
    gate.set()
    for thread in threads:
        thread.join(20)
