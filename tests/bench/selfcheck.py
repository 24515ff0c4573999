# SPDX-License-Identifier: GPL-2.0-or-later
"""What the smoke run checks: of the benchmark, never of how fast anything was."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as xml
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import breakdown
import plan
import plots
import report
import session
import targets
from plan import BOTH, CHANGED, Cell
from results import IDENTITY, MEDIANS, Mismatch, Results

# A cell of it, and figures that are right for it.
CELL = Cell("6.12", "matrix", "raw", 4, 1)
RIGHT = {"calls": 400, "ops": 300, "errors": 0, "mean_ns": 2_000_000, "p50_ns": 1_900_000,
         "p99_ns": 3_000_000, "max_ns": 4_000_000}
FLUSHES = 200
NONSENSE: tuple[tuple[dict[str, int], int], ...] = (
    ({"ops": 0}, FLUSHES), ({"errors": 1}, FLUSHES), ({"ops": 401}, FLUSHES), ({}, 0),
    ({}, 99), ({}, 451), ({"p50_ns": 3_100_000}, FLUSHES), ({"mean_ns": 4_000_001}, FLUSHES),
    ({"p50_ns": 900_000}, FLUSHES))

# Two calls of two threads that one host flush answers: A joins at 10 us, B at 20 us.
TRACE = """\
      fsync-load-71 [000] ..... 1.000000: sys_fdatasync(fd: 3)
      fsync-load-71 [000] d..1. 1.000010: virtio_pmem_request: region0 seq=7 async=0
      fsync-load-72 [001] ..... 1.000015: sys_fdatasync(fd: 4)
      fsync-load-72 [001] d..1. 1.000020: virtio_pmem_request: region0 seq=7 async=0
      fsync-load-72 [001] d..1. 1.000030: virtio_pmem_submit: region0 seq=7 requests=2
          <idle>-0  [000] d.h1. 1.001030: virtio_pmem_complete: region0 seq=7 host_ns=1 error=0
          <idle>-0  [000] d..2. 1.001040: sched_switch: prev_comm=x ==> next_comm=y next_pid=71
      fsync-load-71 [000] ..... 1.001060: sys_fdatasync -> 0x0
      fsync-load-72 [001] ..... 1.001090: sys_fdatasync -> 0x0
