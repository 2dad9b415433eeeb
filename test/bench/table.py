#!/usr/bin/env python3
"""Medians of benchmark lines as a table of ratios: this engine's operations per second over each peer's.

usage: table.py FILE     Rows whose disk probes before and after differ by more than twofold are marked: the disk changed under them.
"""
import collections
import json
import statistics
import sys


def short(x):
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if x >= scale:
            return f"{x / scale:.3g}{unit}"
    return f"{x:.3g}"


def main():
    cells, order, engines, shaky, wrong = collections.defaultdict(list), [], [], set(), []
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            key = (row["workload"], row["tag"])
            if key not in order:
                order.append(key)
            if row["engine"] not in engines:
                engines.append(row["engine"])
            cells[key, row["engine"]].append(row["ops_s"])
            before, after = row.get("probe_before_us", 1), row.get("probe_after_us", 1)
            if max(before, after) > 2 * min(before, after):
                shaky.add((key, row["engine"]))
            if row["misses"] or row["bad"]:
                wrong.append(line)
    peers = [engine for engine in engines if engine != "aegis"]
    print("| workload | setting | aegis ops/s | " + " | ".join(f"{p} ops/s | aegis / {p}" for p in peers) + " |")
    print("| --- " * (3 + 2 * len(peers)) + "|")
    for key in order:
        ours = statistics.median(cells[key, "aegis"])
        text = [*key, short(ours)]
        for peer in peers:
            theirs = cells.get((key, peer))
            mark = " ?" if (key, peer) in shaky or (key, "aegis") in shaky else ""
            text += [short(statistics.median(theirs)), f"{ours / statistics.median(theirs):.2f}{mark}"] if theirs else ["-", "-"]
        print("| " + " | ".join(text) + " |")
    if shaky:
        print("\n? the disk's own latency changed more than twofold during such a run")
    for line in wrong:
        print("WRONG RESULTS:", line, end="")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
