#!/bin/sh
# Measures this engine and, where their libraries are installed, LMDB and RocksDB, in turns in one run, and prints tables of ratios.
# Usage: sh test/bench/run.sh [--records N] [--seconds S] [--rounds N] [--threads N] [--dir PATH] [--peers]     --peers installs theirs if missing
set -eu
cd "$(dirname "$0")/../.."
records=200000 seconds=1 rounds=1 threads=8 dir='' peers=no
while [ $# -gt 0 ]; do
  case $1 in
    --records) records=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --threads) threads=$2; shift ;;
    --dir) dir=$2; shift ;;
    --peers) peers=yes ;;
    *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ $peers = no ] || sh .packaging/need.sh -- lmdb.h:liblmdb-dev rocksdb/db.h:librocksdb-dev
program=bench; . test/bench/build.sh
bench=$build/test/bench/bench
dir=${dir:-$build/bench.data}
out=$build/results.jsonl
: >$out
engines=$($bench --list | sort -u)
step() {  # setting, workloads, options: every engine on a fresh database; a run that takes minutes is stuck
  for engine in $engines; do
    # shellcheck disable=SC2086
    timeout 300 $bench --engine="$engine" --dir="$dir" --tag="$1" --workload="$2" --cache-mb=1024 --seconds="$seconds" $3 >>$out ||
      { echo "FAILED: $engine, $2 ($1): exit $?" >&2; exit 1; }
  done
}
round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  echo "round $round of $rounds:" $engines >&2
  step "1 thread" load,readrandom,scan,update "--records=$records"
  step "$threads threads" readrandom,update "--records=$records --threads=$threads --fill"
  step "empty store, 1 thread" fillrandom "--ops=$records"
  step "$threads threads" tpcb "--records=$((records / 2)) --threads=$threads"
  step "durable, 1 thread" load,commit "--records=$((records / 2)) --sync=commit"
  step "durable, $threads threads" commit "--records=$((records / 2)) --threads=$threads --sync=commit --fill"
  step "durable, $threads threads" tpcb "--records=$((records / 2)) --threads=$threads --sync=commit"
done
rm -rf "$dir"
echo "$records records of 8 + 100 bytes, $seconds s a workload, $rounds round(s), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"
python3 test/bench/table.py $out
echo
echo "raw results: $out"
