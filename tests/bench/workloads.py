# SPDX-License-Identifier: GPL-2.0-or-later
"""How each workload is run in a guest, and what it tells.

Every workload ends in the same figures: rate, latencies, calls, and what the
guest's processors did meanwhile. README.md says what each one stands for.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vm
from plan import Cell

HERE = Path(__file__).resolve().parent
WARMUP = 0.3
PLACES = {name: f"/usr/bin/{name}" for name in ("fsync-load", "sqlite-load")}
JOB = "/etc/fdatasync.fio"
PROGRAMS = ("fio", "mkfs.ext4")
MOUNT = ("mkfs.ext4 -q -F -b 4096 -m 0 -E nodiscard,lazy_itable_init=1 /dev/pmem0 && "
         "mount -t ext4 -o noinit_itable /dev/pmem0 /mnt")
SYSFS = "/sys/bus/nd/devices/region0/virtio_pmem"
REST_MS = 5         # of a lone caller, between two calls

Figures = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A way to ask for durability; fsync-load with these options, if no other program."""

    title: str
    options: tuple[str, ...] = ()
    program: str = "fsync-load"
    ext4: bool = False
    most: int = 1
    """Host flushes that one call may cost at most."""
    durable: bool = True
    """A call lasts at least as long as a host flush."""


WORKLOADS = {
    "raw": Workload("raw device, write and fdatasync"),
    "ext4-overwrite": Workload("ext4, overwriting preallocated files with fdatasync",
                               ("-m", "overwrite"), ext4=True, most=4),
    "ext4-append": Workload("ext4, appending with fdatasync", ("-m", "append"), ext4=True, most=8),
    "fua": Workload("raw device, writes with O_DIRECT and O_DSYNC", ("-m", "dsync"), most=2),
    "sqlite": Workload("SQLite transactions, synchronous=FULL", program="sqlite-load", ext4=True,
                       most=12),
    "fio": Workload("fio, random writes with fdatasync", program="fio"),
    "mixed": Workload("raw device, three reads to each write and fdatasync", ("-r", "3")),
    "regions": Workload("several raw devices at once"),
    "lone": Workload("a lone caller beside a load", ("-l", str(REST_MS))),
    "raw-watched": Workload("raw device, while flush_stats is read 100 times a second",
                            ("-f", f"{SYSFS}/flush_stats")),
    "stats": Workload("reading flush_stats", ("-m", "read"), durable=False),
}


def build(directory: Path) -> list[str]:
    """Compile the loads; what vm.Guest takes as programs."""
    programs = []
    for name, place in PLACES.items():
        target = directory / name
        libraries = ["-lsqlite3"] if name == "sqlite-load" else []
        subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-pthread",
                        "-o", str(target), str(HERE / f"progs/{name}.c"),
                        str(HERE / "progs/load.c"), *libraries], check=True)
        programs.append(f"{target}:{place}")
    return programs


@contextlib.contextmanager
def filesystem(guest: vm.Guest, wanted: bool) -> Iterator[None]:
    """A new ext4 on the first device, mounted on /mnt."""
    if not wanted:
        yield
        return
    guest.run(MOUNT)
    try:
        yield
    finally:
        # A process lets go of its files some time after its end, the more threads the later.
        guest.run("until umount /mnt; do usleep 100000; done", timeout=120)


def _load(guest: vm.Guest, cell: Cell, workload: Workload, files: Sequence[str]) -> Figures:
    result = guest.run([PLACES[workload.program], *workload.options, "-t", str(cell.threads),
                        "-s", str(cell.seconds), "-w", str(WARMUP), *files],
                       timeout=cell.seconds + 180)
    figures: Figures = json.loads(result.stdout)
    if figures["errors"]:
        figures["message"] = result.stderr.strip()
    return figures


def _fio(guest: vm.Guest, cell: Cell) -> Figures:
    """fio has no warm-up here, so that all of its calls and host flushes count, and
    the processor's time is that of its own threads."""
    seconds = max(1, round(cell.seconds))
    result = guest.run(["fio", "--output-format=json", JOB], timeout=seconds + 180,
                       env={"JOBS": str(cell.threads), "SECONDS": str(seconds),
                            "DEVICE": "/dev/pmem0"})
    job = json.loads(result.stdout[result.stdout.index("{"):])["jobs"][0]
    sync, took = job["sync"], job["job_runtime"] / cell.threads / 1e3
    latency = sync["lat_ns"]
    # fio gives the middle of a bin, which may lie above the longest that fell into it.
    percentiles = {round(float(k)): min(v, latency["max"])
                   for k, v in latency["percentile"].items()}
    calls = latency["N"]
    busy = (job["usr_cpu"] + job["sys_cpu"]) / 100 * took * cell.threads
    return {"seconds": took, "calls": calls, "ops": calls, "errors": job["error"],
            "rate": round(calls / took, 1), "mean_ns": round(latency["mean"]),
            "p50_ns": percentiles[50], "p99_ns": percentiles[99], "max_ns": latency["max"],
            "busy_ns": round(busy * 1e9), "interrupts": None, "switches": job["ctx"]}


def run(guest: vm.Guest, cell: Cell) -> Figures:
    """Run a cell's workload once; a filesystem that it needs is there."""
    workload = WORKLOADS[cell.workload]
    if workload.program == "fio":
        return _fio(guest, cell)
    if workload.ext4:
        files = ["/mnt"]
    elif cell.workload == "stats":
        files = [f"{SYSFS}/flush_stats"]
    else:
        files = [f"/dev/pmem{n}" for n in range(cell.regions)]
    return _load(guest, cell, workload, files)
