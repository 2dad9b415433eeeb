#!/usr/bin/env python3
"""What no public header contains, and what each one begins with.

usage: style.py ROOT | --self-test
"""
import re
import sys

import tree

VIRTUAL_ALLOWED = "aegis/storage/backend/storage_backend.hpp"
MAX_LINES, MAX_COLUMNS = 400, 180
# In the whole text, comments too.
WORDS = {
    r"\bvirtual\b": "the word `virtual`, which stands in backend/storage_backend.hpp alone",
    r"\b(TODO|FIXME|XXX|HACK|for now|placeholder|not implemented|stub)\b": "a mark of unfinished work",
    r"\t": "a tab",
    r"[ \t]+$": "blanks at the end of a line",
}
# In the code alone.
CODE = {
    r"\bthrow\b": "throw",
    r"\b(dynamic_cast|typeid)\b": "run-time type information",
    r"\bstd::(function|shared_ptr|thread|jthread|async|regex|expected|format)\b": "a standard type that the library does without",
    r"(?<![_\w])assert\s*\(": "assert; AEGIS_ASSERT is ours",
    r"^\s*namespace\s*\{": "an anonymous namespace",
    r"^(static|thread_local)\b": "a static function or variable at namespace scope",
    r"^\s+(static|thread_local) (?!const(expr|eval|init)?\b)[\w:<>, ]+ \w+(\s*=[^()]*|\{[^()]*\})?;": "mutable static state",
    r"\bstatic thread_local\b|\bthread_local static\b": "thread-local state",
    r"\busing namespace\b": "using namespace",
    r"\bnamespace (aegis::storage::)?(detail|util|impl)\b": "a namespace for leftovers",
}
TESTING_MAY = {"a standard type that the library does without"}
MACRO = re.compile(r"^[ \t]*#[ \t]*(?:define|undef)[ \t]+(\w+)", re.M)
MACRO_ALLOWED = re.compile(r"AEGIS_TRY\w*|AEGIS_ASSERT")
ATOMIC_FENCE = "atomic_thread_fence"


def check(root):
    findings = []
    for name, text in tree.headers(root).items():
        code = tree.code(text)
        lines = text.splitlines()
        if not lines or lines[0] != "// SPDX-License-Identifier: Apache-2.0":
            findings.append(f"{name}:1: the first line names the license")
        if "#pragma once" not in lines:
            findings.append(f"{name}: no #pragma once")
        if len(lines) > MAX_LINES:
            findings.append(f"{name}: {len(lines)} lines; split it, {MAX_LINES} is the limit")
        findings += [f"{name}:{n}: longer than {MAX_COLUMNS} columns" for n, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS and '"aegis: ' not in line]
        for pattern, what in WORDS.items():
            if "virtual" in pattern and name == VIRTUAL_ALLOWED:
                continue
            findings += [f"{name}:{n}: {what}" for n in tree.lines_with(pattern, text)]
        for pattern, what in CODE.items():
            if what in TESTING_MAY and "/testing/" in name:
                continue
            findings += [f"{name}:{n}: {what}" for n in tree.lines_with(pattern, code)]
        for macro in MACRO.findall(code):
            if not MACRO_ALLOWED.fullmatch(macro) and not (macro.startswith("XXH_") and name.endswith("checksum/xxh3.hpp")):
                findings.append(f"{name}: macro {macro}; only AEGIS_TRY and AEGIS_ASSERT are ours")
        if ATOMIC_FENCE in code and not name.endswith("latch/optimistic.hpp"):
            findings.append(f"{name}: {ATOMIC_FENCE} outside latch/optimistic.hpp")
    return findings


HEAD = "// SPDX-License-Identifier: Apache-2.0\n// What.\n#pragma once\n"
NAME = "include/aegis/storage/core/ids.hpp"
SOUND = {NAME: HEAD + '#define AEGIS_TRY(x) x\nstruct A { static constexpr int b = 1; static A open(int); };\ninline const char* c = "throw";\n'}
BAD = {
    "virtual in a comment": (NAME, HEAD + "// nothing virtual\n"),
    "an unfinished place": (NAME, HEAD + "// TO" + "DO: more\n"),
    "throw": (NAME, HEAD + "inline void f() { throw 1; }\n"),
    "typeid": (NAME, HEAD + "inline auto f() { return &typeid(int); }\n"),
    "std::function": (NAME, HEAD + "inline std::function<void()> f;\n"),
    "assert": (NAME, HEAD + "inline void f() { assert(true); }\n"),
    "an anonymous namespace": (NAME, HEAD + "namespace {\nint a;\n}\n"),
    "a static function": (NAME, HEAD + "static int f() { return 1; }\n"),
    "a mutable static": (NAME, HEAD + "inline int f() {\n  static int calls = 0;\n  return ++calls;\n}\n"),
    "using namespace": (NAME, HEAD + "using namespace std;\n"),
    "a macro": (NAME, HEAD + "#define AEGIS_HAS_LZ4 1\n"),
    "no license line": (NAME, "#pragma once\n"),
    "no include guard": (NAME, "// SPDX-License-Identifier: Apache-2.0\n"),
    "too long": (NAME, HEAD + "\n" * 400),
    "a tab": (NAME, HEAD + "\tint a;\n"),
    "a fence": (NAME, HEAD + "inline void f() { std::atomic_thread_fence(std::memory_order_acquire); }\n"),
}

if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        tree.self_test(check, SOUND, BAD)
    else:
        tree.report(check(sys.argv[1]), "style")
