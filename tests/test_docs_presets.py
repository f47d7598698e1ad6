"""Compares the table of presets on the page of workloads with the presets."""

from __future__ import annotations

from agent.render.tables import number
from agent.workloads.axes import request
from agent.workloads.transformer.presets import PRESETS, Preset
from agent.workloads.transformer.spec import TransformerSpec
from doc_pages import ROOT, text_of


def row(name: str, preset: Preset) -> str:
    spec, _ = request(TransformerSpec, {"preset": name})
    experts = f", {spec.active_experts} of {spec.experts} experts" if spec.experts > 1 else ""
    cells = (
        f"`{name}`",
        f"{spec.kind}{experts}",
        number(spec.parameter_count()),
        *map(str, (spec.layers, spec.width, spec.heads, spec.kv_heads)),
        f"`{preset.source}`",
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_of_presets_is_that_of_the_code() -> None:
    section = text_of(ROOT / "docs/workloads.md").partition("### Presets\n")[2].partition("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [row(name, preset) for name, preset in PRESETS.items()]
