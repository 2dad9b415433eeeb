#!/usr/bin/env python3
"""README.md says what is so: its first program is examples/quick_start.cpp to the letter, every path it names exists,
and every folder of the headers has a place in it.

usage: readme.py ROOT | --self-test
"""
import pathlib
import re
import sys

import tree

BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.M | re.S)
PATH = re.compile(r"`((?:include|examples|test|subprojects|\.packaging|\.ci)/[\w./-]*)`")


def check(root):
    root = pathlib.Path(root)
    readme = (root / "README.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(readme)
    findings = []
    if not blocks or blocks[0] != (root / "examples/quick_start.cpp").read_text(encoding="utf-8"):
        findings.append("README.md: the first ```cpp block is not examples/quick_start.cpp")
    elif readme[: readme.index("```cpp")].count("\n") > 25:
        findings.append("README.md: the first program begins below the first screen (line 25)")
    findings += [f"README.md: names {name}, which does not exist" for name in sorted(set(PATH.findall(readme))) if not (root / name).exists()]
    for folder in sorted(path.name for path in (root / "include/aegis/storage").iterdir() if path.is_dir()):
        if f"{folder}/" not in readme:
            findings.append(f"README.md: does not mention {folder}/")
    return findings


QUICK = "int main() {}\n"
SOUND = {"README.md": f"# It\n```cpp\n{QUICK}```\nsee `examples/quick_start.cpp`, core/\n", "examples/quick_start.cpp": QUICK, "include/aegis/storage/core/ids.hpp": ""}
BAD = {
    "another program": ("README.md", "# It\n```cpp\nint main() { }\n```\ncore/\n"),
    "no program": ("README.md", "# It\ncore/\n"),
    "a late program": ("README.md", "\n" * 40 + SOUND["README.md"]),
    "a path that is gone": ("README.md", SOUND["README.md"] + "`test/gone.cpp`\n"),
    "a folder not told": ("include/aegis/storage/page/page.hpp", ""),
}

if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        tree.self_test(check, SOUND, BAD)
    else:
        tree.report(check(sys.argv[1]), "README.md")
