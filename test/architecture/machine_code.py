#!/usr/bin/env python3
"""A composed engine has no vtable, no type information, no indirect call and nothing of isolation levels that it does not use.

Compiles composed.cpp optimized and reads what nm and objdump say about it. Before, it plants a virtual call, a function
pointer and engines of the other levels, to see that all of them would have been found.
usage: machine_code.py ROOT COMPILER...      by hand: python3 test/architecture/machine_code.py . g++
"""
import pathlib
import re
import sys
import tempfile

import compiler
import tree

# No jump tables and no tail calls: then every jump and call through a register or through memory is an indirect call.
FLAGS = ["-std=c++20", "-O2", "-fno-exceptions", "-fno-rtti", "-fno-jump-tables", "-fno-optimize-sibling-calls", "-fno-pie", "-fno-stack-protector", "-c"]
SYMBOL = re.compile(r"\b(_ZTV\w+|_ZTI\w+|_ZTS\w+)\b")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INDIRECT = re.compile(r"\b(?:notrack )?(?:call|jmp)q?\s+\*(?P<x86>\S+)|\bblra?[abz]*\s+(?P<arm>x\d+)|\bbr\s+(?P<arm_jump>x\d+)")
RELOCATION = re.compile(r"^\s+[0-9a-f]+:\s+R_\w+")
OTHER_LEVELS = ["IntervalSet", "RecentCommits", "IntervalLockManager", "IntervalSpace"]  # of Serializable, and of TwoPhaseLocking
PLANTED_LEVELS = """
#include <aegis/storage.hpp>
using namespace aegis::storage;
template <class Level>
bool works() {
  auto engine = Engine<MemoryBackend, Level>::open({});
  if (!engine) return false;
  const auto table = engine->table("rows");
  if (!table) return false;
  return static_cast<bool>(engine->transact([&](typename Engine<MemoryBackend, Level>::Transaction& txn) -> Result<void> {
    AEGIS_TRY(const auto value, txn.get(*table, "a"));
    for (auto row = txn.scan(*table); row.valid(); row.next()) AEGIS_TRY(txn.put(*table, "b", row.value()));
    return txn.put(*table, "a", value ? *value : "1");
  }));
}
bool planted_levels() { return works<Serializable>() && works<TwoPhaseLocking>(); }
"""
PLANTED = """
struct Shape { virtual int sides() const; };
int planted_virtual(const Shape& shape) { return shape.sides() + 1; }
int planted_pointer(int (*function)(int)) { return function(1) + 1; }
int Shape::sides() const { return 3; }
"""


def examine(cxx, root, source, folder):
    made = pathlib.Path(folder) / (source.stem + ".o")
    compiler.run([*cxx, *FLAGS, f"-I{root}/include", source, "-o", made])
    findings = [f"{match}" for match in sorted(set(SYMBOL.findall(compiler.run(["nm", made]).stdout)))]
    names = compiler.run(["nm", "-C", made]).stdout
    findings += [f"{name}, which no level of this program uses" for name in OTHER_LEVELS if re.search(rf"\b{name}\b", names)]
    function, suspect, functions = "", None, 0
    for line in compiler.run(["objdump", "-dr", "--no-show-raw-insn", "-C", made]).stdout.splitlines():
        if RELOCATION.match(line):  # `call *name@GOTPCREL` goes through the linker's table to one known function
            if suspect and "GOT" in line:
                suspect = None
            continue
        if suspect:
            findings.append(suspect)
            suspect = None
        if match := FUNCTION.match(line):
            function, functions = match.group(1), functions + 1
        elif INDIRECT.search(line):
            suspect = f"{function}: {' '.join(line.split()[1:])}"
    if suspect:
        findings.append(suspect)
    return findings, functions


def main():
    root, *cxx = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        planted = pathlib.Path(folder) / "planted.cpp"
        planted.write_text(PLANTED, encoding="utf-8")
        faults, _ = examine(cxx, root, planted, folder)
        wanted = ["_ZTV5Shape", "planted_virtual", "planted_pointer"]
        planted.write_text(PLANTED_LEVELS, encoding="utf-8")
        faults += examine(cxx, root, planted, folder)[0]
        wanted += OTHER_LEVELS
        missed = [name for name in wanted if not any(name in fault for fault in faults)]
        if missed:
            sys.exit(f"the planted faults {missed} were not found in {faults}")
        findings, functions = examine(cxx, root, pathlib.Path(root) / "test/architecture/composed.cpp", folder)
        if functions < 10:
            findings.append(f"only {functions} functions in composed.cpp: nothing was examined")
        tree.report(findings, f"machine code of composed.cpp, {functions} functions")


if __name__ == "__main__":
    main()
