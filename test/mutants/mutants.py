#!/usr/bin/env python3
"""Plants one bug after the other in a copy of the library and expects a named test to catch each; prints who caught which.

usage: mutants.py [ROOT] [--only PATTERN]... [--jobs N] [--list | --check | --self-test]
  --only PATTERN  mutants whose name, or whose table's name, matches (as file names do); may be repeated
  --jobs N        so many at a time; half of the processors unless told
  --list          what each mutant breaks and who must notice, nothing is run
  --check         every mutant can still be planted and its test is still there, nothing is compiled
  --self-test     a mutant that changes nothing must survive, a stale one must be told from one that is caught
CXX names the compiler (clang++-19 where it is installed, which is the quicker one, else g++). The tables are the *.txt files beside this script:
  mutant NAME, breaks SENTENCE, file HEADER (below include/aegis/storage), killer FOLDER/PROGRAM, only WORDS OF THE TEST'S
  NAME, env NAME=VALUE..., hangs yes (the only way it shows is that the test does not end); then, once or more,
  the text to replace, which stands exactly once in the file, between `--- old` and `--- new`, and what replaces it, up to `--- end`.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import discover  # noqa: E402

LIBRARIES = {"lz4": "-llz4", "snappy": "-lsnappy", "zstd": "-lzstd"}
HEADERS = pathlib.Path("include/aegis/storage")
# What nearly every test includes, compiled once.
PREAMBLE = ["doctest/doctest.h", *"algorithm array atomic chrono condition_variable cstdint cstdio cstdlib cstring deque functional map memory mutex new optional random set span "
            "string string_view thread utility vector".split()]
WATCHDOG_SECONDS = 600  # catches what hangs; no test is judged by its speed
KILLED, SURVIVED, STALE, BROKEN, HUNG, SKIPPED = "killed", "SURVIVED", "stale", "not compiled", "hung", "skipped"


@dataclass
class Mutant:
    name: str
    table: str = ""
    breaks: str = ""
    file: str = ""
    killer: str = ""
    only: str = ""
    env: dict = field(default_factory=dict)
    hangs: bool = False
    changes: list = field(default_factory=list)  # (old, new)

    @property
    def filter(self):
        """As doctest wants it: a comma would end the name."""
        return "*" + re.sub(r"[,\\]", "?", self.only) + "*" if self.only else "*"


@dataclass
class Verdict:
    what: str
    said: str = ""  # the test that failed, or why there is no better verdict
    seconds: float = 0.0


def parse(path):
    mutants, into = [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line in ("--- old", "--- new", "--- end"):
            if line == "--- old":
                mutants[-1].changes.append(([], []))
            into = {"--- old": 0, "--- new": 1, "--- end": None}[line]
        elif into is not None:
            mutants[-1].changes[-1][into].append(line)
        elif line.strip() and not line.startswith("#"):
            key, _, value = line.partition(" ")
            value = value.strip()
            if key == "mutant":
                mutants.append(Mutant(value, table=path.stem))
            elif key == "env":
                mutants[-1].env.update(pair.split("=", 1) for pair in value.split())
            elif key == "hangs":
                mutants[-1].hangs = value == "yes"
            elif key in ("breaks", "file", "killer", "only"):
                setattr(mutants[-1], key, value)
            else:
                sys.exit(f"{path.name}:{number}: `{key}` is no word of a mutant")
    for mutant in mutants:
        mutant.changes = [("\n".join(old), "\n".join(new)) for old, new in mutant.changes]
    return mutants


def load(patterns):
    mutants = [mutant for path in sorted(HERE.glob("*.txt")) for mutant in parse(path)]
    names = [mutant.name for mutant in mutants]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit(f"two mutants of one name: {', '.join(sorted(twice))}")
    wanted = [m for m in mutants if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns for n in (m.name, m.table))]
    if not wanted:
        sys.exit("no mutant of that name")
    return wanted


def planted(root, mutant):
    """(the file's text with the bug in it, None), or (None, why it cannot be planted)."""
    path = root / HEADERS / mutant.file
    if not path.is_file():
        return None, f"no file {mutant.file}"
    text = path.read_text(encoding="utf-8")
    for old, new in mutant.changes:
        if text.count(old) != 1 or old == new:
            return None, f"its text stands {text.count(old)} times in {mutant.file}"
        text = text.replace(old, new)
    return (text, None) if mutant.changes else (None, "it changes nothing")


def stale(root, mutant):
    """Why the mutant is not of this tree any more, or None."""
    _, why = planted(root, mutant)
    if why:
        return why
    killer = root / "test" / (mutant.killer + ".cpp")
    if not killer.is_file():
        return f"no test {mutant.killer}"
    if mutant.only and mutant.only not in killer.read_text(encoding="utf-8"):
        return f"no such test in {mutant.killer}: {mutant.only}"
    return None


class Workshop:
    """A copy of the library and its tests; mutated headers stand before it in the search path."""

    def __init__(self, root, folder):
        self.folder = folder
        self.compiler = [*shlex.split(os.environ.get("CXX") or ("clang++-19" if shutil.which("clang++-19") else "g++")), "-std=c++20", "-O0", "-w"]
        for part in ("include", "test"):
            shutil.copytree(root / part, folder / part)
        self.main = folder / "main.o"
        made = self.run([*self.compiler, "-c", str(folder / "test/main.cpp"), "-o", str(self.main)])
        if made.returncode != 0:
            sys.exit(f"test/main.cpp was not compiled:\n{made.stdout}")
        self.preamble = folder / "preamble.hpp"  # used in its compiled form by both compilers, by the name of that
        self.preamble.write_text("".join(f"#include <{name}>\n" for name in PREAMBLE), encoding="utf-8")
        made = self.run([*self.compiler, "-x", "c++-header", str(self.preamble), "-o", str(self.preamble) + ".gch"])
        if made.returncode != 0:
            sys.exit(f"what tests include was not compiled:\n{made.stdout}")

    @staticmethod
    def run(command, env=None, limit=None):
        """Ends what it started, children included, at the limit; returncode is then None."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env={**os.environ, **(env or {})},
                                   start_new_session=True)
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            return subprocess.CompletedProcess(command, None, said)
        return subprocess.CompletedProcess(command, process.returncode, said)

    def compile(self, killer, mutated=None):
        """The program, or the compiler's words."""
        place = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        search = []
        if mutated:
            name, text = mutated
            path = place / HEADERS / name
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            search = ["-I", str(place / "include")]
        source, program = self.folder / "test" / (killer + ".cpp"), place / "killer"
        libraries = [LIBRARIES[name] for name in sorted(discover.libraries(source, self.folder / "test", set()))]
        done = self.run([*self.compiler, "-include", str(self.preamble), *search, "-I", str(self.folder / "include"), "-I", str(self.folder / "test"), "-c", str(source),
                         "-o", str(program) + ".o"])
        if done.returncode == 0:
            done = self.run([*self.compiler, str(program) + ".o", str(self.main), "-o", str(program), *libraries, "-pthread"])
        return (program, None) if done.returncode == 0 else (None, done.stdout)

    def judge(self, program, mutant):
        done = self.run([str(program), f"--test-case={mutant.filter}", "--no-colors", "--abort-after=1"], mutant.env, WATCHDOG_SECONDS)
        if done.returncode is None:
            return Verdict(KILLED if mutant.hangs else HUNG, "it does not end")
        if skipped := re.search(r"MESSAGE: skipped: (.+)$", done.stdout, re.M) if done.returncode == 0 else None:
            return Verdict(SKIPPED, skipped.group(1))  # the machine cannot run the killer, which says why
        if done.returncode == 0:
            return Verdict(SURVIVED, "no test ran" if re.search(r"test cases:\s+0 ", done.stdout) else "")
        named = re.search(r"^TEST CASE:\s+(.+)$", done.stdout, re.M)
        return Verdict(KILLED, named.group(1)) if named else Verdict(SURVIVED, f"exit code {done.returncode} outside of any test")

    def is_sound(self, killers):
        """Every killer must pass without a mutant, else its failure means nothing. Returns what is wrong with whom."""
        wrong = {}
        program, words = self.compile(killers[0].killer)
        for each in killers:
            verdict = self.judge(program, each) if program else Verdict(BROKEN, first_error(words))
            if verdict.what != SKIPPED and (verdict.what != SURVIVED or verdict.said):
                wrong[each.name] = f"{each.killer} fails without the mutant: {verdict.what}, {verdict.said}"
        if program:
            shutil.rmtree(program.parent)
        return wrong

    def unsound(self, ways):
        """The same of all mutants that ask the same of one killer: {name: what is wrong}."""
        wrong = self.is_sound([same[0] for same in ways.values()])
        return {m.name: wrong[same[0].name] for same in ways.values() for m in same if same[0].name in wrong}

    def verdict(self, mutant, sound):
        unsound = sound.result() if sound else {}
        start = time.monotonic()
        if why := stale(self.folder, mutant):
            return Verdict(STALE, why)
        if mutant.name in unsound:
            return Verdict(STALE, unsound[mutant.name])
        program, words = self.compile(mutant.killer, (mutant.file, planted(self.folder, mutant)[0]))
        found = self.judge(program, mutant) if program else Verdict(BROKEN, first_error(words))
        if program:
            shutil.rmtree(program.parent)
        found.seconds = time.monotonic() - start
        return found


def first_error(words):
    return next((line for line in words.splitlines() if "error" in line), words[:200])


def run(root, mutants, jobs, show=True):
    """{name: verdict}, printed as they come."""
    width = max(len(m.name) for m in mutants)
    with tempfile.TemporaryDirectory(prefix="aegis-mutants-") as folder, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        shop = Workshop(root, pathlib.Path(folder))
        by_killer = {}
        for mutant in mutants:
            if stale(shop.folder, mutant) is None:
                by_killer.setdefault(mutant.killer, {}).setdefault((mutant.filter, tuple(mutant.env.items())), []).append(mutant)
        if show:
            print(f"{'mutant':{width}}  {'verdict':12} {'seconds':>7}  killer: test", flush=True)
        waiting = {}
        for killer, ways in by_killer.items():  # one killer after the other; what waits for its soundness stands behind it in the queue
            sound = pool.submit(shop.unsound, ways)
            waiting.update({pool.submit(shop.verdict, m, sound): m for same in ways.values() for m in same})
        waiting.update({pool.submit(shop.verdict, m, None): m for m in mutants if m not in waiting.values()})
        verdicts = {}
        for done in concurrent.futures.as_completed(waiting):
            mutant, found = waiting[done], done.result()
            verdicts[mutant.name] = found
            if show:
                print(f"{mutant.name:{width}}  {found.what:12} {found.seconds:7.1f}  {mutant.killer}: {found.said}", flush=True)
        return verdicts


def self_test(root):
    """lock_mode is quick to compile; what is done to it is known to be noticed, or not."""
    old = "return (compatible_set(requested) & bit_of(granted)) != 0;"

    def made(name, *changes, **other):
        return Mutant(name, file="lock/lock_mode.hpp", killer=other.pop("killer", "lock/lock_mode"), changes=list(changes), **other)

    expected = {
        KILLED: made("caught", (old, "return requested == granted || (compatible_set(requested) & bit_of(granted)) != 0;")),
        SURVIVED: made("harmless", (old, old + " /* the same */")),
        BROKEN: made("no C++", (old, "return nonsense;")),
        HUNG: made("endless", ("  constexpr std::array<std::uint8_t, lock_mode_count> sets{", "  while (!std::is_constant_evaluated()) {}\n"
                                                                                               "  constexpr std::array<std::uint8_t, lock_mode_count> sets{")),
    }
    stale_ones = [made("gone", ("text that is not there", "")), made("ambiguous", ("static", "")), made("no killer", (old, "return true;"), killer="lock/none"),
                  made("no test", (old, "return true;"), only="a test of another name")]
    global WATCHDOG_SECONDS
    WATCHDOG_SECONDS = 5
    verdicts = run(root, [*expected.values(), *stale_ones], 1, show=False)
    wrong = [f"{mutant.name}: {verdicts[mutant.name].what} instead of {what}" for what, mutant in expected.items() if verdicts[mutant.name].what != what]
    wrong += [f"{mutant.name}: {verdicts[mutant.name].what} instead of {STALE}" for mutant in stale_ones if verdicts[mutant.name].what != STALE]
    if not verdicts["caught"].said:
        wrong.append("caught: the test that caught it is not named")
    print("\n".join(wrong) or "a mutant that is caught, a harmless one, one that hangs, one that is no C++ and four that are stale are told apart")
    return 1 if wrong else 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("root", nargs="?", type=pathlib.Path, default=HERE.parents[1])
    arguments.add_argument("--only", action="append")
    arguments.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    for mode in ("--list", "--check", "--self-test"):
        arguments.add_argument(mode, action="store_true")
    given = arguments.parse_args()
    root = given.root.resolve()
    if given.self_test:
        return self_test(root)
    mutants = load(given.only)
    if given.list:
        for m in mutants:
            print(f"{m.name}: {m.breaks}\n    {m.file}, to be noticed by {m.killer}{': ' + m.only if m.only else ''}")
        return 0
    if given.check:
        wrong = [f"{m.table}.txt: {m.name} is stale: {why}" for m in mutants if (why := stale(root, m))]
        wrong += [f"{m.table}.txt: {m.name} does not say what it breaks" for m in mutants if not m.breaks]
        print("\n".join([*wrong, f"{len(mutants)} mutants, {len(wrong)} that cannot be planted"]))
        return 1 if wrong else 0
    start = time.monotonic()
    verdicts = run(root, mutants, given.jobs)
    killed = sum(found.what == KILLED for found in verdicts.values())
    skipped = sum(found.what == SKIPPED for found in verdicts.values())
    print(f"{killed} of {len(mutants)} mutants killed, {skipped} skipped, by {len({m.killer for m in mutants})} test programs, in {time.monotonic() - start:.0f} s")
    return 0 if killed + skipped == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
