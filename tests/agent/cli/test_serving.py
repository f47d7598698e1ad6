"""What `inferometer daemon` was given reaches the process that takes its place, and nothing else does."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.options import Options
from agent.cli.serving import Given

NOTHING = Given(Options(None, None, None, None, None, None))
TEXTS = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
OPTIONS = st.builds(
    Options,
    st.none() | st.sampled_from([Path("/etc/inferometer/config.toml"), Path("a b=c.toml")]),
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.none() | st.booleans(),
)


@given(st.builds(Given, OPTIONS, TEXTS, TEXTS))
def test_what_was_given_comes_out_of_the_environment_as_it_went_in(wanted: Given) -> None:
    assert Given.in_environment(wanted.to_environment({})) == wanted


def test_a_variable_gives_way_to_what_the_command_line_made_of_it() -> None:
    environment = {"INFEROMETER_DATABASE": "/old.db", "INFEROMETER_ESTIMATES": "yes", "HOME": "/root"}
    made = Given(Options(None, None, None, None, None, estimates=False), listen="[::1]:0").to_environment(environment)
    assert made == {
        "HOME": "/root",
        "INFEROMETER_ESTIMATES": "0",
        "INFEROMETER_LISTEN": "[::1]:0",
        "MALLOC_ARENA_MAX": "1",
    }


def test_variables_of_others_stay_as_they_are() -> None:
    environment = {"MALLOC_ARENA_MAX": "4", "INFEROMETER_NO_SKIPS": "1", "LISTEN": "x"}
    assert NOTHING.to_environment(environment) == environment
