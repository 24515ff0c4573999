# SPDX-License-Identifier: GPL-2.0-or-later
"""A region under load: threads that flush it in every way, and what became of it.

    load = FlushLoad(guest)                 # 64 threads on region0, all kinds
    ...                                     # whatever must not lose a request
    report = load.stop()
    assert report.lost() == "" and report.errors == {}

progs/flush-load.c has the kinds of calls and the meaning of each number. The guest
needs that program and, for bios, kmod/vpmem_test_load.ko: a GuestCase with
load = True has both.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any

import vm

BIO_KINDS = ("preflush", "fua", "preflush_fua", "empty")
# What calls on an unbound device get; ENOSPC because a dead disk has no blocks.
UNBOUND = ("EIO", "ENODEV", "ENXIO", "ENOSPC")


class Report:
    """Counts of a load at one moment, of all kinds or of one."""

    def __init__(self, numbers: dict[str, Any]) -> None:
        self.calls: int = numbers["calls"]
        self.again: int = numbers["again"]
        """Bios that ended more than once."""
        self.absent: int = numbers["absent"]
        """Attempts to open a file that was not there."""
        self.unanswered: int = numbers["unanswered"]
        """Calls under way; after stop(), calls that were never answered."""
        self.oldest: float = numbers["oldest_us"] / 1e6
        self.longest: float = numbers["max_us"] / 1e6
        """Seconds: the age of the oldest of these, and the longest that a call took."""
        self.errors: dict[str, int] = dict(numbers["ends"])
        """How many ended with each errno, by name."""
        self.ok: int = self.errors.pop("0", 0)
        self.kinds = {name: Report(kind) for name, kind in numbers.get("kinds", {}).items()}

    def lost(self) -> str:
        """"" if each call was answered exactly once, or what is wrong."""
        wrong = []
        if self.unanswered:
            wrong.append(f"{self.unanswered} never answered, the oldest for {self.oldest:.1f} s")
        if self.again:
            wrong.append(f"{self.again} answered twice")
        if self.ok + sum(self.errors.values()) + self.unanswered != self.calls:
            wrong.append("the counts do not add up")
        return f"{', '.join(wrong)}: {self}" if wrong else ""

    def __str__(self) -> str:
        errors = ", ".join(f"{count} {name}" for name, count in self.errors.items())
        return (f"{self.calls} calls, {errors or 'no errors'}, {self.unanswered} unanswered, "
                f"longest {self.longest:.2f} s")


class FlushLoad:
    """flush-load in a guest. It runs from the constructor's return on."""

    def __init__(self, guest: vm.Guest, region: int = 0, *, threads: int = 64,
                 kinds: Sequence[str] = (*BIO_KINDS, "fsync", "deep_flush"), device: str = "",
                 directory: str = "", wait: float = 10) -> None:
        """THREADS are shared out to KINDS. DEVICE: instead of the region's own block device;
        DIRECTORY: where kind "file" writes; WAIT: seconds that stop() waits for answers."""
        argv: list[str] = ["flush-load", "-t", str(threads), "-k", ",".join(kinds),
                           "-b", device or f"/dev/pmem{region}",
                           "-r", f"/sys/bus/nd/devices/region{region}/deep_flush",
                           "-w", str(round(wait * 1000))]
        if directory:
            argv += ["-d", directory]
        if set(kinds) & set(BIO_KINDS):
            guest.run("modprobe vpmem_test_load")
        self._guest = guest
        self._wait = wait
        self._last: Report | None = None
        self._job = guest.start(argv, stdin=True)
        self._lines()

    def _lines(self, after: int = 0) -> list[str]:
        """All lines that it has printed, once there are more than AFTER."""
        end = time.monotonic() + self._wait + 10 + self._guest.grace
        while len(lines := self._job.output.decode().split("\n")[:-1]) <= after:
            if not self._job.running:
                raise AssertionError(f"flush-load ended: {self._job.wait(check=False).stderr}")
            if time.monotonic() > end:
                raise AssertionError("flush-load does not answer")
            time.sleep(0.01)
        return lines

    def report(self) -> Report:
        """What has happened so far; the load goes on."""
        before = len(self._lines())
        self._job.write(b"report\n")
        return Report(json.loads(self._lines(before)[-1]))

    def stop(self) -> Report:
        """Send nothing more, wait for answers, and say how each call ended."""
        if self._last is None:
            before = len(self._lines())
            self._job.close_stdin()
            self._last = Report(json.loads(self._lines(before)[-1]))
        return self._last

    def close(self) -> None:
        """For clean-up: stop, whatever has become of the guest."""
        with contextlib.suppress(vm.GuestError, AssertionError):
            self.stop()

    def wait_calls(self, count: int, timeout: float = 60) -> None:
        """Wait until so many more calls have been answered."""
        first, end = self.report(), time.monotonic() + timeout
        target = first.calls - first.unanswered + count
        while (now := self.report()).calls - now.unanswered < target:
            if time.monotonic() > end:
                raise AssertionError(f"the load gets no answers: {now}")
            time.sleep(0.1)
