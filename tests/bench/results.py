# SPDX-License-Identifier: GPL-2.0-or-later
"""The results: a file that is whole after every measurement, and what follows from it.

The file has what was measured ("runs", "breakdowns", "memory"), and for readers
the rows of the tables, which are computed anew whenever it is written. A run that
is stopped leaves a file that says that it is partial, and can go on from it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import kernels
import vm
from plan import Cell, Session

SCHEMA = "virtpmem-bench/2"
# Others must be the same in every part of a run that is resumed.
IDENTITY = ("cores", "architecture", "accel", "qemu", "file_system", "processor", "driver",
            "other_drivers", "guest")
# What a row has of each driver: medians over the rounds.
MEDIANS = ("rate", "mean_ns", "p50_ns", "p99_ns", "max_ns", "flushes_per_call", "cpu_ns_per_call",
           "host_cpu_ns_per_call", "interrupts_per_call", "switches_per_call")

Record = dict[str, Any]
Runs = dict[str, dict[int, Record]]
"""Of one cell: driver -> round -> run."""


class Mismatch(Exception):
    """Results of another machine, driver or plan."""


# --- where it was measured --------------------------------------------------

def driver_digest(top: Path) -> str:
    """Changes with the driver's sources."""
    digest = hashlib.sha256()
    for path in sorted([*(top / "kernel").glob("*.[ch]"), top / "include/virtpmem/sysfs-abi.h"]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def machine(directory: Path, top: Path) -> Record:
    """What a reader must know of the machine, and nothing that names it."""
    qemu = subprocess.run([vm.QEMU, "--version"], capture_output=True, text=True, check=True)
    file_system = subprocess.run(["stat", "-f", "-c", "%T", str(directory)],
                                 capture_output=True, text=True, check=True)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "host_kernel": platform.release(),
        "accel": vm.accelerator(),
        "qemu": qemu.stdout.split("version ", 1)[-1].split()[0],
        "file_system": file_system.stdout.strip(),
        "driver": driver_digest(top),
    }


# --- what was measured ------------------------------------------------------

def per_call(run: Record) -> Record:
    """A run, with the figures that are for each call."""
    # The processors were looked at for the measured part, the host for the whole run.
    calls, measured = run["calls"], max(1, run["ops"])
    looked = {"cpu_ns_per_call": run["busy_ns"], "interrupts_per_call": run["interrupts"],
              "switches_per_call": run["switches"]}
    return {**run, "flushes_per_call": run["host_flushes"] / calls,
            "host_cpu_ns_per_call": run["host_cpu_ns"] / calls,
            **{name: None if count is None else count / measured
               for name, count in looked.items()}}


