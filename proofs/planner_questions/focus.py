"""Asks focus-validator for the failed rules of a FOCUS file, and of a copy with a wrong price; prints JSON.

Argument: the file. The validator finds its currencies beside its package, so it runs there.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import focus_validator

PROGRAM = Path(sys.executable).with_name("focus-validator")
SITE = Path(focus_validator.__file__).parent.parent
CRITERIA = (
    "ACCOUNT_NAMING", "NEGOTIATED_PRICING", "PUBLIC_PRICE_LIST", "USAGE_MEASUREMENT", "UNIT_PRICING",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES", "RESOURCE_TYPE_ASSIGNMENT", "REGION", "TAGGING",
)  # fmt: skip
"""The conditional parts of FOCUS that the export has; reservations, commitments and sub-accounts do not exist."""
OPTIONS = (
    "--validate-version", "1.2.0.1", "--focus-dataset", "CostAndUsage", "--block-download",
    "--applicability-criteria", ",".join(f"{each}_SUPPORTED" for each in CRITERIA),
)  # fmt: skip


def validate(path: Path, report: Path) -> dict:
    """Return the number of rules that were applied, and the names of those that failed."""
    output = ("--output-type", "unittest", "--output-destination", str(report))
    line = [str(PROGRAM), "--data-file", str(path), *OPTIONS, *output]
    subprocess.run(line, cwd=SITE, check=False, capture_output=True, timeout=300)
    cases = list(ET.parse(report).getroot().iter("testcase"))
    applied = [case for case in cases if case.find("skipped") is None]
    failed = [case for case in applied if case.find("failure") is not None or case.find("error") is not None]
    return {"applied": len(applied), "failed": sorted(case.get("name", "").partition(" ")[0] for case in failed)}


with tempfile.TemporaryDirectory() as folder:
    source, broken = Path(sys.argv[1]).absolute(), Path(folder, "broken.csv")
    with source.open(newline="") as stream:
        charges = list(csv.DictReader(stream))
    with broken.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(charges[0]))
        writer.writeheader()
        writer.writerows({**charge, "ListUnitPrice": "99"} for charge in charges)
    found = {"file": validate(source, Path(folder, "a.xml")), "broken": validate(broken, Path(folder, "b.xml"))}
print(json.dumps(found))
