#!/usr/bin/env python3
"""Runs a programme of the tests, of isolation or of durability, and prints what each did, gave and took.

usage: programme.py BUILD short|long [isolation|durability [SUITE...]]   by hand: sh test/run.sh --isolation [long], --durability [long]
       programme.py BUILD targets [isolation|durability]                 what must be built before, for ninja
       programme.py BUILD told [isolation|durability]                    the table of what the last sh test/run.sh did of it
       programme.py --self-test
Isolation: every test of isolation levels, locks and versions. The long form takes every interleaving, a million list-append
transactions a level and a minute of each bank.
Durability: power cuts, killed processes, file systems shut down, failing calls, damaged bytes, failing allocations, backups,
hostile directories, and planted bugs that each of them must find. The long form takes 150,000 recoveries, 2,000 kills, every
call and every bit, that one under AddressSanitizer and UndefinedBehaviorSanitizer, and all planted bugs; the short one five of
them, other ones every day. Without the rest:  programme.py build long durability damage
AEGIS_SECONDS, AEGIS_ROUNDS, AEGIS_TRANSACTIONS, AEGIS_RECOVERIES and AEGIS_SEED of the environment go before that. What the
programs print, with all of their figures, is kept in BUILD/programme. The last line says `N passed, N failed`; not 0 when one
failed. What cannot be run on this machine is told, with its reason, and counts as neither.
"""
import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
# Suite, its programs, and what its long form adds to the environment. A program belongs to the first suite that names it.
ISOLATION = [
    ("hermitage", ["isolation/hermitage_*"], {}),
    ("interleavings", ["isolation/interleavings_*"], {"AEGIS_FULL": "1"}),
    ("list append", ["isolation/list_append_*"], {"AEGIS_ROUNDS": "1", "AEGIS_TRANSACTIONS": "1000000"}),
    ("bank", ["isolation/bank_*"], {"AEGIS_SECONDS": "60"}),
    ("schedules", ["*/deterministic_*"], {}),
    ("levels", ["isolation/*", "txn/commit", "txn/commit_steps", "txn/savepoint"], {}),
    ("locks", ["lock/*"], {}),
    ("versions", ["version/*"], {}),
]
DURABILITY = [
    ("power cuts", ["engine/power_cut"], {"AEGIS_RECOVERIES": "150000", "AEGIS_SECONDS": "20"}),
    ("crashes", ["engine/open_syncs", "engine/real_syncs", "engine/crash", "engine/model", "engine/model_async"], {"AEGIS_SECONDS": "60"}),
    ("kills", ["engine/kill_cycles", "engine/recovery", "engine/redo*"], {"AEGIS_ROUNDS": "60"}),
    ("file systems", ["engine/file_system_shutdown"], {"AEGIS_ROUNDS": "200"}),
    ("failing calls", ["engine/failing_calls", "engine/closing"], {"AEGIS_SECONDS": "1"}),
    ("backup", ["engine/backup", "engine/backup_crash"], {}),
    ("damage", ["engine/bit_flips", "engine/opening", "engine/salvage", "backend/extent", "wal/scan"], {"AEGIS_ROUNDS": "1"}),
    ("fuzz replay", ["engine/fuzz_replay*"], {"AEGIS_ROUNDS": "100"}),
    ("memory", ["engine/allocation_failures", "engine/memory_bound", "engine/allocations"], {"AEGIS_FULL": "1"}),
    ("directory", ["engine/directory", "engine/opening_layout", "backend/local", "file/*"], {}),
    ("full disk", ["engine/full_disk", "engine/checkpoint", "engine/space"], {}),
    ("log", ["log/*", "wal/*"], {}),
    ("pages", ["engine/verify", "engine/limits", "block/*", "page/*", "codec/*", "backend/extent_read_ahead", "buffer/write_back", "tree/verify"], {}),
    ("disk", ["testing/*"], {}),  # the simulated disk itself
]
PROGRAMMES = {"isolation": ISOLATION, "durability": DURABILITY}
PLANTED_BUGS = "durability*"  # tables of mutants/ that belong to the durability programme
FEW_BUGS = 5
# Built anew by the long form: with sanitizers, or for speed.
SANITIZED = {"engine/bit_flips"}
OPTIMIZED = {"engine/power_cut", "engine/failing_calls", "engine/kill_cycles"}
SANITIZERS = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SANITIZER_OPTIONS = {"ASAN_OPTIONS": "halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
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
    ("crash states", re.compile(r"(\d+) crash states|(\d+) cuts: \d+ copies")),
    ("recoveries", re.compile(r"(\d+) recoveries[ ,]")),
    ("recoveries cut again", re.compile(r"recoveries, (\d+) of them cut, at")),
    ("generations", re.compile(r"(\d+) generations, \d+ of them ended by a planned cut")),
    ("kills", re.compile(r"lives, (\d+) kills")),
    ("simulated kills", re.compile(r"(\d+) killed processes,")),
    ("kills in recovery", re.compile(r"kills \((\d+) in recovery")),
    ("shutdowns", re.compile(r": (\d+) shutdowns \(")),
    ("faults", re.compile(r"(\d+) runs with a fault|(\d+) failed syncs|(\d+) backups with a fault")),
    ("damaged opens", re.compile(r"bytes written: (\d+) opens")),
    ("copies", re.compile(r"(\d+) copies, \d+ transfers beside them")),
    ("fuzz executions", re.compile(r"(?:(\d+) seeds|seeds) and (\d+) mutations")),
    ("allocation failures", re.compile(r"allocations, (\d+) failures tried")),
    ("planted bugs found", re.compile(r"(\d+) of \d+ mutants killed|passed +[\d.]+ +(\d+) planted bugs found")),
    ("planted bugs skipped", re.compile(r"mutants killed, ([1-9]\d*) skipped")),
]


