#!/bin/sh
# Measures how many check-ins a second the update server answers, how fast, and what one costs, on SQLite and on Postgres.
#
# The fleet has MACHINES machines (100,000), once all up to date and once with a rollout under way. Two runs of each: at
# RATE a second (2,000), which is what counts for latency, and as fast as CONNECTIONS (64) go. Postgres is Debian's, run from a temporary folder over a Unix socket, as
# the user `postgres` when this is run by root; without it that half is left out. SECONDS_EACH (10) per run.
# Server and generator share the processors: two more would answer more.
set -eu
cd "$(dirname "$0")/../../.."
: "${MACHINES:=100000}" "${RATE:=2000}" "${CONNECTIONS:=64}" "${SECONDS_EACH:=10}" "${PROFILE:=release}"

if [ "$PROFILE" = release ]; then
    cargo build --release --locked --quiet --package update-server
else
    cargo build --locked --quiet --package update-server
    PROFILE=debug
fi
server=$PWD/target/$PROFILE/update-server
work=$(mktemp -d)
server_pid='' postgres=''

stop() {
    if [ -n "$server_pid" ]; then
        kill "$server_pid" 2>/dev/null || true
        wait "$server_pid" 2>/dev/null || true
        server_pid=''
    fi
}
clean_up() {
    stop
    [ -z "$postgres" ] || as_postgres "$postgres/pg_ctl" --pgdata "$work/pg/data" --mode immediate stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi
}

# value NAME FILE: one number out of the generator's JSON
value() { sed -n "s/^ *\"$1\": \([0-9.]*\|null\),\{0,1\}$/\1/p" "$2"; }

# start NAME FILL-OPTIONS DATABASE-OPTIONS...: fills the database and starts the server on a port of its own choice
start() {
    name=$1 fill=$2
    shift 2
    # shellcheck disable=SC2086 # several options
    { "$server" init --data "$work/$name" "$@" && "$server" internal-fill --data "$work/$name" "$@" --machines "$MACHINES" $fill; } \
        >"$work/$name.log" 2>&1 || {
        cat "$work/$name.log" >&2
        exit 1
    }
    "$server" serve --data "$work/$name" "$@" --listen 127.0.0.1:0 >"$work/$name.server.log" 2>&1 &
    server_pid=$!
    url='' tries=100
    while [ -z "$url" ]; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ] || ! kill -0 "$server_pid" 2>/dev/null; then
            echo "the server did not start:" >&2
            cat "$work/$name.server.log" >&2
            exit 1
        fi
        sleep 0.1
        url=$(sed -n 's|.*\(http://127\.0\.0\.1:[0-9][0-9]*\).*|\1|p' "$work/$name.server.log" | head -n 1)
    done
}

# measure LABEL PIDS OPTIONS...: one row of the table
measure() {
    label=$1 pids=$2
    shift 2
    # shellcheck disable=SC2086 # several --server-pid options
    "$server" load --json --url "$url/v1/update" --machines "$MACHINES" --connections "$CONNECTIONS" \
        --for "${SECONDS_EACH}s" $pids "$@" >"$work/result.json"
    awk -v label="$label" -v rate="$(value answers-per-second "$work/result.json")" -v p50="$(value p50 "$work/result.json")" \
        -v p99="$(value p99 "$work/result.json")" -v p999="$(value p999 "$work/result.json")" \
        -v errors="$(value errors "$work/result.json")" -v cpu="$(value server-microseconds-per-request "$work/result.json")" \
        'BEGIN { printf "%-34s %10.0f %9.2f %9.2f %9.2f %8d %12.1f\n", label, rate, p50 / 1000, p99 / 1000, p999 / 1000, errors, cpu }'
}

both() {
    measure "$1, $RATE a second" "$2" --rate "$RATE"
    measure "$1, as fast as it goes" "$2"
}

# What a rollout costs: every machine asks for a release that one in a hundred is given.
ROLLOUT='--rollout 1.1.0 --ramp 0h:1'

printf 'load %s, %s processors, %s machines, %s connections\n\n' "$(cut -d' ' -f1-3 /proc/loadavg)" "$(nproc)" "$MACHINES" "$CONNECTIONS"
printf '%-34s %10s %9s %9s %9s %8s %12s\n' '' 'answers/s' 'p50 ms' 'p99 ms' 'p99.9 ms' 'errors' 'CPU us each'

start sqlite ''
both SQLite "--server-pid $server_pid"
stop
start sqlite-rollout "$ROLLOUT"
both 'SQLite, rollout' "--server-pid $server_pid"
stop

postgres=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$postgres" ]; then
    echo 'Postgres is not installed (package postgresql): left out'
    exit 0
fi
chmod 755 "$work"
mkdir -m 755 "$work/pg"
[ "$(id -u)" -ne 0 ] || chown postgres: "$work/pg"
as_postgres "$postgres/initdb" --pgdata "$work/pg/data" --username bench --auth trust --no-sync >"$work/initdb.log"
as_postgres "$postgres/pg_ctl" --pgdata "$work/pg/data" --log "$work/pg/log" --wait \
    --options "-c listen_addresses='' -c unix_socket_directories='$work/pg'" start >/dev/null
as_postgres "$postgres/createdb" --host "$work/pg" --username bench updates
as_postgres "$postgres/createdb" --host "$work/pg" --username bench rollout
postmaster=$(head -n 1 "$work/pg/data/postmaster.pid")
start postgres '' --database "postgres://bench@localhost/updates?host=$work/pg"
both Postgres "--server-pid $server_pid --server-pid $postmaster"
stop
start postgres-rollout "$ROLLOUT" --database "postgres://bench@localhost/rollout?host=$work/pg"
both 'Postgres, rollout' "--server-pid $server_pid --server-pid $postmaster"
stop
