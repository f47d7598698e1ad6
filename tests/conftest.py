"""Where everything a test can need is installed, a skipped test is a failure: INFEROMETER_NO_SKIPS=1 says so."""

import os

import pytest

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _skipped and os.environ.get("INFEROMETER_NO_SKIPS") == "1" and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and os.environ.get("INFEROMETER_NO_SKIPS") == "1":
        terminalreporter.write_line(f"{len(_skipped)} skipped, and nothing may be: {', '.join(_skipped)}", red=True)
