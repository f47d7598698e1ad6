CREATE VIEW rollups_named AS
SELECT to_char(to_timestamp(rollups.minute::bigint * 60) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS utc, devices.host_id AS host, recordings.program, devices.key AS device, devices.kind,
  channels.domain, channels.metric, channels.source, rollups.samples, rollups.lowest, rollups.mean, rollups.highest,
  rollups.energy_joules
FROM rollups
JOIN recordings ON recordings.id = rollups.recording_id
JOIN channels ON channels.id = rollups.channel_id
JOIN devices ON devices.id = channels.device_id
