"""Runs campaigns through Ansible, Slurm and Kubernetes on hosts that are namespaces of this machine.

    make proof-campaigns [PROOF_ARGS="slurm --quick"]

Every profile must be measured once, stored once by the head, and be that of its host; every fault of a host must be
named. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import Any

from programs import CACHE
from reporting import Bar, Verdict, finish

PARTS = ("kubernetes", "ansible", "slurm")


def main() -> None:
    """Run the parts that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer campaigns, and fewer kills of the head")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {}
    bars: list[Bar] = []
    for part in chosen.parts or PARTS:
        print(f"== {part}", flush=True)
        figures[part], found = import_module(f"campaign_{part}").prove(chosen.quick)
        bars += found
    finish(CACHE / "results/campaigns.json", figures, bars)
    if any(bar.verdict is not Verdict.MET for bar in bars):
        sys.exit(1)


if __name__ == "__main__":
    main()
