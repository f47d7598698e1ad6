CREATE VIEW v_profile_points AS
SELECT documents.profile_id, documents.tag, documents.created_utc, documents.origin, documents.workload,
  json_extract(documents.document, '$.host.name') AS host,
  json_extract(documents.document, '$.workload.settings.model') AS model,
  json_extract(documents.document, '$.workload.precision') AS precision,
  json_extract(documents.document, '$.engine.name') AS engine,
  json_extract(documents.document, '$.engine.version') AS engine_version,
  json_extract(documents.document, '$.coverage.boundary') AS energy_boundary,
  json_extract(documents.document, '$.coverage.source') AS energy_source,
  json_extract(points.value, '$.name') AS point,
  json_extract(points.value, '$.parameters') AS parameters,
  json_extract(points.value, '$.valid') AS valid,
  json_extract(points.value, '$.repeats') AS repeats,
  json_extract(points.value, '$.inferences_per_second.mean') AS inferences_per_second,
  json_extract(points.value, '$.inferences_per_second.lower') AS inferences_per_second_lower,
  json_extract(points.value, '$.inferences_per_second.upper') AS inferences_per_second_upper,
  json_extract(points.value, '$.input_tokens_per_second.mean') AS input_tokens_per_second,
  json_extract(points.value, '$.output_tokens_per_second.mean') AS output_tokens_per_second,
  json_extract(points.value, '$.mean_latency_seconds.mean') AS latency_mean_seconds,
  json_extract(points.value, '$.latency_seconds.p50') AS latency_p50_seconds,
  json_extract(points.value, '$.latency_seconds.p90') AS latency_p90_seconds,
  json_extract(points.value, '$.latency_seconds.p99') AS latency_p99_seconds,
  json_extract(points.value, '$.time_to_first_token_seconds.p50') AS ttft_p50_seconds,
  json_extract(points.value, '$.time_to_first_token_seconds.p90') AS ttft_p90_seconds,
  json_extract(points.value, '$.time_to_first_token_seconds.p99') AS ttft_p99_seconds,
  json_extract(points.value, '$.inter_token_latency_seconds.p50') AS itl_p50_seconds,
  json_extract(points.value, '$.inter_token_latency_seconds.p90') AS itl_p90_seconds,
  json_extract(points.value, '$.inter_token_latency_seconds.p99') AS itl_p99_seconds,
  json_extract(points.value, '$.serving.requests') AS requests,
  json_extract(points.value, '$.serving.goodput.requests_per_second') AS goodput_per_second,
  json_extract(points.value, '$.serving.goodput.attained') AS attained_ratio,
  json_extract(points.value, '$.energy.joules_per_inference.total.mean') AS joules_per_inference,
  json_extract(points.value, '$.energy.joules_per_inference.total.lower') AS joules_per_inference_lower,
  json_extract(points.value, '$.energy.joules_per_inference.total.upper') AS joules_per_inference_upper,
  json_extract(points.value, '$.energy.joules_per_input_token.mean') AS joules_per_input_token,
  json_extract(points.value, '$.energy.joules_per_input_token.lower') AS joules_per_input_token_lower,
  json_extract(points.value, '$.energy.joules_per_input_token.upper') AS joules_per_input_token_upper,
  json_extract(points.value, '$.energy.joules_per_output_token.mean') AS joules_per_output_token,
  json_extract(points.value, '$.energy.joules_per_output_token.lower') AS joules_per_output_token_lower,
  json_extract(points.value, '$.energy.joules_per_output_token.upper') AS joules_per_output_token_upper,
  json_extract(points.value, '$.energy.joules_per_total_token.mean') AS joules_per_total_token,
  json_extract(points.value, '$.energy.joules_per_total_token.lower') AS joules_per_total_token_lower,
  json_extract(points.value, '$.energy.joules_per_total_token.upper') AS joules_per_total_token_upper,
  json_extract(points.value, '$.energy.estimated_share') AS estimated_ratio,
  json_extract(points.value, '$.power.mean_watts.mean') AS watts,
  json_extract(points.value, '$.power.mean_watts.lower') AS watts_lower,
  json_extract(points.value, '$.power.mean_watts.upper') AS watts_upper,
  json_extract(points.value, '$.power.peak_watts') AS peak_watts
FROM (
    SELECT profiles.id AS profile_id, profiles.tag, strftime('%Y-%m-%d %H:%M:%S', profiles.created_ns / 1000000000, 'unixepoch') AS created_utc, profiles.workload,
      CASE recordings.program WHEN 'import' THEN 'imported' ELSE 'measured' END AS origin,
      CASE WHEN json_valid(profiles.document) THEN profiles.document ELSE '{}' END AS document
    FROM profiles
    JOIN runs ON runs.id = profiles.run_id
    JOIN recordings ON recordings.id = runs.recording_id
  ) AS documents
  CROSS JOIN json_each(documents.document, '$.points') AS points
  
  WHERE json_extract(documents.document, '$.schema_version') LIKE '2.%'
;
CREATE VIEW v_costs AS
SELECT amounts.*,
  energy + capital AS total,
  energy_lower + capital_lower AS total_lower,
  energy_upper + capital_upper AS total_upper
FROM (
  SELECT documents.profile_id, documents.tag, documents.created_utc, documents.origin, documents.workload,
    json_extract(documents.document, '$.host.name') AS host,
  json_extract(documents.document, '$.workload.settings.model') AS model,
    json_extract(points.value, '$.name') AS point,
  json_extract(points.value, '$.valid') AS valid,
  json_extract(points.value, '$.cost.currency') AS currency,
    choices.basis, choices.unit, json_extract(points.value, '$.cost.' || choices.basis || '.utilization') AS utilization_ratio,
    CASE choices.unit WHEN 'per_hour' THEN json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.energy') ELSE json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.energy.mean') END AS energy,
    json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.energy.lower') AS energy_lower,
    json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.energy.upper') AS energy_upper,
    CASE choices.unit WHEN 'per_hour' THEN json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.capital') ELSE json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.capital.mean') END AS capital,
    json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.capital.lower') AS capital_lower,
    json_extract(points.value, '$.cost.' || choices.basis || '.' || choices.unit || '.capital.upper') AS capital_upper
  FROM (
    SELECT profiles.id AS profile_id, profiles.tag, strftime('%Y-%m-%d %H:%M:%S', profiles.created_ns / 1000000000, 'unixepoch') AS created_utc, profiles.workload,
      CASE recordings.program WHEN 'import' THEN 'imported' ELSE 'measured' END AS origin,
      CASE WHEN json_valid(profiles.document) THEN profiles.document ELSE '{}' END AS document
    FROM profiles
    JOIN runs ON runs.id = profiles.run_id
    JOIN recordings ON recordings.id = runs.recording_id
  ) AS documents
  CROSS JOIN json_each(documents.document, '$.points') AS points
  CROSS JOIN (SELECT 'usage' AS basis, 'per_hour' AS unit UNION ALL SELECT 'usage' AS basis, 'per_inference' AS unit UNION ALL SELECT 'usage' AS basis, 'per_million_output_tokens' AS unit UNION ALL SELECT 'usage' AS basis, 'per_million_total_tokens' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_hour' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_inference' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_million_output_tokens' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_million_total_tokens' AS unit) AS choices
  WHERE json_extract(documents.document, '$.schema_version') LIKE '2.%'
) AS amounts
WHERE energy IS NOT NULL OR capital IS NOT NULL
