#!/usr/bin/env python3
"""Says what the last `meson test` in each build directory gave, failures with the path of their output.

usage: summary.py [--total] BUILD...     --total prints the one line `N passed, N failed` over all; not 0 when one failed.
"""
import json
import pathlib
import sys

GOOD = {"OK", "EXPECTEDFAIL"}
LEFT_OUT = {"SKIP", "IGNORED"}


def results(build):
    log = pathlib.Path(build) / "meson-logs" / "testlog.json"
    if not log.exists():  # nothing ran: the build itself failed, which counts as one failure
        return [{"name": "build", "result": "ERROR", "stdout": "the build failed, see test-output.txt there", "duration": 0}]
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]


def keep_output(build, test):
    folder = pathlib.Path(build) / "meson-logs" / "failed"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (test["name"].split(" / ")[-1].replace("/", "_").replace(" ", "_") + ".txt")
    command = " ".join(map(str, test.get("command") or []))
    path.write_text(f"{command}\n{test.get('stdout') or ''}\n{test.get('stderr') or ''}\n", encoding="utf-8")
    return path


def main():
    total = "--total" in sys.argv
    builds = list(dict.fromkeys(argument for argument in sys.argv[1:] if argument != "--total"))
    passed = failed = skipped = 0
    for build in builds:
        for test in results(build):
            if test["result"] in GOOD:
                passed += 1
            elif test["result"] in LEFT_OUT:
                skipped += 1
                if not total:
                    print(f"left out: {test['name']}: {(test.get('stdout') or '').strip().splitlines()[-1:] or ['']}")
            else:
                failed += 1
                if not total:
                    print(f"FAILED: {test['name']} ({test['result']} after {test['duration']:.1f} s), output in {keep_output(build, test)}")
    if passed + failed == 0:
        failed = 1
        print("no test ran")
    left_out = f" ({skipped} left out, see above)" if skipped and not total else ""
    print(f"{passed} passed, {failed} failed{left_out}" if total else f"{' '.join(builds)}: {passed} passed, {failed} failed{left_out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
