#!/usr/bin/env python3
"""Runs the isolation programme: every test of isolation levels, locks and versions, and prints what each did, gave and took.

usage: programme.py BUILD short|long      by hand: sh test/run.sh --isolation [long]
       programme.py BUILD targets         what must be built before, for ninja
       programme.py --self-test
The long form takes every interleaving, a million list-append transactions a level and a minute of each bank; AEGIS_SECONDS,
AEGIS_ROUNDS, AEGIS_TRANSACTIONS and AEGIS_SEED of the environment go before that. What the programs print, with all of their
figures, is kept in BUILD/programme. The last line says `N passed, N failed`; not 0 when one failed.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
# Suite, its programs, and what its long form adds to the environment. A program belongs to the first suite that names it.
SUITES = [
    ("hermitage", ["isolation/hermitage_*"], {}),
    ("interleavings", ["isolation/interleavings_*"], {"AEGIS_FULL": "1"}),
    ("list append", ["isolation/list_append_*"], {"AEGIS_ROUNDS": "1", "AEGIS_TRANSACTIONS": "1000000"}),
    ("bank", ["isolation/bank_*"], {"AEGIS_SECONDS": "60"}),
    ("schedules", ["*/deterministic_*"], {}),
    ("levels", ["isolation/*", "txn/commit", "txn/commit_steps", "txn/savepoint"], {}),
    ("locks", ["lock/*"], {}),
    ("versions", ["version/*"], {}),
]
WATCHDOG_SECONDS = {"short": 900, "long": None}  # for what hangs
# How programs tell what they did, in the words of their figures; each number that is found is added up.
FIGURES = [
    ("interleavings", re.compile(r"^\S.{39} +(\d+)(?: +\d+){2,}", re.M)),
    ("transactions", re.compile(r"transactions that committed (\d+)")),
    ("transactions", re.compile(r"transactions that committed \d+, that failed or were given up (\d+)")),
    ("transactions", re.compile(r"\btransactions (\d+), given up")),
    ("transfers", re.compile(r"\btransfers (\d+), given up|after (\d+) transfers")),
    ("rows", re.compile(r"(\d+) rows, \d+ runs")),
    ("runs", re.compile(r"\d+ rows, (\d+) runs")),
    ("schedules", re.compile(r"\b(\d+) schedules\b")),
    ("commits", re.compile(r"(\d+) commits, \d+ conflicts")),
]


def programs():
    """[(suite, name, environment of the long form)]"""
    found, seen = [], set()
    for suite, patterns, environment in SUITES:
        for name in sorted({path.relative_to(TESTS).with_suffix("").as_posix() for pattern in patterns for path in TESTS.glob(pattern + ".cpp")} - seen):
            seen.add(name)
            found.append((suite, name, environment))
    return found


def target(name):
    return "test/test_" + re.sub(r"\W", "_", name)


def cases(text):
    """What a program did, by its own figures, and its checks by doctest's."""
    done = {}
    for what, pattern in FIGURES:
        for found in pattern.findall(text):
            done[what] = done.get(what, 0) + int("".join(found))
    tests = re.search(r"test cases:\s+(\d+) .*\n.*assertions:\s+(\d+) ", text)
    if tests:
        done["tests"], done["checks"] = int(tests.group(1)), int(tests.group(2))
    return done


def run(command, environment, limit, output):
    """(result, seconds, cases)"""
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment, timeout=limit, check=False)
        text, result = done.stdout, "passed" if done.returncode == 0 else f"FAILED ({done.returncode})"
    except subprocess.TimeoutExpired as late:
        said = late.stdout or ""
        text, result = said if isinstance(said, str) else said.decode(errors="replace"), "FAILED (hangs)"
    except OSError as error:
        text, result = str(error), "FAILED (not built)"
    output.write_text(" ".join(command) + "\n" + text, encoding="utf-8")
    found = cases(text)
    if result == "passed" and not found.get("checks"):
        result = "FAILED (nothing checked)"
    return result, time.monotonic() - start, found


def table(build, form):
    folder = build / "programme"
    folder.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    total = time.monotonic()
    print(f"{'suite':14} {'program':42} {'result':20} {'seconds':>8}  cases", flush=True)
    for suite, name, longer in programs():
        output = folder / (name.replace("/", "_") + ".txt")
        environment = {**(longer if form == "long" else {}), **os.environ}
        result, seconds, found = run([str(build / target(name))], environment, WATCHDOG_SECONDS[form], output)
        shown = ", ".join(f"{number:,} {what}" for what, number in found.items())
        print(f"{suite:14} {name:42} {result:20} {seconds:8.1f}  {shown}", flush=True)
        if result == "passed":
            passed += 1
        else:
            failed += 1
            print(f"{'':14} its output: {output}")
    print(f"isolation programme, {form} form, {time.monotonic() - total:.0f} s; all figures: {folder}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def self_test():
    wrong = []
    row = f"{'write skew':40} " + " ".join(f"{n:9}" for n in (2520, 1, 0, 7))
    said = f"suite (engine/model)    runs\n{row}\n{row}  3 other than in the model\n" \
           "x.hpp:1: MESSAGE: transactions that committed 5, that failed or were given up 2\n" \
           "[doctest] test cases:  3 |  3 passed | 0 failed | 0 skipped\n[doctest] assertions: 12 | 12 passed | 0 failed |\n"
    if cases(said) != {"interleavings": 5040, "transactions": 7, "tests": 3, "checks": 12}:
        wrong.append(f"figures are misread: {cases(said)}")
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "output.txt"
        for command, expected in ((["sh", "-c", "exit 1"], "FAILED (1)"), (["sh", "-c", "exit 0"], "FAILED (nothing checked)"), ([folder + "/none"], "FAILED (not built)"),
                                  (["printf", "%s", said], "passed")):
            result = run(command, dict(os.environ), 60, output)[0]
            if result != expected:
                wrong.append(f"{command}: {result} instead of {expected}")
    names = [name for _, name, _ in programs()]
    wrong += [f"{suite}: no program" for suite, _, _ in SUITES if not any(of == suite for of, _, _ in programs())]
    print("\n".join(wrong) or f"{len(names)} programs; failures, programs that check nothing and programs that are missing are told")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 3 or sys.argv[2] not in ("short", "long", "targets"):
        print(__doc__, file=sys.stderr)
        return 2
    build, form = pathlib.Path(sys.argv[1]), sys.argv[2]
    if form == "targets":
        print(" ".join(target(name) for _, name, _ in programs()))
        return 0
    return table(build, form)


if __name__ == "__main__":
    sys.exit(main())
