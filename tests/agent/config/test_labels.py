"""The labels of a host: names of any kind, their limits, their source, and their way into the profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.config import ConfigError, SharedOptions, effective_config, load, override
from agent.config.labels import MOST_LABELS
from agent.config.sample import sample_file, to_tables
from agent.host.inventory import describe_host
from agent.profiling.document.codec import host_facts
from agent.render.config_text import config_text, document
from probes.model import Roots

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


TEXT = '[host.labels]\nsite = "ams1"\nroom_3 = "Süd"\nowner = ""\n'


def test_labels_have_any_name_and_an_empty_one_is_none(written) -> None:
    assert load(written(TEXT)).labels == (("site", "ams1"), ("room_3", "Süd"))
    assert load(written("")).labels == ()


def test_options_do_not_lose_the_labels(written) -> None:
    config = load(written(TEXT))
    assert override(config, log_level="debug").labels == config.labels


def test_labels_are_shown_with_their_source_and_written_as_a_table(written) -> None:
    path = written(TEXT)
    effective = effective_config(SharedOptions(path))
    shown = document(effective, None)
    assert shown["sources"]["host.labels.site"] == str(path)
    assert 'host.labels.room_3 = "Süd"' in config_text(shown)
    assert to_tables(effective.config)["host"] == {"labels": {"site": "ams1", "room_3": "Süd"}}
    assert to_tables(load(written("")))["host"] == {"labels": {}}


def test_the_sample_file_has_the_usual_labels_as_comments(written) -> None:
    text = sample_file()
    assert load(written(text)).labels == ()
    assert "\n[host.labels]\n" in text
    assert '\n# site = "ams1"\n' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('site = "a\\nb"', r"host\.labels\.site = .* is not one line of at most 64 characters"),
        (f'site = "{"x" * 65}"', r"host\.labels\.site = .* is not one line of at most 64 characters"),
        ("site = 1", r"host\.labels\.site = 1 is not one line"),
        ('Site = "a"', r"host\.labels: 'Site' is not the name of a label; use a-z"),
        ('"3" = "a"', r"host\.labels: '3' is not the name of a label"),
        ("\n".join(f'l{n} = "a"' for n in range(MOST_LABELS + 1)), r"host\.labels has 17 labels; remove all but 16"),
    ],
)
def test_a_wrong_label_is_refused(written, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(written(f"[host.labels]\n{text}\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host = 1", r"host = 1 is not a table"),
        ("host.labels = 1", r"host\.labels = 1 is not a table"),
        ('[host]\nlabel = "a"', r"unknown key 'host.label'; did you mean 'host.labels'\?"),
    ],
)
def test_another_table_in_the_place_of_the_labels_is_refused(written, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(written(text))


def test_a_profile_has_the_labels_of_its_host() -> None:
    host = describe_host(Roots(), (("site", "ams1"),))
    assert host_facts(host).labels == {"site": "ams1"}
    assert host_facts(describe_host(Roots())).labels == {}
