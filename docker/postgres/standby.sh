#!/bin/sh
# The standby: a copy of the primary at its first start, then whatever its arguments say.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    chmod 700 "$PGDATA"
    PGPASSWORD="$(cat /credentials/replication_password)"
    export PGPASSWORD
    until pg_basebackup --pgdata "$PGDATA" --write-recovery-conf --wal-method stream --slot standby --checkpoint fast \
        --dbname "host=postgres user=replicator application_name=standby"; do
        rm -rf "${PGDATA:?}"/*
        sleep 2
    done
    unset PGPASSWORD
fi
exec docker-entrypoint.sh "$@"
