#!/bin/sh
# Measures what a reopening costs after kill -9: seconds, on the clock and of the processor, and the memory that it needed beyond
# what the process began with, for a log of 64 and one of 256 MiB, each filled in five ways, with a pool of 64 and one of 512 MiB. Takes some minutes, most of them to
# fill the logs. Not 0 when a row was missing or old afterwards.
# Usage: sh test/bench/reopen.sh [--log-mib N] [--pool-mib N] [--only PART-OF-A-NAME] [--dir PATH]
set -eu
cd "$(dirname "$0")/../.."
program=reopen; . test/bench/build.sh
echo "synchronous durability, $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"
exec $build/test/bench/reopen --dir $build/reopen.data "$@"
