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
sh .packaging/need.sh g++:g++ meson:meson ninja:ninja-build pkg-config:pkgconf boost/intrusive/list.hpp:libboost-dev xxhash.h:libxxhash-dev doctest/doctest.h:doctest-dev
build=build-bench
mkdir -p $build
if [ -f $build/build.ninja ]; then meson setup --reconfigure $build >$build/configure.txt 2>&1; else meson setup $build -Doptimization=3 >$build/configure.txt 2>&1; fi || { cat $build/configure.txt; exit 1; }
ninja -C $build test/bench/isolation_costs >$build/output.txt 2>&1 || { tail -n 40 $build/output.txt; exit 1; }
echo "in memory, asynchronous durability, $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"
exec $build/test/bench/isolation_costs "$@"
