"""Checks of `doctor` that need no sensor: the engines, the database, and the sensor families of the service."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace

from agent.config import Config
from agent.doctor import database, service_families, workloads
from agent.host.checks import Check, Verdict
from agent.workloads import registry
from probes.registry import Discovery
from probes.settings import MeterConfig
from store.database import open_database


def test_a_missing_engine_is_reported_with_the_command_that_installs_it() -> None:
    installed = [(check.name, check.verdict) for check in workloads()]
    assert installed == [(f"workload {name}", Verdict.PASS) for name in registry.names()]
    for module, extra in (("onnxruntime", "onnx"), ("httptools", "endpoint")):
        checks = workloads(lambda name, module=module: None if name == module else name)
        missing = {check.remedy for check in checks if check.found == f"{module} not installed"}
        assert missing == {f"pip install 'inferometer[{extra}]'"}
        assert {check.verdict for check in checks} == {Verdict.PASS, Verdict.WARN}


def test_a_workload_on_demand_passes_without_an_engine_and_names_the_extra() -> None:
    (check,) = (each for each in workloads(lambda _: None) if each.name == "workload llama")
    assert (check.verdict, check.remedy) == (Verdict.PASS, "")
    assert check.found == "not installed: pip install 'inferometer[llama]'"


def test_a_workload_with_one_of_its_engines_passes_and_names_the_others() -> None:
    checks = {check.name: check for check in workloads(lambda name: None if name == "torch" else name)}
    assert checks["workload transformer"].verdict is Verdict.PASS
    assert "torch" in checks["workload transformer"].found.partition(", not for ")[2].split(", ")


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    new = tmp_path / "some/folder/store.db"
    assert database(str(new)) == Check("database", Verdict.PASS, f"{new} will be created at first use")
    assert list(tmp_path.iterdir()) == []
    open_database(str(new)).dispose()
    assert database(f"sqlite:///{new}") == Check("database", Verdict.PASS, f"{new} is in order")


def test_an_unusable_database_fails_and_is_unchanged(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (a INTEGER)")
    connection.close()
    text = tmp_path / "text.db"
    text.write_text("no database at all, only words\n" * 40, encoding="utf-8")
    (tmp_path / "file").touch()
    before = {path: path.read_bytes() for path in (other, text)}
    for path in (other, text, tmp_path, tmp_path / "file/below/it.db"):
        check = database(str(path))
        assert (check.verdict, bool(check.remedy)) == (Verdict.FAIL, True), check
        assert str(path) in check.found
    assert {path: path.read_bytes() for path in before} == before
    assert database("mysterious://host/db").verdict is Verdict.FAIL


def test_a_family_that_the_unit_of_the_service_is_closed_for_has_the_command_that_opens_it(tmp_path: Path) -> None:
    config = Config(meters=(MeterConfig(name="bmc", kind="redfish", url="https://192.0.2.10"),))
    nothing = Discovery((), (), ())
    assert service_families(config, nothing, tmp_path) == []
    unit = tmp_path / "etc/systemd/system/inferometer.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    (check,) = service_families(config, nothing, tmp_path)
    assert (check.name, check.verdict) == ("service redfish", Verdict.WARN)
    assert check.remedy == "sudo inferometer service install --enable redfish"
    assert service_families(Config(), nothing, tmp_path) == []
    processors = Discovery((SimpleNamespace(name="cpu"),), (), ())
    uncore = Path("/sys/devices/system/cpu/intel_uncore_frequency").exists()
    assert bool(service_families(Config(), processors, tmp_path)) == uncore
    accelerator = Discovery((SimpleNamespace(name="neuron/1"),), (), ())
    assert [each.name for each in service_families(Config(), accelerator, tmp_path)] == ["service neuron"]
    drop_in = tmp_path / "etc/systemd/system/inferometer.service.d/family-redfish.conf"
    drop_in.parent.mkdir()
    drop_in.touch()
    assert service_families(config, nothing, tmp_path) == []
