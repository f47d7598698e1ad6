import pytest

from answers import FAILED, GONE, Answers
from probes.errors import ReadError
from probes.sysfs import RuntimeStatus, ValueFile, ValueFiles, is_gone, number_of
from trees import write


def test_files_that_all_answer_are_their_values_in_order(tmp_path):
    answers = Answers(tmp_path, 7, 0, 18_446_744_073_709_551_615, -3)
    assert ValueFiles(answers.files, answers.pread).read() == ([7, 0, 18_446_744_073_709_551_615, -3], {})


def test_a_file_that_gives_no_number_is_none_and_says_why_and_the_others_are_read(tmp_path):
    answers = Answers(tmp_path, 7, FAILED, "N/A", "", 8)
    values, errors = ValueFiles(answers.files, answers.pread).read()
    assert values == [7, None, None, None, 8]
    assert [number_of(errors[position]) for position in (1, 2, 3)] == [FAILED.errno, 0, 0]
    assert "file1" in str(errors[1])


def test_only_a_removed_device_is_gone(tmp_path):
    answers = Answers(tmp_path, GONE, FAILED, "")
    _, errors = ValueFiles(answers.files, answers.pread).read()
    assert [is_gone(errors[position]) for position in range(3)] == [True, False, False]


def test_closed_files_give_nothing_and_may_be_closed_again(tmp_path):
    file = ValueFile(write(tmp_path / "value", 5))
    files = ValueFiles([file])
    assert files.read() == ([5], {})
    files.close()
    files.close()
    assert file.fileno() == -1
    with pytest.raises(ReadError):
        file.read()


@pytest.mark.parametrize(("text", "sleeps"), [("suspended", True), ("active", False), ("suspending", False)])
def test_a_device_sleeps_when_the_kernel_has_suspended_it(tmp_path, text, sleeps):
    status = RuntimeStatus(write(tmp_path / "runtime_status", text))
    assert status.sleeps() is sleeps
    status.close()
    status.close()
    assert not status.sleeps()


def test_a_device_of_which_nobody_says_whether_it_sleeps_counts_as_awake(tmp_path):
    assert not RuntimeStatus(None).sleeps()
    assert not RuntimeStatus(tmp_path / "missing").sleeps()
