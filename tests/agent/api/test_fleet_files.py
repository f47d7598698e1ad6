"""The scrape configurations, the rules and the unit for fleets in docs/prometheus, by the programs that read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from prometheus_server import RULES, needs_promtool

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = RULES.parent
SCRAPES = sorted(FOLDER.glob("scrape-*.yml"))
UNIT = FOLDER / "vmagent.service"
FLEET_RULES = FOLDER / "fleet-rules.yml"
PAGE = FOLDER.parent / "fleet-metrics.md"

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


@needs_promtool
@pytest.mark.parametrize("path", [*SCRAPES, FOLDER / "vmagent.yml"], ids=lambda path: path.name)
def test_promtool_accepts_a_scrape_configuration(path: Path, tmp_path: Path):
    """Debian's Prometheus has no discovery in Kubernetes, so the rest of that file is checked."""
    checked = tmp_path / path.name
    text = path.read_text(encoding="utf-8")
    checked.write_text(text.replace("kubernetes_sd_configs:\n      - role: node", "static_configs: []"))
    command = ["promtool", "check", "config", "--syntax-only", checked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_rules_of_a_fleet_and_their_tests():
    for verb, file in (("check", FLEET_RULES), ("test", FLEET_RULES.with_suffix(".test.yml"))):
        done = subprocess.run(
            ["promtool", verb, "rules", file], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_scrape_configuration_has_the_labels_of_the_rules():
    assert len(SCRAPES) == 3
    targets = json.loads((FOLDER / "targets.json").read_text(encoding="utf-8"))
    assert all(each["labels"].keys() == {"site", "rack", "owner"} for each in targets)
    for path in (*SCRAPES, FOLDER / "vmagent.yml"):
        text = path.read_text(encoding="utf-8") + (json.dumps(targets) if "file_sd" in path.read_text() else "")
        assert {label for label in ("site", "rack", "owner") if not re.search(rf"\b{label}\b", text)} == set(), path


def test_the_page_names_every_recorded_series_and_no_other():
    recorded = set(re.findall(r"record: (\S+)", FLEET_RULES.read_text(encoding="utf-8")))
    named = set(re.findall(r"`(site_\w+:\S+?)`", PAGE.read_text(encoding="utf-8")))
    assert recorded == named
    assert len(recorded) == 9


def test_no_rule_adds_boundaries_or_sources_together():
    for expression in re.findall(r"expr: (sum by .*inferometer_host_(?:power|energy).*)", FLEET_RULES.read_text()):
        assert "boundary, source" in expression


def test_every_file_for_fleets_is_named_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    others = (FOLDER / "targets.json", FOLDER / "web-config.yml", FLEET_RULES, RULES)
    files = {*SCRAPES, *FOLDER.glob("vmagent.*"), *others}
    assert {path.name for path in files if f"prometheus/{path.name}" not in text} == set()


@needs_systemd
def test_systemd_finds_no_fault_in_the_unit_of_vmagent(tmp_path: Path):
    program = tmp_path / "vmagent"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "inferometer-vmagent.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/usr/bin/vmagent", str(program)))
    for command in (
        ["systemd-analyze", "verify", "--man=no", unit],
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", unit],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        own = [line for line in done.stderr.splitlines() if "inferometer-vmagent" in line]
        assert (done.returncode, own) == (0, []), done.stdout
    (started,) = re.findall(r"ExecStart=.*?64MB", UNIT.read_text(), re.DOTALL)
    assert "password" not in re.sub(r"passwordFile=\S+", "", started)
