from pathlib import Path

import pytest

from probes.fdinfo import ClientShares, DrmClient, Scan, parse_fdinfo, scan, shares_between
from trees import write

AMD = "0000:05:00.0"
TEXT = """pos:\t0
flags:\t02100002
drm-driver:\tamdgpu
drm-client-id:\t42
drm-pdev:\t0000:05:00.0
pasid:\t32772
drm-memory-vram:\t16777216 KiB
drm-engine-gfx:\t123456789 ns
drm-engine-compute:\t784986021477 ns
drm-engine-capacity-compute:\t4
"""
XE = """drm-driver:\txe
drm-client-id:\t3
drm-pdev:\t0000:03:00.0
drm-total-system:\t0
drm-cycles-rcs:\t28257900
drm-total-cycles-rcs:\t7655183225
drm-cycles-ccs:\t0
drm-engine-capacity-rcs:\t1
"""


def test_the_busy_time_of_each_engine_is_read():
    assert parse_fdinfo(TEXT) == DrmClient(
        "amdgpu", AMD, 42, {"gfx": 123456789, "compute": 784986021477}, {"compute": 4}, {}
    )


def test_cycles_are_read_with_those_of_the_clock():
    client = parse_fdinfo(XE)
    assert client.cycles == {"rcs": (28257900, 7655183225)}
    assert (client.busy_ns, client.capacity) == ({}, {"rcs": 1})


@pytest.mark.parametrize(
    "text",
    ["", "pos:\t0\n", TEXT.replace("drm-pdev", "pdev"), TEXT.replace("42", "none"), TEXT.replace("amdgpu", "")],
)
def test_a_file_without_a_device_or_a_client_is_no_client(text):
    assert parse_fdinfo(text) is None


def test_values_that_are_no_numbers_are_left_out():
    client = parse_fdinfo(TEXT.replace("123456789 ns", "busy").replace("784986021477 ns", "5 parsecs"))
    assert client.busy_ns == {}


def process(procfs, pid, *files):
    """Write a process with these files open: (descriptor, target, text in fdinfo)."""
    (procfs / str(pid) / "fd").mkdir(parents=True, exist_ok=True)
    for number, target, text in files:
        link = procfs / str(pid) / "fd" / str(number)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        write(procfs / str(pid) / "fdinfo" / str(number), text)


NODE = "/dev/dri/renderD128"


def test_copies_of_a_file_are_one_client_of_all_its_processes(tmp_path):
    process(tmp_path, 10, (4, NODE, TEXT), (9, NODE, TEXT), (0, "/dev/null", "pos:\t0"))
    process(tmp_path, 11, (4, NODE, TEXT))
    process(tmp_path, 12, (3, NODE, XE))
    (tmp_path / "self").mkdir()
    found = scan(tmp_path, AMD)
    assert {number: pids for number, (_, pids) in found.clients.items()} == {42: {10, 11}}
    assert found.is_complete


def test_the_users_are_unknown_if_a_process_cannot_be_listed(tmp_path, monkeypatch):
    process(tmp_path, 10, (4, NODE, TEXT))
    process(tmp_path, 11, (4, NODE, TEXT))
    real = Path.iterdir

    def refuse(path):
        if str(path).endswith("11/fd"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert not scan(tmp_path, AMD).is_complete
    found = ClientShares(tmp_path, AMD).gpu_processes(0)
    assert (found.programs, found.shares) == (None, None)


def test_a_process_that_ends_meanwhile_and_a_missing_proc_are_no_users(tmp_path):
    (tmp_path / "10").mkdir()
    assert scan(tmp_path, AMD) == Scan({}, is_complete=True)
    assert scan(tmp_path / "nowhere", AMD).clients == {}


def client(number=1, busy=0, capacity=1, cycles=None):
    engines = {"compute": busy} if cycles is None else {}
    return DrmClient("amdgpu", AMD, number, engines, {"compute": capacity}, {"compute": cycles} if cycles else {})


def scanned(*clients):
    return Scan({one.client: (one, frozenset(pids)) for one, pids in clients}, is_complete=True)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (client(busy=100), client(busy=350), 0.25),
        (client(busy=100, capacity=4), client(busy=2100, capacity=4), 0.5),
        (client(busy=900), client(busy=100), None),
        (client(busy=0), client(busy=5000), 1.0),
        (client(cycles=(10, 100)), client(cycles=(40, 200)), 0.3),
        (client(cycles=(10, 100)), client(cycles=(40, 100)), None),
    ],
)
def test_a_share_is_that_of_the_busiest_engine(before, after, share):
    found = shares_between(scanned((before, {7})), scanned((after, {7})), 1000)
    assert found == ({7: pytest.approx(share)} if share else {})


def test_a_new_client_counts_from_its_start_and_a_shared_one_once():
    after = scanned((client(1, busy=200), {7, 8}), (client(2, busy=300), {7}), (client(3, cycles=(5, 9)), {9}))
    assert shares_between(scanned(), after, 1000) == {7: pytest.approx(0.5)}


class Clock:
    """The wall clock of the module, in microseconds, which stands still until it is set."""

    def __init__(self, now_us):
        self.now_us = now_us

    def time_ns(self):
        return self.now_us * 1000


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(1_800_000_000_000_000)
    monkeypatch.setattr("probes.fdinfo.time", clock)
    return clock


def test_shares_need_a_scan_at_the_beginning_of_the_time(tmp_path, clock):
    process(tmp_path, 10, (4, NODE, TEXT))
    users = ClientShares(tmp_path, AMD)
    began = clock.now_us
    first = users.gpu_processes(began)
    assert (first.programs, first.shares) == ({10}, None)
    clock.now_us += 40_000
    process(tmp_path, 10, (4, NODE, TEXT.replace("784986021477", "784996021477")))
    found = users.gpu_processes(began)
    assert found.programs == {10}
    assert found.shares == {10: pytest.approx(0.0625)}  # 10 of 40 ms of four engines
    assert users.gpu_processes(began - 3_600_000_000).shares is None


@pytest.mark.parametrize(("late_us", "is_known"), [(-10_000, True), (10_000, True), (-10_001, False), (10_001, False)])
def test_a_scan_is_at_the_beginning_within_a_tenth_of_the_time(tmp_path, clock, late_us, is_known):
    process(tmp_path, 10, (4, NODE, TEXT))
    users = ClientShares(tmp_path, AMD)
    began = clock.now_us
    clock.now_us = began + late_us
    users.gpu_processes(began)
    clock.now_us = began + 100_000
    assert (users.gpu_processes(began).shares is not None) == is_known


def test_shares_are_unknown_while_a_process_uses_the_queues_of_rocm(tmp_path, clock):
    process(tmp_path / "proc", 10, (4, NODE, TEXT))
    (tmp_path / "kfd/10").mkdir(parents=True)
    users = ClientShares(tmp_path / "proc", AMD, tmp_path / "kfd")
    users.gpu_processes(clock.now_us)
    began, clock.now_us = clock.now_us, clock.now_us + 20_000
    assert users.gpu_processes(began).shares is None
    Path(tmp_path / "kfd/10").rmdir()
    began, clock.now_us = clock.now_us, clock.now_us + 20_000
    assert users.gpu_processes(began).shares == {}
