#!/usr/bin/env python3
"""Lists the test programs of the tree for the build: one line `name|library,library` for each test/<folder>/<name>.cpp.

A program needs the library of each codec header that it, or a header under test/ or examples/ that it includes, names.
usage: discover.py TEST_DIRECTORY
"""
import pathlib
import re
import sys

NOT_UNIT = {"architecture", "compile_fail", "bench", "golden", "support", "fuzz"}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.M)
CODEC = re.compile(r"aegis/storage/codec/(lz4|snappy|zstd)\.hpp")


def libraries(path, root, seen):
    found = set()
    if path in seen:
        return found
    seen.add(path)
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        codec = CODEC.fullmatch(name)
        if codec:
            found.add(codec.group(1))
        for near in (path.parent / name, root / name):
            if near.is_file() and "include/aegis" not in near.as_posix():
                found |= libraries(near.resolve(), root, seen)
    return found


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    for path in sorted(root.glob("*/*.cpp")):
        if path.parent.name not in NOT_UNIT:
            print(f"{path.relative_to(root).with_suffix('').as_posix()}|{','.join(sorted(libraries(path, root, set())))}")


if __name__ == "__main__":
    main()
