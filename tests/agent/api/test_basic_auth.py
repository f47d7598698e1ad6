from __future__ import annotations

import base64

import bcrypt
import pytest

from agent.api.basic_auth import Decision, Users
from secured_exporters import HASH, PASSWORD, USER, basic


class Counting:
    """A clock that stands still unless it is set, and users whose checks are counted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.checked = 0
        self.users = Users({USER: HASH}, lambda: self.now)
        matches = self.users._matches

        def counted(password: bytes, secret: bytes) -> bool:
            self.checked += 1
            return matches(password, secret)

        self.users._matches = counted


def test_the_right_password_is_admitted_and_checked_once():
    counting = Counting()
    assert [counting.users.decide(basic()) for _ in range(50)] == [Decision.ADMITTED] * 50
    assert counting.checked == 1


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Bearer " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
        basic(password="wrong"),
        basic(user="nobody"),
        basic(password=PASSWORD + "\0"),
        basic(password=PASSWORD * 10),
        basic(user=""),
        "Basic \xe9",
    ],
)
def test_other_credentials_are_refused(header: str):
    assert Users({USER: HASH}).decide(header) is Decision.REFUSED


def test_the_scheme_is_not_case_sensitive():
    assert Users({USER: HASH}).decide(basic().replace("Basic", "bASIC")) is Decision.ADMITTED


def test_an_unknown_user_takes_a_check_as_a_known_one_does():
    counting = Counting()
    counting.users.decide(basic(user="nobody"))
    assert counting.checked == 1


def test_guesses_are_limited_and_admitted_users_are_not():
    counting = Counting()
    assert counting.users.decide(basic()) is Decision.ADMITTED
    guesses = [counting.users.decide(basic(password=str(number))) for number in range(30)]
    assert guesses == [Decision.REFUSED] * 10 + [Decision.BUSY] * 20
    assert counting.users.decide(basic()) is Decision.ADMITTED
    counting.now += 2.0
    later = [counting.users.decide(basic(password=f"later {number}")) for number in range(4)]
    assert later == [Decision.REFUSED] * 2 + [Decision.BUSY] * 2


def test_right_passwords_do_not_use_up_the_checks():
    hashes = {f"user-{number}": HASH for number in range(30)}
    users = Users(hashes, lambda: 0.0)
    assert {users.decide(basic(user=name)) for name in hashes} == {Decision.ADMITTED}


def test_a_password_in_utf_8_is_admitted():
    secret = bcrypt.hashpw("Prüfung".encode(), bcrypt.gensalt(4)).decode()
    assert Users({USER: secret}).decide(basic(password="Prüfung")) is Decision.ADMITTED


def test_no_password_is_held_in_memory():
    users = Users({USER: HASH})
    users.decide(basic())
    assert PASSWORD.encode() not in repr(list(vars(users).values())).encode()
