"""The programs of PostgreSQL, and connections to its server."""

from __future__ import annotations

import ctypes
import shutil
import signal
import time
from pathlib import Path

from sqlalchemy.exc import OperationalError

BINARIES = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)]
INITDB = next(filter(None, BINARIES), None)


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG: no server outlives the tests, however they end


def with_driver(url):
    return url.replace("://", "+psycopg://")


def wait_until_it_answers(admin):
    deadline = time.monotonic() + 30
    while True:
        try:
            admin.connect().close()
        except OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
