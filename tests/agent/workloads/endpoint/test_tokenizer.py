"""The counter of tokens, with a stand-in of the package tokenizers that has the calls used here."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from agent.workloads.endpoint.tokenizer import load_counter
from agent.workloads.errors import WorkloadError


class Tokenizer:
    """Each character is a token; special tokens are two more."""

    @staticmethod
    def from_str(text):
        if json.loads(text) != {"version": "1.0"}:
            raise Exception("unknown version")  # noqa: TRY002  as the package does
        return Tokenizer()

    def encode(self, text, *, add_special_tokens=True):
        return SimpleNamespace(ids=[0] * (len(text) + 2 * add_special_tokens))


@pytest.fixture
def _package(monkeypatch):
    module = ModuleType("tokenizers")
    module.Tokenizer = Tokenizer
    monkeypatch.setitem(sys.modules, "tokenizers", module)


@pytest.mark.usefixtures("_package")
def test_tokens_are_counted_without_special_ones(tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text('{"version": "1.0"}', encoding="ascii")
    assert load_counter(file)("four") == 4


@pytest.mark.usefixtures("_package")
@pytest.mark.parametrize("content", [b"{", b"\xff", b"{}"])
def test_another_file_is_refused_by_its_name(tmp_path, content):
    file = tmp_path / "other.json"
    file.write_bytes(content)
    with pytest.raises(WorkloadError, match=r"--tokenizer other\.json"):
        load_counter(file)


def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(WorkloadError, match="needs the package tokenizers") as refused:
        load_counter(tmp_path)
    assert refused.value.remedy == "pip install tokenizers"
