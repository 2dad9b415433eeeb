#!/usr/bin/env python3
"""The picture of the layers holds: a header includes only lower floors or its own folder.

Also: folders of one floor never include each other, only testing/ sees everything, nobody includes the umbrella or
testing/, each third-party header stands in exactly one file, and the umbrella brings every header that links no library.
usage: floors.py ROOT | --self-test
"""
import sys

import tree

FLOORS = {
    "core": 0,
    "checksum": 1, "codec": 1, "cipher": 1, "eviction": 1, "latch": 1, "file": 1,
    "block": 2, "log": 2,
    "backend": 3, "page": 3,
    "buffer": 4, "wal": 4,
    "version": 5, "lock": 5, "tree": 5,
    "isolation": 6,
    "txn": 7,
    "engine": 8,
    "testing": 99,
}  # fmt: skip
UMBRELLA = "aegis/storage.hpp"
TOOLS = "aegis/storage/engine/salvage"  # for those who repair stores; the umbrella leaves such headers out
LINKS_A_LIBRARY = {"lz4.h": "codec/lz4.hpp", "zstd.h": "codec/zstd.hpp", "snappy.h": "codec/snappy.hpp"}
THIRD_PARTY = {"xxhash.h": "checksum/xxh3.hpp", "boost/intrusive/list.hpp": "eviction/lru.hpp", "boost/intrusive/set.hpp": "txn/write_set.hpp", **LINKS_A_LIBRARY}
# Headers of the standard library that a public header may use. What is missing is heavy, throws, or hides an indirect call.
STANDARD = set(
    """algorithm array atomic bit bitset cctype cerrno charconv chrono climits compare concepts condition_variable cstddef cstdint cstdio
    cstdlib cstring ctime initializer_list iterator limits map memory mutex new numeric optional semaphore shared_mutex span
    string string_view system_error tuple type_traits unordered_map unordered_set utility variant vector""".split()
)
ONLY_IN_TESTING = {"deque", "functional", "map", "set", "random", "sstream", "thread", "unordered_map", "unordered_set"}
# Headers of the operating system and the compiler, and where they may stand.
SYSTEM = {
    "dirent.h": "file", "fcntl.h": "file", "linux/fs.h": "file", "linux/openat2.h": "file", "linux/falloc.h": "file", "sys/file.h": "file",
    "sys/ioctl.h": "file", "sys/random.h": "file", "sys/stat.h": "file", "sys/statvfs.h": "file", "sys/statfs.h": "file", "sys/syscall.h": "file",
    "sys/types.h": "file", "sys/uio.h": "file", "unistd.h": "file", "errno.h": "file", "linux/magic.h": "file", "limits.h": "file",
    "sys/mman.h": "file buffer", "sched.h": "latch wal tree", "time.h": "file core", "sys/vfs.h": "file",
    "immintrin.h": "checksum latch", "nmmintrin.h": "checksum", "wmmintrin.h": "checksum", "arm_acle.h": "checksum", "emmintrin.h": "latch checksum",
    "pthread.h": "engine core",
}  # fmt: skip


def place(name):
    """(folder, file) of `aegis/storage/folder/file.hpp`."""
    parts = name.split("/")
    return (parts[2], "/".join(parts[2:])) if len(parts) == 4 else ("", name)


def check(root):
    headers = tree.headers(root)
    findings = []
    for name, text in headers.items():
        folder, file = place(name)
        if name != UMBRELLA and folder not in FLOORS:
            findings.append(f"{name}: the folder is on no floor; give it one in floors.py and in README.md")
            continue
        for included in tree.INCLUDE.findall(text):
            if name == UMBRELLA:
                if not included.startswith("aegis/storage/"):
                    findings.append(f"{name}: includes {included}; the umbrella names only headers of this library")
            else:
                findings += look(name, folder, file, included, headers)
    findings += umbrella(headers)
    return findings


