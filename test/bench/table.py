#!/usr/bin/env python3
"""Benchmark lines as tables of ratios: operations per second and processor time per operation, each engine and this one against them.

usage: table.py FILE     Each cell is the median over the rounds. A `?` marks rows during which the disk itself changed: the latency
of a bare 4 KiB overwrite and fdatasync, taken right before and after each run, differs more than twofold over the row's runs.
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


def read(path):
    cells, engines, wrong = collections.defaultdict(list), [], []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["engine"] not in engines:
                engines.append(row["engine"])
            cells[(row["workload"], row["tag"]), row["engine"]].append(row)
            if row["misses"] or row["bad"]:
                wrong.append(line)
    return cells, engines, wrong


def table(title, head, rows):
    rows = [head] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    print(f"\n{title}\n")
    for number, row in enumerate(rows):
        print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |")
        if number == 0:
            print("| " + " | ".join("-" * width for width in widths) + " |")


def compare(cells, engines, field, more_is_better):
    peers = [engine for engine in engines if engine != "aegis"]
    best = max if more_is_better else min
    rows = []
    for key in dict.fromkeys(key for key, _ in cells):
        runs = {engine: cells[key, engine] for engine in engines if (key, engine) in cells}
        probes = [run[p] for all_runs in runs.values() for run in all_runs for p in ("probe_before_us", "probe_after_us") if p in run]
        value = {engine: statistics.median(run[field] for run in all_runs) for engine, all_runs in runs.items()}
        ratios = ["-"] * (2 if "lmdb" in peers else 1)
        others = [value[peer] for peer in peers if peer in value]
        if "aegis" in value and others:
            ratios[0] = f"{value['aegis'] / best(others):.2f}"
            if "lmdb" in value:
                ratios[1] = f"{value['aegis'] / value['lmdb']:.2f}"
        mark = " ?" if more_is_better and probes and max(probes) > 2 * min(probes) else ""
        rows.append([key[0], key[1] + mark] + [short(value[e]) if e in value else "-" for e in engines] + ratios)
    return ["workload", "setting"] + engines + ["aegis / best peer", "aegis / lmdb"][: 2 if "lmdb" in peers else 1], rows


def main():
    cells, engines, wrong = read(sys.argv[1])
    table("Operations per second (more is better)", *compare(cells, engines, "ops_s", True))
    table("Processor microseconds per operation, all threads, user and system (less is better)", *compare(cells, engines, "cpu_us_per_op", False))
    for line in wrong:
        print("WRONG RESULTS:", line, end="")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
