# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that take turns, and one measurement in one of them.

A session boots one guest for each driver. They share their backing files, because
where a file lies on the host's disk can make its fsync twice as slow as another's;
one of them runs while the others are stopped, so what one leaves in a file means
nothing to the next, which writes before it reads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kernels
import plan
import vm
import workloads
from plan import Cell, Session

GUEST = {"cpus": 2, "memory": 1024}     # MiB
FIRST_MIB, OTHER_MIB = 256, 32
TICKS = os.sysconf("SC_CLK_TCK")
# Luck at boot can make an emulated guest several times slower than its equals, for
# as long as it lives: such a guest is booted again.
SLOWER = 1.4
BOOTS = 4
LONGER = (1, 4, 16)
FIGURES = ("seconds", "calls", "ops", "errors", "rate", "mean_ns", "p50_ns", "p99_ns", "max_ns",
           "busy_ns", "interrupts", "switches")

Run = dict[str, Any]


class Nonsense(Exception):
    """A measurement that cannot be right."""


def tried(label: str) -> Path:
    """A text that says what is different, and the difference."""
    return workloads.HERE / "tried" / f"{label}.patch"


class Bench:
    """What all sessions of a run have in common."""

    def __init__(self, directory: Path, drivers: dict[str, str],
                 say: Callable[[str], None]) -> None:
        self.directory = directory
        self.sources = drivers
        """Drivers beside the known ones: name -> path of a module."""
        self.say = say
        self._programs: list[str] = []

    def programs(self) -> list[str]:
        if not self._programs:
            self._programs = [*workloads.build(self.directory), *workloads.PROGRAMS]
        return self._programs

    def backing(self, number: int) -> Path:
        """A file whose blocks are all there: one that grows would cost fsync more."""
        path = self.directory / f"region{number}"
        if not path.exists():
            with open(path, "wb") as file:
                for _ in range(OTHER_MIB if number else FIRST_MIB):
                    file.write(bytes(2**20))
                os.fsync(file.fileno())
        return path

    def driver(self, kernel: str, label: str) -> str:
        """What vm.Guest takes for a driver."""
        if label in plan.CHANGED:
            return str(kernels.build_module(kernels.find(kernel), source=self._patched(label)))
        return self.sources.get(label, label)

    def _patched(self, label: str) -> Path:
        """Our sources, changed as tried/LABEL.patch says."""
        tree = self.directory / label
        if not tree.exists():
            for name in ("kernel", "include"):
                shutil.copytree(kernels.TOP / name, tree / name)
            done = subprocess.run(
                ["patch", "-p1", "--fuzz=0", "-d", str(tree), "-i", str(tried(label))],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{tried(label)} does not fit the driver any more:\n{done.stdout}")
        return tree


def devices(bench: Bench, session: Session) -> list[vm.Device]:
    count = max(cell.regions for cell in session.cells)
    return [vm.Device(f"{OTHER_MIB if n else FIRST_MIB}M", backing=bench.backing(n))
            for n in range(count)]


def _speed(guest: vm.Guest) -> float:
    """How long a system call takes that has nothing to do with a driver, in ns."""
    result = guest.run([workloads.PLACES["fsync-load"], "-m", "read", "-s", "0.3", "-w", "0.1",
                        "/proc/version"])
    return float(json.loads(result.stdout)["p50_ns"])


class Guests:
    """The guests of a session; all are stopped but while one is measured."""

    def __init__(self, bench: Bench, session: Session) -> None:
        self._bench, self._session = bench, session
        self._stack = contextlib.ExitStack()
        self._guests: dict[str, vm.Guest] = {}
        self._speeds: dict[str, float] = {}

    def __enter__(self) -> "Guests":
        try:
            for label in self._session.drivers:
                self._boot(label)
            self._replace_slow()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._stack.__exit__(*error)

    def _boot(self, label: str) -> None:
        kernel = self._session.kernel
        stack = contextlib.ExitStack()
        guest = stack.enter_context(vm.Guest(
            kernel, self._bench.driver(kernel, label), programs=self._bench.programs(),
            files={workloads.JOB: workloads.HERE / "jobs/fdatasync.fio"},
            devices=devices(self._bench, self._session), **GUEST))
        # Its end asks it for its kernel's log.
        stack.callback(guest.qmp, "cont")
        self._stack.push(stack)
        self._speeds[label] = _speed(guest)
        guest.qmp("stop")
        self._guests[label] = guest

    def _replace_slow(self) -> None:
        for _ in range(BOOTS - 1):
            fastest = min(self._speeds.values())
            slow = [label for label, ns in self._speeds.items() if ns > fastest * SLOWER]
            if not slow:
                return
            for label in slow:
                self._bench.say(f"the guest of {label} is slow: another")
                self._boot(label)

    @contextlib.contextmanager
    def running(self, label: str) -> Iterator[vm.Guest]:
        guest = self._guests[label]
        guest.qmp("cont")
        yield guest
        guest.qmp("stop")

    def speed(self, label: str) -> float:
        return self._speeds[label]


def _cpu_ns(pid: int) -> int:
    """What a process has used of the host's processors."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * 1_000_000_000 // TICKS


def _flushes(guest: vm.Guest) -> int:
    return sum(host.count for host in guest.hosts)


def _long_enough(guest: vm.Guest, cell: Cell) -> tuple[Run, int, int]:
    """Figures, host flushes and the host's processor time. A machine that is so busy
    that no call ended in the time gets more of it."""
    for longer in LONGER:
        flushes, cpu = _flushes(guest), _cpu_ns(guest.pid)
        found = workloads.run(guest, dataclasses.replace(cell, seconds=cell.seconds * longer))
        flushes, cpu = _flushes(guest) - flushes, _cpu_ns(guest.pid) - cpu
        if found["ops"]:
            break
    return found, flushes, cpu


def measure(guests: Guests, cell: Cell, label: str) -> Run:
    """One driver in one cell."""
    with guests.running(label) as guest, \
            workloads.filesystem(guest, workloads.WORKLOADS[cell.workload].ext4):
        for host in guest.hosts:
            host.set(delay_ms=cell.delay_ms)
        try:
            found, flushes, cpu = _long_enough(guest, cell)
        finally:
            for host in guest.hosts:
                host.set(delay_ms=0)
    check(cell, label, found, flushes)
    if cell.group == "lone":    # the load beside it is not counted, but uses the processors
        found.update(busy_ns=None, interrupts=None, switches=None)
    return {**{name: found[name] for name in FIGURES}, "host_flushes": flushes,
            "host_cpu_ns": cpu, "speed_ns": guests.speed(label)}


def check(cell: Cell, label: str, found: Run, flushes: int) -> None:
    """Refuse what cannot be right; how fast it was does not matter here."""
    workload = workloads.WORKLOADS[cell.workload]
    calls = found["calls"]
    problems = [
        (found["ops"] > 0, "nothing was done"),
        (found["errors"] == 0, f"{found['errors']} calls failed: {found.get('message', '')}"),
        (found["ops"] <= calls, "more was counted than was called"),
        (0 < found["p50_ns"] <= found["p99_ns"] <= found["max_ns"], "latencies are out of order"),
        (found["mean_ns"] <= found["max_ns"], "the mean is above the maximum")]
    if workload.durable:
        problems += [
            (flushes > 0, "the host has seen no flush"),
            # A call lasts at least as long as the flush that answers it, so one
            # flush answers at most a call of each thread.
            (flushes * cell.threads >= calls,
             f"{flushes} host flushes cannot answer {calls} calls"),
            (flushes <= calls * workload.most + 50,
             f"{flushes} host flushes are too many for {calls} calls"),
            (found["p50_ns"] >= cell.delay_ms * 1e6, "a call was faster than the host")]
    for holds, problem in problems:
        if not holds:
            raise Nonsense(f"{cell.name}, {label}: {problem}")