def look(name, folder, file, included, headers):
    if included.startswith("aegis/"):
        if included not in headers:
            return [f"{name}: includes {included}, which does not exist"]
        other, _ = place(included)
        if included == UMBRELLA:
            return [] if folder == "testing" else [f"{name}: includes the umbrella"]
        if other != folder and FLOORS[other] >= FLOORS[folder]:
            return [f"{name} (floor {FLOORS[folder]}) includes {included} (floor {FLOORS[other]})"]
        return []
    if included in THIRD_PARTY:
        return [] if file == THIRD_PARTY[included] else [f"{name}: includes {included}, which belongs in {THIRD_PARTY[included]} alone"]
    if included in SYSTEM:
        return [] if folder in SYSTEM[included].split() + ["testing"] else [f"{name}: includes {included}, which belongs in {SYSTEM[included]}/"]
    if included in STANDARD or (folder == "testing" and included in ONLY_IN_TESTING):
        return []
    return [f"{name}: includes {included}, which no public header may"]


def umbrella(headers):
    """Everything reachable from the umbrella, against everything that links no library."""
    if UMBRELLA not in headers:
        return [f"{UMBRELLA} is missing"]
    reached, ahead = set(), [UMBRELLA]
    while ahead:
        name = ahead.pop()
        if name not in reached and name in headers:
            reached.add(name)
            ahead += tree.INCLUDE.findall(headers[name])
    library = {"aegis/storage/" + file for file in LINKS_A_LIBRARY.values()}
    findings = [f"{UMBRELLA} reaches {name}, which needs a library" for name in sorted(reached & library)]
    for name in sorted(set(headers) - reached - library):
        if place(name)[0] != "testing" and not name.startswith(TOOLS):
            findings.append(f"{UMBRELLA} does not bring {name}")
    findings += [f"{UMBRELLA} reaches {name}" for name in sorted(reached) if place(name)[0] == "testing"]
    return findings


SOUND = {
    "include/aegis/storage.hpp": "#include <aegis/storage/block/block.hpp>\n#include <aegis/storage/log/policy.hpp>\n",
    "include/aegis/storage/core/ids.hpp": "#include <cstdint>\n",
    "include/aegis/storage/block/block.hpp": "#include <aegis/storage/core/ids.hpp>\n#include <span>\n",
    "include/aegis/storage/log/policy.hpp": "#include <aegis/storage/core/ids.hpp>\n",
    "include/aegis/storage/codec/lz4.hpp": "#include <lz4.h>\n",
    "include/aegis/storage/testing/kit.hpp": "#include <aegis/storage/log/policy.hpp>\n#include <thread>\n",
}
BAD = {
    "an include upwards": ("include/aegis/storage/core/ids.hpp", "#include <aegis/storage/block/block.hpp>\n"),
    "an include between folders of one floor": ("include/aegis/storage/block/block.hpp", "#include <aegis/storage/core/ids.hpp>\n#include <aegis/storage/log/policy.hpp>\n"),
    "a folder without floor": ("include/aegis/storage/util/util.hpp", "\n"),
    "a third-party header out of its place": ("include/aegis/storage/block/block.hpp", "#include <aegis/storage/core/ids.hpp>\n#include <lz4.h>\n"),
    "an unknown third-party header": ("include/aegis/storage/block/block.hpp", "#include <aegis/storage/core/ids.hpp>\n#include <fmt/format.h>\n"),
    "a heavy standard header": ("include/aegis/storage/core/ids.hpp", "#include <functional>\n"),
    "a system call header outside file/": ("include/aegis/storage/core/ids.hpp", "#include <unistd.h>\n"),
    "a header that the umbrella forgets": ("include/aegis/storage/core/bytes.hpp", "\n"),
    "a library in the umbrella": ("include/aegis/storage.hpp", SOUND["include/aegis/storage.hpp"] + "#include <aegis/storage/codec/lz4.hpp>\n"),
    "testing/ in the umbrella": ("include/aegis/storage.hpp", SOUND["include/aegis/storage.hpp"] + "#include <aegis/storage/testing/kit.hpp>\n"),
    "the umbrella in a header": ("include/aegis/storage/log/policy.hpp", "#include <aegis/storage/core/ids.hpp>\n#include <aegis/storage.hpp>\n"),
    "an include of nothing": ("include/aegis/storage/log/policy.hpp", "#include <aegis/storage/core/ids.hpp>\n#include <aegis/storage/core/gone.hpp>\n"),
}

if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        tree.self_test(check, SOUND, BAD)
    else:
        tree.report(check(sys.argv[1]), "floors")
