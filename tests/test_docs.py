"""Compares the pages with the code: everything that they name exists, and everything that exists is named."""

from __future__ import annotations

import json
import os
import re
import tomllib
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from make_families import TABLES, with_table
from make_reference import METRICS_PAGE, families, with_metrics
from make_site import CONTENTS
from make_site import write as write_site

from agent.profiling.document.codec import check
from agent.profiling.document.versions import _CHECKS, _CONDITIONS, _DEVICE, _GPU, _HOST_STATE, _PER
from agent.profiling.plan import PLANS
from agent.render.profile_text import profile_text
from doc_pages import EXCERPT, FENCE, OUTPUT, PAGES, ROOT, SPAN, name_of, text_of
from loads import every_check
from probes.model import METRICS
from published_schema import validate as validate_with_schema

if TYPE_CHECKING:
    from pathlib import Path

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
EXAMPLES = {ROOT / "docs/getting-started.md": "profile.example.json", ROOT / "docs/serving.md": "serving.example.json"}
"""The pages that show a rendered profile, and its document."""
DECISIONS = ROOT / "docs/decisions"
STARTED = ROOT / "docs/getting-started.md"
OTHER_NAMES = {
    "profile.md": {"inferometer_version"},
    "profile-fields.md": {"inferometer_version"},
    "store.md": {"inferometer_version"},
    "fleet.md": {"inferometer_owner", "inferometer_pushers", "inferometer_readers"},
    "fleet-metrics.md": {
        "inferometer_hosts",
        "inferometer_hosts_up",
        "inferometer_host_cost",
        "inferometer_host_energy_joules",
        "inferometer_serving_cost",
        "inferometer_serving_energy_joules",
        "inferometer_serving_output_tokens",
    },
    "CHANGELOG.md": {
        "inferometer_probe_late_beats_total",
        "inferometer_probe_missed_beats_total",
        "inferometer_probe_failed_reads_total",
        "inferometer_ticks_dropped_total",
    },
}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_every_link_of_the_site_leads_to_a_file_of_the_site(tmp_path: Path) -> None:
    write_site(tmp_path)
    pages = list(tmp_path.rglob("*.md"))
    assert len(pages) > len(PAGES)
    links = [(page, link) for page in pages for link in LINK.findall(FENCE.sub("", text_of(page)))]
    local = [(page, link.partition("#")[0]) for page, link in links if not re.match(r"\w+:|#", link)]
    assert [(page.name, link) for page, link in local if not (page.parent / link).is_file()] == []


def test_the_tables_of_metrics_are_those_of_the_exporter() -> None:
    """After an intended change: INFEROMETER_WRITE_GOLDEN=1 pytest tests/test_docs.py, then read the difference."""
    text = text_of(METRICS_PAGE)
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        METRICS_PAGE.write_text(with_metrics(text), encoding="utf-8")
    assert with_metrics(text) == text_of(METRICS_PAGE)
    names = {sample.name for family in families() for sample in family.samples}
    assert len(names) > len(METRICS)
    assert {name for name in names if text.count(f"\n| `{name}` |") != 1} == set()


@pytest.mark.parametrize("page", TABLES, ids=name_of)
def test_the_tables_of_families_are_those_of_the_registry(page: Path) -> None:
    """After an intended change: INFEROMETER_WRITE_GOLDEN=1 pytest tests/test_docs.py, then read the difference."""
    wanted = with_table(text_of(page), TABLES[page]())
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        page.write_text(wanted, encoding="utf-8")
    assert text_of(page) == wanted
    assert wanted.count("\n| `redfish` |") == 1


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_metric_named_exists(page: Path) -> None:
    exported = {sample.name for family in families() for sample in family.samples}
    named = set(re.findall(r"\b(?:inferometer|process)_[a-z_]+[a-z]\b", text_of(page)))
    assert named - exported - OTHER_NAMES.get(page.name, set()) == set()


