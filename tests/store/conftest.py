from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nobody import nobody as as_nobody
from probes.model import Channel, Device, Kind, Source
from store.database import open_database
from store.records import Host

CHILD = Path(__file__).with_name("store_process.py")
CPU = Device("package-0", Kind.CPU, "", (("cores", "8"),))
GPU = Device("GPU-1234", Kind.GPU, "Accelerator 9000", (("driver", "570.1"), ("pci_address", "0000:01:00.0")))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inferometer.db"


@pytest.fixture
def opened():
    """Opens stores, and closes them when the test is over."""
    engines = []

    def open_one(url, **settings):
        engines.append(open_database(str(url), **settings))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.dispose()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("empty") / "inferometer.db"
    open_database(str(path)).dispose()
    return path


@pytest.fixture
def engine(opened, path, empty_store):
    """An empty store at `path`; a copy, as migrating takes time."""
    shutil.copy(empty_store, path)
    return opened(path)


@pytest.fixture
def host():
    return Host("5e1f", "bench", "b007", "6.1.0", "Debian 12", "A CPU", "zen4", ("avx2", "avx512f"), 16, 2**40, True)


@pytest.fixture
def probes():
    """Two probes: one of a counter that is part of another and an estimate, one of a GPU."""
    rapl = (
        Channel(CPU, "package", "energy_joules", Source.MEASURED, "counter", 0.001, 6.1e-5, (), 1000.0),
        Channel(CPU, "core", "energy_joules", Source.MEASURED, "counter", 0.001, 6.1e-5, (("package-0", "package"),)),
        Channel(CPU, "package", "power_watts", Source.ESTIMATED, "model", uncertainty=0.5),
    )
    return [("rapl", rapl), ("nvml/GPU-1234", (Channel(GPU, "board", "power_watts", method="average"),))]


@pytest.fixture
def run_child():
    """Runs one command of store_process.py to its end, as nobody if requested, and returns its output."""

    def run(*words, nobody=False):
        command = [sys.executable, str(CHILD), *map(str, words)]
        options = as_nobody() if nobody else {}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def opened_by_nobody():
    """Lets a user without any rights here open stores, and returns the message for that user."""
    command = [sys.executable, str(CHILD), "open_each"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **as_nobody()) as process:
        process.stdout.readline()

        def open_one(url):
            process.stdin.write(f"{url}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield open_one


@pytest.fixture
def start_child():
    """Starts commands of store_process.py, and kills the remaining ones after the test."""
    running = []

    def start(*words):
        command = [sys.executable, str(CHILD), *map(str, words)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def open_folder():
    """A folder that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="inferometer-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
