# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time of a call goes, from tracepoints in the guest.

A call of fdatasync is cut into what comes before it joins a batch, the wait for
the batch to be submitted, the host's flush, the wait for a processor, and the way
back. Where a journal commits in between, the commit is looked at as well; that can be
done with the in-tree driver too, which has no tracepoints: its flushes are counted by
the host only.
"""

from __future__ import annotations

import gzip
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import vm
import workloads
from plan import Cell
from session import Guests

TRACING = "/sys/kernel/tracing"
COMMANDS = ("fsync-load", "sqlite-load")
EVENTS = ("syscalls/sys_enter_fdatasync", "syscalls/sys_exit_fdatasync", "sched/sched_switch")
OURS = ("virtio_pmem/virtio_pmem_request", "virtio_pmem/virtio_pmem_submit",
        "virtio_pmem/virtio_pmem_complete")
JOURNAL = ("jbd2/jbd2_start_commit", "jbd2/jbd2_end_commit")
LINES = 20000       # of a trace; some seconds' worth is not needed
FEWEST = 5          # calls, for a breakdown that means something

STAGES = (
    ("enter to join", "the way from the system call to the driver"),
    ("join to submit", "waiting for the host flush before it, and in the window"),
    ("submit to complete", "the host flush: notify, fsync on the host, interrupt"),
    ("complete to run", "until the caller has a processor again"),
    ("run to return", "the way back from the driver"),
)

_LINE = re.compile(r"\s*(?P<comm>.+)-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+(?P<time>[\d.]+): (?P<what>.*)")
_SEQ = re.compile(r"virtio_pmem_(request|submit|complete): \S+ seq=(\d+)")
_NEXT = re.compile(r"sched_switch: .*next_pid=(\d+)")


class NoTrace(Exception):
    """The trace does not have what a breakdown needs."""


@dataclass
class _Call:
    enter: float
    seq: int = 0
    join: float = 0.0
    ran: float = 0.0        # when the caller last got a processor


@dataclass
class Trace:
    """What was seen; times in s."""

    calls: list[tuple[float, ...]] = field(default_factory=list)
    """The five stages of each whole call."""
    lengths: list[float] = field(default_factory=list)
    """Of each call."""
    flushes: list[tuple[float, float]] = field(default_factory=list)
    """Submitted and completed."""
    commits: list[tuple[float, float]] = field(default_factory=list)


def _events(text: str) -> Iterator[tuple[float, int, str]]:
    for line in text.splitlines():
        if found := _LINE.match(line):
            yield float(found["time"]), int(found["pid"]), found["what"]


def parse(text: str) -> Trace:
    trace = Trace()
    calls: dict[int, _Call] = {}
    submitted: dict[int, float] = {}
    completed: dict[int, float] = {}
    commit: float | None = None
    for time, pid, what in _events(text):
        if found := _SEQ.match(what):
            seq = int(found[2])
            if found[1] == "request" and pid in calls:
                calls[pid].seq, calls[pid].join = seq, time
            elif found[1] == "submit":
                submitted[seq] = time
            elif found[1] == "complete":
                completed[seq] = time
                if seq in submitted:
                    trace.flushes.append((submitted[seq], time))
        elif found := _NEXT.match(what):
            if (call := calls.get(int(found[1]))):
                call.ran = time
        elif what.startswith("jbd2_start_commit:"):
            commit = time
        elif what.startswith("jbd2_end_commit:") and commit is not None:
            trace.commits.append((commit, time))
            commit = None
        elif re.match(r"sys_fdatasync\(|sys_enter_fdatasync", what):
            calls[pid] = _Call(time)
        elif re.match(r"sys_fdatasync ->|sys_exit_fdatasync", what) and pid in calls:
            _ended(trace, calls.pop(pid), time, submitted, completed)
    return trace


def _ended(trace: Trace, call: _Call, end: float, submitted: dict[int, float],
           completed: dict[int, float]) -> None:
    trace.lengths.append(end - call.enter)
    begun, done = submitted.get(call.seq), completed.get(call.seq)
    if begun is None or done is None:
        return
    # Who polls or was never taken off its processor has not been switched to.
    ran = max(call.ran, done)
    trace.calls.append((call.join - call.enter, max(0.0, begun - call.join), done - begun,
                        ran - done, end - ran))


def _us(values: list[float]) -> float:
    return round(statistics.mean(values) * 1e6, 1)


def _commit_figures(trace: Trace, flushes_per_call: float) -> dict[str, Any]:
    """What one commit of the journal costs, and how much of it is the host, where that
    was traced."""
    host, flushes = [], 0
    for begin, end in trace.commits:
        inside = [(a, b) for a, b in trace.flushes if a < end and b > begin]
        flushes += len(inside)
        host.append(sum(min(b, end) - max(a, begin) for a, b in inside))
    first, last = trace.commits[0][0], trace.commits[-1][1]
    calls = len(trace.lengths) / len(trace.commits)
    return {
        "commits": len(trace.commits),
        "commit_us": _us([end - begin for begin, end in trace.commits]),
        "host_us": _us(host) if flushes else None,
        "idle_us": round(((last - first) - sum(e - b for b, e in trace.commits))
                         / max(1, len(trace.commits) - 1) * 1e6, 1),
        "flushes_per_commit": round(flushes / len(trace.commits) if flushes
                                    else flushes_per_call * calls, 2),
        "calls_per_commit": round(calls, 2),
    }


def figures(trace: Trace, journal: bool, flushes_per_call: float) -> dict[str, Any]:
    """Means, in us. FLUSHES_PER_CALL is what the host has counted."""
    if len(trace.lengths) < FEWEST or not (trace.flushes or trace.commits):
        raise NoTrace(f"{len(trace.lengths)} calls and {len(trace.flushes)} flushes were traced")
    found: dict[str, Any] = {"calls": len(trace.lengths), "call_us": _us(trace.lengths)}
    if trace.flushes:
        found["flush_us"] = _us([b - a for a, b in trace.flushes])
    if len(trace.calls) >= FEWEST:
        found["stages_us"] = [_us(list(stage)) for stage in zip(*trace.calls)]
        found["staged_calls"] = len(trace.calls)
    elif not journal:
        raise NoTrace("no call could be followed")
    if journal and trace.commits:
        found["commit"] = _commit_figures(trace, flushes_per_call)
    return found


def _enable(guest: vm.Guest, events: Sequence[str]) -> None:
    match = " || ".join(f'next_comm == "{name}"' for name in COMMANDS)
    guest.run(f"mountpoint -q {TRACING} || mount -t tracefs none {TRACING}; cd {TRACING} && "
              "echo nop > current_tracer && echo mono > trace_clock && "
              "echo 4096 > buffer_size_kb && echo > trace && "
              f"echo '{match}' > events/sched/sched_switch/filter && "
              f"for e in {' '.join(events)}; do "
              "echo 1 > events/$e/enable || exit 1; done")


def measure(guests: Guests, cell: Cell, label: str) -> dict[str, Any]:
    """Trace one driver in one cell."""
    workload = workloads.WORKLOADS[cell.workload]
    with guests.running(label) as guest, workloads.filesystem(guest, workload.ext4):
        _enable(guest, (*EVENTS, *(() if label == "in-tree" else OURS),
                        *(JOURNAL if workload.ext4 else ())))
        guest.host(0).set(delay_ms=cell.delay_ms)
        flushes = guest.host(0).count
        try:
            calls = workloads.run(guest, cell)["calls"]
            flushes = guest.host(0).count - flushes
        finally:
            guest.host(0).set(delay_ms=0)
            guest.run(f"echo 0 > {TRACING}/events/enable")
        packed = guest.run(f"grep -v '^#' {TRACING}/trace | tail -n {LINES} | gzip -1", timeout=300)
    return figures(parse(gzip.decompress(packed.out).decode(errors="replace")), workload.ext4,
                   flushes / max(1, calls))
