# Serves the commands of the tests on a virtio-serial port, as root, from early boot until the power goes.
#
# request   slipway ID ping 0 0                   answer   slipway ID BOOT-ID - -
# request   slipway ID run SECONDS SIZE           answer   slipway ID STATUS STDOUT STDERR
#           then SIZE bytes: the script, base64            (base64, "-" when empty)
#                                                 answer   slipway ID too-large SIZE -
# request   slipway ID put 0 SIZE, then base64    answer   slipway ID 0 - -   (the bytes are in $dir/upload)
# Lines that are no request are passed over: after a reboot there may be halves of old ones in the channel.
name=@NAME@ limit=@LIMIT@ dir=/run/slipway-test
export LC_ALL=C.UTF-8 HOME=/root
mkdir -p "$dir"
cd /
boot=$(</proc/sys/kernel/random/boot_id)

port=
until [ -n "$port" ]; do
    for file in /sys/class/virtio-ports/*/name; do
        [ -r "$file" ] && [ "$(<"$file")" = "$name" ] || continue
        node=${file%/name}
        [ -c "/dev/${node##*/}" ] && port=/dev/${node##*/}
    done
    [ -n "$port" ] || sleep 0.2
done
exec 3<>"$port" || exit 1

encode() { if [ -s "$1" ]; then base64 -w0 "$1"; else printf -; fi; }

while :; do
    # While nobody is connected on the other side, reading ends at once.
    IFS=' ' read -r -u 3 word id verb seconds size || { sleep 0.2; continue; }
    [ "$word" = slipway ] || continue
    case $verb in
    ping)
        printf 'slipway %s %s - -\n' "$id" "$boot" >&3
        ;;
    put)
        head -c "$size" <&3 | base64 -d >"$dir/upload"
        printf 'slipway %s 0 - -\n' "$id" >&3
        ;;
    run)
        head -c "$size" <&3 | base64 -d >"$dir/command"
        timeout -k 2 "$seconds" bash "$dir/command" </dev/null >"$dir/out" 2>"$dir/err" 3>&-
        status=$?
        total=$(($(stat -c %s "$dir/out") + $(stat -c %s "$dir/err")))
        if [ "$total" -gt "$limit" ]; then
            printf 'slipway %s too-large %s -\n' "$id" "$total" >&3
        else
            { printf 'slipway %s %s ' "$id" "$status"; encode "$dir/out"; printf ' '; encode "$dir/err"; echo; } >&3
        fi
        ;;
    esac
done
