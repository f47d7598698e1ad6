"""A real Prometheus server that scrapes exporters every second."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RULES = Path(__file__).parent.parent / "docs/prometheus/rules.yml"

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], job: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Run a server that scrapes the targets, each an instance name and its address; yield the server's own address.

    `job` has further settings of the scrapes.
    """
    address = f"127.0.0.1:{free_port()}"
    config = folder / "prometheus.yml"
    static = [{"targets": [target], "labels": {"instance": name}} for name, target in targets.items()]
    jobs = [{"job_name": "inferometer", "static_configs": static, **(job or {})}]
    intervals = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config.write_text(json.dumps({"global": intervals, "rule_files": [str(RULES)], "scrape_configs": jobs}))
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log, cwd=folder)
    try:
        yield address
    finally:
        running.kill()  # its data is removed with the folder
        running.wait()


def query(address: str, expression: str) -> list[dict[str, Any]] | None:
    """Return the current vector of an expression, or None while the server does not answer yet."""
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 503:
                return None
            raise AssertionError(f"{expression}: {error.read().decode()}") from error
    except urllib.error.URLError:
        return None
    assert body["status"] == "success"
    return body["data"]["result"]
