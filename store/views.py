"""The views of the store, for people who open it with another program."""

from __future__ import annotations

from store.profile_views import views_of_profiles

_UTC = {
    "sqlite": "strftime('%Y-%m-%d %H:%M', rollups.minute * 60, 'unixepoch')",
    "postgresql": "to_char(to_timestamp(rollups.minute::bigint * 60) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')",
}


def views(backend: str) -> dict[str, str]:
    """Return the statements that create the views, by name; none for databases other than SQLite and PostgreSQL."""
    rollups = view_of_rollups(backend)
    return {"rollups_named": rollups, **views_of_profiles(backend)} if rollups else {}


def view_of_rollups(backend: str) -> str | None:
    """Return the statement that creates the view `rollups_named` for people; None for other databases."""
    if backend not in _UTC:
        return None
    return f"""
CREATE VIEW rollups_named AS
SELECT {_UTC[backend]} AS utc, devices.host_id AS host, recordings.program, devices.key AS device, devices.kind,
  channels.domain, channels.metric, channels.source, rollups.samples, rollups.lowest, rollups.mean, rollups.highest,
  rollups.energy_joules
FROM rollups
JOIN recordings ON recordings.id = rollups.recording_id
JOIN channels ON channels.id = rollups.channel_id
JOIN devices ON devices.id = channels.device_id
"""  # noqa: S608  the words in it are those above
