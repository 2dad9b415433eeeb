#!/bin/sh
# Measures this engine and, where their libraries are installed, LMDB and RocksDB, in turns in one run, and prints a table of ratios.
# Usage: sh test/bench/run.sh [--records N] [--seconds S] [--rounds N] [--dir PATH] [--peers]     --peers installs theirs if missing
set -eu
cd "$(dirname "$0")/../.."
records=500000 seconds=2 rounds=3 dir='' peers=no
while [ $# -gt 0 ]; do
  case $1 in
    --records) records=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --dir) dir=$2; shift ;;
    --peers) peers=yes ;;
    *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift
done
sh .packaging/need.sh g++:g++ meson:meson ninja:ninja-build pkg-config:pkgconf python3:python3 boost/intrusive/list.hpp:libboost-dev xxhash.h:libxxhash-dev doctest/doctest.h:doctest-dev
[ $peers = no ] || sh .packaging/need.sh -- lmdb.h:liblmdb-dev rocksdb/db.h:librocksdb-dev
build=build-bench
mkdir -p $build
if [ -f $build/build.ninja ]; then meson setup --reconfigure $build >$build/configure.txt 2>&1; else meson setup $build -Doptimization=3 >$build/configure.txt 2>&1; fi || { cat $build/configure.txt; exit 1; }
ninja -C $build test/bench/bench >$build/output.txt 2>&1 || { tail -n 40 $build/output.txt; exit 1; }
bench=$build/test/bench/bench
dir=${dir:-$build/bench.data}
out=$build/results.jsonl
: >$out
engines=$($bench --list | sort -u)
step() { for engine in $engines; do $bench --engine="$engine" --dir="$dir" --tag="$1" --workload="$2" --cache-mb=1024 $3 >>$out || exit 1; done; }
round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  echo "round $round of $rounds ($(echo $engines))" >&2
  step "one thread" load,scan,readrandom,update "--records=$records --seconds=$seconds"
  step "eight threads" load,readrandom,update "--records=$records --seconds=$seconds --threads=8"
  step "random inserts" fillrandom "--ops=$records"
  step "bank, 8 threads" tpcb "--records=100000 --seconds=$seconds --threads=8"
  step "durable, 1 thread" load,commit "--records=100000 --seconds=$seconds --sync=commit"
  step "durable, 8 threads" load,commit,tpcb "--records=100000 --seconds=$seconds --threads=8 --sync=commit"
done
rm -rf "$dir"
python3 test/bench/table.py $out
echo "raw results: $out"
