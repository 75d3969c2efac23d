#!/bin/sh
# From nothing to a container in a signed, verity-protected OS: builds the image, boots it, runs a container in it,
# and leaves the machine running with a command line to log in.
set -eu
cd "$(dirname "$0")/.."
version=1.0.0 out=out
builder=target/debug/image-builder
demo=$out/demo

say() { printf '\n== %s\n' "$*"; }

say 'compiling the builder'
cargo build --locked --package image-builder
say "building Slipway $version from Debian packages"
scripts/image.sh vm "$version" "$out"
image=$out/vm/slipway-vm-$version.raw
"$builder" verify "$image" --cert "$out/keys/public/secure-boot.crt"

mkdir -p "$demo"
[ -e "$demo/id" ] || ssh-keygen -q -t ed25519 -N '' -C 'slipway demo' -f "$demo/id"
if [ -e "$demo/pid" ] && pkill --parent "$(cat "$demo/pid")" qemu; then
    say 'ended the machine of an earlier demo'
    sleep 1
fi

port=${DEMO_SSH_PORT:-2222}
say 'booting it: firmware, systemd-boot, UKI, dm-verity root (about a minute without KVM)'
"$builder" run "$image" --ssh-port "$port" --ssh-key "$demo/id.pub" --cpus 2 </dev/null >"$demo/console.log" 2>&1 &
pid=$!
echo "$pid" >"$demo/pid"

login="ssh -i $demo/id -p $port -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
guest() { $login -o ConnectTimeout=5 core@127.0.0.1 "$@"; }

# Long enough for an emulated machine on a busy host.
left=120
until guest docker info >/dev/null 2>&1; do
    left=$((left - 1))
    if [ "$left" -eq 0 ] || ! kill -0 "$pid" 2>/dev/null; then
        echo "Docker did not answer; the console is in $demo/console.log" >&2
        tail -n 20 "$demo/console.log" >&2
        pkill --parent "$pid" || true
        exit 1
    fi
    printf '.'
    sleep 3
done

say 'Docker answers. A container made of the host'"'"'s own shell, with limits:'
guest sh -eu <<'GUEST'
. /etc/os-release
echo "host:      $PRETTY_NAME, kernel $(uname -r), Docker $(docker version --format '{{.Server.Version}}')"
echo "root:      $(findmnt --noheadings --output SOURCE,FSTYPE,OPTIONS / | tr -s ' ' | cut -c1-60)"
cd /
sudo tar --create --file - bin lib lib64 usr/bin/sh usr/bin/dash usr/bin/cat usr/bin/uname \
    usr/lib64/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu/libc.so.6 |
    docker import - demo/shell >/dev/null
docker run --rm --memory 64m --cpus 0.5 demo/shell /bin/sh -c \
    'echo "container: memory limit $(cat /sys/fs/cgroup/memory.max) bytes, cpu limit $(cat /sys/fs/cgroup/cpu.max)"'
echo "failed units: $(systemctl --failed --no-legend --plain | wc -l)"
GUEST

say 'The machine is running. Log in, look around, and end it:'
printf '  %s core@127.0.0.1\n  pkill --parent %s\n' "$login" "$pid"