class Results:
    """A file of results; see the head of this file."""

    def __init__(self, path: Path, plan_name: str, cells: Sequence[Cell]) -> None:
        self.path = path
        self.plan_name = plan_name
        self.cells = list(cells)
        """All of the plan, whether they are to be measured now or not."""
        self.machine: Record = {}
        self.kernels: dict[str, str] = {}
        self.runs: list[Record] = []
        self.failures: list[Record] = []

    def load(self) -> None:
        """Go on from what the file has."""
        old = json.loads(self.path.read_text(encoding="utf-8"))
        if old.get("schema") != SCHEMA or old["plan"] != self.plan_name:
            raise Mismatch(f"{self.path} has results of another kind or plan")
        self.machine, self.kernels = old["machine"], old["kernels"]
        known = {cell.name for cell in self.cells}
        self.runs = [run for run in old["runs"] if run["cell"] in known]

    def forget_tried(self, digests: dict[str, str]) -> list[str]:
        """What was measured with changes of the driver that are others now, or are no more, is
        forgotten, with all of its cell: a cell is measured with all of its drivers at once.
        DIGESTS are those of now. Returns the names of these changes, if anything was lost."""
        old = self.machine.get("tried", {})
        other = {name for name in {*old, *digests} if old.get(name) != digests.get(name)}
        gone = {cell.name for cell in self.cells if other & set(cell.drivers)} \
            | {run["cell"] for run in self.runs if run["driver"] in other}
        lost = any(run["cell"] in gone for run in self.runs)
        self.runs = [run for run in self.runs if run["cell"] not in gone]
        self.failures = [failure for failure in self.failures if failure["cell"] not in gone]
        self.machine["tried"] = digests
        return sorted(other) if lost else []

    def identify(self, about: Record) -> None:
        """These are results of this machine and driver; refuse any other's."""
        for name in IDENTITY if self.runs else ():
            if self.machine.get(name) != about[name]:
                raise Mismatch(f"{self.path} was measured with {name} {self.machine.get(name)}, "
                               f"and now it is {about[name]}")
        self.machine = {**about, **({"load_average": self.machine.get("load_average")}
                                    if self.runs else {})}

    def identify_kernel(self, name: str) -> None:
        release = kernels.find(name).release
        if self.kernels.setdefault(name, release) != release:
            raise Mismatch(f"{self.path} was measured with {self.kernels[name]}, "
                           f"and now {name} is {release}")

    def check_driver(self, top: Path) -> None:
        """Our driver is built anew for each session: of the same sources."""
        if driver_digest(top) != self.machine["driver"]:
            raise Mismatch("the driver's sources have changed since the first measurement")

    def add(self, cell: Cell, session: Session, by_driver: dict[str, Record]) -> None:
        """A cell has been measured with every driver of its; the file is written."""
        for order, (driver, found) in enumerate(by_driver.items()):
            self.runs.append({"cell": cell.name, "round": session.round, "driver": driver,
                              "order": order, **found})
        self.failures = [f for f in self.failures
                         if (f["cell"], f["round"]) != (cell.name, session.round)]
        self.save()

    def fail(self, cell: Cell, session: Session, why: str) -> None:
        self.failures.append({"cell": cell.name, "round": session.round, "why": why})
        self.save()

    def done(self) -> set[tuple[str, int]]:
        return {(run["cell"], run["round"]) for run in self.runs}

    def missing(self) -> int:
        """How many rounds of cells the plan still lacks."""
        done = self.done()
        return sum((cell.name, number) not in done
                   for cell in self.cells for number in range(1, cell.rounds + 1))

    def wanted(self) -> int:
        return sum(cell.rounds for cell in self.cells)

    # -- what follows from it --

    def of(self, cell: str, driver: str) -> dict[int, Record]:
        """Round -> run."""
        return {run["round"]: run for run in self.runs
                if run["cell"] == cell and run["driver"] == driver}

    def rows(self) -> list[Record]:
        """One for each cell with figures, in the plan's order."""
        table: dict[str, Runs] = {}
        for run in self.runs:
            table.setdefault(run["cell"], {}).setdefault(run["driver"], {})[run["round"]] = run
        rows = []
        for cell in self.cells:
            if cell.group in ("breakdown", "memory"):
                continue
            found = {driver: table[cell.name][driver] for driver in cell.drivers
                     if driver in table.get(cell.name, {})}
            if found:
                rows.append(_row(cell, found) | _beside(cell, found, table))
        return rows

    def details(self, group: str) -> list[Record]:
        """Breakdowns or memory: what is not a rate."""
        cells = {cell.name: cell for cell in self.cells if cell.group == group}
        return [{"kernel": cells[run["cell"]].kernel, "workload": cells[run["cell"]].workload,
                 "threads": cells[run["cell"]].threads, "delay_ms": cells[run["cell"]].delay_ms,
                 **run} for run in self.runs if run["cell"] in cells]

    def boots(self) -> list[Record]:
        """What each pair of guests says of the drivers where there is nobody to gather with,
        or the journal has gathered. Guests differ from boot to boot, so cells that the same
        two have measured are not independent of each other."""
        pairs: dict[tuple[Any, ...], list[tuple[Record, Record]]] = {}
        for cell in self.cells:
            if cell.group != "matrix" or (cell.workload != "ext4-append" and cell.threads > 1):
                continue
            what = cell.workload if cell.workload == "ext4-append" else "one thread"
            for ours, base in _pairs(*(self.of(cell.name, name) for name in ("ours", "in-tree"))):
                boot = what, cell.kernel, ours["round"], ours["speed_ns"], base["speed_ns"]
                pairs.setdefault(boot, []).append((ours, base))
        return [{"what": boot[0], "kernel": boot[1], "round": boot[2], "slower": boot[3] / boot[4],
                 "ratios": [ours["rate"] / base["rate"] for ours, base in found],
                 "flushes": [ours["host_flushes"] / ours["calls"] * base["calls"]
                             / base["host_flushes"] for ours, base in found]}
                for boot, found in sorted(pairs.items(), key=lambda pair: pair[0][0])]

    def document(self) -> Record:
        return {"schema": SCHEMA, "plan": self.plan_name, "complete": self.missing() == 0,
                "missing": self.missing(), "wanted": self.wanted(), "machine": self.machine,
                "kernels": self.kernels, "failures": self.failures, "rows": self.rows(),
                "runs": self.runs}

    def save(self) -> None:
        """In one rename; one run a line, so that a difference can be read."""
        document = self.document()
        lists = {name: document.pop(name) for name in ("rows", "runs")}
        text = json.dumps(document, indent=1)[:-2]
        for name, entries in lists.items():
            lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
            text += f',\n "{name}": [\n{lines}\n ]'
        new = self.path.with_suffix(".new")
        new.write_text(text + "\n}\n", encoding="utf-8")
        os.replace(new, self.path)


