# SPDX-License-Identifier: GPL-2.0-or-later
"""Every flush that somebody asks for reaches the host, and only those.

The preload in QEMU counts the host's fsyncs; the driver's own counters must
say the same.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import re

from guestcase import STATS, GuestCase, load_tests, until      # noqa: F401

CALLS = 100


class Counts(GuestCase):
    """Callers one at a time, and many at once."""

    bios = True

    def test_f16_each_deep_flush_is_one_host_flush(self) -> None:
        """F16: a lone caller gets a host flush of its own, of its own region."""
        for n in (0, 1):
            self.assertEqual(self.guest.read(f"{self.region(n)}/deep_flush"), "1")
            for text in ("1", "1\n", "y"):
                with self.flushes(n, 1):
                    self.assertEqual(self.deep_flush(n, text), "")

    def test_bad_input_to_deep_flush_flushes_nothing(self) -> None:
        """0 and garbage are -EINVAL and reach nobody."""
        before = self.stats()
        for text in ("0", "0\n", "n", "2", "-1", "garbage", "\n", "\0", "x" * 4095):
            with self.subTest(text=text[:10]), self.flushes(0, 0):
                self.assertEqual(self.deep_flush(0, text), "Invalid argument")
        self.assertEqual(self.stats(), before)

    def test_each_pmemctl_flush_is_one_host_flush(self) -> None:
        """U1: pmemctl flush reports what it did, and the host saw it."""
        for n in (0, 1):
            with self.flushes(n, 1):
                result = self.pmemctl("flush", f"region{n}")
                self.assertEqual(result.status, 0, result.stderr)
                self.assertIn(f"region{n}: flushed by deep_flush in ", result.stdout)
        before = [host.count for host in self.guest.hosts]
        self.assertEqual(self.pmemctl("flush", "all").status, 0)
        self.assertEqual([host.count for host in self.guest.hosts], [c + 1 for c in before])

    def test_each_fsync_is_one_host_flush(self) -> None:
        """An fsync of the block device is one host flush of its region."""
        for n in (0, 1):
            for mode in ("fsync", "fdatasync"):
                with self.flushes(n, 5):
                    self.assertEqual(self.many(f"/dev/pmem{n}", 1, 5, mode), (5, 0, "0"))

    def test_counters_agree_with_the_host(self) -> None:
        """flush_stats counts requests and host flushes as the host does."""
        host, before = self.host(), self.stats()
        count = host.count
        self.assertEqual(self.deep_flush(), "")
        self.many("/dev/pmem0", 4, 10)
        after = self.stats()
        self.assertEqual(after["requests"] - before["requests"], 41)
        self.assertEqual(after["host_flushes"] - before["host_flushes"], host.count - count)
        self.assertEqual(after["failed_requests"], before["failed_requests"])
        self.assertEqual(after["failed_host_flushes"], before["failed_host_flushes"])
        histogram = [int(word) for word in self.attr("flush_latency").split()]
        self.assertEqual(sum(histogram), after["host_flushes"])
        self.assertGreaterEqual(after["request_total_ns"], after["host_total_ns"])
        self.assertGreaterEqual(after["request_max_ns"], after["host_max_ns"])
        self.assertEqual(self.attr("queue_depth"), "0")
        self.assertEqual(self.attr("in_flight_us"), "0")

    def test_latency_is_the_hosts(self) -> None:
        """A slow host shows in the latencies and in the histogram."""
        self.host().set(delay_ms=40)
        before = self.stats()
        self.assertEqual(self.deep_flush(), "")
        after = self.stats()
        self.assertGreaterEqual(after["host_total_ns"] - before["host_total_ns"], 40_000_000)
        self.assertGreaterEqual(after["host_max_ns"], 40_000_000)
        histogram = [int(word) for word in self.attr("flush_latency").split()]
        self.assertGreater(sum(histogram[16:]), 0, histogram)      # bin 16: from 32.768 ms

    def test_a_held_flush_is_seen(self) -> None:
        """What waits for the host shows in queue_depth and in_flight_us."""
        host = self.host()
        host.set(hold=True)
        jobs = [self.start_deep_flush()]
        host.wait_holding()
        jobs += [self.start_deep_flush() for _ in range(3)]
        self.wait_depth(4)
        self.assertGreater(int(self.attr("in_flight_us")), 0)
        self.assertGreaterEqual(int(self.attr("queue_depth_max")), 4)
        with self.flushes(0, 1):        # the three that gathered share one
            host.set(hold=False)
            for job in jobs:
                self.assertEqual(job.wait().stdout, "calls=1 errors=0 errno=0\n")
        self.assertEqual(self.attr("queue_depth"), "0")

    def test_f16_sixteen_threads_share_host_flushes(self) -> None:
        """F16: 16 threads that fsync at once need at most 60 % as many host flushes."""
        host, before = self.host(), self.stats()
        host.set(delay_ms=5)
        count = host.count
        calls, errors, _ = self.many("/dev/pmem0", 16, 20)
        self.assertEqual((calls, errors), (320, 0))
        flushes = host.count - count
        self.note(f"{calls} calls, {flushes} host flushes: {100 * flushes // calls} %")
        self.assertLessEqual(flushes, 0.6 * calls)
        after = self.stats()
        self.assertEqual(after["requests"] - before["requests"], calls)
        self.assertEqual(after["host_flushes"] - before["host_flushes"], flushes)

    def test_dsync_writes_are_counted(self) -> None:
        """100 O_DSYNC writes and 100 write + fdatasync cost no more than in-tree (200, 100)."""
        dsync = self.count("dsync")
        fdatasync = self.count("fdatasync")
        self.note(f"{CALLS} O_DIRECT|O_DSYNC writes: {dsync} host fsyncs; "
                  f"{CALLS} write + fdatasync: {fdatasync}")
        self.assertEqual(fdatasync, CALLS)
        # The kernel asks twice for each: with REQ_FUA, and then with an fsync.
        self.assertGreaterEqual(dsync, CALLS)
        self.assertLessEqual(dsync, 2 * CALLS)

    def test_f16_a_lone_caller_is_not_held(self) -> None:
        """F16: also after many came at once, one alone submits its flush itself, at once."""
        self.host().set(delay_ms=2)
        self.assertEqual(self.many("/dev/pmem0", 16, 10)[1], 0)
        with self.traced() as events:
            self.assertEqual(self.many("/dev/pmem0", 1, 20)[1], 0)
        joined = [(e["task"], e["seq"]) for e in events if e["event"] == "request"]
        submitted = [(e["task"], e["seq"]) for e in events if e["event"] == "submit"]
        self.assertEqual(len(joined), 20)
        self.assertEqual(submitted, joined)

    def test_tracepoints(self) -> None:
        """A flush shows in the trace: request, submit, complete."""
        with self.traced() as events:
            self.assertEqual(self.deep_flush(), "")
        self.assertEqual([e["event"] for e in events], ["request", "submit", "complete"])
        self.assertEqual(len({e["seq"] for e in events}), 1)

    # -- helpers --

    @contextlib.contextmanager
    def traced(self) -> Iterator[list[dict[str, str]]]:
        """The driver's trace events on region0 meanwhile; filled when the block ends."""
        trace = "/sys/kernel/tracing"
        events: list[dict[str, str]] = []
        self.guest.run(f"echo > {trace}/trace; echo 1 > {trace}/events/virtio_pmem/enable")
        try:
            yield events
        finally:
            self.guest.run(f"echo 0 > {trace}/events/virtio_pmem/enable")
        for line in self.guest.read(f"{trace}/trace").splitlines():
            if match := re.match(r"\s*(?P<task>\S.*?)\s+\[.*virtio_pmem_(?P<event>\w+): region0 "
                                 r"seq=(?P<seq>\d+)", line):
                events.append(match.groupdict())

    def wait_depth(self, depth: int) -> None:
        self.guest.run(f"until [ $(cat {self.file('queue_depth')}) = {depth} ]; do :; done",
                       timeout=20)

    def count(self, mode: str) -> int:
        host = self.host()
        before = host.count
        self.assertEqual(self.many("/dev/pmem0", 1, CALLS, mode), (CALLS, 0, "0"))
        return host.count - before


