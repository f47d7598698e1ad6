"""The log lines of the service on a terminal and in the journal."""

from __future__ import annotations

import io
import logging
import os
import re
from typing import TYPE_CHECKING

import pytest

from agent.runtime import logs as log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _levels_restored() -> Iterator[None]:
    everyone, ours = logging.getLogger(), logging.getLogger(log.ROOT)
    handlers, levels = everyone.handlers[:], (everyone.level, ours.level)
    yield
    everyone.handlers[:] = handlers
    everyone.setLevel(levels[0])
    ours.setLevel(levels[1])


def lines(level: str = "debug") -> tuple[log.Logger, io.StringIO]:
    stream = io.StringIO()
    log.configure(level, stream)
    return log.get_logger("sampler"), stream


def test_a_line_has_time_level_logger_message_and_pairs_in_this_order() -> None:
    logger, stream = lines()
    logger.info("probe lost", probe="nvml/GPU-1", reason="no answer")
    line = stream.getvalue()
    stamp, rest = line.split(" ", 1)
    assert re.fullmatch(r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    assert rest == 'level=info logger=sampler msg="probe lost" probe=nvml/GPU-1 reason="no answer"\n'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain-1.5/x:y", "plain-1.5/x:y"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("C:\\x", r'"C:\\x"'),
        ("one\ntwo\r\n\tthree", r'"one\ntwo\r\n\tthree"'),
        ("\x1b[31mred\x00", r'"\u001b[31mred\u0000"'),
        ("next\u2028line", r'"next\u2028line"'),
        ("grün", "grün"),
        (0.5, "0.5"),
        (True, "true"),
        ([1, 2], '"[1, 2]"'),
    ],
)
def test_a_value_is_quoted_only_if_necessary(value: object, written: str) -> None:
    logger, stream = lines()
    logger.info("m", key=value)
    assert stream.getvalue().endswith(f" msg=m key={written}\n")
    assert stream.getvalue().count("\n") == 1


def test_an_absent_value_is_omitted() -> None:
    logger, stream = lines()
    logger.info("m", reason=None, probe="rapl")
    assert stream.getvalue().endswith(" msg=m probe=rapl\n")


def test_a_traceback_stays_on_its_line() -> None:
    logger, stream = lines()
    try:
        int("no zone")
    except ValueError:
        logger.exception("read failed", probe="rapl")
    (line,) = stream.getvalue().splitlines()
    assert 'msg="read failed" probe=rapl exception="Traceback' in line
    assert r"\nValueError: invalid literal" in line


def test_arguments_and_extra_of_the_standard_library_still_work() -> None:
    logger, stream = lines()
    logger.warning("%d of %d", 1, 2, extra={"other": 1}, probe="rapl")
    assert stream.getvalue().endswith('level=warning logger=sampler msg="1 of 2" probe=rapl\n')


def test_lines_below_the_level_are_not_written() -> None:
    logger, stream = lines("warning")
    logger.info("quiet")
    logger.error("loud")
    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == ["level=error logger=sampler msg=loud"]


def test_other_libraries_log_from_warning_up() -> None:
    _, stream = lines("debug")
    logging.getLogger("alembic.runtime").info("chatter")
    logging.getLogger("alembic.runtime").warning("trouble")
    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == [
        "level=warning logger=alembic.runtime msg=trouble"
    ]


def test_configuring_again_replaces_the_first_stream() -> None:
    _, first = lines()
    logger, second = lines()
    logger.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("msg=once") == 1


def test_an_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'loud': use one of debug, info, warning, error"):
        log.configure("loud")


def test_the_journal_gets_a_priority_and_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "journal"
    with journal.open("w") as stream:
        opened = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{opened.st_dev}:{opened.st_ino}")
        log.configure("debug", stream)
        logger = log.get_logger("daemon")
        for write in (logger.debug, logger.info, logger.warning, logger.error, logger.critical):
            write("m")
    levels = [(7, "debug"), (6, "info"), (4, "warning"), (3, "error"), (2, "critical")]
    assert journal.read_text().splitlines() == [f"<{n}>level={name} logger=daemon msg=m" for n, name in levels]


def test_a_stream_that_is_not_the_journal_has_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "file").open("w") as stream:
        opened = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{opened.st_dev}:{opened.st_ino + 1}")
        log.configure("debug", stream)
        log.get_logger("daemon").info("m")
    assert (tmp_path / "file").read_text().startswith("ts=")
