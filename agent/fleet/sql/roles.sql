-- The roles of a fleet's database. Run it once in that database, as a superuser:
--   createdb fleet && psql -d fleet -v ON_ERROR_STOP=1 -f roles.sql
-- The owner makes and upgrades the tables (`inferometer fleet init`); give it a password with \password, or a
-- certificate. Hosts are members of inferometer_pushers, and people who analyze the profiles of inferometer_readers:
--   CREATE ROLE alice LOGIN IN ROLE inferometer_readers;

SELECT format('CREATE ROLE %I %s', name, kind)
FROM (VALUES ('inferometer_owner', 'LOGIN'), ('inferometer_pushers', 'NOLOGIN'), ('inferometer_readers', 'NOLOGIN'))
  AS roles (name, kind)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO inferometer_owner, inferometer_pushers, inferometer_readers;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO inferometer_owner;
GRANT USAGE ON SCHEMA public TO inferometer_pushers, inferometer_readers;
