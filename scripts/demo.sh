#!/bin/sh
# From nothing to a fleet of one that updates itself: builds an OS and its next release, boots the first one, lets it find
# the second on a real server, and then offers it a bad one. Leaves machine and server running, with a word how to look at them.
#
#   DEMO_SSH_PORT, DEMO_SERVER_PORT   ports on this machine's loopback (2222, 8080)
set -eu
cd "$(dirname "$0")/.."
out=out demo=out/demo
target=x86_64-unknown-linux-gnu
compiled=target/programs/$target/demo
builder=$compiled/image-builder server=$compiled/update-server
ssh_port=${DEMO_SSH_PORT:-2222} server_port=${DEMO_SERVER_PORT:-8080}
begun=$(date +%s)

say() { printf '\n== [%s s] %s\n' "$(($(date +%s) - begun))" "$*"; }
tell() { printf '   %s\n' "$*"; }

# compile PROGRAM...: becomes the compiler. All packages are always named, and so a library that several programs use is compiled once.
compile() {
    exec env RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --quiet --profile demo --target "$target" --target-dir target/programs \
        --package image-builder --package update-server --package cloud-config --package cluster-agent --package superblock --package updater \
        $(printf -- '--bin %s ' "$@")
}

mkdir -p "$demo/bin"
say 'compiling the image builder'
(compile image-builder)
say 'compiling what goes into the image, and meanwhile installing the Debian packages of both releases'
# What cannot be had now is said by the build that needs it.
{ "$builder" fetch image-builder/recipes/vm-initial.toml --install && "$builder" fetch image-builder/recipes/vm.toml --install; } &
packages=$!
trap 'kill $packages 2>/dev/null' EXIT
(compile cloud-config cluster-agent slipway-superblock updater)
for program in cloud-config cluster-agent slipway-superblock updater; do install --compare "$compiled/$program" "$demo/bin/$program"; done
wait "$packages" || true
export SLIPWAY_PROGRAMS="$PWD/$demo/bin" SLIPWAY_BUILDER="$builder"

say 'compiling the update server, in the background'
(compile update-server) >"$demo/compiling.log" 2>&1 &
compiling=$!
trap 'kill $compiling 2>/dev/null' EXIT

say 'building Slipway 1.0.0, without the security updates of its suite'
scripts/image.sh vm-initial 1.0.0 "$out" releases/1.0.0
image=$out/releases/1.0.0/slipway-vm-1.0.0.raw
"$builder" verify "$image" --cert "$out/keys/public/secure-boot.crt"
# A version is never used twice in a repository; in a demo it may be.
rm -rf "$out/repository"

end_of() {
    if [ -e "$demo/$1" ]; then
        { [ "$1" = machine.pid ] && pkill --parent "$(cat "$demo/$1")" qemu; } || kill "$(cat "$demo/$1")" 2>/dev/null || true
        rm -f "$demo/$1"
        sleep 1
    fi
}
trap '[ $? -eq 0 ] || { kill $compiling 2>/dev/null; end_of machine.pid; end_of server.pid; }' EXIT
end_of machine.pid
end_of server.pid
rm -rf "$demo/data"
[ -e "$demo/id" ] || ssh-keygen -q -t ed25519 -N '' -C 'slipway demo' -f "$demo/id"

say 'what the machine shall be: out/demo/cloud-config.yaml, checked before anything boots with it'
cat >"$demo/cloud-config.yaml" <<YAML
#cloud-config
hostname: demo
ssh_authorized_keys:
  - $(cat "$demo/id.pub")
coreos:
  update:
    server: http://10.0.2.100:8080
    group: stable
    reboot-strategy: reboot
write_files:
  - path: /etc/slipway/updater.toml.d/10-demo.toml
    content: |
      [reboot]
      wait-for-users = "0s"
      [health]
      deadline = "2m"
  - path: /etc/issue.d/demo.issue
    content: |
      Configured by a cloud-config.
YAML
"$SLIPWAY_PROGRAMS/cloud-config" validate --strict "$demo/cloud-config.yaml"
"$SLIPWAY_PROGRAMS/cloud-config" plan "$demo/cloud-config.yaml"

say 'booting 1.0.0: firmware, systemd-boot, UKI, dm-verity root (about a minute without KVM)'
"$builder" run "$image" --ssh-port "$ssh_port" --cloud-config "$demo/cloud-config.yaml" --service "$server_port:8080" --cpus 2 \
    </dev/null >"$demo/console.log" 2>&1 &
machine=$!
echo "$machine" >"$demo/machine.pid"

say 'meanwhile: building 1.0.1 with the security updates and signing it as a release'
scripts/releases.sh "$out" 1.0.1=vm
"$builder" diff "$out/releases/1.0.0" "$out/releases/1.0.1" | head -n 12 || true

if ! wait "$compiling"; then
    cat "$demo/compiling.log" >&2
    exit 1