def programs(programme):
    """[(suite, name, environment of the long form)]"""
    found, seen = [], set()
    for suite, patterns, environment in PROGRAMMES[programme]:
        for name in sorted({path.relative_to(TESTS).with_suffix("").as_posix() for pattern in patterns for path in TESTS.glob(pattern + ".cpp")} - seen):
            seen.add(name)
            found.append((suite, name, environment))
    return found


def planted_bugs(form):
    """The command that plants them; None where there is none."""
    script = TESTS / "mutants" / "mutants.py"
    names = [line.split()[1] for path in sorted((TESTS / "mutants").glob(PLANTED_BUGS + ".txt")) for line in path.read_text(encoding="utf-8").splitlines()
             if line.startswith("mutant ")]
    if not names:
        return None
    today = int(time.time() // 86400) * FEW_BUGS
    chosen = [PLANTED_BUGS] if form == "long" else sorted({names[(today + i) % len(names)] for i in range(FEW_BUGS)})
    return [sys.executable, str(script), str(TESTS.parent), "--jobs", str(os.cpu_count() or 1), *(word for name in chosen for word in ("--only", name))]


def built(name, folder, arguments):
    """The program, built by clang where it is installed (its sanitizers are the quicker ones); where the compiler's words are otherwise."""
    compiler = next((found for found in ("clang++-19", "clang++") if shutil.which(found)), os.environ.get("CXX", "g++"))
    program = folder / name.replace("/", "_")
    command = [*shlex.split(compiler), "-std=c++20", *arguments, "-w", "-I", str(TESTS.parent / "include"), "-I", str(TESTS), str(TESTS / (name + ".cpp")), str(TESTS / "main.cpp"),
               "-o", str(program), "-pthread"]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return (program, None) if made.returncode == 0 else (None, made.stdout)


def target(name):
    return "test/test_" + re.sub(r"\W", "_", name)


def cases(text):
    """What a program did, by its own figures, and its checks by doctest's."""
    done = {}
    for what, pattern in FIGURES:
        for found in pattern.findall(text):
            done[what] = done.get(what, 0) + sum(int(number) for number in ([found] if isinstance(found, str) else found) if number)
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
    if result == "passed" and not found.get("checks") and not found.get("planted bugs found"):
        reason = re.search(r"MESSAGE: skipped: (.+)", text)
        result = f"skipped: {reason.group(1)}" if reason else "FAILED (nothing checked)"
    return result, time.monotonic() - start, found


def told(build, programme):
    """The table, from what the last `meson test` in the build directory noted."""
    tests = {}
    for line in (build / "meson-logs" / "testlog.json").read_text(encoding="utf-8").splitlines():
        test = json.loads(line)
        tests[test["name"].split(" / ")[-1]] = test
    sums, started, ended = {}, None, 0.0
    print(HEADING)
    for suite, name, _ in [*programs(programme), *([("planted bugs", "planted_bugs", {})] if programme == "durability" else [])]:
        test = tests.get(name)
        if test is None:
            continue
        found = cases(test.get("stdout") or "")
        result = {"OK": "passed", "SKIP": "skipped"}.get(test["result"], f"FAILED ({test['result']})")
        print(row(suite, name, result, test["duration"], found))
        add(sums, found)
        started = test["starttime"] if started is None else min(started, test["starttime"])
        ended = max(ended, test["starttime"] + test["duration"])
    print("all together: " + shown(sums))
    print(f"{programme} programme, within all other tests, {ended - (started or ended):.0f} s")
    return 0


HEADING = f"{'suite':14} {'program':42} {'result':20} {'seconds':>8}  cases"


def shown(found):
    return ", ".join(f"{number:,} {what}" for what, number in found.items())


def row(suite, name, result, seconds, found):
    return f"{suite:14} {name:42} {result:20} {seconds:8.1f}  {shown(found)}"


def add(sums, found):
    for what, number in found.items():
        sums[what] = sums.get(what, 0) + number


def table(build, form, programme, suites=()):
    folder = build / "programme"
    folder.mkdir(parents=True, exist_ok=True)
    passed = failed = skipped = 0
    total, sums = time.monotonic(), {}
    jobs = [(suite, name, [str(build / target(name))], longer) for suite, name, longer in programs(programme) if not suites or suite in suites]
    bugs = planted_bugs(form) if programme == "durability" else None
    if bugs and (not suites or "planted bugs" in suites):
        jobs.append(("planted bugs", "mutants/mutants", bugs, {}))
    print(HEADING, flush=True)
    for suite, name, command, longer in jobs:
        output = folder / (name.replace("/", "_") + ".txt")
        environment = {**(longer if form == "long" else {}), **os.environ}
        if form == "long" and name in SANITIZED | OPTIMIZED:
            program, words = built(name, folder, SANITIZERS if name in SANITIZED else ["-O1"])
            command, environment = ([str(program)] if program else ["sh", "-c", 'echo "$1"; exit 1', "_", words]), {**SANITIZER_OPTIONS, **environment}
            suite += " (asan)" if name in SANITIZED else ""
        result, seconds, found = run(command, environment, WATCHDOG_SECONDS[form], output)
        print(row(suite, name, result, seconds, found), flush=True)
        add(sums, found)
        if result == "passed":
            passed += 1
        elif result.startswith("skipped"):
            skipped += 1
        else:
            failed += 1
            print(f"{'':14} its output: {output}")
    print("all together: " + shown(sums))
    print(f"{programme} programme, {form} form, {time.monotonic() - total:.0f} s{f', {skipped} skipped' if skipped else ''}; all figures: {folder}")
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
    durable = "bits flipped: a closed store of 9 bytes, 8 bytes written: 7 opens: 7 right\nx.cpp:1: MESSAGE: bank: 318 crash states from seed 1 to 1, 962 recoveries, 31 of them cut, at 393 calls, 33 after a kill, 3.5 a second\n" \
              "x.cpp:2: MESSAGE: sync: 4 chains from seed 1, 80 lives, 60 kills (25 in recovery, 4 in a checkpoint), 20 closed, 52 recoveries of 3 transactions, 9 commits\n" \
              "x.cpp:3: MESSAGE: direct: 70 runs with a fault\nx.cpp:4: MESSAGE: 5 failed syncs\n40 of 42 mutants killed, 2 skipped, by 9 test programs, in 3 s\n"
    if cases(durable) != {"crash states": 318, "recoveries": 1014, "recoveries cut again": 31, "kills": 60, "kills in recovery": 25, "faults": 75, "planted bugs found": 40,
                          "planted bugs skipped": 2, "damaged opens": 7}:
        wrong.append(f"figures are misread: {cases(durable)}")
    with tempfile.TemporaryDirectory() as folder:
        result = run(["echo", "x.cpp:1: MESSAGE: skipped: not root"], dict(os.environ), 60, pathlib.Path(folder) / "output.txt")[0]
        if result != "skipped: not root":
            wrong.append(f"a program that could not run: {result}")
    count = 0
    for programme, suites in PROGRAMMES.items():
        found = programs(programme)
        count += len(found)
        wrong += [f"{suite}: no program" for suite, _, _ in suites if not any(of == suite for of, _, _ in found)]
    durability = {name for _, name, _ in programs("durability")}
    killers = {line.split()[1] for path in sorted((TESTS / "mutants").glob(PLANTED_BUGS + ".txt")) for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("killer ")}
    wrong += [f"{name}: finds planted bugs and is not in the programme" for name in sorted(killers - durability)]
    with tempfile.TemporaryDirectory() as folder:
        logs = pathlib.Path(folder) / "meson-logs"
        logs.mkdir()
        test = {"name": "p:engine / engine/power_cut", "result": "OK", "duration": 1.5, "starttime": 5.0, "stdout": durable}
        (logs / "testlog.json").write_text(json.dumps(test) + "\n", encoding="utf-8")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            told(pathlib.Path(folder), "durability")
        if not all(words in output.getvalue() for words in ("power cuts     engine/power_cut", "1,014 recoveries", "within all other tests, 2 s")):
            wrong.append("a run that is told of afterwards: " + output.getvalue())
    wrong += [f"{name}: no program" for name in sorted(SANITIZED | OPTIMIZED) if not (TESTS / (name + ".cpp")).is_file()]
    print("\n".join(wrong) or f"{count} programs; failures, programs that check nothing, that are missing and that cannot run here are told")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    programme = sys.argv[3] if len(sys.argv) > 3 else "isolation"
    suites = sys.argv[4:]
    if len(sys.argv) < 3 or sys.argv[2] not in ("short", "long", "targets", "told") or programme not in PROGRAMMES or \
            not set(suites) <= {*(suite for suite, _, _ in PROGRAMMES[programme]), "planted bugs"}:
        print(__doc__, file=sys.stderr)
        return 2
    build, form = pathlib.Path(sys.argv[1]), sys.argv[2]
    if form == "targets":
        print(" ".join(target(name) for _, name, _ in programs(programme)))
        return 0
    if form == "told":
        return told(build, programme)
    return table(build, form, programme, suites)


if __name__ == "__main__":
    sys.exit(main())
