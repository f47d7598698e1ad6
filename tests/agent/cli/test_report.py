"""`inferometer report` and `inferometer plot` in process, on the example and on a stored run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from command import ROOT, call, run
from terminals import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ROOT / "docs/profile.example.json"


def test_a_report_is_written_to_one_file(tmp_path: Path) -> None:
    done = call(tmp_path, "report", EXAMPLE, "-o", "report.html", "--json")
    assert (done.returncode, json.loads(done.stdout)["file"]) == (0, str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "A million output tokens cost EUR" in text
    assert 4e6 < len(text) < 8e6


def test_a_tariff_replaces_the_stored_prices(tmp_path: Path) -> None:
    tariff = tmp_path / "tariff.toml"
    tariff.write_text('currency = "CHF"\nprice_per_kwh = 0.3\ncapital = 1000\n', encoding="utf-8")
    done = call(tmp_path, "report", EXAMPLE, "--tariff", tariff, "--format", "md")
    assert done.returncode == 0
    assert "**A million output tokens cost CHF" in done.stdout
    assert "EUR" not in done.stdout
    with tariff.open("a", encoding="utf-8") as file:
        file.write('[[site]]\nname = "north"\ncurrency = "NOK"\n')
    done = call(tmp_path, "report", EXAMPLE, "--tariff", tariff, "--site", "north", "--format", "md")
    assert "**A million output tokens cost NOK" in done.stdout


@pytest.mark.parametrize("line", [(), ("-o", "-")], ids=str)
def test_a_page_goes_unchanged_into_a_file_or_a_pipe_behind_the_command(tmp_path: Path, line: tuple[str, ...]) -> None:
    assert call(tmp_path, "report", EXAMPLE, "-o", "named.html").returncode == 0
    with (tmp_path / "page.html").open("wb") as page:
        done = run(tmp_path, "report", EXAMPLE, *line, stdout=page)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.html").read_bytes()
    assert (text[:15], len(text)) == (b"<!doctype html>", (tmp_path / "named.html").stat().st_size)


def test_a_page_is_shown_on_a_terminal_only_if_that_is_requested(tmp_path: Path) -> None:
    code, screen = on_terminal(tmp_path, "report", EXAMPLE)
    assert code == 2
    assert screen.startswith("error: a page is too long for a terminal: name a file with -o report.html")
    code, screen = on_terminal(tmp_path, "report", EXAMPLE, "-o", "-")
    assert (code, screen[:15]) == (0, "<!doctype html>")


def test_reports_for_tickets_go_to_standard_output(tmp_path: Path) -> None:
    found = json.loads(call(tmp_path, "report", EXAMPLE, "--json").stdout)
    assert found["schema"] == "inferometer.report"
    assert call(tmp_path, "report", EXAMPLE, "--format", "csv").stdout.startswith("profile,created (UTC)")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("report", EXAMPLE, "--tariff", "none.toml", "--format", "md"), 2, "--tariff: none.toml: "),
        (("report", EXAMPLE, "--site", "north", "--format", "md"), 2, "give --tariff too"),
        (("report", "latest", "--format", "md"), 1, "no profile 'latest' is stored in"),
        (("report", *[EXAMPLE] * 51, "--format", "md"), 2, "a report has at most 50"),
        (("plot", EXAMPLE, "--what", "energy", "-o", "energy.gif"), 2, "must end in .svg or .png"),
        (("plot", EXAMPLE, "--what", "power", "-o", "power.svg"), 1, "the store has no samples of its run"),
        (("plot", EXAMPLE, EXAMPLE, "--what", "power", "-o", "power.svg"), 2, "name one profile"),
    ],
)
def test_an_error_names_the_cause_and_the_fix(tmp_path: Path, words: tuple, code: int, message: str) -> None:
    done = call(tmp_path, *words)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize("what", ["latency", "energy", "cost", "breakeven"])
def test_a_plot_is_an_image(tmp_path: Path, what: str) -> None:
    done = call(tmp_path, "plot", EXAMPLE, "--what", what, "-o", "chart.svg", "--json")
    assert (done.returncode, json.loads(done.stdout)["what"]) == (0, what)
    assert (tmp_path / "chart.svg").read_bytes().startswith(b"<?xml")
