-- The row-level security of a fleet's tables. `inferometer fleet init` runs it as their owner, after it has made or
-- upgraded them; it can be run again. A login of inferometer_pushers reads and adds the rows of its own host and no
-- others, and changes nothing but the description of that host. A table that is not named here is closed to it.

CREATE TABLE IF NOT EXISTS fleet_logins (login name PRIMARY KEY, host_id text NOT NULL);
-- A host has one login. Its id is shorter than the ids of the tables, which cut it; one that begins with `anonymous`
-- would be that of an anonymized profile.
ALTER TABLE fleet_logins DROP CONSTRAINT IF EXISTS fleet_logins_host_id_check;
ALTER TABLE fleet_logins ADD CONSTRAINT fleet_logins_host_id_check CHECK (
  length(host_id) BETWEEN 1 AND 56 AND (host_id = 'anonymous' OR host_id NOT LIKE 'anonymous%'));
CREATE UNIQUE INDEX IF NOT EXISTS fleet_logins_host ON fleet_logins (host_id) WHERE host_id <> 'anonymous';

-- The host of this login as the tables have it; null without one, which no row equals.
CREATE OR REPLACE FUNCTION fleet_host() RETURNS text LANGUAGE sql STABLE
  RETURN (SELECT left('import-' || host_id, 64) FROM fleet_logins WHERE login = current_user);

-- The end of the ids of a host's runs and profiles: no two hosts share an id, so that none can test for another's.
CREATE OR REPLACE FUNCTION fleet_key(host text) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN left(encode(sha256(convert_to(host, 'UTF8')), 'hex'), 12);

-- A text in JSON as Inferometer writes it for a digest: with ASCII alone.
CREATE OR REPLACE FUNCTION fleet_json(value text) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN octet_length(value) = length(value) AND strpos(value, chr(127)) = 0 THEN to_json(value)::text ELSE (
    SELECT string_agg(CASE WHEN code < 127 THEN letter WHEN code < 65536 THEN '\u' || lpad(to_hex(code), 4, '0')
      ELSE '\u' || to_hex(55296 + (code - 65536 >> 10)) || '\u' || to_hex(56320 + (code - 65536 & 1023)) END, '' ORDER BY at)
    FROM regexp_split_to_table(to_json(value)::text, '') WITH ORDINALITY AS letters (letter, at), ascii(letter) AS code) END;

-- The digest of a number and texts (`store.profile_points`).
CREATE OR REPLACE FUNCTION fleet_digest(number bigint, texts text[]) RETURNS bigint LANGUAGE sql IMMUTABLE
  RETURN ('x' || left(encode(sha256(convert_to('[' || number || ', ' || (SELECT string_agg(fleet_json(value), ', ' ORDER BY at)
    FROM unnest(texts) WITH ORDINALITY AS list (value, at)) || ']', 'UTF8')), 'hex'), 16))::bit(64)::bigint;

DO $do$
DECLARE
  own constant text := $$(%1$s = (SELECT fleet_host())
    OR ((SELECT fleet_host()) = 'import-anonymous' AND %1$s LIKE 'import-anonymous-%%'))$$;
  item record;
  item_columns text;
  bounded text;
