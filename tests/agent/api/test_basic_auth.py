from __future__ import annotations

import base64
import threading

import bcrypt
import pytest

from agent.api.basic_auth import Decision, Users, _network
from secured_exporters import HASH, PASSWORD, USER, basic


class Counting:
    """A clock that stands still unless it is set, and users whose checks are counted."""

    def __init__(self, secret: str = HASH) -> None:
        self.now = 0.0
        self.checked = self.guesses = 0
        self.users = Users({USER: secret}, lambda: self.now)
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


def test_a_wrong_password_is_checked_once():
    counting = Counting()
    assert {counting.users.decide(basic(password="wrong")) for _ in range(50)} == {Decision.REFUSED}
    assert counting.checked == 1


def test_a_client_waits_longer_after_each_wrong_password_and_others_do_not_wait():
    counting = Counting()

    def guess(client: str) -> Decision:
        counting.guesses += 1
        return counting.users.decide(basic(password=f"guess {counting.guesses}"), client)

    assert counting.users.decide(basic(), "10.0.0.1") is Decision.ADMITTED
    for failures in range(1, 6):
        assert guess("10.0.0.2") is Decision.REFUSED
        counting.now += 2.0**failures - 0.1
        assert guess("10.0.0.2") is Decision.BUSY
        counting.now += 0.2
    assert counting.users.decide(basic(user="nobody"), "10.0.0.3") is Decision.REFUSED
    assert counting.users.decide(basic(), "10.0.0.2") is Decision.ADMITTED


def test_a_client_that_guesses_for_days_is_still_refused_and_waits_five_minutes():
    counting = Counting()
    counting.users._matches = lambda *_: False
    for number in range(1100):
        counting.now += 301.0
        assert counting.users.decide(basic(password=f"guess {number}"), "10.0.0.2") is Decision.REFUSED
    counting.now += 299.0
    assert counting.users.decide(basic(password="another"), "10.0.0.2") is Decision.BUSY


def test_a_right_password_ends_the_pause_of_its_client():
    counting = Counting()
    assert counting.users.decide(basic(password="wrong"), "::1") is Decision.REFUSED
    assert counting.users.decide(basic(), "::1") is Decision.BUSY
    counting.now += 3.0
    assert counting.users.decide(basic(), "::1") is Decision.ADMITTED
    assert counting.users.decide(basic(password="other"), "::1") is Decision.REFUSED


@pytest.mark.parametrize("cost", [10, 13])
def test_wrong_passwords_of_many_clients_use_at_most_half_a_percent_of_a_processor(cost: int):
    counting = Counting(bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode().replace("$04$", f"${cost}$"))
    counting.users._matches = lambda *_: False
    checks = 0
    for second in range(10_000):
        counting.now = float(second)
        checks += counting.users.decide(basic(password=f"{second}"), f"10.0.{second // 256}.{second % 256}") is (
            Decision.REFUSED
        )
    assert 1.0 <= checks * 0.06 * 2 ** (cost - 10) <= 1.0 + 10_000 * 0.005 + 0.5


def test_no_request_waits_for_the_check_of_another():
    counting = Counting()
    begun, may_end = threading.Event(), threading.Event()
    assert counting.users.decide(basic()) is Decision.ADMITTED

    def slow(*_: bytes) -> bool:
        begun.set()
        return may_end.wait(60) and False

    counting.users._matches = slow
    thread = threading.Thread(target=counting.users.decide, args=(basic(password="slow"), "10.0.0.2"))
    thread.start()
    try:
        assert begun.wait(60)
        assert counting.users.decide(basic(), "10.0.0.1") is Decision.ADMITTED
        assert counting.users.decide(basic(password="other"), "10.0.0.3") is Decision.BUSY
    finally:
        may_end.set()
        thread.join()


def test_what_is_remembered_of_strangers_is_bounded():
    counting = Counting()
    counting.users._matches = lambda *_: False
    for number in range(3000):
        counting.now += 1e6
        assert counting.users.decide(basic(password=str(number)), f"host-{number}") is Decision.REFUSED
    assert len(counting.users._refused) <= 256
    assert len(counting.users._clients) <= 1024


def test_an_ipv6_client_is_its_network_and_a_mapped_address_is_one_of_ipv4():
    assert _network("2001:db8:1:2::1") == _network("2001:db8:1:2:ffff::9") != _network("2001:db8:1:3::1")
    assert _network("::ffff:192.0.2.1") == _network("192.0.2.1") != _network("::ffff:192.0.2.2")
    assert _network("fe80::1%eth0") == _network("fe80::1")


def test_the_cost_of_a_check_does_not_reveal_whether_a_name_is_known():
    """A name without a user costs as much as one of the users, and always the same."""
    slow, fast = HASH.replace("$04$", "$11$"), HASH
    used: dict[str, set[bytes]] = {}
    users = Users({"a": slow, "b": fast}, lambda: 0.0)
    for name in map(str, range(64)):
        for _ in range(3):
            used.setdefault(name, set()).add(users._stand_in(name.encode()))
    assert {len(each) for each in used.values()} == {1}
    assert set.union(*used.values()) == {slow.encode(), fast.encode()}


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
