#!/usr/bin/env python3
"""Passes when the compiler refuses a file, and its first error says what the file promises.

    // expect: what the first error line must contain; ` | ` between alternatives where compilers speak differently
    // names: what the whole message must contain besides, as the expression that is missing (optional, may be repeated)

The file must compile when MISTAKE is not defined, so that nothing but the mistake is refused.
usage: reject.py SOURCE INCLUDE_DIRECTORY COMPILER...
"""
import os
import pathlib
import re
import subprocess
import sys


def main():
    source, include, *compiler = sys.argv[1:]
    text = pathlib.Path(source).read_text(encoding="utf-8")
    expected = re.search(r"^// expect: (.+)$", text, re.M).group(1)
    named = re.findall(r"^// names: (.+)$", text, re.M)
    command = [*compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror=unused-result", f"-I{include}", source]

    def compile_it(*more):
        return subprocess.run([*command, *more], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})

    sound = compile_it()
    if sound.returncode != 0:
        sys.exit(f"it does not compile even without the mistake:\n{sound.stderr}")
    refused = compile_it("-DMISTAKE")
    errors = [line for line in refused.stderr.splitlines() if "error:" in line]
    if refused.returncode == 0 or not errors or not any(sentence in errors[0] for sentence in expected.split(" | ")):
        sys.exit(f"wanted a refusal that says '{expected}' first, got:\n{refused.stderr or 'a clean compile'}")
    for name in named:
        if name not in refused.stderr:
            sys.exit(f"wanted a refusal that names '{name}', got:\n{refused.stderr}")
    print(errors[0])


if __name__ == "__main__":
    main()
