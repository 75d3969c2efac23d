#!/bin/bash
# Runs a command with a Postgres of its own: tests/postgres.sh cargo test -p update-server
#
# Needs Debian's package `postgresql`. The server lives in a temporary folder, listens on a unix socket in it and nowhere
# else, runs as an unprivileged user (Postgres refuses root), and is gone when the command ends. The command finds its URL in
# SLIPWAY_TEST_POSTGRES.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 COMMAND..." >&2; exit 2; }
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] || { echo "there is no Postgres here; install it with: apt-get install postgresql" >&2; exit 1; }

dir=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then
    chown nobody "$dir"
    as=(setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$dir")
fi
cleanup() {
    "${as[@]}" "$bin/pg_ctl" --pgdata "$dir/data" --mode immediate --silent stop || true
    rm -rf "$dir"
}
trap cleanup EXIT

"${as[@]}" "$bin/initdb" --pgdata "$dir/data" --username slipway --auth trust --encoding UTF8 --locale C --no-sync >/dev/null
# The socket's folder is closed to others; tests need connections, not durability.
"${as[@]}" "$bin/pg_ctl" --pgdata "$dir/data" --log "$dir/log" --silent --wait start \
    --options "-c listen_addresses='' -c unix_socket_directories='$dir' -c fsync=off -c max_connections=300" \
    || { cat "$dir/log" >&2; exit 1; }

SLIPWAY_TEST_POSTGRES="postgres://slipway@localhost/postgres?host=$(printf %s "$dir" | sed 's|/|%2F|g')" "$@"
