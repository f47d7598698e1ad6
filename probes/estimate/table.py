"""The watts of a processor thread by microarchitecture, for the model of `estimate`.

Source: SPECpower_ssj2008 results of spec.org, as Cloud Carbon Footprint's ccf-coefficients collects them
(data/SPECpower-2026-03-09.csv). The numbers are our own: each result's watts at active idle and at 100 % load, divided
by the server's hardware threads as that project divides them, then the median over the results of a microarchitecture.
Results with contradictory thread counts and microarchitectures with fewer than three results are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "SPECpower_ssj2008 results (spec.org) in ccf-coefficients"
SOURCE_DATE = "2026-03-09"


@dataclass(frozen=True, slots=True)
class WattsRow:
    """Watts of the whole server at the wall, per hardware thread of its processors: idle and fully busy.

    `spread` is half the distance from the 10th to the 90th percentile of the results over their median, of the idle or
    the full watts, whichever is wider. `results` is their number. `threads_per_core` is that of most results.
    """

    name: str
    min_watts: float
    max_watts: float
    spread: float
    results: int
    threads_per_core: int


ROWS = (
    WattsRow("Sandy Bridge", 2.675, 12.300, 0.53, 9, 2),
    WattsRow("Sandy Bridge EP", 1.753, 7.922, 0.47, 115, 2),
    WattsRow("Ivy Bridge", 2.375, 8.250, 1.02, 8, 2),
    WattsRow("Ivy Bridge EP", 1.347, 5.435, 0.30, 4, 2),
    WattsRow("Haswell", 2.106, 7.744, 2.32, 6, 2),
    WattsRow("Haswell EP", 0.654, 3.812, 0.16, 16, 2),
    WattsRow("Broadwell EP", 0.530, 3.091, 0.67, 17, 2),
    WattsRow("Skylake", 1.900, 5.931, 0.12, 4, 2),
    WattsRow("Skylake SP", 0.530, 4.121, 0.33, 77, 2),
    WattsRow("Kaby Lake", 1.550, 6.475, 0.12, 3, 2),
    WattsRow("Coffee Lake", 1.050, 5.975, 0.33, 9, 2),
    WattsRow("Cascade Lake", 0.603, 4.038, 0.51, 77, 2),
    WattsRow("Cooper Lake", 0.866, 4.629, 0.40, 8, 2),
    WattsRow("Ice Lake SP", 0.924, 4.099, 0.40, 43, 2),
    WattsRow("Ice Lake D", 1.600, 4.250, 0.03, 5, 2),
    WattsRow("Rocket Lake", 1.281, 4.875, 0.13, 15, 2),
    WattsRow("Raptor Lake", 1.387, 5.588, 0.20, 7, 2),
    WattsRow("Arrow Lake", 1.381, 2.794, 0.03, 6, 1),
    WattsRow("Sapphire Rapids", 0.899, 4.003, 0.57, 68, 2),
    WattsRow("Emerald Rapids", 0.824, 3.313, 0.30, 32, 2),
    WattsRow("Granite Rapids", 0.622, 2.724, 0.20, 27, 2),
    WattsRow("Sierra Forest", 0.698, 2.656, 0.19, 18, 1),
    WattsRow("Zen (Naples)", 0.744, 2.320, 0.27, 10, 2),
    WattsRow("Zen 2 (Rome)", 0.437, 1.664, 0.40, 36, 2),
    WattsRow("Zen 3 (Milan)", 0.424, 1.916, 0.35, 28, 2),
    WattsRow("Zen 4 (Genoa)", 0.331, 1.865, 0.11, 20, 2),
    WattsRow("Zen 4c (Bergamo)", 0.232, 1.329, 0.15, 30, 2),
    WattsRow("Zen 4c (Siena)", 0.584, 1.844, 1.52, 21, 2),
    WattsRow("Zen 5 (Turin)", 0.353, 1.977, 0.14, 8, 2),
    WattsRow("Zen 5c (Turin Dense)", 0.211, 1.147, 0.11, 31, 2),
    WattsRow("Neoverse N1", 0.617, 1.922, 0.39, 7, 1),
)
GENERIC = WattsRow("generic", 0.824, 4.003, 0.94, 765, 2)
"""The row of every other processor: the median of the rows above, and the spread between them."""


def row_of(microarchitecture: str) -> WattsRow:
    """Return the row of this microarchitecture, `GENERIC` if it has none."""
    return next((row for row in ROWS if row.name == microarchitecture), GENERIC)
