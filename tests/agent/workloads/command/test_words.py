"""Commands, their names, and the placeholders in their words."""

from __future__ import annotations

import pytest

from agent.workloads.command.words import filled, names_of, parse_parameters, parse_prepare, parse_versus


def test_a_command_is_split_as_a_shell_does_and_nothing_is_expanded() -> None:
    assert parse_versus(["zstd -k 'big file' $HOME *"]) == (("zstd", "-k", "big file", "$HOME", "*"),)


@pytest.mark.parametrize(("text", "cause"), [("'a", "--vs: No closing quotation"), ("  ", "--vs: there is no command")])
def test_a_text_without_a_command_is_refused_with_its_option(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        parse_versus([text])


def test_an_open_quotation_in_a_preparation_names_its_own_option() -> None:
    with pytest.raises(ValueError, match="--prepare: No closing quotation; close every quotation mark"):
        parse_prepare(['sync "'])


def test_a_command_has_the_name_of_its_program_without_folder_and_arguments() -> None:
    assert names_of([("/home/me/secret/infer", "--key", "k"), ("zstd",)], []) == ("infer", "zstd")


def test_equal_programs_are_numbered() -> None:
    assert names_of([("python3", "a.py"), ("gzip",), ("/usr/bin/python3", "b.py")], []) == (
        "python3#1",
        "gzip",
        "python3#2",
    )


def test_given_names_replace_those_of_the_programs() -> None:
    assert names_of([("a",), ("a",)], ["old", "new"]) == ("old", "new")


@pytest.mark.parametrize(
    ("names", "cause"), [(["x"], "1 names for 2 commands"), (["x", "x"], "must differ"), (["x", " "], "not be empty")]
)
def test_names_that_do_not_fit_the_commands_are_refused(names: list[str], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        names_of([("a",), ("b",)], names)


def test_values_are_numbers_only_if_a_program_gets_the_same_text_back() -> None:
    found = parse_parameters(["level=1,9,08,1.50,1.5,inf,1e3,fast"])
    assert found == {"level": (1, 9, "08", "1.50", 1.5, "inf", "1e3", "fast")}
    texts = [str(value) for value in found["level"]]
    assert texts == ["1", "9", "08", "1.50", "1.5", "inf", "1e3", "fast"]


@pytest.mark.parametrize(
    ("texts", "cause"),
    [
        (["level"], "write it as NAME=VALUE"),
        (["level=1,"], "write it as NAME=VALUE"),
        (["a b=1"], "write it as NAME=VALUE"),
        (["command=1"], "this name is that of the commands"),
        (["a=1", "a=2"], "given twice"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(texts: list[str], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        parse_parameters(texts)


def test_placeholders_of_parameters_are_filled_and_other_braces_stay() -> None:
    assert filled(("-{level}", "{'a': {x}}", "{level}{level}"), {"level": 9}) == ("-9", "{'a': {x}}", "99")