BEGIN
  FOR item IN SELECT c.relname, c.relkind FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND pg_has_role(c.relowner, 'USAGE')
  LOOP
    EXECUTE format('REVOKE ALL ON %I FROM PUBLIC, inferometer_pushers, inferometer_readers', item.relname);
    EXECUTE format('GRANT SELECT ON %I TO inferometer_readers', item.relname);
    IF item.relkind = 'v' THEN
      IF current_setting('server_version_num')::int >= 150000 THEN
        EXECUTE format('ALTER VIEW %I SET (security_invoker = true)', item.relname);
      END IF;
    ELSE
      EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', item.relname);
      EXECUTE format('DROP POLICY IF EXISTS readers ON %I', item.relname);
      EXECUTE format('CREATE POLICY readers ON %I FOR SELECT TO inferometer_readers USING (true)', item.relname);
      EXECUTE format('DROP POLICY IF EXISTS seen ON %I', item.relname);
      EXECUTE format('DROP POLICY IF EXISTS added ON %I', item.relname);
      EXECUTE format('DROP POLICY IF EXISTS described ON %I', item.relname);
      EXECUTE format('DROP POLICY IF EXISTS bounded ON %I', item.relname);
      EXECUTE format('DROP POLICY IF EXISTS derived ON %I', item.relname);
    END IF;
  END LOOP;

  -- The version of the tables is no secret, and a login must find its own host.
  CREATE POLICY seen ON inferometer_version FOR SELECT TO inferometer_pushers USING (true);
  CREATE POLICY seen ON fleet_logins FOR SELECT TO inferometer_pushers USING (login = current_user);

  EXECUTE 'CREATE POLICY seen ON hosts FOR SELECT TO inferometer_pushers USING ' || format(own, 'id');
  EXECUTE 'CREATE POLICY added ON hosts FOR INSERT TO inferometer_pushers WITH CHECK ' || format(own, 'id');
  EXECUTE 'CREATE POLICY described ON hosts FOR UPDATE TO inferometer_pushers USING ' || format(own, 'id');

  EXECUTE 'CREATE POLICY seen ON recordings FOR SELECT TO inferometer_pushers USING ' || format(own, 'host_id');
  EXECUTE 'CREATE POLICY added ON recordings FOR INSERT TO inferometer_pushers WITH CHECK ' || format(own, 'host_id');

  EXECUTE 'CREATE POLICY seen ON runs FOR SELECT TO inferometer_pushers USING ' || format(own, 'host_id');
  EXECUTE 'CREATE POLICY added ON runs FOR INSERT TO inferometer_pushers WITH CHECK (' || format(own, 'host_id') || $$
    AND right(id, 13) = '.' || fleet_key(host_id)
    AND EXISTS (SELECT FROM recordings WHERE recordings.id = recording_id AND recordings.host_id = runs.host_id))$$;

  -- The document itself must name the host and the id of its row.
  CREATE POLICY seen ON profiles FOR SELECT TO inferometer_pushers
    USING (EXISTS (SELECT FROM runs WHERE runs.id = run_id));
  CREATE POLICY added ON profiles FOR INSERT TO inferometer_pushers WITH CHECK (
    id = run_id AND tag IS NULL AND octet_length(document) <= 67108864
    AND id = (document::json ->> 'id') || right(id, 13)
    AND EXISTS (SELECT FROM runs WHERE runs.id = run_id
      AND runs.host_id = left('import-' || (document::json #>> '{host,id}'), 64)));

  CREATE POLICY seen ON profile_points FOR SELECT TO inferometer_pushers
    USING (EXISTS (SELECT FROM runs WHERE runs.id = profile_id));
  CREATE POLICY added ON profile_points FOR INSERT TO inferometer_pushers WITH CHECK (
    EXISTS (SELECT FROM runs WHERE runs.id = profile_id AND runs.host_id = left('import-' || profile_points.host_id, 64)));

  -- Texts and times have an end, since readers keep them in memory. A figure that is no number, or whose square overflows,
  -- would spoil the sums over the machines of all hosts, as would a day that is none.
  FOR item IN SELECT unnest(ARRAY['hosts', 'recordings', 'runs', 'profiles', 'profile_points']) AS relname LOOP
    SELECT string_agg(format(CASE
        WHEN atttypid = 'float8'::regtype THEN 'coalesce(abs(%I) < 1e100, true)'
        WHEN atttypid = 'int8'::regtype THEN '%I BETWEEN 0 AND 4102444799999999999'
        WHEN attname = 'name' OR (item.relname = 'profile_points' AND attname <> 'parameters')
          THEN 'coalesce(length(%I) <= 200, true)'
        ELSE 'coalesce(octet_length(%I) <= 65536, true)' END, attname), ' AND ') INTO bounded FROM pg_attribute
      WHERE attrelid = item.relname::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'document'
        AND (atttypid IN ('float8'::regtype, 'text'::regtype) OR (atttypid = 'int8'::regtype AND attname LIKE '%\_ns'));
    EXECUTE format('CREATE POLICY bounded ON %I AS RESTRICTIVE TO inferometer_pushers USING (true) WITH CHECK (%s)', item.relname, bounded);
  END LOOP;
  -- A row with other facts is one of another group, so that no host gives the group of others a name.
  CREATE POLICY derived ON profile_points AS RESTRICTIVE FOR INSERT TO inferometer_pushers WITH CHECK (
    date = to_char(to_timestamp(created_ns / 1000000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AND month = left(date, 7)
    AND cost_group = fleet_digest(work,
      ARRAY[workload, model, precision, unit, hardware, engine, boundary, energy_source, currency, cost_basis]));

  -- The right to update single columns: that to update a table has the right to lock it, and so to stop all hosts.
  SELECT string_agg(quote_ident(attname), ', ') INTO item_columns FROM pg_attribute
    WHERE attrelid = 'hosts'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'id';
  EXECUTE format('GRANT UPDATE (%s) ON hosts TO inferometer_pushers', item_columns);

  -- A login chooses no number of these rows, since it could take those of others, and sees none that counts the rows of
  -- others: a number is the microsecond of its row with eleven random bits, so that numbers grow as those of a sequence.
  REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, inferometer_pushers, inferometer_readers;
  FOR item IN SELECT unnest(ARRAY['recordings', 'profile_points']) AS relname LOOP
    SELECT string_agg(quote_ident(attname), ', ') INTO item_columns FROM pg_attribute
      WHERE attrelid = item.relname::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'id';
    EXECUTE format('GRANT SELECT, INSERT (%s) ON %I TO inferometer_pushers', item_columns, item.relname);
    EXECUTE format('ALTER TABLE %I ALTER COLUMN id SET DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 2048'
      ' + floor(random() * 2048)::bigint', item.relname);
  END LOOP;
END
$do$;

GRANT SELECT ON inferometer_version, fleet_logins TO inferometer_pushers;
GRANT SELECT, INSERT ON hosts, runs, profiles TO inferometer_pushers;
