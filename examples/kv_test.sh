#!/bin/sh
# What a user of kv relies on, killed loads included. Usage: kv_test.sh KV [LINES]; works in the current directory.
set -eu
kv=$1 lines=${2:-60000}
fail() { echo "kv: $*" >&2; exit 1; }
code() { wanted=$1; shift; set +e; "$@" >out.txt 2>err.txt; got=$?; set -e; [ "$got" = "$wanted" ] || fail "exit $got, wanted $wanted: $*: $(cat err.txt)"; }

code 2 "$kv"                                    # no command
code 2 "$kv" frobnicate
code 0 "$kv" --help
code 2 "$kv" get a                              # no store, and asking makes none
[ ! -e kv.store ] || fail "a question made a store"
code 0 "$kv" put a 1
code 0 "$kv" put ab 22
code 0 "$kv" put b ''
code 0 "$kv" get ab; [ "$(cat out.txt)" = 22 ] || fail "get"
code 1 "$kv" get c; grep -q 'no such key' err.txt || fail "no message for a missing key"
code 1 "$kv" -t other get a
code 0 "$kv" scan --prefix a; [ "$(cat out.txt)" = "$(printf 'a\t1\nab\t22')" ] || fail "scan --prefix"
code 0 "$kv" scan --from ab --to b; [ "$(cat out.txt)" = "$(printf 'ab\t22')" ] || fail "scan --from --to"
code 0 "$kv" scan --reverse --limit 2; [ "$(cat out.txt)" = "$(printf 'b\t\nab\t22')" ] || fail "scan --reverse --limit"
code 0 "$kv" erase b; code 1 "$kv" erase b
code 0 "$kv" tables; [ "$(cat out.txt)" = main ] || fail "tables"
code 0 "$kv" checkpoint; code 0 "$kv" stats; code 0 "$kv" verify
printf 'k1\tv1\nk2\tv\\x002\n' >tabs.txt
code 0 "$kv" -t tabs load tabs.txt; code 0 "$kv" -t tabs get k1; [ "$(cat out.txt)" = v1 ] || fail "load of tabs"
code 0 "$kv" -t tabs dump; cp out.txt dumped.txt
code 0 "$kv" -t again load --format escaped dumped.txt; code 0 "$kv" -t again dump; cmp -s out.txt dumped.txt || fail "dump and load differ"
code 2 "$kv" load no-such-file; code 2 "$kv" load .
printf 'x' >file; code 3 "$kv" -d file tables   # a file where a directory should be

# A load that is killed: exactly the acknowledged transactions are there, and at most the one that was under way, whole.
[ -s input.txt ] || awk -v n="$lines" 'BEGIN { for (i = 1; i <= n; ++i) printf "line %d of some text that varies a little: %d\n", i, i * 7919 % 10007 }' >input.txt
lines=$(wc -l <input.txt)
mkfifo acks
for kill_after in 1 7 30; do
  rm -rf killed
  "$kv" -d killed -t t load --format lines --batch 500 input.txt >acks 2>/dev/null &
  pid=$! acknowledged=0 seen=0
  while read -r count; do
    acknowledged=$count seen=$((seen + 1))
    [ "$seen" != "$kill_after" ] || kill -9 "$pid"
  done <acks
  wait "$pid" && fail "the load ended before it was killed"
  code 0 "$kv" -d killed verify
  code 0 "$kv" -d killed -t t dump --values
  present=$(wc -l <out.txt)
  head -n "$present" input.txt | cmp -s - out.txt || fail "killed after $acknowledged lines: what is there is not the beginning of the file"
  [ "$present" -ge "$acknowledged" ] || fail "$acknowledged lines were acknowledged, $present are there"
  [ "$present" -le $((acknowledged + 500)) ] || fail "only $acknowledged lines were acknowledged, $present are there"
  [ $((present % 500)) = 0 ] || [ "$present" = "$lines" ] || fail "a part of a transaction is there: $present lines"
  echo "killed after $acknowledged acknowledged lines: $present there, as in the file"
done
code 0 "$kv" -d killed -t t load --format lines -q input.txt
code 0 "$kv" -d killed -t t dump --values; cmp -s out.txt input.txt || fail "the whole file came back different"
echo "kv: $lines lines loaded, killed three times, dumped: identical"
