#!/bin/sh
# Fuzzes each harness under AddressSanitizer and UndefinedBehaviorSanitizer; the last line says what came of it. Not 0
# when an input broke something: it is kept as build-fuzz/<harness>-<kind>-<hash>, and the line to run it again is printed.
#
#   sh test/fuzz/run.sh                 20 seconds a harness
#   sh test/fuzz/run.sh 600             so many seconds a harness, one after the other
#   sh test/fuzz/run.sh 60 z3_log ...   some of them: z1_page z2_block z3_log z4_metadata z5_directory z6_operations z7_order
#   sh test/fuzz/run.sh seeds           writes the seeds anew (make_seeds.cpp)
# It begins with test/fuzz/seeds and with build-fuzz/corpus, where it keeps what it finds interesting. Before all harnesses it has
# to find an overflow that was planted for it.
set -eu
cd "$(dirname "$0")/../.."
sh .packaging/need.sh clang++-19:clang-19 /usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-"$(uname -m)".a:libclang-rt-19-dev \
  boost/intrusive/list.hpp:libboost-dev xxhash.h:libxxhash-dev lz4.h:liblz4-dev snappy.h:libsnappy-dev zstd.h:libzstd-dev
build=build-fuzz
mkdir -p "$build"
seconds=20
case ${1:-} in
  seeds)
    clang++-19 -std=c++20 -O0 -w -Iinclude -Itest test/fuzz/make_seeds.cpp -o "$build/make_seeds" -llz4 -lzstd -lsnappy -pthread
    exec "$build/make_seeds" test/fuzz/seeds ;;
  [0-9]*) seconds=$1; shift ;;
esac
harnesses=${*:-z1_page z2_block z3_log z4_metadata z5_directory z6_operations z7_order}
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=0:detect_stack_use_after_return=0:quarantine_size_mb=48:malloc_context_size=10 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
compile() {  # HARNESS
  clang++-19 -std=c++20 -O2 -g1 -fno-sanitize-recover=all -fsanitize=fuzzer,address,undefined \
    -fsanitize-coverage-ignorelist=test/fuzz/coverage.txt -Iinclude -Itest "test/fuzz/$1.cpp" -o "$build/$1" \
    -llz4 -lzstd -lsnappy -pthread
}
compile planted_overflow
said=$build/planted_overflow.txt
if "$build/planted_overflow" -max_total_time=10 -print_final_stats=1 -artifact_prefix="$build/planted_overflow-" >"$said" 2>&1 || ! grep -q 'ERROR: AddressSanitizer: heap-buffer-overflow' "$said"; then
  tail -n 5 "$said"
  echo "the fuzzer is blind: it did not find the overflow of test/fuzz/planted_overflow.cpp"
  exit 1
fi
rm -f "$build"/planted_overflow-crash-*
echo "planted_overflow found after $(sed -n 's/^stat::number_of_executed_units: *//p' "$said") executions"
total=0 broken=0
for harness in $harnesses; do
  compile "$harness"
  mkdir -p "$build/corpus/$harness"
  said=$build/$harness.txt
  state=clean
  # Limits: ten seconds and, sanitizers included, 512 MiB for one input; no single allocation above 64 MiB.
  "$build/$harness" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=512 -malloc_limit_mb=64 -print_final_stats=1 \
    -artifact_prefix="$build/$harness-" "$build/corpus/$harness" "test/fuzz/seeds/$harness" >"$said" 2>&1 || state=BROKEN
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$said")
  rss=$(sed -n 's/^stat::peak_rss_mb: *//p' "$said")
  found=$(find "$build/corpus/$harness" -type f | wc -l)
  printf '%-14s %-7s %10s executions in %s s, %s inputs kept, %s MiB at most\n' "$harness" "$state" "${runs:-0}" "$seconds" "$found" "${rss:-?}"
  total=$((total + ${runs:-0}))
  if [ "$state" = BROKEN ]; then
    broken=$((broken + 1))
    grep -E 'broken promise|ERROR: |runtime error|broken invariant|SUMMARY' "$said" | head -n 5 || true
    sed -n "s|.*Test unit written to \(.*\)|again: $build/$harness \1|p" "$said"
  fi
done
echo "$total executions, $broken harnesses with findings"
[ "$broken" -eq 0 ]