"""
STAGES_OF_71 = (10, 20, 1000, 10, 20)       # us


# Rounds of a single caller and of 16: p50 and p99 in ms. Each round's own ratio counts.
LONE, BUSY = (1, 2, 4), ((1, 2), (4, 5), (8, 40))
IN_LONE_FLUSHES = ({"median": 2, "min": 1, "max": 2, "rounds": 3},
                   {"median": 2.5, "min": 2, "max": 10, "rounds": 3})
# Rates of rounds of two cells or drivers, and what their ratios must be.
RATES, OTHERS = (100, 400, 300), (100, 800, 100)
OTHERS_BY_RATES = {"median": 1, "min": 0.333, "max": 2, "rounds": 3}


class Wrong(Exception):
    """The benchmark does not do what it should."""


def _must(holds: bool, problem: str) -> None:
    if not holds:
        raise Wrong(problem)


def offline() -> None:
    """What needs no guest."""
    session.check(CELL, "ours", RIGHT, FLUSHES)
    for change, flushes in NONSENSE:
        try:
            session.check(CELL, "ours", {**RIGHT, **change}, flushes)
        except session.Nonsense:
            continue
        raise Wrong(f"nonsense was accepted: {change}, {flushes} host flushes")
    trace = breakdown.parse(TRACE)
    _must([round(s * 1e6) for s in trace.calls[0]] == list(STAGES_OF_71), "a trace was misread")
    _must(len(trace.calls) == 2 and len(trace.flushes) == 1, "a trace was read in part")
    _commit()
    _must({path.stem for path in session.tried("*").parent.iterdir()} == set(CHANGED),
          "a file in tried/ is not measured, or is not there")
    for target in targets.TARGETS:
        _must(target.met(target.limit) and not target.met(
            target.limit * (0.99 if target.at_least else 1.01)), f"a limit is off: {target.what}")
    _document()


def _add(results: Results, cell: Cell, driver: str, **figures: Sequence[float]) -> None:
    """Runs that nobody has measured: what FIGURES has for each round."""
    run = {**RIGHT, "cell": cell.name, "driver": driver, "rate": 100, "busy_ns": 0,
           "interrupts": 0, "switches": 0, "host_flushes": FLUSHES, "host_cpu_ns": 0}
    for number, values in enumerate(zip(*figures.values()), 1):
        results.runs.append({**run, "round": number, **dict(zip(figures, values))})


def _made_up(*cells: Cell) -> Results:
    return Results(Path(), "full", cells)


def _same_rounds() -> None:
    """Ratios are of two measurements of one round."""
    alone, busy = (Cell("6.12", "matrix", "raw", threads, 5) for threads in (1, 16))
    quiet, watched = (Cell("6.12", "stats", name, 4, 1, drivers=("ours",))
                      for name in ("raw", "raw-watched"))
    results = _made_up(alone, busy, quiet, watched)
    for driver in BOTH:
        _add(results, alone, driver, p50_ns=[ms * 1e6 for ms in LONE])
        _add(results, busy, driver, rate=RATES if driver == BOTH[0] else OTHERS,
             p50_ns=[p50 * 1e6 for p50, _ in BUSY], p99_ns=[p99 * 1e6 for _, p99 in BUSY])
    _add(results, quiet, "ours", rate=RATES)
    _add(results, watched, "ours", rate=OTHERS)
    rows = {row["cell"]: row for row in results.rows()}
    found = rows[busy.name]["in_lone_flushes"]["ours"]
    _must((found["p50"], found["p99"]) == IN_LONE_FLUSHES, f"lone flushes of other rounds: {found}")
    lines = report.lone_flushes(results.rows())
    for wanted in ("2 | 2.00 | 2.50", "median | 2.00 (1.00-2.00) | 2.50 (2.00-10.00)"):
        _must(f"| 6.12 | matrix | ours | {wanted} | 0.500 |" in lines, "no lone flushes are shown")
    _must(rows[busy.name]["ratios"]["ours"] == OTHERS_BY_RATES, "a ratio of two rounds")
    _must(rows[watched.name]["unwatched"]["ours"] == OTHERS_BY_RATES, "statistics of two rounds")
    _must("1.00 (0.33-2.00) of the rate without" in "".join(report.statistics_cost(results.rows())),
          "the document lacks the cost of reading statistics")
    verdicts = {v["what"]: v for v in targets.verdicts(results.rows(), [], ["6.12"])}
    judged = verdicts["raw device, host +5 ms, 16 threads: p99 in lone flushes"]
    _must(judged["measured"] == 2.5 and judged["range"] == (2, 10) and judged["met"] and
          judged["rounds"] == 3, f"p99 is judged by other rounds: {judged}")
    _must(verdicts["raw device, host +5 ms, 1 thread"]["met"], "+5 ms, one thread is not judged")


def _memory() -> None:
    """It is judged on each kernel."""
    known = {cell.kernel for cell in plan.full() if cell.group == "memory"}
    _must(known == set(plan.KERNELS), f"memory is measured on {known}")
    entry = {"driver": "ours", "device_bytes": 20 * targets.KIB, "flushes": 5,
             "flush_allocations": 0}
    met = [v["met"] for v in targets.verdicts([], [{**entry, "kernel": "6.12"}], ["6.1", "6.12"])
           if "alloc" in v["what"]]
    _must(met == [None, False, None, True], f"memory is judged as {met}")


def _slower() -> None:
    """A cell is named where every round says so, and only there."""
    cells = [Cell("6.12", "matrix", "raw", threads, 1) for threads in (1, 4)]
    results = _made_up(*cells)
    for cell, rates in zip(cells, ((99, 90, 50), (50, 101, 50))):
        _add(results, cell, "in-tree", rate=(100, 100, 100))
        _add(results, cell, "ours", rate=rates)
    lines = [line for line in report.slower(results.rows()) if line.startswith("| 6.12")]
    _must(lines == ["| 6.12 | raw | 1 | host +1 ms | 0.90 (0.50-0.99) | 0.500 | 0.500 | 3 |"],
          f"slower in every round: {lines}")


def _boots() -> None:
    """Ratios are told apart by the guests that they are from, also of one round."""
    cells = [Cell("6.1", "matrix", "ext4-append", threads, 1) for threads in (1, 4, 16)]
    results = _made_up(*cells)
    for cell, speed in zip(cells, (500, 500, 600)):
        _add(results, cell, "in-tree", rate=(100, 100), speed_ns=(500, 400))
        _add(results, cell, "ours", rate=(50, 200), speed_ns=(speed, 400))
    found = [(b["round"], b["slower"], b["ratios"]) for b in results.boots()]
    _must(found == [(1, 1, [0.5, 0.5]), (2, 1, [2, 2, 2]), (1, 1.2, [0.5])],
          f"boots were mixed: {found}")
    _must("| ext4-append | 6.1 | all | 6 | 3 | 1.000 (0.50-2.00) | 1.000 |  |"
          in report.nothing_gathered(results.boots()), "the boots of a kernel are not summed up")


def _forgotten() -> None:
    """Rows of a change that is another now go, with their cells; the driver must stay."""
    cells = [Cell("6.12", group, "raw", 4, 1, drivers=("ours", name)) for group, name in
             (("window", "old"), ("tried", "same"))] + [CELL]
    results = _made_up(*cells)
    for cell in cells:
        for driver in cell.drivers:
            _add(results, cell, driver, rate=(100, 100))
    results.machine = {**dict.fromkeys(IDENTITY), "driver": "1",
                       "tried": {"old": "1", "same": "2", "gone": "3"}}
    _must(results.forget_tried({"old": "4", "same": "2"}) == ["gone", "old"] and
          {run["cell"] for run in results.runs} == {cells[1].name, CELL.name},
          "the rows of a change that is another now are not those that were forgotten")
    _must(not results.forget_tried({"old": "4", "same": "2"}), "a change was forgotten twice")
    results.identify({**results.machine, "tried": {}})
    try:
        results.identify({**results.machine, "driver": "2"})
    except Mismatch:
        return
    raise Wrong("results of two drivers were mixed")


def _windows() -> None:
    """One thread says what chance is, the others which windows are close to the best."""
    names = ("no-window", "fixed-window")
    cells = [Cell("6.12", "window", "raw", threads, 1, drivers=("ours", *names))
             for threads in (1, 4, 16)]
    results = _made_up(*cells)
    for cell, rates in zip(cells, ((100, 90, 110), (100, 50, 90), (100, 98, 200))):
        for driver, rate in zip(cell.drivers, rates):
            _add(results, cell, driver, rate=(rate,))
    text = "\n".join(report.windows(results.rows()))
    for wanted in (
            "rounds between 0.90 and 1.10 of ours, medians down to 82 % of the best",
            "`no-window`: within 5 % of the best in 0 of 2 lines; geometric mean 49.5 %; worst "
            "49 % (raw, 16 threads, host +1 ms)",
            "`ours`: within 5 % of the best in 1 of 2 lines",
            "Everywhere within 5 % of the best, the simplest first: none.",
            "Everywhere as close to it as what is the same: `fixed-window`."):
        _must(wanted in text, f"the document does not say of windows: {wanted}")


def _tried() -> None:
    """A change is judged by the range of the control over all lines, and that has 1."""
    def row(threads: int, unchanged: float, change: float) -> dict[str, Any]:
        ratios = {name: {"median": median, "min": median - 0.05, "max": median + 0.05}
                  for name, median in (("unchanged", unchanged), ("change", change))}
        return {"workload": "raw", "threads": threads, "delay_ms": 1, "ratios": ratios}

    _must(report.chance([row(1, 0.9, 1), row(4, 0.8, 1)], ["unchanged"]) == (0.75, 1),
          "the control's range is not that of all lines with 1")
    text = report.outcome([row(1, 0.9, 0.99), row(4, 0.8, 0.76)])
    _must("none" in text and "change`" not in text, f"chance passes for a change: {text}")
    text = report.outcome([row(1, 0.9, 1.01), row(4, 0.8, 0.76)])
    _must("`change` at raw, 1 thread, host +1 ms: 1.01" in text and "4 threads" not in text,
          f"a change passes for chance: {text}")


def _commits() -> None:
    """A mean of few commits is not shown."""
    def lines(commits: int) -> list[str]:
        commit = {"commits": commits, "commit_us": 1, "host_us": 1, "idle_us": 1,
                  "flushes_per_commit": 2, "calls_per_commit": 3}
        return report.where_time_goes([{
            "kernel": "6.1", "workload": "sqlite", "threads": 4, "delay_ms": 1, "round": 1,
            "driver": "ours", "commit": commit}])

    _must(not lines(report.FEWEST_COMMITS - 1), "a mean of few commits is shown")
    _must(any("sqlite" in line for line in lines(report.FEWEST_COMMITS)), "commits are missing")


def _document() -> None:
    """What the document makes of results that are made up here."""
    _same_rounds()
    _memory()
    _slower()
    _boots()
    _forgotten()
    _windows()
    _tried()
    _commits()
    drawn = report.images(["rate-6.1", "rate-6.12", "ratio-6.1-0ms", "ratio-6.12-0ms"], "rate-6.1")
    _must(drawn == ["![rate-6.1](rate-6.1.svg)", ""], f"6.1 has the plots of another: {drawn}")
    _must(report.images(["ratio-6.1-0ms", "ratio-6.12-0ms"], "ratio-6.1")[0].startswith(
        "![ratio-6.1-0ms]"), "6.1 lacks a plot")


def _commit() -> None:
    """A trace of the in-tree driver has no flushes: the host's count of them counts."""
    trace = breakdown.Trace(lengths=[0.004] * 10, commits=[(1.0, 1.002), (1.003, 1.005)])
    found = breakdown.figures(trace, True, 0.4)["commit"]
    _must((found["host_us"], found["flushes_per_commit"], found["calls_per_commit"],
           found["idle_us"]) == (None, 2, 5, 1000), f"a commit was misread: {found}")
    trace.flushes = [(1.0005, 1.0015)]
    found = breakdown.figures(trace, True, 0.4)["commit"]
    _must((found["host_us"], found["flushes_per_commit"]) == (500, 0.5),
          f"a commit's flushes were misread: {found}")


