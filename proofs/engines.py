"""Compares `inferometer profile` with the engines that it runs, each in an environment of its own.

    make proof-engines                                  # all engines
    make proof-engines PROOF_ARGS="torch llama --quick"

Each part measures the same work by `inferometer profile` and by a plain loop or by the engine's own program, in
interleaved pairs. The exit code is 1 if a bar is not met.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from engine_environments import is_installed
from programs import CACHE
from reporting import Verdict, finish

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = ("gemm", "genai", "llama", "onnx", "openvino", "stream", "torch")
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""NumPy requests huge pages for its arrays, and the allocator uses them again; this gives them to both sides."""
PARTS = tuple(name for name in _NAMES if find_spec(f"engine_{name}") is not None)
"""The modules `engine_NAME`, each with `environment()`, which installs it, and `prove(quick)`, which returns bars."""


def prove(name: str, *, quick: bool) -> bool:
    """Run one part, write its results, and return whether all bars are met."""
    module: Any = import_module(f"engine_{name}")
    print(f"== {name}", flush=True)
    module.environment()
    began = time.monotonic()
    bars = module.prove(quick)
    seconds = time.monotonic() - began
    finish(CACHE / f"results/engine-{name}.json", {"quick": quick, "seconds": seconds}, bars)
    return all(bar.verdict is Verdict.MET for bar in bars)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the chosen parts, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="short trials, without bars on the differences")
    parser.add_argument("--installed", action="store_true", help="only parts that are installed; list the others")
    options = parser.parse_args(arguments)
    os.environ.update(HUGE_PAGES)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: choose of {', '.join(PARTS)}")
    chosen = [name for name in PARTS if name in options.parts or not options.parts]
    skipped = [name for name in chosen if options.installed and not is_installed(name)]
    missed = [name for name in chosen if name not in skipped and not prove(name, quick=options.quick)]
    if skipped:
        print(f"Engines skipped, because they are not installed: {' '.join(skipped)}")
    if missed:
        print(f"engines with a bar that is not met: {' '.join(missed)}", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
