-- Adds the login of one host, or moves it to another host. Run it in the fleet's database, as a superuser, after
-- `inferometer fleet init`:
--   psql -d fleet -v login=gpu1 -v host="$(ssh gpu1 inferometer fleet id)" -f host.sql
-- Then give it a password with \password, or a certificate. With -v anonymous=yes in place of the host the login reads
-- and adds anonymized profiles only, and many hosts can share it. To remove it: DELETE FROM fleet_logins WHERE login = 'gpu1'; DROP ROLE gpu1;
-- The id of a host is no secret, and a host can state that of another one: a host that has a login gets no second one.

\set ON_ERROR_STOP on
\if :{?anonymous}
\set host anonymous
\endif
BEGIN;
SELECT set_config('fleet.login', :'login', true), set_config('fleet.host', :'host', true),
  set_config('fleet.anonymous', (:{?anonymous})::text, true) \g /dev/null
DO $do$
DECLARE
  wanted constant text := current_setting('fleet.login');
  host constant text := current_setting('fleet.host');
  other text;
BEGIN
  IF host = 'anonymous' AND NOT current_setting('fleet.anonymous')::boolean THEN
    RAISE EXCEPTION 'the host states the id of anonymized profiles, and its login would read them all. If you mean a login for '
      'anonymized profiles, give -v anonymous=yes in place of the host';
  END IF;
  IF octet_length(wanted) > 63 THEN
    RAISE EXCEPTION 'login %: PostgreSQL cuts a name after 63 bytes, so that two could be one. Choose a shorter one', wanted;
  END IF;
  SELECT string_agg(roles.rolname, ', ') INTO other
    FROM pg_roles own JOIN pg_roles roles ON (roles.oid = own.oid AND (own.rolsuper OR own.rolbypassrls))
      OR (roles.rolname IN ('inferometer_owner', 'inferometer_readers') AND pg_has_role(own.oid, roles.oid, 'MEMBER'))
    WHERE own.rolname = wanted;
  IF other IS NOT NULL THEN
    RAISE EXCEPTION 'login % has the rights of %, so that row-level security does not bind it. Choose another one', wanted, other;
  END IF;
  SELECT login INTO other FROM fleet_logins WHERE host_id = host AND host <> 'anonymous' AND login <> wanted;
  IF other IS NOT NULL THEN
    RAISE EXCEPTION 'host % has the login % already. Remove that one if it is the same machine; otherwise one of both states a '
      'wrong id, or both have the same /etc/machine-id', host, other;
  END IF;
END
$do$;

SELECT format('CREATE ROLE %I LOGIN', :'login') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login')
\gexec
GRANT inferometer_pushers TO :"login";
ALTER ROLE :"login" CONNECTION LIMIT 4;
ALTER ROLE :"login" SET statement_timeout = '5min';
ALTER ROLE :"login" SET idle_in_transaction_session_timeout = '1min';
INSERT INTO fleet_logins (login, host_id) VALUES (:'login', :'host')
  ON CONFLICT (login) DO UPDATE SET host_id = excluded.host_id;
COMMIT;
SELECT login, host_id AS host FROM fleet_logins WHERE login = :'login';
