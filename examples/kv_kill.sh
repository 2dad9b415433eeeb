#!/bin/sh
# Loads a text with kv and kills it with SIGKILL on the way, again and again: after each kill the store verifies, and a dump shows
# exactly the acknowledged transactions and at most the one that was under way, whole. Not 0 otherwise.
# Usage: sh examples/kv_kill.sh KV FILE|MEGABYTES      MEGABYTES: so much text is collected from this machine (sources, documents)
set -eu
[ $# = 2 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
fail() { echo "kv_kill: $*" >&2; exit 1; }
[ -x "$1" ] || { echo "kv_kill: no program $1" >&2; exit 2; }
kv=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
case $2 in
  *[!0-9]*) cp "$2" "$scratch/input.txt" ;;
  *) find /usr/include /usr/share/doc /usr/share/perl /usr/lib/python3* "$(dirname "$0")/.." -type f \
       \( -name '*.h' -o -name '*.hpp' -o -name '*.py' -o -name '*.p[lm]' -o -name '*.cpp' -o -name copyright -o -name '*.md' \) \
       -exec cat {} + 2>/dev/null | head -c "$(($2 << 20))" >"$scratch/input.txt" || true ;;
esac
cd "$scratch"
sed -i '$a\' input.txt          # a last line without its end gets one; lines come back with one
lines=$(wc -l <input.txt) bytes=$(wc -c <input.txt)
batch=500 batches=$(((lines + 499) / 500))
[ "$batches" -ge 20 ] || fail "the text is too short: $lines lines"
seconds() { awk -v a="$1" -v b="$(date +%s%N)" 'BEGIN { printf "%.2f", (b - a) / 1e9 }'; }

mkfifo acks
for hundredths in 0 3 10 25 50 75 95; do
  rm -rf store
  after=$((batches * hundredths / 100 + 1))
  "$kv" -d store -t t load --format lines --batch $batch input.txt >acks 2>/dev/null &
  pid=$! acknowledged=0 seen=0
  while read -r count; do
    acknowledged=$count seen=$((seen + 1))
    [ "$seen" != "$after" ] || kill -9 "$pid"
  done <acks
  wait "$pid" && fail "the load ended before it was killed"
  start=$(date +%s%N)
  "$kv" -d store tables >tables.txt || fail "the store does not open"
  opened=$(seconds "$start")
  "$kv" -d store verify >verify.txt || fail "verify: $(cat verify.txt)"
  "$kv" -d store -t t dump --values >present.txt || fail "dump"
  present=$(wc -l <present.txt)
  head -n "$present" input.txt | cmp -s - present.txt || fail "killed after $acknowledged lines: what is there is not the beginning of the file"
  [ "$present" -ge "$acknowledged" ] || fail "$acknowledged lines were acknowledged, $present are there"
  [ "$present" -le $((acknowledged + batch)) ] || fail "only $acknowledged lines were acknowledged, $present are there"
  [ $((present % batch)) = 0 ] || [ "$present" = "$lines" ] || fail "a part of a transaction is there: $present lines"
  echo "killed after $acknowledged acknowledged lines: $present there, as in the file; reopened in $opened s; $(cat verify.txt)"
done
start=$(date +%s%N)
"$kv" -d store -t t load --format lines --batch $batch -q input.txt 2>/dev/null || fail "the load after the kills"
loaded=$(seconds "$start")
"$kv" -d store -t t dump --values | cmp -s - input.txt || fail "the whole file came back different"
"$kv" -d store verify >verify.txt || fail "verify: $(cat verify.txt)"
echo "$lines lines, $bytes bytes: killed 7 times, then loaded whole in $loaded s; dump identical; $(du -sk store | awk '{ print $1 * 1024 }') bytes on disk; $(cat verify.txt)"
