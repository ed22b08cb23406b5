#!/bin/sh
# Run once, when the primary's data folder is made: an account and a slot for the standby. A commit waits for the
# standby's disk, so that what was accepted is there after a failover.
psql -q -v ON_ERROR_STOP=1 -v password="$(cat /credentials/replication_password)" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE replicator REPLICATION LOGIN PASSWORD :'password';
SELECT pg_create_physical_replication_slot('standby') \g /dev/null
SQL
echo 'host replication replicator all scram-sha-256' >> "$PGDATA/pg_hba.conf"
echo "synchronous_standby_names = 'standby'" >> "$PGDATA/postgresql.conf"