def test_every_field_of_the_schema_is_explained() -> None:
    schema = json.loads(text_of(ROOT / "docs/profile.schema.json"))
    parts = [schema, *schema["$defs"].values()]
    fields = {name for part in parts for name in (*part.get("properties", {}), *part.get("enum", []))}
    assert fields - set(SPAN.findall(text_of(ROOT / "docs/profile.md"))) == set()


def test_every_check_is_explained_and_no_other() -> None:
    table = text_of(ROOT / "docs/profile.md").partition("### `checks`")[2].partition("\n## ")[0]
    severities = dict(re.findall(r"^\| `(\w+)` \|.*\| (invalid|warning) \|$", table, re.MULTILINE))
    assert severities == {check.name: check.severity for check in every_check()}


def test_the_contents_of_the_site_have_every_page() -> None:
    listed = {name for names in CONTENTS.values() for name in names.split()}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - listed == set()


def test_the_table_of_modes_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `--(\w+)`.*?\| 4 x (\S+) s \| (\d+) \| (\S+) s \|", text_of(STARTED), re.MULTILINE)
    shown = {name: (float(idle), int(repeats), float(window)) for name, idle, repeats, window in rows}
    assert shown == {e.name: (e.idle_seconds, e.repeats, e.window_seconds) for e in PLANS.values()}


@pytest.mark.parametrize("page", EXAMPLES, ids=name_of)
def test_the_output_on_a_page_is_its_rendered_example(page: Path) -> None:
    """After a wanted change: INFEROMETER_WRITE_GOLDEN=1 pytest tests/test_docs.py, then read the difference."""
    example = json.loads(text_of(ROOT / "docs" / EXAMPLES[page]))
    check(example)
    validate_with_schema(example)
    shown = f"{profile_text(example, 80)}\n"
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        page.write_text(OUTPUT.sub(lambda _: shown, text_of(page)), encoding="utf-8")
    assert OUTPUT.findall(text_of(page)) == [shown]


def test_the_readme_shows_the_answers_of_both_outputs() -> None:
    answers = (OUTPUT.findall(text_of(page))[0].partition("\n\n")[0] for page in EXAMPLES)
    excerpts = [f"{answer}\n" for answer in answers]
    if os.environ.get("INFEROMETER_WRITE_GOLDEN"):
        new = iter(excerpts)
        README.write_text(EXCERPT.sub(lambda _: next(new), text_of(README)), encoding="utf-8")
    assert EXCERPT.findall(text_of(README)) == excerpts


def test_the_first_60_lines_of_the_readme_answer_the_questions_of_a_newcomer() -> None:
    start = "\n".join(text_of(README).splitlines()[:60])
    for answer in (
        "make profile",
        "make test",
        "<!-- end of excerpt -->",
        "profile onnx",
        "measure --",
        "million",
        "## Continue",
    ):
        assert answer in start


@pytest.mark.parametrize(
    ("path", "name"), re.findall(r"^\| [^|]* \| `(\S+\.py)` \| `(\w+)` \|$", text_of(CONTRIBUTING), re.MULTILINE)
)
def test_each_change_starts_at_a_file_that_defines_the_name(path: str, name: str) -> None:
    assert re.search(rf"^(def |class |){name}\b", text_of(ROOT / path), re.MULTILINE)


def test_the_table_of_changes_has_its_eight_rows() -> None:
    table = text_of(CONTRIBUTING).partition("## To change X, start at Y")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| .* \| `\S+\.py` \| `\w+` \|$", table, re.MULTILINE)) >= 8


def test_every_folder_of_the_program_is_explained() -> None:
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("agent/*/__init__.py")}
    assert {folder for folder in folders if f"| `{folder}` |" not in text_of(CONTRIBUTING)} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_target_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    text = text_of(page)
    code = "\n".join([*FENCE.findall(text), *SPAN.findall(FENCE.sub("", text))])
    assert set(re.findall(r"^make ([\w-]+)", code, re.MULTILINE)) - targets == set()


