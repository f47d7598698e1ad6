"""Proves that Prometheus and VictoriaMetrics show the energy of a fleet, and measures them with up to 10,000 hosts.

    make proof-fleet
    make proof-fleet PROOF_ARGS="outage"
    make proof-fleet PROOF_ARGS="scale --server victoria-metrics --hosts 10000"

The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

import fleet_disk
import fleet_outage
import fleet_scale
from programs import CACHE
from reporting import Verdict, finish

PARTS = ("outage", "scale", "disk")
SERVERS = ("victoria-metrics", "prometheus")
FULL_SECONDS, QUICK_SECONDS = (60.0, 120.0, 360.0), (10.0, 20.0, 40.0)
"""The scrape interval, the time before and during a measurement."""


def main() -> None:
    """Run the parts, and write the figures and the bars of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--hosts", type=int, action="append", help="size of a fleet; can be repeated")
    parser.add_argument("--server", choices=SERVERS, action="append", help="server that scrapes it; can be repeated")
    parser.add_argument("--quick", action="store_true", help="a short trial: small fleets, a short outage")
    given = parser.parse_args()
    if unknown := set(given.part) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; choose among {', '.join(PARTS)}")
    sizes = tuple(given.hosts or (fleet_scale.QUICK_SIZES if given.quick else fleet_scale.SIZES))
    seconds = QUICK_SECONDS if given.quick else FULL_SECONDS
    plan = fleet_scale.Plan(sizes, tuple(given.server or SERVERS), *seconds)
    runs = {
        "outage": partial(fleet_outage.prove, given.quick),
        "scale": partial(fleet_scale.prove, plan),
        "disk": partial(fleet_disk.prove, given.quick),
    }
    missed = []
    for part in given.part or PARTS:
        began = time.monotonic()
        print(f"{part} ...", file=sys.stderr, flush=True)
        figures, bars = runs[part]()
        chosen = [*map(str, given.hosts or ()), *(given.server or ())] if part == "scale" else []
        name = "_".join(["fleet", part, *chosen, *(["quick"] if given.quick else [])])
        finish(CACHE / f"results/{name}.json", {**figures, "seconds": time.monotonic() - began}, bars)
        missed += [bar.name for bar in bars if bar.verdict is not Verdict.MET]
    if missed:
        raise SystemExit(f"bars that were not met: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
