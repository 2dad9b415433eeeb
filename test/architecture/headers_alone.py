#!/usr/bin/env python3
"""Each public header compiles alone, and included twice, with every warning an error, without exceptions and RTTI.

What a header of a codec needs is left out, and said so, where its library is missing.
usage: headers_alone.py ROOT COMPILER...
"""
import concurrent.futures
import os
import pathlib
import sys

import compiler
import floors
import tree


def main():
    root, *cxx = sys.argv[1:]
    template = (pathlib.Path(root) / "test" / "header_alone.cpp.in").read_text(encoding="utf-8")
    command = [*cxx, "-std=c++20", "-fsyntax-only", "-fno-exceptions", "-fno-rtti", *compiler.WARNINGS, f"-I{root}/include", "-x", "c++", "-"]

    def compile_alone(name):
        done = compiler.run(command, template.replace("@HEADER@", name), fatal=False)
        return name, done.returncode, done.stderr

    def library(name):
        return next((header for header, place in floors.LINKS_A_LIBRARY.items() if name.endswith("/" + place)), None)

    def present(name):
        header = library(name)
        return header is None or compiler.run([*cxx, "-fsyntax-only", "-x", "c++", "-"], f"#include <{header}>\n", fatal=False).returncode == 0

    names = [name for name in tree.headers(root) if present(name)]
    for name in sorted(set(tree.headers(root)) - set(names)):
        print(f"left out, its library is missing: {name}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [f"{name}:\n{said}" for name, code, said in pool.map(compile_alone, names) if code != 0]
    # A check that cannot fail is none: a header that forgets an include is refused by the same command.
    broken = compiler.run(command, "inline std::string forgotten() { return {}; }\n", fatal=False)
    if broken.returncode == 0:
        findings.append("the planted fault was not found")
    tree.report(findings, f"{len(names)} headers alone and twice")


if __name__ == "__main__":
    main()
