"""Lets focus-validator and AIConfigurator read exports of measured profiles, for `planners.py`."""

from __future__ import annotations

import csv
import json
import sys
from math import isclose
from typing import TYPE_CHECKING

from live_service import PROGRAM
from planner_environments import AICONFIGURATOR, FOCUS, ask
from programs import run
from reporting import Bar, table

if TYPE_CHECKING:
    from pathlib import Path

CONTRADICTORY = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}
"""One rule requires an empty invoice, the other one that is not empty."""
LEAST_RULES = 250
GENERATED = (
    "--precision", "fp16", "--layers", "16", "--width", "1536", "--heads", "12", "--batch", "1",
    "--prompt-tokens", "32", "--output-tokens", "4", "--window-seconds", "0.5", "--idle-seconds", "2",
)  # fmt: skip
"""The smallest transformer whose weights are no longer in a cache."""
WHOLE_TOKENS = 0.02
"""The largest difference because a charge has whole tokens."""
WEIGHT_BYTES = 2 * 596e6
"""The weights of Qwen3-0.6B with 16 bits."""


def generated_profile(home: Path) -> Path:
    """Measure a generated transformer with the tariff of the folder, and return the file of the profile."""
    print("measuring a generated transformer ...", file=sys.stderr, flush=True)
    path = home / "transformer.json"
    store = ("--database", home / "transformer.db")
    run(PROGRAM, *store, "profile", "transformer", "--tariff", home / "tariff.toml", *GENERATED, "--force")
    run(PROGRAM, *store, "profiles", "export", "latest", "-o", path)
    return path


def focus(home: Path, *profiles: Path) -> list[Bar]:
    """Validate the charges of profiles, and compare their energy and cost with the profiles."""
    path = home / "focus.csv"
    run(PROGRAM, "export", *profiles, "--to", "focus", "-o", path)
    found = ask(FOCUS, "focus", path)
    with path.open(newline="", encoding="utf-8") as stream:
        charges = list(csv.DictReader(stream))
    points = [point for profile in profiles for point in json.loads(profile.read_text())["points"]]
    wrong = sum(_differs(charge, point) for charge, point in zip(charges, points, strict=True))
    columns = ("POINT", "QUANTITY>", "UNIT", "PRICE>", "JOULES>", "SOURCE")
    names = ("x_Point", "PricingQuantity", "PricingUnit", "ListUnitPrice", "x_EnergyJoules", "x_EnergySource")
    table(f"FOCUS 1.2 in {FOCUS}", columns, [tuple(charge[name] for name in names) for charge in charges])
    failed, broken = set(found["file"]["failed"]), set(found["broken"]["failed"])
    return [
        Bar("FOCUS: applied rules", found["file"]["applied"], LEAST_RULES, at_least=True),
        Bar("FOCUS: failed rules beside the contradictory ones", len(failed - CONTRADICTORY), 0),
        Bar("FOCUS: more failed rules for a wrong price", len(broken - failed), 1, at_least=True),
        Bar("FOCUS: charges whose energy or cost differs from the profile", wrong, 0),
    ]


def _differs(charge: dict[str, str], point: dict) -> bool:
    """Return whether a charge is not the energy and the cost of its inferences."""
    inferences, energy = int(charge["x_Inferences"]), point["energy"]["joules_per_inference"]["total"]
    parts = (point["cost"]["allocation"] or point["cost"]["usage"])["per_inference"]
    cost = sum(parts[name]["mean"] for name in ("energy", "capital")) * inferences
    joules = energy["mean"] * inferences
    alike = isclose(float(charge["BilledCost"]), cost, rel_tol=WHOLE_TOKENS)
    alike = alike and isclose(float(charge["x_EnergyJoules"]), joules, rel_tol=1e-6)
    return not (alike and charge["x_EnergySource"] == energy["source"])


def aiconfigurator(home: Path, profile: Path) -> list[Bar]:
    """Compare the token time of AIConfigurator with the time to read the weights at the measured bandwidth."""
    path = home / "measured_host.yaml"
    run(PROGRAM, "export", profile, "--to", "aiconfigurator", "--set", "system=measured_host", "-o", path)
    found = ask(AICONFIGURATOR, "aiconfigurator", path)
    measured, twice, gpu = found["measured"], found["twice"], found["gpu"]
    reading_ms = WEIGHT_BYTES / gpu["mem_bw"] * 1000
    columns = ("SYSTEM", "GB/S>", "GFLOP/S>", "TTFT (MS)>", "TPOT (MS)>", "WEIGHTS (MS)>")
    rates = (gpu["mem_bw"] / 1e9, gpu["bfloat16_tc_flops"] / 1e9)
    rows = [
        ("measured", *rates, measured["ttft_ms"], measured["tpot_ms"], reading_ms),
        ("twice the rates", *(2 * rate for rate in rates), twice["ttft_ms"], twice["tpot_ms"], reading_ms / 2),
    ]
    table(f"Qwen3-0.6B in {AICONFIGURATOR}, 512 tokens in, 64 out", columns, rows)
    return [
        Bar("AIConfigurator: token time over the time of the weights", measured["tpot_ms"] / reading_ms, 1.2),
        Bar("AIConfigurator: the same, at least", measured["tpot_ms"] / reading_ms, 1.0, at_least=True),
        Bar("AIConfigurator: token time with twice the rates", twice["tpot_ms"] / measured["tpot_ms"], 0.51),
        Bar("AIConfigurator: first token with twice the rates", twice["ttft_ms"] / measured["ttft_ms"], 0.51),
        Bar("AIConfigurator: refused systems of two devices", int("two_devices" in found), 1, at_least=True),
    ]
