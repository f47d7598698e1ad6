"""Checks that every family of sensors passes; packages with own probes use them too, from any test runner.

    assert_conforms(discover, build, folder, not_exercised={"suspension"})

`build(folder)` makes a `FakeHost`. docs/writing-a-probe.md has a complete example.
"""

from probes.conformance.host import FakeHost, Key, NotOfferedError
from probes.conformance.kit import CHECKS, Outcome, Verdict, assert_conforms, examine
from probes.conformance.tree_host import BLANKS, GARBAGE, FakeSensor, TreeHost

__all__ = [
    "BLANKS",
    "CHECKS",
    "GARBAGE",
    "FakeHost",
    "FakeSensor",
    "Key",
    "NotOfferedError",
    "Outcome",
    "TreeHost",
    "Verdict",
    "assert_conforms",
    "examine",
]