def test_every_target_is_explained() -> None:
    targets = re.findall(r"^([\w-]+):.*## ", text_of(ROOT / "Makefile"), re.MULTILINE)
    assert "profile" in targets
    assert [target for target in targets if f"| `make {target}` |" not in text_of(CONTRIBUTING)] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_or_a_heading_leads_there(page: Path) -> None:
    dead = []
    for link in LINK.findall(FENCE.sub("", text_of(page))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_named_is_there(page: Path) -> None:
    folders = r"(?:agent|probes|store|tests|docs|systemd|requirements|benchmarks|proofs|\.ci)"
    named = re.findall(rf"^{folders}/[\w./-]*$", "\n".join(SPAN.findall(text_of(page))), re.MULTILINE)
    assert [path for path in named if path != "docs/_build" and not (ROOT / path).exists()] == []


def test_every_path_in_the_makefile_and_in_ci_exists() -> None:
    text = text_of(ROOT / ".ci/run") + text_of(ROOT / "Makefile")
    paths = set(re.findall(r"(?<![\w./*])(?:agent|docs|probes|requirements|store|tests)/[\w./*-]*", text))
    assert len(paths) > 20
    tracked = {path.rstrip("/.") for path in paths if not path.startswith("docs/_build")}
    assert {path for path in tracked if not list(ROOT.glob(path))} == set()


def test_the_changelog_names_the_version() -> None:
    version = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}(?= - )", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)


def test_the_changelog_names_every_renamed_field_of_the_profile() -> None:
    named = {word for span in SPAN.findall(text_of(ROOT / "CHANGELOG.md")) for word in span.split(".")}
    for renamed in (_CHECKS, _CONDITIONS, _DEVICE, _GPU, _HOST_STATE, _PER):
        assert {*renamed, *renamed.values()} - named == set()


def test_every_decision_is_in_the_index_under_its_own_title() -> None:
    index = dict(
        re.findall(r"^\| \[(\d{4})\]\(\1-[\w-]+\.md\) \| (.+) \|$", text_of(DECISIONS / "README.md"), re.MULTILINE)
    )
    pages = {page.name[:4]: text_of(page).splitlines()[0] for page in DECISIONS.glob("0*.md")}
    assert pages == {number: f"# {number}: {title}" for number, title in index.items()}
    assert "](docs/decisions/README.md)" in text_of(CONTRIBUTING)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=~!; ]", requirement)[0].lower() for requirement in wanted}
    reasons = text_of(DECISIONS / "0002-dependencies.md").lower()
    assert {name for name in names if name not in reasons} == set()


def test_the_table_of_extras_has_every_extra_and_those_that_make_profile_installs() -> None:
    extras = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["optional-dependencies"].keys()
    text = text_of(STARTED).partition("| extra |")
    listed = re.findall(r"^\| `(\w+)` \|", text[2].partition("\n\n")[0], re.MULTILINE)
    assert sorted(listed) == sorted(extras - {"dev", "docs", "release"})
    installed = re.search(r"`make profile` installs (`[^:]+):", text[0])[1]
    [lock] = re.findall(
        r"--no-annotate ([^.]+) \.\./pyproject.toml build.in -o profile.txt", text_of(ROOT / "Makefile")
    )
    assert sorted(SPAN.findall(installed)) == sorted(re.findall(r"--extra (\w+)", lock))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_of_text_begins_with_one_stray_space(page: Path) -> None:
    assert re.findall(r"^ \S.*", FENCE.sub("", text_of(page)), re.MULTILINE) == []


def test_the_pythons_that_are_supported_are_those_that_ci_runs() -> None:
    classifiers = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["classifiers"]
    supported = re.findall(r"Python :: (3\.\d+)", " ".join(classifiers))
    assert re.search(r"for version in ([\d. ]+); do", text_of(ROOT / ".ci/run"))[1].split() == supported
