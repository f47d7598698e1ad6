"""Every check finds the fault that it is made for: a sound family passes them all, one with a single fault does not."""

from functools import partial

import pytest

from meter_family import MetersHost, discover
from probes.conformance import CHECKS, FakeHost, Verdict, assert_conforms, examine, kit

WITHOUT_A_FAULT = {"counters alone", "cost", "hanging reads", "hanging discovery"}
pytestmark = pytest.mark.system


def test_a_sound_family_passes_every_check(tmp_path):
    outcomes = assert_conforms(discover, MetersHost, tmp_path)
    verdicts = {outcome.check: outcome.verdict for outcome in outcomes}
    assert verdicts.keys() == CHECKS.keys()
    assert verdicts.pop("counters alone") is Verdict.NOT_APPLICABLE
    assert set(verdicts.values()) == {Verdict.PASSED}


@pytest.mark.parametrize("fault", sorted(CHECKS.keys() - WITHOUT_A_FAULT))
def test_each_fault_fails_its_check(tmp_path, fault):
    outcome = kit._outcome(fault, partial(discover, fault=fault), MetersHost, tmp_path / "host")
    assert outcome.verdict is Verdict.FAILED, outcome
    assert outcome.sentence


def test_a_read_that_hangs_in_a_driver_fails_its_check(tmp_path, monkeypatch):
    monkeypatch.setattr("probes.conformance.reads.READ_SECONDS", 0.1)
    monkeypatch.setattr("probes.conformance.reads.SLACK_SECONDS", 0.0)
    monkeypatch.setattr("meter_family.Meter.files_only", False)
    outcome = kit._outcome("hanging reads", discover, MetersHost, tmp_path / "host")
    assert (outcome.verdict, "did not end within 0.1 s" in outcome.sentence) == (Verdict.FAILED, True)


def test_a_discovery_that_hangs_fails_its_check(tmp_path, monkeypatch):
    monkeypatch.setattr("probes.conformance.bench.DEADLINE_SECONDS", 0.1)
    monkeypatch.setattr("probes.conformance.bench.SLACK_SECONDS", 0.0)
    outcome = kit._outcome("hanging discovery", discover, MetersHost, tmp_path / "host")
    assert (outcome.verdict, outcome.sentence) == (Verdict.FAILED, "discovery did not end within 0.1 s")


def test_checks_that_a_host_does_not_offer_must_be_named(tmp_path):
    def bare(folder):
        host = MetersHost(folder)
        return FakeHost(host.roots)

    with pytest.raises(AssertionError, match="units: not exercised: the fake host does not offer truth") as raised:
        assert_conforms(discover, bare, tmp_path / "a", not_exercised={"order"})
    assert "order: named in not_exercised, and exercised" in str(raised.value)
    names = {o.check for o in examine(discover, bare, tmp_path / "b") if o.verdict is Verdict.NOT_EXERCISED}
    assert {"units", "blanks", "resets", "removal", "suspension"} <= names
    assert_conforms(discover, bare, tmp_path / "c", not_exercised=names)


def test_an_unknown_check_cannot_be_left_out(tmp_path):
    with pytest.raises(AssertionError, match="unit: named in not_exercised, and no check"):
        assert_conforms(discover, MetersHost, tmp_path, not_exercised={"unit"})
