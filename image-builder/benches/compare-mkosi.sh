#!/bin/bash
# Times a clean build of the same packages by mkosi and by image-builder, side by side.
#
# Clean means: nothing built before is used again, but every package is already on this machine. Both make a disk image
# with an ESP, a UKI and an EROFS root under dm-verity. mkosi is Debian 13's own and runs in a Debian 13 tree, which is
# made for it and removed at the end. Neither side is told an archive host: mmdebstrap has a default of its own.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'USAGE'
Usage: image-builder/benches/compare-mkosi.sh [--recipe FILE] [--runs N] [--only mkosi|image-builder]

  --recipe FILE   whose packages to build (default: image-builder/recipes/vm.toml)
  --runs N        timed builds of each side (default: 3); the fastest counts, as load only ever adds time
  --only SIDE     time one side alone

Runs as root, on Debian 12 or later. Set SLIPWAY_BENCH_DIR to choose where about 4 GB of scratch space is.
USAGE
}

recipe=image-builder/recipes/vm.toml runs=3 only=
while (($#)); do
    case $1 in
        --recipe) recipe=$2; shift 2 ;;
        --runs) runs=$2; shift 2 ;;
        --only) only=$2; shift 2 ;;
        --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
[[ $runs =~ ^[1-9][0-9]?$ && $only =~ ^(|mkosi|image-builder)$ ]] || { usage >&2; exit 2; }
cd "$(dirname "$0")/../.."
((EUID == 0)) || { echo "error: run as root: mkosi needs a Debian 13 tree to run in" >&2; exit 1; }
[[ -f $recipe ]] || { echo "error: no recipe $recipe" >&2; exit 1; }

work=$(mktemp --directory --tmpdir="${SLIPWAY_BENCH_DIR:-/tmp}" compare-mkosi.XXXXXX)
# Everything mounted is mounted in a namespace of its own, so removing the folder is all there is to clean up.
trap 'rm --recursive --force --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

