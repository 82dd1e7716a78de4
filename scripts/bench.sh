#!/usr/bin/env bash
# Sequential reading and writing of one big file through bt-mount and through sshfs, side by side in one run, on the same
# emulated link: prints medians and ratios as Markdown. Contents are compared by hash in every case.
#
#   scripts/bench.sh [--size MiB] [--rounds N] [--rtt "0 40"] [--window 4MiB]
#
# sshfs dials the node's sshd without TLS and proxy; bt-mount goes the whole way. Needs root or a usable /dev/fuse.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
size=1024 rounds=3 rtts="0 40" window=4MiB
while [ $# -gt 0 ]; do
  case "$1" in
    --size) size=$2 ;;
    --rounds) rounds=$2 ;;
    --rtt) rtts=$2 ;;
    --window) window=$2 ;;
    *) echo "bench.sh: $1 is not an option; see the head of the script" >&2; exit 2 ;;
  esac
  shift 2
done

"$top/scripts/build.sh" release fs/app/all tests/support/all
bin=$top/build/release
work=$(mktemp -d "${TMPDIR:-/tmp}/bt-bench.XXXXXX")
control=$work/standin/run/control
ctl() { "$bin/bt-standin" ctl "$control" "$1" >/dev/null; }

finish() {
  for mount in "$work/bt" "$work/sshfs"; do
    mountpoint -q "$mount" && fusermount3 -uz "$mount"
  done
  exec 9>&-
  [ -z "${standin:-}" ] || wait "$standin" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

mkdir -p "$work"/{bt,sshfs,home,standin}
mkfifo "$work/in"
"$bin/bt-standin" --dir "$work/standin" --window "$window" --until-stdin-closes <"$work/in" >"$work/ready" &
standin=$!
exec 9>"$work/in"
while [ ! -s "$work/ready" ]; do sleep 0.1; done
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2], {"d": d}))' "$work/ready" "$1"; }
export HOME=$work/home
for pair in $(field '" ".join(k + "=" + v for k, v in d["env"].items())'); do export "${pair?}"; done
node=$(field 'd["nodes"][0]["directory"]')
port=$(field 'd["nodes"][0]["plain_port"]')
ctl "{\"cmd\":\"login\",\"file\":\"$work/key\"}"

mount_bt() { "$bin/bt-mount" demo123 "$work/bt" >/dev/null; }
mount_sshfs() {
  sshfs -o "port=$port,IdentityFile=$work/key,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,LogLevel=ERROR" \
    "baseten@127.0.0.1:$node" "$work/sshfs"
}
unmount() { fusermount3 -u "$work/$1"; }
seconds() { local start end; start=$(date +%s.%N); "$@"; end=$(date +%s.%N); python3 -c "print($end - $start)"; }
median() { sort -n | awk '{v[NR]=$1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

head -c "${size}M" /dev/urandom >"$work/source"
hash=$(sha256sum <"$work/source")
same() { [ "$(sha256sum <"$1")" = "$hash" ] || { echo "bench.sh: WRONG BYTES in $1" >&2; exit 1; }; }

read_once() { cat "$work/$1/big" >"$work/read"; }
write_once() { dd if="$work/source" of="$work/$1/written" bs=1M conv=fsync status=none; }

measure() { # program, work: prints MB/s
  for _ in $(seq "$rounds"); do
    "mount_$1"
    if [ "$2" = read ]; then
      t=$(seconds read_once "$1")
      same "$work/read"
    else
      t=$(seconds write_once "$1")
      same "$node/written"
      rm "$node/written"
    fi
    unmount "$1"
    python3 -c "print($size * 1.048576 / $t)"
  done | median
}

cp "$work/source" "$node/big"
printf '| work, %s MiB | RTT | bt-mount | sshfs | ratio |\n|---|---|---|---|---|\n' "$size"
for rtt in $rtts; do
  ctl "{\"cmd\":\"rtt\",\"rtt\":\"${rtt}ms\"}"
  for kind in read write; do
    ours=$(measure bt $kind)
    theirs=$(measure sshfs $kind)
    python3 -c "print(f'| sequential $kind | $rtt ms | {$ours:.0f} MB/s | {$theirs:.0f} MB/s | {$ours/$theirs:.2f} |')"
  done
done
