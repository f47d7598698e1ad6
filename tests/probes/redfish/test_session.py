"""Sessions of a BMC over TLS: opened once, renewed, and always deleted."""

import threading
import time

import pytest

from probes import at_exit
from probes.errors import ReadError
from probes.meters.http import MOST_BYTES, MeterHttp, TlsError
from probes.redfish.session import BmcSession, LoginError, StatusError
from redfish_server import CERTIFICATE, FINGERPRINT, PASSWORD, ROOT, SESSIONS, USER, Bmc, await_no_sessions, mockup
from waiting import await_true

PATH = f"{ROOT}/Chassis/1U/EnvironmentMetrics"


@pytest.fixture
def bmc():
    with Bmc(mockup("dmtf")) as server:
        yield server


def session(bmc, tmp_path, *, user=USER, password=PASSWORD, **keys):
    return BmcSession(MeterHttp(bmc.meter(tmp_path, **keys)), user, password)


def test_requests_share_one_session_that_is_deleted_at_the_end(bmc, tmp_path):
    own = session(bmc, tmp_path)
    for _ in range(3):
        resource, sent_ns, received_ns = own.get(PATH, 5)
        assert resource["PowerWatts"]["Reading"] == 374
        assert sent_ns < received_ns
    assert (bmc.opened, len(bmc.sessions)) == (1, 1)
    own.close()
    assert not bmc.sessions
    assert bmc.requests[-1] == ("DELETE", f"{SESSIONS}/1/")


def test_an_expired_session_is_renewed(bmc, tmp_path):
    own = session(bmc, tmp_path)
    own.get(PATH, 5)
    bmc.sessions.clear()
    assert own.get(PATH, 5)[0]["PowerWatts"]["Reading"] == 374
    assert bmc.opened == 2
    own.close()
    assert not bmc.sessions


def test_a_refused_login_is_an_error_with_the_words_of_the_bmc(bmc, tmp_path):
    with pytest.raises(LoginError, match=r"answers 401: The user name or the password is wrong\.") as error:
        session(bmc, tmp_path, password="guess").get(PATH, 5)
    assert "guess" not in str(error.value)


def test_a_full_table_of_sessions_is_an_error_with_the_time_to_wait(bmc, tmp_path):
    bmc.room = 0
    with pytest.raises(LoginError, match="The number of sessions has reached its limit") as error:
        session(bmc, tmp_path).get(PATH, 5)
    assert error.value.retry_seconds == 30


def test_a_busy_service_is_an_error(bmc, tmp_path):
    own = session(bmc, tmp_path)
    bmc.statuses[PATH] = 503
    with pytest.raises(StatusError, match="answers 503: The service is busy"):
        own.get(PATH, 5)
    own.close()
    assert not bmc.sessions


def test_a_slow_answer_ends_at_the_deadline_and_the_session_is_deleted(bmc, tmp_path):
    own = session(bmc, tmp_path)
    own.get(PATH, 5)
    bmc.delays[PATH] = 30.0
    with pytest.raises(ReadError, match=r"did not answer within 0\.3 s"):
        own.get(PATH, 0.3)
    own.close()
    assert await_no_sessions(bmc)


def test_logins_that_are_answered_too_late_leave_no_session(bmc, tmp_path):
    own = session(bmc, tmp_path)
    own.root(5)
    bmc.delays[SESSIONS] = 0.5
    for _ in range(3):
        with pytest.raises(ReadError, match="did not answer within"):
            own.get(PATH, 0.1)
    own.close()
    await_true(lambda: bmc.opened == 3)
    assert await_no_sessions(bmc)


def test_a_truncated_answer_is_an_error_and_the_next_request_works(bmc, tmp_path):
    own = session(bmc, tmp_path)
    bmc.truncated.add(PATH)
    with pytest.raises(ReadError):
        own.get(PATH, 5)
    bmc.truncated.clear()
    assert own.get(PATH, 5)[0]["PowerWatts"]["Reading"] == 374
    own.close()


def test_an_endless_answer_is_an_error(bmc, tmp_path):
    own = session(bmc, tmp_path)
    bmc.raw[PATH] = b" " * (MOST_BYTES + 1)
    with pytest.raises(ReadError, match="longer than"):
        own.get(PATH, 5)
    own.close()


def test_another_certificate_than_the_pinned_one_is_refused_before_the_password_is_sent(bmc, tmp_path):
    wrong = FINGERPRINT.replace(FINGERPRINT[0], "0" if FINGERPRINT[0] != "0" else "1")
    with pytest.raises(TlsError, match=FINGERPRINT):
        session(bmc, tmp_path, fingerprint=wrong).get(PATH, 5)
    assert not bmc.requests


def test_a_self_signed_certificate_is_refused_without_a_pin_and_accepted_with_its_file(bmc, tmp_path):
    with pytest.raises(TlsError):
        session(bmc, tmp_path, fingerprint="").get(PATH, 5)
    own = session(bmc, tmp_path, fingerprint="", ca_file=str(CERTIFICATE))
    assert own.get(PATH, 5)[0]["PowerWatts"]["Reading"] == 374
    own.close()


def test_a_service_without_users_is_read_without_a_login(bmc, tmp_path):
    assert session(bmc, tmp_path, user="").get(f"{ROOT}/", 5)[0]["Id"] == "RootService"
    assert bmc.opened == 0


def test_a_session_that_is_closed_during_its_login_is_deleted(bmc, tmp_path):
    own = session(bmc, tmp_path)
    bmc.delays[SESSIONS] = 3.0
    errors = []

    def ask():
        try:
            own.get(PATH, 5)
        except ReadError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while ("POST", SESSIONS) not in bmc.requests:
        time.sleep(0.01)
    own.close()
    thread.join()
    assert (bmc.opened, bmc.sessions) == (1, {})
    assert len(errors) == 1


def test_the_end_of_the_process_deletes_the_sessions_that_are_open(bmc, tmp_path):
    own, other = session(bmc, tmp_path), session(bmc, tmp_path)
    own.get(PATH, 5)
    other.get(PATH, 5)
    at_exit.close_all()
    assert (bmc.opened, bmc.sessions) == (2, {})
