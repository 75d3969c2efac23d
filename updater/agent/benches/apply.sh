#!/bin/sh
# How fast, and in how much memory, does a release get into a slot? Compared with the shell's way to do the same:
# curl | zstd -d | tee >(sha256sum) | dd oflag=direct, on the same file system, from the same local web server.
#
#   updater/agent/benches/apply.sh FOLDER-OF-A-RELEASE [SCRATCH-FOLDER]
#
# FOLDER-OF-A-RELEASE holds release.json and the packed files. The scratch folder should be on a real disk; it needs room for twice
# the unpacked release. UPDATER names the program to measure, RUNS how often (the best run of each counts).
# Goals: at least 80 % of the shell's speed (which neither checks frames nor reads back), at most 64 MiB per process.
set -eu
release=$(realpath "${1:?usage: apply.sh FOLDER-OF-A-RELEASE [SCRATCH-FOLDER]}")
scratch=$(mktemp -d "${2:-${TMPDIR:-/var/tmp}}/apply.XXXXXX")
updater=${UPDATER:-target/debug/updater}
runs=${RUNS:-2}
port=${PORT:-18080}
python3 -m http.server --bind 127.0.0.1 --directory "$release" "$port" >"$scratch/server.log" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
url=http://127.0.0.1:$port
tries=0
until curl --silent --fail --output /dev/null "$url/release.json"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "no release.json in $release, or port $port is taken (PORT chooses another)" >&2; exit 1; }
    sleep 0.1
done

# Name, unpacked size and packed file of each part.
python3 - "$release/release.json" >"$scratch/parts" <<'END'
import json, sys
for part in json.load(open(sys.argv[1]))["parts"]:
    print(part["name"], part["size"], part["ways"][0]["file"])
END
now() { date +%s.%N; }
best() { python3 -c "import sys; print(min(float(a) for a in sys.argv[1:] if float(a) > 0))" "$@"; }
since() { python3 -c "import sys; print(float(sys.argv[2]) - float(sys.argv[1]))" "$1" "$(now)"; }
place() {
    case $1 in
    root) echo "$scratch/partitions/root-b" ;;
    verity) echo "$scratch/partitions/root-b-verity" ;;
    *) echo "$scratch/esp/shell.efi" ;;
    esac
}
# Real blocks, as a partition has them, not holes; and nothing that could be recognised.
clean() {
    rm -rf "$scratch/esp"
    mkdir -p "$scratch/partitions" "$scratch/esp/EFI/Linux"
    for name in root-a root-a-verity; do head -c 4096 /dev/zero >"$scratch/partitions/$name"; done
    while read -r name size _; do
        case $name in root | verity) head -c "$size" /dev/zero >"$(place "$name")" ;; esac
    done <"$scratch/parts"
    sync
}
total=$(awk '{ sum += $2 } END { print sum }' "$scratch/parts")
mkfifo "$scratch/hash"

shell=0
for _ in $(seq "$runs"); do
    clean
    start=$(now)
    while read -r name _ file; do
        sha256sum <"$scratch/hash" >"$scratch/digest.$name" &
        digest=$!
        curl --silent --fail "$url/$file" | zstd --decompress --stdout --quiet | tee "$scratch/hash" |
            dd of="$(place "$name")" bs=4M iflag=fullblock oflag=direct conv=notrunc,fsync status=none
        wait $digest
    done <"$scratch/parts"
    shell=$(best "$shell" "$(since "$start")")
done

ours=0
: >"$scratch/memory"
for _ in $(seq "$runs"); do
    clean
    start=$(now)
    /usr/bin/time --append --output "$scratch/memory" --format='%M' \
        "$updater" internal-stage --separate --release "$release/release.json" --base "$url" --partitions "$scratch/partitions" --esp "$scratch/esp"
    ours=$(best "$ours" "$(since "$start")")
done

# What was written must be what the shell wrote.
while read -r name size _; do
    case $name in
    root | verity)
        written=$(head -c "$size" "$(place "$name")" | sha256sum)
        [ "$written" = "$(cat "$scratch/digest.$name")" ] || { echo "$name differs" >&2; exit 1; }
        ;;
    esac
done <"$scratch/parts"

python3 - "$total" "$shell" "$ours" "$(sort -n "$scratch/memory" | tail -1)" <<'END'
import sys
total, shell, ours, memory = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
print(f"release   {total / 1e6:9.1f} MB unpacked")
print(f"shell     {total / shell / 1e6:9.1f} MB/s  {shell:6.2f} s  download, decompress, hash, write")
print(f"updater   {total / ours / 1e6:9.1f} MB/s  {ours:6.2f} s  recognise, download, decompress, check, write, read back")
print(f"ratio     {shell / ours:9.2f}       goal 0.80: {'met' if shell / ours >= 0.8 else 'missed'}")
print(f"memory    {memory / 1024:9.1f} MiB   goal 64: {'met' if memory <= 64 * 1024 else 'missed'} (largest resident set of any process)")
END
