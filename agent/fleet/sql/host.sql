-- Adds the login of one host, or moves it to another host. Run it in the fleet's database, as a superuser, after
-- `inferometer fleet init`:
--   psql -d fleet -v ON_ERROR_STOP=1 -v login=gpu1 -v host="$(ssh gpu1 inferometer fleet id)" -f host.sql
-- Then give it a password with \password, or a certificate. With -v host=anonymous the login pushes anonymized
-- profiles only, and many hosts can share it. To remove it: DELETE FROM fleet_logins WHERE login = 'gpu1'; DROP ROLE gpu1;

SELECT format('CREATE ROLE %I LOGIN', :'login') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login')
\gexec
GRANT inferometer_pushers TO :"login";
ALTER ROLE :"login" CONNECTION LIMIT 4;
ALTER ROLE :"login" SET statement_timeout = '5min';
ALTER ROLE :"login" SET idle_in_transaction_session_timeout = '1min';
INSERT INTO fleet_logins (login, host_id) VALUES (:'login', :'host')
  ON CONFLICT (login) DO UPDATE SET host_id = excluded.host_id;
