#!/bin/sh
# Installs what is missing, builds, runs the tests; the last line says `N passed, N failed`. Not 0 when one failed.
#
#   sh test/run.sh            everything, g++
#   sh test/run.sh --asan     AddressSanitizer and UndefinedBehaviorSanitizer
#   sh test/run.sh --tsan     ThreadSanitizer, clang 19 (older ones report fences falsely), the suites that have threads
#   sh test/run.sh --clang    everything, clang 19
#   sh test/run.sh --long     everything, random tests for a minute each, or AEGIS_SECONDS=n seconds
#   sh test/run.sh --isolation [long]   the isolation programme alone, as a table: suite, program, result, seconds, cases
#   sh test/run.sh --durability [long]  the same for what must survive: power cuts, kills, failing calls, damage, planted bugs
# Several forms may be given; they run one after the other and are counted together. Further words are suites or, after
# `--only`, names of tests:  sh test/run.sh --asan tree engine      sh test/run.sh --only tree/btree
set -eu
cd "$(dirname "$0")/.."

forms='' suites='' only='' programme='' subject=''
while [ $# -gt 0 ]; do
  case $1 in
    --plain|--asan|--tsan|--clang|--long) forms="$forms ${1#--}" ;;
    --isolation|--durability) subject=${1#--}; programme=short; if [ "${2:-}" = long ]; then programme=long; shift; fi ;;
    --only) shift; only="$only ${1:?--only wants the name of a test}" ;;
    -h|--help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "unknown option $1; see sh test/run.sh --help" >&2; exit 2 ;;
    *) suites="$suites $1" ;;
  esac
  shift
done
[ -n "$forms" ] || forms=plain

sh .packaging/need.sh g++:g++ meson:meson ninja:ninja-build pkg-config:pkgconf python3:python3 objdump:binutils doctest/doctest.h:doctest-dev \
  boost/intrusive/list.hpp:libboost-dev xxhash.h:libxxhash-dev lz4.h:liblz4-dev snappy.h:libsnappy-dev zstd.h:libzstd-dev CLI/CLI.hpp:libcli11-dev
case $forms in *tsan*|*clang*)
  sh .packaging/need.sh clang++-19:clang-19 /usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.tsan-"$(uname -m)".a:libclang-rt-19-dev ;;
esac

configure() {  # DIRECTORY [meson option...]; always again, so that new test files are seen
  build=$1; shift
  if [ -f "$build/build.ninja" ]; then meson setup --reconfigure "$build" "$@" >"$build/configure.txt" 2>&1
  else mkdir -p "$build"; meson setup "$build" "$@" >"$build/configure.txt" 2>&1; fi || { cat "$build/configure.txt"; echo "0 passed, 1 failed"; exit 1; }
  grep -h 'WARNING: .*not tested' "$build/configure.txt" || true
}

if [ -n "$programme" ]; then
  if [ "$subject" = durability ]; then sh .packaging/need.sh -- mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs || true; fi
  configure build
  # shellcheck disable=SC2046
  ninja -C build $(python3 test/programme.py build targets "$subject") >build/test-output.txt 2>&1 || { tail -n 60 build/test-output.txt; echo "0 passed, 1 failed"; exit 1; }
  exec python3 test/programme.py build "$programme" "$subject"
fi

builds=''
for form in $forms; do
  wrapper='' timeout=1 chosen=$suites all='' seconds=${AEGIS_SECONDS:-}
  case $form in
    plain) configure build ;;
    clang) CXX=clang++-19 configure build-clang -Db_lundef=false ;;
    long)  configure build; timeout=0; seconds=${AEGIS_SECONDS:-60}; export AEGIS_FULL=1 ;;
    asan)  configure build-asan -Db_sanitize=address,undefined -Db_lundef=false; timeout=4 all='--no-suite architecture --no-suite compile_fail' ;;
    tsan)  CXX=clang++-19 configure build-tsan -Db_sanitize=thread -Db_lundef=false; timeout=8
           # Without address randomization; a container may forbid to change it, newer kernels and runtimes do without.
           if setarch -R true 2>/dev/null; then wrapper='setarch -R'; fi
           [ -n "$chosen" ] || chosen='sanitizers latch eviction file log backend buffer wal version lock isolation tree txn engine storage' ;;
  esac
  if [ -n "$seconds" ]; then export AEGIS_SECONDS="$seconds"; fi
  [ -z "$chosen$only" ] || all=''
  # UBSan goes on after a finding unless told otherwise; leaks count as findings.
  export ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
         TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
  echo "--- $form: $build"
  arguments=''
  for suite in $chosen; do arguments="$arguments --suite $suite"; done
  rm -f "$build/meson-logs/testlog.json"
  # shellcheck disable=SC2086
  $wrapper meson test -C "$build" --timeout-multiplier "$timeout" --print-errorlogs --quiet $all $arguments $only >"$build/test-output.txt" 2>&1 || true
  builds="$builds $build"
  # All of durability is among the tests: what it did, as a table.
  if [ "$form" = plain ] && [ -z "$chosen$only" ] && [ -f "$build/meson-logs/testlog.json" ]; then python3 test/programme.py "$build" told durability; fi
  python3 test/summary.py "$build" || { [ -f "$build/meson-logs/testlog.json" ] || tail -n 60 "$build/test-output.txt"; }
done
# shellcheck disable=SC2086
exec python3 test/summary.py --total $builds
