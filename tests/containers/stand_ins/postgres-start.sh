# What the official image does with POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD (or _FILE), and where it keeps data.
set -eu

data=/var/lib/postgresql/18/docker
user=${POSTGRES_USER:-postgres}
name=${POSTGRES_DB:-$user}
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

if [ ! -s "$data/PG_VERSION" ]; then
  secret=$(mktemp)
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    cat "$POSTGRES_PASSWORD_FILE" > "$secret"
  else
    printf '%s' "${POSTGRES_PASSWORD:?a password is needed}" > "$secret"
  fi
  chown postgres: "$secret" /var/lib/postgresql
  as_postgres mkdir -p "$data"
  as_postgres initdb --pgdata="$data" --username="$user" --pwfile="$secret" --encoding=UTF8 --locale=C \
    --auth-local=trust --auth-host=scram-sha-256
  rm "$secret"
  # The server that only makes the database listens on its socket alone, as the official one does.
  as_postgres pg_ctl start --wait --pgdata="$data" --options="-c listen_addresses= -c unix_socket_directories=/tmp"
  [ "$name" = postgres ] || as_postgres createdb --host=/tmp --username="$user" "$name"
  as_postgres pg_ctl stop --wait --pgdata="$data" --mode=fast
  echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
fi
shift  # the word postgres, before the server's options
exec setpriv --reuid=postgres --regid=postgres --clear-groups \
  postgres -D "$data" -c 'listen_addresses=*' -c unix_socket_directories=/tmp "$@"
