from __future__ import annotations

import pytest

from probes.model import Channel, Device, Kind, Source
from store.errors import StoreError
from store.reader import Reader
from store.records import Host, Tick, Total
from store.writer import Writer

CPU = Device("package-0", Kind.CPU)
CHANNELS = (Channel(CPU, "package", "energy_joules"),)
PACKAGE = Total("h", "rapl", "package-0", "package", "energy_joules", Source.MEASURED, "b007", 12.5, 1012.5, 7)
MODEL = PACKAGE._replace(probe="estimate", source=Source.ESTIMATED, raw=None)


@pytest.fixture
def writer_and_layout(engine):
    found = Writer(engine)
    return found, found.register(Host("h", "n"), [("rapl", CHANNELS)], "test", 1)[0]


def test_a_total_is_stored_once_with_its_latest_value(engine, writer_and_layout):
    writer, _ = writer_and_layout
    writer.save_totals([PACKAGE, MODEL])
    later = PACKAGE._replace(boot_id="b008", raw=None, total=2000.25, at_ns=9)
    writer.save_totals([later])
    assert Reader(engine).totals("h") == (MODEL, later)
    assert Reader(engine).totals("another") == ()


def test_ticks_and_totals_are_one_transaction(engine, writer_and_layout):
    writer, layout = writer_and_layout
    writer.append([Tick(layout.id, 5, 5, (12.5,))], [PACKAGE])
    with pytest.raises(StoreError):
        writer.append([Tick(layout.id, 6, 6, (13.5,))], [PACKAGE._replace(host_id="nobody")])
    with pytest.raises(StoreError):
        writer.append([Tick(999, 6, 6, (13.5,))], [PACKAGE._replace(total=2000.0)])
    assert Reader(engine).totals("h") == (PACKAGE,)
    assert Reader(engine).series(writer.recording, 0, 9)[0].values == (12.5,)
