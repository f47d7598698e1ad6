"""Measures the CPU time to price 1,000 stored profiles again under another tariff."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
from reporting import Bar, arguments, finish, table

from agent.cost.tariff_file import read_tariff
from agent.profiling.document.versions import parse
from agent.profiling.pricing import price_document
from agent.profiling.records import Document

PROFILES, QUICK_PROFILES = 1000, 50
MOST_SECONDS = 1.0
EXAMPLES = [Path(__file__).parents[1] / f"docs/{name}.example.json" for name in ("profile", "serving")]
TARIFF = read_tariff(
    {
        "currency": "EUR",
        "price_per_kwh": 0.31,
        "cooling_overhead": 0.25,
        "distribution_loss": 0.08,
        "capital": 35_000,
        "residual_share": 0.1,
        "discount_rate": 0.06,
        "maintenance_share": 0.05,
        "staff_per_year": 2000,
        "utilization": 0.4,
        "carbon_intensity_g_per_kwh": 350,
        "embodied_kg_co2e": 1500,
    }
)


def main() -> None:
    """Read and price copies of the example profiles, after each text is decoded."""
    options = arguments(str(__doc__).partition("\n")[0])
    count = QUICK_PROFILES if options.quick else PROFILES
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLES]
    documents = [msgspec.convert(parse(texts[number % len(texts)]), Document) for number in range(count)]
    points = sum(len(document.points) for document in documents)

    began = time.process_time()
    priced = [price_document(document, TARIFF) for document in documents]
    seconds = time.process_time() - began
    assert all(point.cost for document in priced for point in document.points if point.energy)

    began = time.process_time()
    for number in range(count):
        msgspec.convert(json.loads(texts[number % len(texts)]), Document)
    reading = time.process_time() - began

    scaled = seconds * PROFILES / count
    table(
        f"CPU time to price {count} profiles under another tariff",
        ("PROFILES>", "POINTS>", "PRICING>", "PER POINT>", "READING THEM FROM JSON>"),
        [(count, points, f"{seconds:.2f} s", f"{seconds / points * 1e6:.0f} µs", f"{reading:.2f} s")],
    )
    figures = {"profiles": count, "points": points, "seconds": seconds, "reading_seconds": reading}
    finish(options.json, figures, [Bar("CPU seconds to price 1,000 profiles", scaled, MOST_SECONDS, "s")])


if __name__ == "__main__":
    main()
