# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: the cells of the benchmark, and in which order.

A cell is a workload with a number of threads and a delay of the host's fsync, on
one kernel; every driver of a cell is measured in it, one after the other. It is
measured in one or several rounds, each with guests that are booted anew.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

KERNELS = ("6.1", "6.12", "7.3-bench")
THREADS = (1, 4, 16, 64, 256)
DELAYS = (0.0, 1.0, 5.0)
WORKLOADS = ("raw", "ext4-overwrite", "ext4-append", "fua", "sqlite", "fio", "mixed")
REGIONS = (1, 8, 16)
MAX_REGIONS = max(REGIONS)

BOTH = ("in-tree", "ours")
# Drivers that differ from ours in one thing, which the file of that name in tried/ says.
WINDOWS = ("no-window", "fixed-window", "fixed-1ms", "long-window")
TRIED = ("unchanged", "last-first", "answer-first", "bios-in-work", "no-statistics", "no-watch",
         "one-flush")
CHANGED = (*WINDOWS, *TRIED)

TARGET_ROUNDS = 5
REST_ROUNDS = 2


@dataclass(frozen=True)
class Cell:
    """One place in the tables."""

    kernel: str
    group: str
    """matrix, window, tried, regions, stats, lone, breakdown or memory."""
    workload: str
    threads: int
    delay_ms: float
    regions: int = 1
    drivers: tuple[str, ...] = BOTH
    rounds: int = REST_ROUNDS
    seconds: float = 1.2

    @property
    def name(self) -> str:
        regions = f"/r{self.regions}" if self.group == "regions" else ""
        return (f"{self.kernel}/{self.group}/{self.workload}/t{self.threads}"
                f"/d{self.delay_ms:g}{regions}")

    @property
    def target(self) -> bool:
        """A target of the project is judged by it."""
        return self.group == "matrix" and self.rounds >= TARGET_ROUNDS


@dataclass(frozen=True)
class Session:
    """Cells that are measured in one round by guests that live as long."""

    round: int
    kernel: str
    group: str
    drivers: tuple[str, ...]
    cells: tuple[Cell, ...]


# What the targets need: (workload, threads, delay).
_TARGETS = (
    ("raw", 1, 0), ("raw", 1, 1), ("raw", 4, 1), ("raw", 16, 1), ("raw", 64, 1),
    ("raw", 16, 0), ("raw", 64, 0), ("raw", 1, 5), ("raw", 16, 5),
    ("ext4-overwrite", 16, 1), ("ext4-append", 16, 0), ("ext4-append", 16, 1),
    ("sqlite", 16, 0), ("sqlite", 16, 1),
)


def _matrix(kernel: str) -> Iterator[Cell]:
    for workload in WORKLOADS:
        for delay in DELAYS:
            for threads in THREADS:
                if (workload, threads, delay) in _TARGETS:
                    yield Cell(kernel, "matrix", workload, threads, delay,
                               rounds=TARGET_ROUNDS, seconds=2.0)
                else:
                    yield Cell(kernel, "matrix", workload, threads, delay)


def _extras(kernel: str) -> Iterator[Cell]:
    """What is measured on one kernel only."""
    for workload in ("raw", "ext4-append"):
        for delay in DELAYS:
            for threads in (1, 4, 16, 64) if workload == "raw" else (16,):
                yield Cell(kernel, "window", workload, threads, delay, rounds=3,
                           drivers=("ours", *WINDOWS), seconds=1.5)
    for workload, threads, delay in (
            ("raw", 1, 0), ("raw", 16, 0), ("raw", 16, 1), ("raw", 64, 0), ("fua", 16, 0),
            ("fua", 16, 1), ("ext4-append", 16, 0), ("ext4-append", 16, 1)):
        yield Cell(kernel, "tried", workload, threads, delay, rounds=5, drivers=("ours", *TRIED),
                   seconds=1.5)
    for delay in (0.0, 1.0):
        for regions in REGIONS:
            yield Cell(kernel, "regions", "regions", 32, delay, regions)
        for threads in (2, 17, 65):
            yield Cell(kernel, "lone", "lone", threads, delay, seconds=2.0)
        # The same with and without somebody who reads the statistics.
        for workload in ("raw", "raw-watched"):
            for threads in (1, 16):
                yield Cell(kernel, "stats", workload, threads, delay, drivers=("ours",),
                           rounds=3)
    for threads in (1, 16):
        yield Cell(kernel, "stats", "stats", threads, 0, drivers=("ours",))
    for workload in ("raw", "ext4-overwrite", "ext4-append", "sqlite"):
        for delay in (0.0, 1.0):
            for threads in (1, 4, 16, 64) if workload == "raw" else (16,):
                yield Cell(kernel, "breakdown", workload, threads, delay, rounds=1,
                           drivers=("ours",), seconds=0.5)
    # What the target of p99 is judged by.
    yield Cell(kernel, "breakdown", "raw", 16, 5, rounds=1, drivers=("ours",), seconds=1.0)


