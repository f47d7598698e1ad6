"""The report as one HTML file without references: style, script and charts are inside it."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from agent.render.tables import plain
from agent.report.chart import columns
from agent.report.content import answers_of, sections_of
from agent.report.interactive import figure
from agent.report.palette import DARK, LIGHT, declarations
from agent.report.static_image import inline_svg
from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.report.chart import Chart
    from agent.report.content import Answer, Section
    from agent.report.view import View

_JSON_ESCAPES = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""The characters that can end a script element, or a line of one."""


def page(views: Sequence[View], created: str) -> bytes:
    """Return the report of profiles as HTML in UTF-8, made at `created`. Raises ImportError without the extra."""
    title = f"Inference cost of {views[0].label if len(views) == 1 else f'{len(views)} profiles'}"
    return html_page(title, answers_of(views), sections_of(views), created)


def html_page(title: str, answers: Sequence[Answer], sections: Sequence[Section], created: str) -> bytes:
    """Return a page of sections as HTML in UTF-8, made at `created`. Raises ImportError without the extra."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  an extra
    from markupsafe import Markup  # noqa: PLC0415  same

    environment = Environment(
        loader=PackageLoader("agent.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_line,
    )
    charts = [chart for section in sections for chart in section.charts]
    scripts = [_plotly(), _asset("draw.js")] if charts else []
    html = environment.get_template("page.html").render(
        title=title,
        created=created,
        version=version("inferometer"),
        policy=_policy(scripts),
        style=Markup(_style()),  # noqa: S704  files of the package
        answers=answers,
        sections=sections,
        svg={chart.key: Markup(inline_svg(chart)) for chart in charts},  # noqa: S704  matplotlib escapes its texts
        values={chart.key: _values(chart) for chart in charts},
        figures=Markup(_json({chart.key: figure(chart) for chart in charts})),  # noqa: S704  escaped
        scripts=[Markup(script) for script in scripts],  # noqa: S704  of Plotly and of this package
    )
    return html.encode()


def _line(value: Any) -> Any:
    """Return a text without control characters, whose lines do not begin with `%`; other values are unchanged."""
    return printable_line(value).replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


def _values(chart: Chart) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the table behind a chart as texts."""
    headings, found = columns(chart)
    return headings, [[plain(cell) if isinstance(cell, int | float) else cell or "-" for cell in row] for row in found]


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(_JSON_ESCAPES)


def _style() -> str:
    light, dark = declarations(LIGHT), declarations(DARK)
    return (
        f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"{_asset('style.css')}"
    )


def _asset(name: str) -> str:
    return (files("agent.report") / "assets" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Return the script of Plotly. Raises ImportError without the extra."""
    import plotly  # noqa: PLC0415  an extra

    return (files(plotly) / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """Return a policy that allows these scripts and nothing from elsewhere."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts
    )
    hashes = hashes or "'none'"
    # The charts set styles on their elements, so styles may be inline; without a source they load nothing.
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
