#!/bin/sh
# Measures what isolation costs, as ratios: a commit beside 100,000 locks of another transaction, writers beside readers that
# stay open, 8 threads on one hot row. Not 0 when an answer was wrong, an update lost or memory above its cap.
# Usage: sh test/bench/isolation.sh [--long] [locks | reader | hot]     --long: 10,000,000 updates beside the readers instead of
# 200,000, or AEGIS_UPDATES=n, and more rounds, or AEGIS_ROUNDS=n
set -eu
cd "$(dirname "$0")/../.."
for word in "$@"; do
  case $word in
    --long|locks|reader|hot) ;;
    *) sed -n '4,5s/^# //p' "$0" >&2; exit 2 ;;
  esac
done
program=isolation_costs; . test/bench/build.sh
echo "in memory, asynchronous durability, $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"
exec $build/test/bench/isolation_costs "$@"