class CountsInTree(GuestCase):
    """The same with the in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_no_deep_flush(self) -> None:
        """The in-tree driver's region has no deep_flush at all."""
        self.assertNotIn("deep_flush", self.guest.run(["ls", self.region()]).stdout.split())

    def test_nothing_can_be_seen(self) -> None:
        """In-tree there is no counter, no tracepoint, and no event when the host fails a flush."""
        ours = re.findall(r"virtio_pmem/.*|deep_flush.*",
                          self.guest.run(["find", self.region() + "/"]).stdout)
        self.assertEqual(ours, [])
        events = self.guest.run("ls /sys/kernel/tracing/events").stdout.split()
        self.assertEqual([name for name in events if "pmem" in name], [])
        listener = self.listen()
        self.host().set(fail_next=1)
        self.assertEqual(self.many("/dev/pmem0", mode="fsync"), (1, 1, "EIO"))
        self.guest.run("echo change > /sys/block/pmem0/uevent")     # one that comes after it
        until(lambda: b"change@" in listener.output, "an event")
        self.assertEqual(listener.output.count(b"change@"), 1)

    def test_f16_sixteen_threads_need_a_host_flush_each(self) -> None:
        """F16: the in-tree driver makes one host flush for each caller."""
        host = self.host()
        host.set(delay_ms=5)
        before = host.count
        calls, errors, _ = self.many("/dev/pmem0", 16, 20)
        self.assertEqual((calls, errors), (320, 0))
        self.note(f"{calls} calls, {host.count - before} host flushes")
        self.assertEqual(host.count - before, calls)

    def test_dsync_writes_are_counted(self) -> None:
        """100 O_DSYNC writes cost 200 host fsyncs, 100 write + fdatasync 100."""
        counts = {}
        for mode in ("dsync", "fdatasync"):
            before = self.host().count
            self.assertEqual(self.many("/dev/pmem0", 1, CALLS, mode), (CALLS, 0, "0"))
            counts[mode] = self.host().count - before
        self.note(f"{CALLS} O_DIRECT|O_DSYNC writes: {counts['dsync']} host fsyncs; "
                  f"{CALLS} write + fdatasync: {counts['fdatasync']}")
        self.assertEqual(counts, {"dsync": 2 * CALLS, "fdatasync": CALLS})
