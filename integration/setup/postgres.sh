#!/usr/bin/env bash
# Asks PostgreSQL 15 what the expressions of integration/functions/*.cases are, and writes its answers to
# integration/functions/postgres.ndjson: a server of its own in a temporary folder, on a socket, which ends with this script.
# It does not run as root, so that root starts it as the user `postgres`.
set -euo pipefail

bin=/usr/lib/postgresql/15/bin
[ -x "$bin/initdb" ] || { echo "postgres: $bin is not there: setup.sh postgres installs it" >&2; exit 1; }
folder=$(mktemp -d)
as=()
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$folder"
  as=(setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$folder")
fi
trap '"${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
(
  cd "$folder"
  "${as[@]}" "$bin/initdb" -D "$folder/data" -U "$(id -un)" -A trust --locale=C.UTF-8 -E UTF8 >/dev/null
  "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "-c listen_addresses='' -k $folder -c fsync=off" start >/dev/null
)
export PGHOST=$folder FOREBAY_RECORD=1
"$@"
