# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets of the project, and where they stand by what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Rows = dict[tuple[str, str, int, float], Row]
"""(kernel, workload, threads, delay) -> row, of the matrix."""
Value = dict[str, Any]
"""What was measured: its median, in how many rounds, and where it is known min and max."""
Measure = Callable[[Rows, str], Value | None]

KIB = 1024


@dataclass(frozen=True)
class Target:
    what: str
    limit: float
    at_least: bool
    measure: Measure

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def wanted(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


def _ratio(workload: str, threads: int, delay: float) -> Measure:
    def measure(rows: Rows, kernel: str) -> Value | None:
        row = rows.get((kernel, workload, threads, delay))
        if not row or "ours" not in row["ratios"]:
            return None
        return row["ratios"]["ours"]
    return measure


def _in_lone_flushes(threads: int, delay: float) -> Measure:
    """p99, in the median latency of a single caller on the same host in the same round."""
    def measure(rows: Rows, kernel: str) -> Value | None:
        row = rows.get((kernel, "raw", threads, delay))
        found = row and row["in_lone_flushes"].get("ours")
        return found["p99"] if found else None
    return measure


def _flushes(threads: int, delay: float) -> Measure:
    def measure(rows: Rows, kernel: str) -> Value | None:
        row = rows.get((kernel, "raw", threads, delay))
        return {"median": row["drivers"]["ours"]["flushes_per_call"],
                "rounds": row["rounds"]} if row else None
    return measure


TARGETS = (
    Target("raw device, host +1 ms, 4 threads", 3, True, _ratio("raw", 4, 1)),
    Target("raw device, host +1 ms, 16 threads", 10, True, _ratio("raw", 16, 1)),
    Target("raw device, host +1 ms, 64 threads", 30, True, _ratio("raw", 64, 1)),
    Target("raw device, host as it is, 16 threads", 5, True, _ratio("raw", 16, 0)),
    Target("raw device, host as it is, 64 threads", 6, True, _ratio("raw", 64, 0)),
    Target("raw device, host as it is, 1 thread", 1, True, _ratio("raw", 1, 0)),
    Target("raw device, host +1 ms, 1 thread", 1, True, _ratio("raw", 1, 1)),
    Target("raw device, host +5 ms, 1 thread", 1, True, _ratio("raw", 1, 5)),
    Target("raw device, host +5 ms, 16 threads: p99 in lone flushes", 2.5, False,
           _in_lone_flushes(16, 5)),
    Target("ext4, overwriting, host +1 ms, 16 threads", 5, True, _ratio("ext4-overwrite", 16, 1)),
    Target("ext4, appending, host as it is, 16 threads", 1, True, _ratio("ext4-append", 16, 0)),
    Target("ext4, appending, host +1 ms, 16 threads", 1, True, _ratio("ext4-append", 16, 1)),
    Target("SQLite, host as it is, 16 threads", 1, True, _ratio("sqlite", 16, 0)),
    Target("SQLite, host +1 ms, 16 threads", 1, True, _ratio("sqlite", 16, 1)),
    Target("raw device, host as it is, 64 threads: host flushes for each call", 0.05, False,
           _flushes(64, 0)),
    Target("raw device, host +1 ms, 64 threads: host flushes for each call", 0.05, False,
           _flushes(64, 1)),
)

# (what, limit, key of what memory.py measured)
MEMORY = (
    ("the driver's allocations for a device, in KiB", 16.0,
     lambda found: found["device_bytes"] / KIB),
    ("the driver's allocations for a flush", 0.0,
     lambda found: found["flush_allocations"] / found["flushes"]),
)


def indexed(rows: list[Row]) -> Rows:
    return {(r["kernel"], r["workload"], r["threads"], r["delay_ms"]): r
            for r in rows if r["group"] == "matrix"}


def verdicts(rows: list[Row], memory: list[Row], kernels: list[str]) -> list[Row]:
    """Each target on each kernel: measured and met, or None for both."""
    matrix, found = indexed(rows), []
    for target in TARGETS:
        for kernel in kernels:
            value = target.measure(matrix, kernel)
            found.append({"what": target.what, "wanted": target.wanted, "kernel": kernel,
                          "measured": value["median"] if value else None,
                          "range": (value["min"], value["max"]) if value and "min" in value
                          else None,
                          "rounds": value["rounds"] if value else 0,
                          "met": target.met(value["median"]) if value else None})
    for what, limit, key in MEMORY:
        ours = {m["kernel"]: key(m) for m in memory if m["driver"] == "ours"}
        found += [{"what": what, "wanted": f"at most {limit:g}", "kernel": kernel,
                   "measured": ours.get(kernel), "range": None, "rounds": 1,
                   "met": ours[kernel] <= limit if kernel in ours else None}
                  for kernel in kernels]
    return found
