#!/bin/sh
# The main job, from nothing: installs what is missing, builds, imports real input into a store on disk, asks it, kills an
# import, runs a ledger with concurrent clients, kills that ten times and more, recovers and audits. Not 0 if anything is wrong.
# Usage: sh examples/run.sh [FILE]     FILE: text of any size; else this machine's package database, else this project's sources
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
given=${1:-}
case $given in ''|/*) ;; *) given=$PWD/$given ;; esac
cd "$root"

sh .packaging/need.sh g++:g++ meson:meson ninja:ninja-build pkg-config:pkgconf python3:python3 \
  boost/intrusive/list.hpp:libboost-dev xxhash.h:libxxhash-dev CLI/CLI.hpp:libcli11-dev -- doctest/doctest.h:doctest-dev
build=build-examples
if [ ! -f $build/build.ninja ]; then mkdir -p $build; meson setup $build -Doptimization=2 >$build/configure.txt 2>&1 || { cat $build/configure.txt; exit 1; }; fi
echo "Building (a minute or two the first time) ..."
ninja -C $build examples/kv examples/ledger >$build/output.txt 2>&1 || { tail -n 40 $build/output.txt; exit 1; }
kv=$root/$build/examples/kv ledger=$root/$build/examples/ledger

scratch=$root/$build/run
rm -rf "$scratch" && mkdir -p "$scratch" && cd "$scratch"
fail() { echo "FAILED: $*" >&2; exit 1; }
now() { date +%s%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.3f", (b - a) / 1e9 }'; }
rate() { awk -v n="$1" -v s="$2" 'BEGIN { printf "%.0f", (s > 0 ? n / s : 0) }'; }

# --- the input
if [ -n "$given" ]; then
  [ -f "$given" ] && [ -r "$given" ] || fail "cannot read $given"
  what=$given
elif [ -s /var/lib/dpkg/status ]; then what=/var/lib/dpkg/status
elif [ -s /var/lib/dpkg/available ]; then what=/var/lib/dpkg/available
else
  what="the sources of this project"
  find "$root/include" "$root/test" "$root/examples" -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.py' -o -name '*.sh' \) -exec cat {} + >sources.txt
  given=$scratch/sources.txt
fi
case $what in /*) given=$what ;; esac
sed '$a\' "$given" >input.txt            # a last line without its end gets one; lines come back with one
rows=$(wc -l <input.txt) bytes=$(wc -c <input.txt)
[ "$rows" -gt 0 ] || fail "$what is empty"

# --- import
batch=1000
start=$(now)
"$kv" -d store -t lines load --format lines --batch $batch input.txt >acks.txt 2>load.txt || fail "load: $(cat load.txt)"
import_seconds=$(since "$start")
[ "$(tail -n 1 acks.txt)" = "$rows" ] || fail "the import acknowledged $(tail -n 1 acks.txt) of $rows lines"
transactions=$(wc -l <acks.txt)
"$kv" -d store checkpoint || fail "checkpoint"
disk=$(du -sk store/data | awk '{ print $1 * 1024 }') log=$(du -ck store/*.log | awk 'END { print $1 * 1024 }')

# --- questions, each checked against the file
middle=$(((rows + 1) / 2)) key=$(printf %010d $(((rows + 1) / 2)))
start=$(now)
"$kv" -d store -t lines get "$key" >answer.txt || fail "get $key"
sed -n "${middle}p" input.txt | cmp -s - answer.txt || fail "get $key gave another line"
"$kv" -d store -t lines get nothing >answer.txt 2>&1 && fail "a key that does not exist was found"
"$kv" -d store -t lines scan --from "$key" --limit 10 --values >answer.txt
tail -n "+$middle" input.txt | head -n 10 | cmp -s - answer.txt || fail "scan from $key gave other lines"
"$kv" -d store -t lines scan --reverse --limit 10 --values >answer.txt
tail -n 10 input.txt | tac | cmp -s - answer.txt || fail "scan from the end gave other lines"
"$kv" -d store -t lines scan --prefix 000000 --values >answer.txt
head -n 9999 input.txt | cmp -s - answer.txt || fail "scan of a prefix gave other lines"
question_seconds=$(since "$start")
start=$(now)
"$kv" -d store -t lines dump --values | cmp -s - input.txt || fail "the dump differs from the file"
dump_seconds=$(since "$start")
"$kv" -d store verify >verify.txt || fail "verify: $(cat verify.txt)"

# --- the import again, killed in the middle
mkfifo pipe
"$kv" -d killed -t lines load --format lines --batch 100 input.txt >pipe 2>/dev/null & pid=$!
acknowledged=0 seen=0 half=$((rows / 200 + 1))
while read -r count; do
  acknowledged=$count seen=$((seen + 1))
  if [ $seen = $half ]; then kill -9 $pid 2>/dev/null || true; fi
done <pipe
wait $pid 2>/dev/null && [ "$acknowledged" != "$rows" ] && fail "the import ended early"
start=$(now)
"$kv" -d killed verify >verify_killed.txt || fail "verify after the kill: $(cat verify_killed.txt)"
"$kv" -d killed -t lines dump --values >present.txt || fail "dump after the kill"
reopen_seconds=$(since "$start")
present=$(wc -l <present.txt)
head -n "$present" input.txt | cmp -s - present.txt || fail "after the kill the store is not a beginning of the file"
[ "$present" -ge "$acknowledged" ] && [ "$present" -le $((acknowledged + 100)) ] || fail "$acknowledged lines acknowledged, $present there"

# --- the ledger
"$ledger" torture books --rounds "${AEGIS_KILLS:-12}" --clients 4 >ledger.txt 2>ledger_errors.txt || { cat ledger.txt ledger_errors.txt; fail "ledger"; }
"$ledger" run books --clients 4 --seconds 2 >ledger_acks.txt || fail "ledger run"
"$ledger" audit books ledger_acks.txt >ledger_audit.txt || fail "ledger audit: $(cat ledger_audit.txt)"

cat <<SUMMARY

Input      $what: $rows lines, $bytes bytes
Import     $transactions transactions of up to $batch lines in $import_seconds s: $(rate "$rows" "$import_seconds") rows/s, $(rate "$transactions" "$import_seconds") transactions/s
On disk    $disk bytes of data ($(awk -v d="$disk" -v b="$bytes" 'BEGIN { printf "%.2f", d / b }') for each byte in) and $log of log, which is used again
Questions  get, scans by range, end and prefix: all as in the file ($question_seconds s for 5 processes); whole dump identical, $dump_seconds s
Verify     $(tail -n 1 verify.txt)
Killed     import killed after $acknowledged acknowledged lines: $present there, as in the file; verified and dumped $reopen_seconds s later
Ledger     $(tail -n 1 ledger.txt)
           then $(wc -l <ledger_acks.txt) transfers in 2 s by 4 clients, each durable when acknowledged
Audit      $(cat ledger_audit.txt)

Everything adds up.
SUMMARY
cd "$root" && rm -rf "$scratch"
