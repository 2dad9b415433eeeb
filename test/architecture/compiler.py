"""How the scripts of this folder call the compiler of the build."""
import os
import subprocess
import sys

ENVIRONMENT = {**os.environ, "LC_ALL": "C"}
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


def run(command, text=None, fatal=True):
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True, env=ENVIRONMENT)
    if fatal and done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done
