"""The tables of the store, as the migration `REVISION` leaves them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    false,
    text,
)

from store.profile_point import point_columns, point_indexes, point_range
from store.views import views

REVISION = "0008"
"""The newest migration; a database with an unknown one is from a newer version."""

VERSION_TABLE = "inferometer_version"
"""Alembic's table; not its usual name, which other programs use."""

metadata = MetaData()
_RowId = BigInteger().with_variant(Integer, "sqlite")


def _checksum() -> Column[int]:
    """Return the column of the CRC-32 over the rest of a row (`store.codec.checksums`); NULL in older rows."""
    return Column("checksum", BigInteger)


hosts = Table(
    "hosts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kernel", Text, nullable=False),
    Column("operating_system", Text, nullable=False),
    Column("cpu_model", Text, nullable=False),
    Column("microarchitecture", Text, nullable=False),
    Column("cpu_flags", Text, nullable=False),
    Column("cores", Integer, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("virtual", Boolean, nullable=False),
    _checksum(),
)

devices = Table(
    "devices",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    _checksum(),
    UniqueConstraint("host_id", "key"),
)

channels = Table(
    "channels",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("device_id", ForeignKey("devices.id"), nullable=False),
    Column("domain", Text, nullable=False),
    Column("metric", String(32), nullable=False),
    Column("source", String(16), nullable=False),
    Column("method", String(32), nullable=False),
    Column("refresh_seconds", Double, nullable=False),
    Column("resolution", Double, nullable=False),
    Column("contained_in", Text, nullable=False),
    Column("power_limit", Double, nullable=False),
    Column("uncertainty", Double, nullable=False),
    Column("wraps_at", Double, nullable=False, server_default=text("0")),
    Column("observed_refresh_seconds", Double, nullable=False, server_default=text("0")),
    Column("read_seconds", Double, nullable=False, server_default=text("0")),
    Column("aliased", Boolean, nullable=False, server_default=false()),
    _checksum(),
    UniqueConstraint("device_id", "domain", "metric", "source"),
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("program", String(16), nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    _checksum(),
)

layouts = Table(
    "layouts",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("recording_id", ForeignKey("recordings.id"), nullable=False),
    Column("probe", Text, nullable=False),
    Column("channel_ids", Text, nullable=False),
    Column("seam", LargeBinary),
    _checksum(),
    Index("layouts_recording", "recording_id"),
)

ticks = Table(
    "ticks",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("layout_id", ForeignKey("layouts.id"), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("readings", LargeBinary, nullable=False),
    _checksum(),
    Index("ticks_layout_start", "layout_id", "start_ns"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("layout_id", ForeignKey("layouts.id"), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("ticks", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    _checksum(),
    Index("chunks_layout_start_end", "layout_id", "start_ns", "end_ns"),
)

rollups = Table(
    "rollups",
    metadata,
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("channel_id", ForeignKey("channels.id"), primary_key=True),
    Column("recording_id", ForeignKey("recordings.id"), primary_key=True),
    Column("samples", Integer, nullable=False),
    Column("lowest", Double, nullable=False),
    Column("highest", Double, nullable=False),
    Column("mean", Double, nullable=False),
    Column("energy_joules", Double),
    _checksum(),
    sqlite_with_rowid=False,
)

totals = Table(
    "totals",
    metadata,
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("probe", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("domain", Text, primary_key=True),
    Column("metric", String(32), primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("boot_id", String(64), nullable=False),
    Column("raw", Double),
    Column("total", Double, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    _checksum(),
    sqlite_with_rowid=False,
)

serving_hours = Table(
    "serving_hours",
    metadata,
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("server", String(64), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("basis", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("bins", Integer, nullable=False),
    Column("censored_bins", Integer, nullable=False),
    Column("requests_histogram", Text, nullable=False),
    Column("tokens_histogram", Text, nullable=False),
    *(
        Column(name, Double)
        for name in (
            *("seconds", "requests", "errors", "input_tokens", "output_tokens", "duration"),
            *(f"{part}_{bound}" for part in ("idle", "attributed") for bound in ("joules", "lower", "upper")),
        )
    ),
    _checksum(),
    sqlite_with_rowid=False,
)

rejections = Table(
    "rejections",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("layout_id", ForeignKey("layouts.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("reason", String(32), nullable=False),
    _checksum(),
    Index("rejections_layout_at", "layout_id", "at_ns"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), nullable=False),
    Column("recording_id", ForeignKey("recordings.id"), nullable=False),
    Column("workload", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("started_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger, nullable=False),
    _checksum(),
)

windows = Table(
    "windows",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("point", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("iterations", BigInteger, nullable=False),
    Column("inferences", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("latencies", LargeBinary, nullable=False),
    Column("steps", LargeBinary, nullable=False),
    _checksum(),
    Column("requests_in_window", Double, info={"later": True}),
    Column("load", Text, info={"later": True}),
    Index("windows_run", "run_id"),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("workload", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("tag", Text),
    _checksum(),
    Index("profiles_tag", "tag", unique=True),
)

profile_points = Table(
    "profile_points",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("profile_id", ForeignKey("profiles.id", ondelete="CASCADE"), nullable=False),
    *point_columns(),
    _checksum(),
    Index("profile_points_profile", "profile_id"),
    point_range(),
    *point_indexes(),
)

unchecked = Table(
    "unchecked",
    metadata,
    Column("table_name", String(16), primary_key=True),
    Column("done_key", BigInteger, nullable=False),
    Column("last_key", BigInteger, nullable=False),
)
"""Tables with rows of an older version without checksums: those whose key is above `done_key` and at most `last_key`.
The key is the id, or the minute of a roll-up.
"""

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("table_name", String(16), nullable=False),
    Column("found_ns", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
"""Damaged rows that a repair moved out of a table: `content` is JSON, with blobs in hexadecimal."""


@event.listens_for(metadata, "after_create")
def _make_views(_metadata: MetaData, connection: Connection, **_: object) -> None:
    backend = connection.dialect.name
    for statement in views(backend).values():
        connection.exec_driver_sql(statement if backend == "sqlite" else statement.replace("%", "%%"))
