# Sourced. The builder needs no root; where the caller is root anyway (containers, CI), it runs as a plain user with a
# range of subordinate ids, so that the promise is kept on every run.
#
#   as_builder COMMAND...   runs it as that user (or as the caller, who is not root)
#   own PATH                makes PATH that user's
#   lock_of RECIPE          the lock that built $out/RECIPE: the fresh one, when the archive had moved on

builder_user=slipway-builder
drop=

if [ "$(id -u)" -eq 0 ]; then
    if ! id "$builder_user" >/dev/null 2>&1; then
        printf 'setup: adding the user %s, so that nothing is built as root\n' "$builder_user" >&2
        useradd --create-home --shell /bin/sh --add-subids-for-system --system "$builder_user"
    fi
    drop="setpriv --reuid $builder_user --regid $builder_user --clear-groups --inh-caps=-all env HOME=/nonexistent"
    if ! $drop test -r Makefile; then
        printf 'setup: %s may not read this folder, so the images are built as root after all\n' "$builder_user" >&2
        drop=
    fi
    SLIPWAY_CACHE=${SLIPWAY_CACHE:-/var/cache/slipway}
    mkdir -p "$SLIPWAY_CACHE"
    [ -z "$drop" ] || chown -R "$builder_user:" "$SLIPWAY_CACHE"
else
    SLIPWAY_CACHE=${SLIPWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slipway}
fi
export SLIPWAY_CACHE

as_builder() { $drop "$@"; }

own() { [ -z "$drop" ] || chown -R "$builder_user:" "$@"; }

lock_of() {
    if [ -e "$out/$1/fresh.lock" ]; then echo "$out/$1/fresh.lock"; else echo "image-builder/recipes/$1.lock"; fi
}
