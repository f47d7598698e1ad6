"""Runs Debian's Prometheus, VictoriaMetrics, vmagent and vmalert for the proof of the fleet, all on loopback.

The packages are unpacked below the cache of the user, not installed.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from live_service import free_port
from programs import built, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RULES = Path(__file__).resolve().parent.parent / "docs/prometheus/fleet-rules.yml"
READY_SECONDS = 120.0
QUERY_SECONDS = 60.0
_PACKAGES = ("prometheus", "victoria-metrics")
_PATHS = {"prometheus": "-/ready", "victoria-metrics": "health", "vmagent": "health", "vmalert": "health"}


def program(name: str) -> Path:
    """Return a program of the packages."""

    def unpack(folder: Path) -> None:
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise SystemExit(f"Prometheus and VictoriaMetrics come from Debian: {tool} is missing")
        packages = folder / "packages"
        packages.mkdir()
        done = subprocess.run(["apt-get", "-qq", "download", *_PACKAGES], cwd=packages, check=False)
        if done.returncode:
            raise SystemExit(f"apt-get cannot download {' and '.join(_PACKAGES)}; run `apt-get update` first")
        for package in packages.glob("*.deb"):
            run("dpkg-deb", "--extract", package, folder)
        shutil.rmtree(packages)

    return built("fleet", " ".join(_PACKAGES), unpack) / "usr/bin" / name


Stored = tuple[dict[str, str], list[float], list[float]]
"""The labels of a series, the Unix times of its samples, and their values."""


@dataclass(slots=True)
class Server:
    """A server with its folder: started, killed, and started again with the same data."""

    name: str
    folder: Path
    options: Sequence[str]
    port: str = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        option = "--web.listen-address" if self.name == "prometheus" else "-httpListenAddr"
        line = [program(self.name), f"{option}=127.0.0.1:{self.port}", *self.options]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen([*map(str, line)], stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + READY_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/{_PATHS[self.name]}", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"{self.name} does not answer:\n{self.log()[-2000:]}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait for the end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def log(self) -> str:
        """Return the log."""
        return (self.folder / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")

    def read(self, path: str, **arguments: str) -> bytes:
        """Return the content of a page; the proof ends if the server refuses it."""
        query = urllib.parse.urlencode(arguments)
        try:
            with urllib.request.urlopen(f"{self.url}/{path}?{query}", timeout=QUERY_SECONDS) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{self.name} refuses {path} {arguments}: {error.read().decode()[:1000]}") from error

    def query(self, expression: str, path: str = "api/v1/query", **arguments: str) -> list[dict[str, Any]]:
        """Return the result of a query, computed without a cache."""
        body = json.loads(self.read(path, query=expression, nocache="1", **arguments))
        result: list[dict[str, Any]] = body["data"]["result"]
        return result

    def samples(self, selector: str, seconds: float, until: float) -> list[Stored]:
        """Return the stored samples of series between `seconds` before a Unix time and that time."""
        found = self.query(f"{selector}[{seconds:.0f}s]", time=f"{until:.3f}")
        return [
            (each["metric"], [at for at, _ in each["values"]], [float(value) for _, value in each["values"]])
            for each in found
        ]

    def own_metrics(self) -> dict[str, float]:
        """Return the values of the server's own metrics, by name and labels."""
        lines = self.read("metrics").decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


def config(
    folder: Path, targets: Sequence[Mapping[str, Any]], seconds: float, recorded: Path | None = None, **labels: str
) -> Path:
    """Write a configuration that scrapes groups of targets, with the rules that Prometheus records, and return it."""
    (folder / "targets.json").write_text(json.dumps(list(targets)), encoding="utf-8")
    times = {"scrape_interval": f"{seconds:.0f}s", "scrape_timeout": f"{min(seconds, 10.0):.0f}s"}
    document: dict[str, Any] = {
        "global": {**times, "external_labels": labels},
        "scrape_configs": [{"job_name": "inferometer", "file_sd_configs": [{"files": ["targets.json"]}]}],
    }
    if recorded:
        document["rule_files"] = [str(recorded)]
    path = folder / "scrape.yml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def victoria_metrics(folder: Path, scrapes: Path | None = None) -> Server:
    """Return a VictoriaMetrics with its own data, which may scrape."""
    own = [] if scrapes is None else [f"-promscrape.config={scrapes}"]
    return Server("victoria-metrics", folder, [f"-storageDataPath={folder / 'data'}", *own])


def prometheus(folder: Path, scrapes: Path) -> Server:
    """Return a Prometheus that scrapes."""
    return Server("prometheus", folder, [f"--config.file={scrapes}", f"--storage.tsdb.path={folder / 'data'}"])


def vmagent(folder: Path, scrapes: Path, to: Server) -> Server:
    """Return a vmagent that scrapes and sends to a server, and queues on disk what the server does not take."""
    queue = f"-remoteWrite.tmpDataPath={folder / 'queue'}"
    url = f"-remoteWrite.url={to.url}/api/v1/write"
    return Server("vmagent", folder, [f"-promscrape.config={scrapes}", url, queue])


def rules(folder: Path, seconds: float) -> Path:
    """Return the rules of a fleet with this interval."""
    text, count = re.subn(r"(?m)^( +interval:).*$", rf"\g<1> {seconds:.0f}s", RULES.read_text(encoding="utf-8"))
    if not count:
        raise SystemExit(f"{RULES} has no interval")
    path = folder / RULES.name
    path.write_text(text, encoding="utf-8")
    return path


def vmalert(folder: Path, to: Server, seconds: float) -> Server:
    """Return a vmalert that records the rules of a fleet in a server."""
    return Server("vmalert", folder, _recording(folder, to, seconds))


def replay(folder: Path, to: Server, seconds: float, start: float, end: float) -> None:
    """Record the rules at every interval of a time that has passed, its ends included.

    vmalert 1.79 replays in steps of -datasource.queryStep, 5 minutes unless given, instead of the interval. A rule that
    reads the series of another one needs a delay between rules that is longer than the interval of writes.
    """
    times = (f"-replay.timeFrom={_utc(start)}", f"-replay.timeTo={_utc(end)}", f"-datasource.queryStep={seconds:.0f}s")
    pace = ("-replay.disableProgressBar", "-replay.rulesDelay=4s", "-remoteWrite.flushInterval=1s")
    line = [program("vmalert"), *_recording(folder, to, seconds), *times, *pace]
    done = subprocess.run([*map(str, line)], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"vmalert -replay ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")


@contextmanager
def started(*servers: Server) -> Iterator[None]:
    """Start servers, and stop those that still run after the block."""
    try:
        for server in servers:
            server.folder.mkdir(parents=True, exist_ok=True)
            server.start()
        yield
    finally:
        for server in reversed(servers):
            server.stop()


def _recording(folder: Path, to: Server, seconds: float) -> tuple[str, ...]:
    return f"-rule={rules(folder, seconds)}", f"-datasource.url={to.url}", f"-remoteWrite.url={to.url}"


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
