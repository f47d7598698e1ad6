CREATE VIEW v_profile_points AS
SELECT documents.profile_id, documents.tag, documents.created_utc, documents.origin, documents.workload,
  (documents.document #>> '{host,name}')::text AS host,
  (documents.document #>> '{workload,settings,model}')::text AS model,
  (documents.document #>> '{workload,precision}')::text AS precision,
  (documents.document #>> '{engine,name}')::text AS engine,
  (documents.document #>> '{engine,version}')::text AS engine_version,
  (documents.document #>> '{coverage,boundary}')::text AS energy_boundary,
  (documents.document #>> '{coverage,source}')::text AS energy_source,
  (points.value #>> '{name}')::text AS point,
  (points.value #>> '{parameters}')::text AS parameters,
  (points.value #>> '{valid}')::boolean AS valid,
  (points.value #>> '{repeats}')::double precision AS repeats,
  (points.value #>> '{inferences_per_second,mean}')::double precision AS inferences_per_second,
  (points.value #>> '{inferences_per_second,lower}')::double precision AS inferences_per_second_lower,
  (points.value #>> '{inferences_per_second,upper}')::double precision AS inferences_per_second_upper,
  (points.value #>> '{input_tokens_per_second,mean}')::double precision AS input_tokens_per_second,
  (points.value #>> '{output_tokens_per_second,mean}')::double precision AS output_tokens_per_second,
  (points.value #>> '{mean_latency_seconds,mean}')::double precision AS latency_mean_seconds,
  (points.value #>> '{latency_seconds,p50}')::double precision AS latency_p50_seconds,
  (points.value #>> '{latency_seconds,p90}')::double precision AS latency_p90_seconds,
  (points.value #>> '{latency_seconds,p99}')::double precision AS latency_p99_seconds,
  (points.value #>> '{time_to_first_token_seconds,p50}')::double precision AS ttft_p50_seconds,
  (points.value #>> '{time_to_first_token_seconds,p90}')::double precision AS ttft_p90_seconds,
  (points.value #>> '{time_to_first_token_seconds,p99}')::double precision AS ttft_p99_seconds,
  (points.value #>> '{inter_token_latency_seconds,p50}')::double precision AS itl_p50_seconds,
  (points.value #>> '{inter_token_latency_seconds,p90}')::double precision AS itl_p90_seconds,
  (points.value #>> '{inter_token_latency_seconds,p99}')::double precision AS itl_p99_seconds,
  (points.value #>> '{serving,requests}')::double precision AS requests,
  (points.value #>> '{serving,goodput,requests_per_second}')::double precision AS goodput_per_second,
  (points.value #>> '{serving,goodput,attained}')::double precision AS attained_ratio,
  (points.value #>> '{energy,joules_per_inference,total,mean}')::double precision AS joules_per_inference,
  (points.value #>> '{energy,joules_per_inference,total,lower}')::double precision AS joules_per_inference_lower,
  (points.value #>> '{energy,joules_per_inference,total,upper}')::double precision AS joules_per_inference_upper,
  (points.value #>> '{energy,joules_per_input_token,mean}')::double precision AS joules_per_input_token,
  (points.value #>> '{energy,joules_per_input_token,lower}')::double precision AS joules_per_input_token_lower,
  (points.value #>> '{energy,joules_per_input_token,upper}')::double precision AS joules_per_input_token_upper,
  (points.value #>> '{energy,joules_per_output_token,mean}')::double precision AS joules_per_output_token,
  (points.value #>> '{energy,joules_per_output_token,lower}')::double precision AS joules_per_output_token_lower,
  (points.value #>> '{energy,joules_per_output_token,upper}')::double precision AS joules_per_output_token_upper,
  (points.value #>> '{energy,joules_per_total_token,mean}')::double precision AS joules_per_total_token,
  (points.value #>> '{energy,joules_per_total_token,lower}')::double precision AS joules_per_total_token_lower,
  (points.value #>> '{energy,joules_per_total_token,upper}')::double precision AS joules_per_total_token_upper,
  (points.value #>> '{energy,estimated_share}')::double precision AS estimated_ratio,
  (points.value #>> '{power,mean_watts,mean}')::double precision AS watts,
  (points.value #>> '{power,mean_watts,lower}')::double precision AS watts_lower,
  (points.value #>> '{power,mean_watts,upper}')::double precision AS watts_upper,
  (points.value #>> '{power,peak_watts}')::double precision AS peak_watts
FROM (
    SELECT profiles.id AS profile_id, profiles.tag, to_char(to_timestamp(profiles.created_ns / 1000000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS created_utc, profiles.workload,
      CASE recordings.program WHEN 'import' THEN 'imported' ELSE 'measured' END AS origin,
      CASE WHEN profiles.document LIKE '{%' THEN profiles.document ELSE '{}' END::json AS document
    FROM profiles
    JOIN runs ON runs.id = profiles.run_id
    JOIN recordings ON recordings.id = runs.recording_id
  ) AS documents
  CROSS JOIN LATERAL json_array_elements(documents.document -> 'points') AS points(value)
  
  WHERE (documents.document #>> '{schema_version}')::text LIKE '2.%'
;
CREATE VIEW v_costs AS
SELECT amounts.*,
  energy + capital AS total,
  energy_lower + capital_lower AS total_lower,
  energy_upper + capital_upper AS total_upper
FROM (
  SELECT documents.profile_id, documents.tag, documents.created_utc, documents.origin, documents.workload,
    (documents.document #>> '{host,name}')::text AS host,
  (documents.document #>> '{workload,settings,model}')::text AS model,
    (points.value #>> '{name}')::text AS point,
  (points.value #>> '{valid}')::boolean AS valid,
  (points.value #>> '{cost,currency}')::text AS currency,
    choices.basis, choices.unit, (points.value #>> ARRAY['cost', choices.basis, 'utilization'])::double precision AS utilization_ratio,
    CASE choices.unit WHEN 'per_hour' THEN (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'energy'])::double precision ELSE (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'energy', 'mean'])::double precision END AS energy,
    (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'energy', 'lower'])::double precision AS energy_lower,
    (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'energy', 'upper'])::double precision AS energy_upper,
    CASE choices.unit WHEN 'per_hour' THEN (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'capital'])::double precision ELSE (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'capital', 'mean'])::double precision END AS capital,
    (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'capital', 'lower'])::double precision AS capital_lower,
    (points.value #>> ARRAY['cost', choices.basis, choices.unit, 'capital', 'upper'])::double precision AS capital_upper
  FROM (
    SELECT profiles.id AS profile_id, profiles.tag, to_char(to_timestamp(profiles.created_ns / 1000000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS created_utc, profiles.workload,
      CASE recordings.program WHEN 'import' THEN 'imported' ELSE 'measured' END AS origin,
      CASE WHEN profiles.document LIKE '{%' THEN profiles.document ELSE '{}' END::json AS document
    FROM profiles
    JOIN runs ON runs.id = profiles.run_id
    JOIN recordings ON recordings.id = runs.recording_id
  ) AS documents
  CROSS JOIN LATERAL json_array_elements(documents.document -> 'points') AS points(value)
  CROSS JOIN (SELECT 'usage' AS basis, 'per_hour' AS unit UNION ALL SELECT 'usage' AS basis, 'per_inference' AS unit UNION ALL SELECT 'usage' AS basis, 'per_million_output_tokens' AS unit UNION ALL SELECT 'usage' AS basis, 'per_million_total_tokens' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_hour' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_inference' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_million_output_tokens' AS unit UNION ALL SELECT 'allocation' AS basis, 'per_million_total_tokens' AS unit) AS choices
  WHERE (documents.document #>> '{schema_version}')::text LIKE '2.%'
) AS amounts
WHERE energy IS NOT NULL OR capital IS NOT NULL
