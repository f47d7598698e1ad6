import sys
import threading
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from probes import other_packages, registry
from probes.errors import ProbeUnavailableError
from probes.family import Family
from probes.model import DiscoveryResult, Kind, Roots
from probes.settings import SensorSettings

FAMILY = Family("rackmeter", "Rack meters", (Kind.BOARD,), "energy at the wall", "counter", "1 s")


class Point(SimpleNamespace):
    """An entry point whose module is `loaded`, or the result of a function."""

    def __init__(self, loaded, name="rackmeter", package="rack-meter"):
        super().__init__(name=name, value="rack_meter", dist=SimpleNamespace(name=package), loaded=loaded)

    def load(self):
        return self.loaded() if callable(self.loaded) else self.loaded


def module(discover=lambda *_: DiscoveryResult()):
    return SimpleNamespace(FAMILY=FAMILY, discover=discover)


def installed(tmp_path, monkeypatch, *packages):
    """Install packages, each with one family rackmeter, as their metadata shows it."""
    for package in packages:
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text("[inferometer.probes]\nrackmeter = rack_meter\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])


def test_an_entry_point_of_an_installed_package_is_found(tmp_path, monkeypatch):
    installed(tmp_path, monkeypatch, "rack_meter")
    found, notes = other_packages.entry_points(())
    assert {name: other_packages.package_of(point) for name, point in found.items()} == {"rackmeter": "rack_meter"}
    assert notes == []


def test_the_second_of_two_packages_with_one_family_is_left_out_with_a_note(tmp_path, monkeypatch):
    installed(tmp_path, monkeypatch, "b_meter", "a_meter")
    found, (note,) = other_packages.entry_points(())
    assert other_packages.package_of(found["rackmeter"]) == "a_meter"
    assert (note.sensor, note.is_unreadable) == ("rackmeter", False)
    assert "the package b_meter has a family of the same name" in note.reason


def test_without_such_a_package_the_library_for_entry_points_is_not_called(monkeypatch):
    def refused(**_):
        raise AssertionError

    monkeypatch.setattr("importlib.metadata.entry_points", refused)
    assert other_packages.entry_points(()) == ({}, [])


def test_a_module_that_hangs_is_described_by_its_name_alone(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(other_packages, "LOAD_SECONDS", 2.0)
    points = {"rackmeter": Point(lambda: released.wait(60)), "sound": Point(module(), package="sound-meter")}
    hanging, sound = other_packages.describe(points)
    released.set()
    assert (hanging.family, hanging.package) == (None, "rack-meter")
    assert hanging.reason == "rack_meter was not imported within 2 s"
    assert (sound.family, sound.reason) == (FAMILY, "")


def test_a_discovery_that_hangs_costs_only_its_own_family(tmp_path, monkeypatch):
    released = threading.Event()
    point = Point(module(lambda *_: released.wait(60) and DiscoveryResult()))
    monkeypatch.setattr(other_packages, "entry_points", lambda _: ({"rackmeter": point}, []))
    roots = Roots(str(tmp_path), "/proc", "/nowhere/libnvidia-ml.so.1", str(tmp_path), str(tmp_path), str(tmp_path))
    found = registry.discover(roots, SensorSettings(estimates=False), deadline_seconds=5.0)
    released.set()
    found.close()
    (problem,) = found.problems
    assert problem.sensor == "everything of rackmeter"
    assert "did not answer within 5 s" in problem.reason
    assert {"cpu", "memory"} <= {probe.name for probe in found.probes}


def test_a_family_without_hardware_is_unavailable_as_ours():
    def discover(roots, _settings):
        raise ProbeUnavailableError(f"no meter below {roots.sysfs}")

    with pytest.raises(ProbeUnavailableError, match="no meter below /sys"):
        other_packages.discover(Point(module(discover)), Roots(), SensorSettings())


def test_an_exit_in_discovery_is_a_fault_of_the_package():
    def discover(*_):
        raise SystemExit(3)

    with pytest.raises(other_packages.PackageError, match="discover of rack_meter ended the program with 3"):
        other_packages.discover(Point(module(discover)), Roots(), SensorSettings())


def test_an_entry_point_without_a_package_is_named_by_its_module():
    point = EntryPoint("rackmeter", "rack_meter.probes", "inferometer.probes")
    assert other_packages.package_of(point) == "rack_meter.probes"