def _commits(kernel: str) -> Iterator[Cell]:
    """A commit of the journal with both drivers, where ours seems to be slower."""
    for delay in (0.0, 1.0):
        yield Cell(kernel, "breakdown", "ext4-append", 16, delay, rounds=3, seconds=2.0)


def full() -> list[Cell]:
    cells = [cell for kernel in KERNELS for cell in _matrix(kernel)]
    cells += [Cell(kernel, "memory", "memory", 1, 0, rounds=1) for kernel in KERNELS]
    return [*cells, *_extras("6.12"), *_commits("6.1")]


def quick() -> list[Cell]:
    """What the targets need, on one kernel."""
    return [cell for cell in _matrix("6.12") if cell.target]


def smoke() -> list[Cell]:
    """A little of everything: does it work?"""
    tiny = {"rounds": 1, "seconds": 0.6}
    cells = [Cell("6.12", "matrix", workload, threads, delay, **tiny)   # type: ignore[arg-type]
             for workload in WORKLOADS for delay in (0.0, 1.0)
             for threads in ((1, 4) if workload == "raw" else (4,))
             if workload == "raw" or delay]
    for group, workload, threads, regions, drivers in (
            ("memory", "memory", 1, 1, BOTH), ("window", "raw", 4, 1, ("ours", *WINDOWS)),
            ("tried", "fua", 4, 1, ("ours", *TRIED)),
            ("regions", "regions", 4, 2, BOTH), ("lone", "lone", 2, 1, BOTH),
            ("stats", "raw", 4, 1, ("ours",)), ("stats", "raw-watched", 4, 1, ("ours",)),
            ("stats", "stats", 1, 1, ("ours",)), ("breakdown", "raw", 4, 1, ("ours",)),
            ("breakdown", "ext4-append", 4, 1, BOTH)):
        cells.append(Cell("6.12", group, workload, threads, 0 if workload == "stats" else 1,
                          regions, drivers, **tiny))                    # type: ignore[arg-type]
    return cells


PLANS = {"full": full, "quick": quick, "smoke": smoke}


def chosen(cells: Iterable[Cell], patterns: Sequence[str]) -> list[Cell]:
    """The cells whose name matches a pattern, whole or in part."""
    return [cell for cell in cells
            if not patterns or any(p in cell.name or fnmatch.fnmatch(cell.name, p)
                                   for p in patterns)]


def _guests(cell: Cell) -> tuple[str, str]:
    """Cells that are the same here can share their guests."""
    return cell.kernel, cell.group if cell.group in ("window", "tried", "regions") else "one device"


def sessions(cells: Sequence[Cell], done: set[tuple[str, int]]) -> Iterator[Session]:
    """What is left to do: DONE has the name and round of what is not.

    The targets first, because a run may be stopped; then what is measured
    on one kernel only; then the rest."""
    phases = (lambda c: c.target, lambda c: c.group != "matrix",
              lambda c: c.group == "matrix" and not c.target)
    for belongs in phases:
        phase = [cell for cell in cells if belongs(cell)]
        for number in range(1, max((c.rounds for c in phase), default=0) + 1):
            left: dict[tuple[str, str], list[Cell]] = {}
            for cell in phase:
                if number <= cell.rounds and (cell.name, number) not in done:
                    left.setdefault(_guests(cell), []).append(cell)
            for (kernel, group), together in left.items():
                drivers = dict.fromkeys(driver for cell in together for driver in cell.drivers)
                yield Session(number, kernel, group, tuple(drivers), tuple(together))