def _load(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    return document


def partial(directory: Path, cells: int) -> None:
    """A run that was stopped: its results are whole, and say what they are."""
    document, text = _load(directory), (directory / "results.md").read_text(encoding="utf-8")
    _must(not document["complete"] and document["missing"] > 0, "partial results pass for complete")
    _must(len({run["cell"] for run in document["runs"]}) == cells, "cells were lost by a stop")
    _must("This is partial" in text and "not measured" in text, "a partial document is not marked")


def _figures(row: dict[str, Any]) -> None:
    for driver, figures in row["drivers"].items():
        for name in MEDIANS:
            value = figures[name]
            if value is None and (row["workload"] in ("fio", "lone")):
                continue        # not known there
            _must(isinstance(value, (int, float)) and math.isfinite(value),
                  f"{row['cell']}, {driver}: {name} is {value}")


def _drawn(results: Results, directory: Path) -> None:
    found = plots.plots(results.document(), results.details("breakdown"))
    names = {plot.name for plot in found}
    for prefix in ("rate-6.12", "ratio-6.12-1ms", "latency-6.12-1ms", "flushes-6.12",
                   "window-1ms", "regions-1ms", "breakdown"):
        _must(prefix in names, f"there is no plot {prefix}")
    for plot in found:
        tree = xml.parse(directory / f"{plot.name}.svg")
        drawn = "".join(tree.getroot().itertext())
        for curve in plot.curves:
            _must(not curve.points or curve.title in drawn, f"{plot.name} lacks {curve.title}")


def complete(results: Results, directory: Path) -> None:
    """A run that has measured all of the plan."""
    document, text = _load(directory), (directory / "results.md").read_text(encoding="utf-8")
    _must(not document["failures"], f"not measured: {document['failures']}")
    _must(document["complete"] and "This is partial" not in text,
          "complete results pass for partial")
    rows = {row["cell"]: row for row in document["rows"]}
    for cell in results.cells:
        if cell.group in ("breakdown", "memory"):
            continue
        _must(cell.name in rows, f"{cell.name} has no row")
        _figures(rows[cell.name])
        _must(set(rows[cell.name]["drivers"]) == set(cell.drivers), f"{cell.name} lacks a driver")
    for entry in results.details("memory"):
        _must(entry["flushes"] > 0 and entry["device_bytes"] > 0, "memory was not measured")
    _must({m["driver"] for m in results.details("memory")} == set(BOTH),
          "memory of one driver only")
    _must(len(results.details("breakdown")) == sum(
        len(c.drivers) * c.rounds for c in results.cells if c.group == "breakdown"),
          "a breakdown is missing")
    _drawn(results, directory)
    for what in (*(t.what for t in targets.TARGETS), *(f"- `{name}`: " for name in CHANGED)):
        _must(what in text, f"the document lacks {what}")
    _must("nan" not in text.split(), "the document has a figure that is none")
