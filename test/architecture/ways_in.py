#!/usr/bin/env python3
"""Every way to use the library that README.md tells of, as a program outside the checkout would: each builds and runs.

Plain compiler, pkg-config, installed CMake package, CMake FetchContent, Meson subproject. What needs a tool or library
that is not there is left out, and said so.
usage: ways_in.py ROOT COMPILER...
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PLAIN = """#include <aegis/storage.hpp>
#include <cstdio>
int main() {
  auto engine = aegis::storage::Engine<aegis::storage::MemoryBackend>::open({});
  std::printf("%d.%d\\n", aegis::storage::library_version.major_number, aegis::storage::library_version.minor_number);
  return engine && engine->close() ? 0 : 1;
}
"""
WITH_LZ4 = """#include <aegis/storage/codec/lz4.hpp>
int main() {
  std::byte zeros[1000]{}, packed[2000];
  const auto used = aegis::storage::Lz4Codec{}.compress(zeros, packed);
  return used > 0 && used < 100 ? 0 : 1;
}
"""
CMAKE = """cmake_minimum_required(VERSION 3.20)
project(user CXX)
set(CMAKE_CXX_STANDARD 20)
{body}
add_executable(plain plain.cpp)
target_link_libraries(plain {plain})
"""
CMAKE_LZ4 = "add_executable(with_lz4 with_lz4.cpp)\ntarget_link_libraries(with_lz4 aegis::storage-lz4)\n"
FETCH = """include(FetchContent)
FetchContent_Declare(aegis_storage SOURCE_DIR {root})
FetchContent_MakeAvailable(aegis_storage)
add_library(aegis-storage INTERFACE)
target_include_directories(aegis-storage INTERFACE ${{aegis_storage_SOURCE_DIR}}/include)
target_compile_features(aegis-storage INTERFACE cxx_std_20)"""
MESON = """project('user', 'cpp', default_options: ['cpp_std=c++20'])
executable('plain', 'plain.cpp', dependencies: dependency('aegis-storage'))
{lz4}"""
WRAP = "[wrap-file]\ndirectory = aegis-storage\n\n[provide]\ndependency_names = aegis-storage, aegis-storage-lz4, aegis-storage-snappy, aegis-storage-zstd\n"


class Failed(Exception):
    pass


def run(command, cwd, environment=None, refused=None):
    done = subprocess.run([str(w) for w in command], cwd=cwd, env={**os.environ, "LC_ALL": "C", **(environment or {})}, capture_output=True, text=True)
    said = done.stdout + done.stderr
    if refused is not None:
        if done.returncode == 0 or refused not in said:
            raise Failed(f"wanted a refusal that says '{refused}' from {' '.join(map(str, command))}:\n{said}")
    elif done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{said}")
    return done.stdout


def sources(folder):
    folder.mkdir(parents=True)
    (folder / "plain.cpp").write_text(PLAIN, encoding="utf-8")
    (folder / "with_lz4.cpp").write_text(WITH_LZ4, encoding="utf-8")
    return folder


def plain_compiler(root, cxx, folder, prefix, lz4):
    shutil.copy(root / "examples/quick_start.cpp", sources(folder) / "quick_start.cpp")
    run([*cxx, "-std=c++20", "-I", root / "include", "quick_start.cpp", "-o", "quick_start"], folder)  # links no library
    run(["./quick_start"], folder)
    if lz4:
        run([*cxx, "-std=c++20", "-I", root / "include", "with_lz4.cpp", "-llz4", "-o", "with_lz4"], folder)
        run(["./with_lz4"], folder)


def pkg_config(root, cxx, folder, prefix, lz4):
    sources(folder)
    environment = {"PKG_CONFIG_PATH": str(prefix / "share/pkgconfig")}
    for name, package in [("plain", "aegis-storage")] + [("with_lz4", "aegis-storage-lz4")] * lz4:
        flags = run(["pkg-config", "--cflags", "--libs", package], folder, environment).split()
        run([*cxx, "-std=c++20", f"{name}.cpp", *flags, "-o", name], folder)
        run([f"./{name}"], folder)


def cmake_build(folder, text, *definitions):
    (folder / "CMakeLists.txt").write_text(text, encoding="utf-8")
    run(["cmake", "-S", ".", "-B", "made", *definitions], folder)
    run(["cmake", "--build", "made"], folder)
    run(["made/plain"], folder)


def cmake_installed(root, cxx, folder, prefix, lz4):
    sources(folder)
    wanted = "find_package(aegis-storage 0.1 REQUIRED" + (" COMPONENTS lz4)" if lz4 else ")")
    cmake_build(folder, CMAKE.format(body=wanted, plain="aegis::storage") + (CMAKE_LZ4 if lz4 else ""), f"-DCMAKE_PREFIX_PATH={prefix}")
    if lz4:
        run(["made/with_lz4"], folder)
    for body, sentence in [("find_package(aegis-storage 7.0 REQUIRED)", "7.0"), ("find_package(aegis-storage REQUIRED COMPONENTS lzma)", "'lzma' is unknown")]:
        (folder / "CMakeLists.txt").write_text(CMAKE.format(body=body, plain="aegis::storage"), encoding="utf-8")
        run(["cmake", "-S", ".", "-B", "refused", f"-DCMAKE_PREFIX_PATH={prefix}"], folder, refused=sentence)


def cmake_fetch_content(root, cxx, folder, prefix, lz4):
    sources(folder)
    cmake_build(folder, CMAKE.format(body=FETCH.format(root=root), plain="aegis-storage"))


def meson_subproject(root, cxx, folder, prefix, lz4):
    sources(folder)
    (folder / "subprojects").mkdir()
    (folder / "subprojects/aegis-storage.wrap").write_text(WRAP, encoding="utf-8")
    (folder / "subprojects/aegis-storage").symlink_to(root)
    with_lz4 = "executable('with_lz4', 'with_lz4.cpp', dependencies: dependency('aegis-storage-lz4'))\n" if lz4 else ""
    (folder / "meson.build").write_text(MESON.format(lz4=with_lz4), encoding="utf-8")
    run(["meson", "setup", "made"], folder)
    run(["ninja", "-C", "made"], folder)
    run(["made/plain"], folder)


def main():
    root, cxx = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    os.environ["CXX"] = " ".join(cxx)
    findings = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        prefix = scratch / "prefix"
        run(["meson", "setup", scratch / "build", root, f"--prefix={prefix}"], scratch)
        run(["meson", "install", "--no-rebuild", "-C", scratch / "build"], scratch)
        lz4 = subprocess.run(["pkg-config", "--exists", "liblz4"], check=False).returncode == 0
        for way in (plain_compiler, pkg_config, cmake_installed, cmake_fetch_content, meson_subproject):
            if way.__name__.startswith("cmake") and shutil.which("cmake") is None:
                print(f"left out, cmake is not installed: {way.__name__}")
                continue
            try:
                way(root, cxx, scratch / way.__name__, prefix, lz4)
                print(f"ok: {way.__name__}")
            except Failed as failed:
                findings.append(f"{way.__name__}: {failed}")
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