install_missing() {
    local program missing=()
    for program in "$@"; do command -v "${program%%=*}" >/dev/null || missing+=("${program##*=}"); done
    ((${#missing[@]} == 0)) || DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}" >&2
}

# The names in the recipe and in the ones it extends: `packages.install` and the kernel.
packages() {
    python3 - "$recipe" <<'PYTHON'
import pathlib, sys, tomllib

names, path = set(), pathlib.Path(sys.argv[1])
while path:
    recipe = tomllib.loads(path.read_text())
    names.update(recipe.get("packages", {}).get("install", []))
    names.update(filter(None, [recipe.get("kernel", {}).get("package")]))
    path = path.parent / recipe["extends"] if "extends" in recipe else None
print("\n".join(sorted(names)))
PYTHON
}

# Runs a command and prints "wall user system" in seconds; what it says goes to a log.
timed() {
    local log=$1 TIMEFORMAT='%R %U %S'; shift
    { time "$@" >"$log" 2>&1; } 2>"$work/time" || { tail --lines=40 "$log" >&2; return 1; }
    cat "$work/time"
}

# Runs a command inside the Debian 13 tree: a private mount namespace whose root it is (mkosi's own sandbox wants more
# than a chroot).
in_tree() {
    unshare --mount --pid --fork --kill-child --propagation private bash -euc '
        tree=$1; shift
        mount --bind "$tree" "$tree"
        mount --types proc proc "$tree/proc"
        mount --rbind /sys "$tree/sys"
        mount --rbind /dev "$tree/dev"
        mount --types tmpfs tmpfs "$tree/run"
        cd "$tree"
        mkdir --parents mnt/host
        pivot_root . mnt/host
        exec chroot . bash -euc "umount --lazy /mnt/host; cd /image; exec \"\$@\"" bash "$@"
    ' bash "$work/tree" "$@"
}

mkosi_prepare() {
    install_missing mmdebstrap unshare=util-linux
    echo "making a Debian 13 tree with mkosi in it ..." >&2
    mmdebstrap --quiet --mode=root --variant=apt --include="$(tr '\n' , <<<'bubblewrap
ca-certificates
cpio
cryptsetup-bin
debian-archive-keyring
dosfstools
e2fsprogs
erofs-utils
kmod
mkosi
mtools
systemd
systemd-boot
systemd-repart
systemd-ukify
util-linux
zstd' | sed 's/,$//')" trixie "$work/tree"
    cp --dereference /etc/resolv.conf "$work/tree/etc/resolv.conf"
    local image=$work/tree/image name sources
    mkdir --parents "$image"/mkosi.repart "$image"/mkosi.sandbox/etc/apt/sources.list.d "$image"/cache
    # mkosi's own default adds the archive of debug symbols, which not every mirror has; the tree's sources do without.
    sources=$(sed --quiet 's/^deb \(\[[^]]*\] \)\?//p' "$work/tree/etc/apt/sources.list")
    while read -r uri suite components; do
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n' \
            "$uri" "$suite" "$components"
    done <<<"$sources" >"$image/mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources"
    {
        printf '[Distribution]\nDistribution=debian\nRelease=trixie\n\n'
        printf '[Output]\nFormat=disk\nImageId=compare\nOutputDirectory=/image/out\nSeed=6f2c1b0e-5d1a-4c0a-9f43-3a9f1f6e7b11\n\n'
        printf '[Build]\nPackageCacheDirectory=/image/cache\nIncremental=no\nWithNetwork=no\n\n'
        printf '[Content]\nSourceDateEpoch=1750000000\nBootable=yes\nBootloader=systemd-boot\nUnifiedKernelImages=yes\nWithDocs=no\nPackages=\n'
        # image-builder takes the boot loader from its tools tree, mkosi from the image.
        while read -r name; do printf '    %s\n' "$name"; done < <(packages; echo systemd-boot-efi)
    } >"$image/mkosi.conf"
    # Sizes as in our layout: fixed ones spare systemd-repart the second run it needs to find the smallest.
    repart 00-esp Type=esp Format=vfat CopyFiles=/boot:/ CopyFiles=/efi:/ SizeMinBytes=1G SizeMaxBytes=1G
    repart 10-root Type=root Format=erofs Compression=zstd CompressionLevel=3 CopyFiles=/ Verity=data VerityMatchKey=root \
        SizeMinBytes=2G SizeMaxBytes=2G
    repart 20-verity Type=root-verity Verity=hash VerityMatchKey=root SizeMinBytes=64M SizeMaxBytes=64M
}

repart() {
    local name=$1; shift
    { echo '[Partition]'; printf '%s\n' "$@"; } >"$work/tree/image/mkosi.repart/$name.conf"
}

mkosi_once() {
    rm --recursive --force "$work/tree/image/out"
    timed "$work/mkosi.log" in_tree mkosi --force build
}

builder_prepare() {
    cargo build --release --quiet --package image-builder
    target/release/image-builder keygen "$work/keys" >&2
}

builder_once() {
    # Finished steps go, downloads stay. The tools tree goes too, while mkosi keeps its Debian 13 tree.
    rm --recursive --force "$work/out" "$work/cache/steps"
    timed "$work/builder.log" env SLIPWAY_CACHE="$work/cache" \
        target/release/image-builder build "$recipe" --version 0.0.1 --keys "$work/keys" --out "$work/out"
}

# One build to fetch the packages, then the timed ones; prints the fastest.
side() {
    local name=$1 prepare=$2 once=$3 run line best=
    "$prepare"
    line=$("$once")
    printf '%-14s fetching: %s\n' "$name" "$line" >&2
    for ((run = 1; run <= runs; run++)); do
        line=$("$once")
        printf '%-14s run %d:    %s\n' "$name" "$run" "$line" >&2
        best=$(printf '%s\n' "$best" "$line" | sed '/^$/d' | sort --numeric-sort | head -n 1)
    done
    printf '%s\n' "$best"
}

install_missing python3
echo "seconds are: wall user system; load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) processors" >&2
theirs='' ours=''
if [[ $only != image-builder ]]; then theirs=$(side mkosi mkosi_prepare mkosi_once); fi
if [[ $only != mkosi ]]; then ours=$(side image-builder builder_prepare builder_once); fi
[[ -z $theirs ]] || printf 'mkosi          %s\n' "$theirs"
[[ -z $ours ]] || printf 'image-builder  %s\n' "$ours"
if [[ -n $theirs && -n $ours ]]; then
    awk -v theirs="$theirs" -v ours="$ours" 'BEGIN {
        split(theirs, t); split(ours, o)
        printf "ratio          %.1f times faster by the clock, %.1f times less processor time\n", t[1] / o[1], (t[2] + t[3]) / (o[2] + o[3])
    }'
fi
