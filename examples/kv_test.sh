#!/bin/sh
# What a user of kv relies on, killed loads included. Usage: kv_test.sh KV [LINES]; works in the current directory. For a real text: kv_kill.sh.
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

# A store that is damaged: some bytes of a leaf, then of all that names blocks.
awk 'BEGIN { for (i = 1; i <= 3000; ++i) printf "key%05d\tvalue %d\n", i, i * 7919 % 10007 }' >salvage.txt
code 0 "$kv" -d hurt load -q salvage.txt; code 0 "$kv" -d hurt dump; cp out.txt before.txt
code 2 "$kv" salvage nowhere rescued; code 2 "$kv" salvage hurt; code 2 "$kv" salvage hurt hurt
code 0 "$kv" salvage hurt whole; code 0 "$kv" -d whole dump; cmp -s out.txt before.txt || fail "salvage of a sound store"
code 2 "$kv" salvage hurt whole; grep -q 'there already' err.txt || fail "no message for a place that is taken"
places=$(grep -abo "value $((1500 * 7919 % 10007))" hurt/data | cut -d: -f1); [ -n "$places" ] || fail "where is the value of key01500?"
for at in $places; do printf 'XXXX' | dd of=hurt/data bs=1 seek="$at" conv=notrunc status=none; done
code 1 "$kv" -d hurt verify; grep -q corrupt out.txt || fail "verify of a damaged store"
code 1 "$kv" salvage hurt rescued; grep -q '^lost: keys of table' out.txt || fail "no lost range"
code 0 "$kv" -d rescued verify; code 0 "$kv" -d rescued dump; cp out.txt rescued.txt
[ -z "$(grep -vxFf before.txt rescued.txt)" ] || fail "salvage gives rows that were not there"
[ "$(wc -l <rescued.txt)" -gt 1000 ] && [ "$(wc -l <rescued.txt)" -lt 3000 ] || fail "salvage of a damaged leaf: $(wc -l <rescued.txt) rows"
dd if=/dev/zero of=hurt/data bs=65536 count=1 conv=notrunc status=none
code 3 "$kv" -d hurt tables
code 1 "$kv" salvage hurt blind; code 0 "$kv" -d blind tables; grep -q 'lost+found' out.txt || fail "salvage without superblocks"
[ ! -e rescued.salvaging ] && [ ! -e blind.salvaging ] || fail "salvage leaves something behind"

# Loads that are killed.
awk -v n="$lines" 'BEGIN { for (i = 1; i <= n; ++i) printf "line %d of some text that varies a little: %d\n", i, i * 7919 % 10007 }' >input.txt
sh "$(dirname "$0")/kv_kill.sh" "$kv" input.txt
