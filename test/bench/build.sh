# Builds the program $program of this folder, optimized, with all that it needs; to be sourced in the project's folder.
sh .packaging/need.sh g++:g++ meson:meson ninja:ninja-build pkg-config:pkgconf python3:python3 boost/intrusive/list.hpp:libboost-dev xxhash.h:libxxhash-dev doctest/doctest.h:doctest-dev
build=build-bench
mkdir -p $build
if [ -f $build/build.ninja ]; then meson setup --reconfigure $build >$build/configure.txt 2>&1; else meson setup $build -Doptimization=3 >$build/configure.txt 2>&1; fi || { cat $build/configure.txt; exit 1; }
ninja -C $build "test/bench/$program" >$build/output.txt 2>&1 || { tail -n 40 $build/output.txt; exit 1; }