def _medians(runs: Iterable[Record]) -> Record:
    figures = [per_call(run) for run in runs]
    medians = {}
    for name in MEDIANS:
        values = [f[name] for f in figures if f[name] is not None]
        medians[name] = float(f"{statistics.median(values):.6g}") if values else None
    return medians


def _spread(ratios: Sequence[float]) -> Record:
    return {"median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3),
            "max": round(max(ratios), 3), "rounds": len(ratios)}


def _pairs(runs: dict[int, Record], base: dict[int, Record]) -> list[tuple[Record, Record]]:
    """Of one round each, because what disturbed a round disturbed both."""
    return [(runs[number], base[number]) for number in sorted(runs) if number in base]


def _rates(runs: dict[int, Record], base: dict[int, Record]) -> Record | None:
    ratios = [run["rate"] / other["rate"] for run, other in _pairs(runs, base)]
    return _spread(ratios) if ratios else None


def _in_lone_flushes(runs: dict[int, Record], lone: dict[int, Record]) -> Record | None:
    """Latencies, in the median latency of a single caller of the same round."""
    each = [{"round": run["round"], "p50": round(run["p50_ns"] / alone["p50_ns"], 3),
             "p99": round(run["p99_ns"] / alone["p50_ns"], 3),
             "flushes_per_call": round(run["host_flushes"] / run["calls"], 4)}
            for run, alone in _pairs(runs, lone)]
    return {**{name: _spread([one[name] for one in each]) for name in ("p50", "p99")},
            "each": each} if each else None


def _compared(how: Callable[[dict[int, Record], dict[int, Record]], Record | None], found: Runs,
              others: Runs) -> Record:
    compared = {driver: how(runs, others[driver]) for driver, runs in found.items()
                if driver in others}
    return {driver: one for driver, one in compared.items() if one}


def _beside(cell: Cell, found: Runs, table: dict[str, Runs]) -> Record:
    """What compares a cell with another one of the same drivers."""
    if cell.workload == "raw-watched":
        raw = dataclasses.replace(cell, workload="raw")
        return {"unwatched": _compared(_rates, found, table.get(raw.name, {}))}
    if cell.workload == "raw" and cell.threads > 1:
        lone = dataclasses.replace(cell, threads=1)
        return {"in_lone_flushes": _compared(_in_lone_flushes, found, table.get(lone.name, {}))}
    return {}


def _row(cell: Cell, found: Runs) -> Record:
    """The first driver is what the others are compared with."""
    base = cell.drivers[0]
    return {
        "cell": cell.name, "kernel": cell.kernel, "group": cell.group,
        "workload": cell.workload, "threads": cell.threads, "delay_ms": cell.delay_ms,
        "regions": cell.regions, "rounds": min(len(runs) for runs in found.values()),
        "rounds_wanted": cell.rounds, "base": base,
        "drivers": {driver: _medians(runs.values()) for driver, runs in found.items()},
        "ratios": {driver: ratio for driver, runs in found.items()
                   if driver != base and (ratio := _rates(runs, found.get(base, {})))}}
