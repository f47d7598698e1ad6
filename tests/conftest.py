"""Fixtures and settings of all tests. With INFEROMETER_NO_SKIPS=1 a skipped test is a failure."""

from __future__ import annotations

import fcntl
import gc
import os
import re
import signal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import fork_server

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType

# A busy machine must not fail a property test, so no example has a deadline. CI searches harder than a quick local run.
_SLOW_HOST = [HealthCheck.too_slow]
settings.register_profile("quick", deadline=None, suppress_health_check=_SLOW_HOST, max_examples=25)
settings.register_profile("thorough", deadline=None, suppress_health_check=_SLOW_HOST, max_examples=100)
settings.load_profile("thorough" if os.environ.get("INFEROMETER_NO_SKIPS") == "1" else "quick")

# Code that runs inside the test process must not write to the user's own state directory.
_state = TemporaryDirectory(prefix="inferometer-tests-")
os.environ["XDG_STATE_HOME"] = _state.name

_skipped: list[str] = []

# A shell that starts the tests in the background may ignore signals, and their processes would inherit that.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


_STARTERS = {"subprocess", "fork_server", "command", "daemons", "profile_runs", "prometheus_server", "nobody"}
"""Modules with which a test starts processes."""

_ALL_SYSTEM = re.compile(
    rf"^(?:from|import) (?:{'|'.join(sorted(_STARTERS))})\b|^pytestmark = pytest\.mark\.system$", re.MULTILINE
)
"""The line of a module whose tests all have the marker `system`."""

_LONGEST = (
    *("agent/cli/test_profile_endpoint_limits.py", "agent/cli/test_profile_endpoint.py"),
    *("agent/cli/test_profile_first_contact.py", "agent/daemon/test_service_faults.py"),
    *("agent/daemon/test_maintenance.py", "agent/report/test_page_in_browser.py"),
    *("agent/cli/test_odd_environments.py", "agent/daemon/serving/test_thread.py", "agent/cli/test_signals.py"),
    *("agent/cli/test_measure.py", "agent/daemon/test_service_restarts.py", "agent/cli/test_profile_inputs.py"),
    *("agent/workloads/endpoint/test_workload.py", "agent/cli/test_main.py", "agent/cli/test_profile.py"),
    *("agent/daemon/test_service_scrapes.py", "agent/cli/test_profile_stopped.py", "agent/daemon/test_service.py"),
    *("agent/workloads/load/test_engine.py", "agent/api/test_prometheus_hosts.py", "agent/cli/test_db.py"),
    *("probes/plugs/test_conformance.py", "probes/snmp/test_conformance.py", "probes/scpi/test_conformance.py"),
    *("agent/cli/test_campaign.py", "agent/cli/test_campaign_hosts.py"),
    *("agent/cli/test_profile_refused.py", "agent/cli/test_profile_energy_from.py", "agent/profiling/test_edges.py"),
)
"""The files that take longest (`--durations=0`), from 60 s down to 20 s. They come first, so that none is left last.

The maintenance has the lowest priority, so it also comes before the files that need all CPUs.
"""


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # the objects of the collection live until the end
    config.addinivalue_line(
        "markers", "system: starts processes, or takes seconds; every test of a module that starts processes has it"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a module of system tests if only others are to run: its import takes longer than a look at its text."""
    if config.option.markexpr != "not system" or not collection_path.match("test_*.py"):
        return None
    return True if _ALL_SYSTEM.search(collection_path.read_text(encoding="utf-8")) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect in one worker per CPU at a time, so that the others find the compiled tests."""
    worker = getattr(session.config, "workerinput", {}).get("workerid", "")
    if not worker:
        return (yield)
    files = sorted(Path(__file__).parent.glob("*.py"))
    turn = int(worker.removeprefix("gw")) % len(os.sched_getaffinity(0)) % len(files)
    with files[turn].open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {Path(__file__).parent / name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: first.get(item.path, len(first)))
    for item in items:
        if isinstance(item, pytest.Function) and _starts_processes(item.module):
            item.add_marker("system")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Freeze the objects of the collection again after a file whose tests unfroze them."""
    if nextitem is not None and nextitem.path != item.path and not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


@cache
def _starts_processes(module: ModuleType) -> bool:
    found = vars(module).values()
    return any(getattr(each, "__module__", getattr(each, "__name__", "")) in _STARTERS for each in found)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_unconfigure() -> None:
    fork_server.stop()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _skipped and os.environ.get("INFEROMETER_NO_SKIPS") == "1" and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and os.environ.get("INFEROMETER_NO_SKIPS") == "1":
        terminalreporter.write_line(f"{len(_skipped)} skipped, and nothing may be: {', '.join(_skipped)}", red=True)