fi
say 'starting the update server and publishing 1.0.1 there'
(umask 077 && "$server" init --data "$demo/data" >"$demo/token")
"$server" serve --data "$demo/data" --listen "127.0.0.1:$server_port" --base-url http://10.0.2.100:8080 >"$demo/server.log" 2>&1 </dev/null &
echo $! >"$demo/server.pid"
url=http://127.0.0.1:$server_port
curl --silent --output /dev/null --retry 30 --retry-connrefused --retry-delay 1 "$url/health"
api() { # METHOD PATH [JSON]
    curl --silent --show-error --fail-with-body --request "$1" --header "Authorization: Bearer $(cat "$demo/token")" \
        --header 'Content-Type: application/json' ${3:+--data "$3"} "$url/api/v1/$2"
}
api PUT groups/stable '{"channel":"stable"}' >/dev/null
publish() { "$builder" publish "$out/repository" --server "$url" --token-file "$demo/token"; }
publish

login="ssh -i $demo/id -p $ssh_port -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
guest() { $login -o ConnectTimeout=5 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 core@127.0.0.1 "$@" </dev/null; }
give_up() {
    echo "$1; the console is in $demo/console.log, the server's log in $demo/server.log" >&2
    tail -n 20 "$demo/console.log" >&2
    exit 1
}
# wait_until SECONDS WHAT COMMAND...: long enough for an emulated machine on a busy host.
wait_until() {
    left=$1 what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        left=$((left - 3))
        if [ "$left" -le 0 ] || ! kill -0 "$machine" 2>/dev/null; then give_up "$what did not happen"; fi
        sleep 3
    done
}
where() { guest '. /etc/os-release; echo "runs $IMAGE_VERSION from slot $(sed "s/.*slot=\(.\).*/\1/" /proc/cmdline), kernel $(uname -r)"'; }

say 'waiting until 1.0.0 has booted'
wait_until 400 'the first boot' guest docker info
tell "$(where)"
tell "$(guest hostname; guest sudo cloud-config detect | head -n 1)"
guest 'docker volume create keepsake >/dev/null; echo "written under 1.0.0" | sudo tee /var/lib/docker/volumes/keepsake/_data/note >/dev/null'
tell 'it has a Docker volume with a note in it, and knows the update server from its cloud-config'

# follow SECONDS WORDS: tells what the updater says until its state is one of WORDS.
follow() {
    left=$1 last='' words=$2
    while :; do
        now=$(guest updater status --json 2>/dev/null | tr -d '\n' | sed -n 's/.*"state": *"\([^"]*\)".*/\1/p') || now=''
        if [ -n "$now" ] && [ "$now" != "$last" ]; then tell "updater: $now" && last=$now; fi
        case " $words " in *" $now "*) [ -z "$now" ] || return 0 ;; esac
        left=$((left - 2))
        [ "$left" -gt 0 ] || give_up "the updater stayed in state ${last:-unknown}"
        sleep 2
    done
}
boot_id() { guest cat /proc/sys/kernel/random/boot_id 2>/dev/null; }
rebooted() { new=$(boot_id) && [ -n "$new" ] && [ "$new" != "$boot" ]; }

say 'rolling out 1.0.1: the machine asks, verifies the signatures, writes its passive slot and reboots into it'
api POST groups/stable/rollouts '{"version":"1.0.1","move-channel":true,"ramp":"0s:100"}' >/dev/null
boot=$(boot_id)
guest sudo updater check || true
follow 240 'waiting-for-reboot rebooting' &
telling=$!
wait_until 500 'the reboot into 1.0.1' rebooted
kill "$telling" 2>/dev/null || true
tell "$(where): this is the trial"
follow 400 'idle'
tell "committed: $(guest sudo grep ^default /boot/loader/loader.conf)"
tell "the note in the Docker volume: $(guest sudo cat /var/lib/docker/volumes/keepsake/_data/note)"

say 'building and publishing 1.0.2, whose Docker is broken on purpose'
scripts/releases.sh "$out" 1.0.2=qemu-tests/recipes/docker-broken.toml
publish
say 'rolling out 1.0.2: the machine tries it once and comes back'
api POST groups/stable/rollouts '{"version":"1.0.2","move-channel":true,"ramp":"0s:100"}' >/dev/null
boot=$(boot_id)
guest sudo updater check || true
wait_until 500 'the reboot into 1.0.2' rebooted
tell "$(where): this is the trial, and it cannot pass"
boot=$(boot_id)
wait_until 900 'the return to 1.0.1' rebooted
tell "$(where): it is back by itself"
follow 300 'idle rolled-back'
guest sudo updater why || true
id=$(guest cat /etc/machine-id)
tell 'what the server knows of it:'
tell "$(api GET "machines/$id" | sed -n 's/.*"failure":{[^}]*"cause":"\([^"]*\)".*/\1/p')"

say 'Machine and server are running. Look around, and end them:'
tell "$login core@127.0.0.1        then: updater status, updater why, updater history"
tell "$url   the server's page; the token is in $demo/token"
tell "pkill --parent $machine; kill $(cat "$demo/server.pid")"
