# SPDX-License-Identifier: GPL-2.0-or-later
"""F4: asking for a flush, and answering it, allocates nothing.

The debug kernel makes every slab allocation of the threads that flush fail; on the
stock ones the tracepoints of the allocators are watched.
"""

from __future__ import annotations

import allocations
from guestcase import GuestCase, load_tests, parse_many     # noqa: F401

DEVICE_BYTES = 16 * 1024        # that the driver may allocate for a device

FAILSLAB = "/sys/kernel/debug/failslab"
SETTINGS = {"task-filter": "Y", "ignore-gfp-wait": "N", "probability": "100", "interval": "1",
            "space": "0", "verbose": "0", "times": "-1"}


class MemoryCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()
    devices = 1

    def fsync_without_memory(self) -> tuple[int, int, str]:
        """80 fsyncs of 4 threads: (calls, errors, first errno or "0")."""
        for name, value in SETTINGS.items():
            self.guest.write(f"{FAILSLAB}/{name}", value)
        self.addCleanup(self.guest.write, f"{FAILSLAB}/probability", "0")
        return parse_many(self.guest.run(["fsync-many", "-a", "-t", "4", "-n", "20", "-m",
                                          "fsync", "/dev/pmem0"]).stdout)


class Memory(MemoryCase):
    """Our driver."""

    kernels = ("7.3",)

    def test_f4_no_allocation(self) -> None:
        """F4: with every allocation of the caller's failing, no fsync fails."""
        before = self.host().count
        self.assertEqual(self.fsync_without_memory(), (80, 0, "0"))
        self.assertGreater(self.host().count, before)
        self.assertEqual(self.attr("state"), "active")


class MemoryInTree(MemoryCase):
    """The in-tree driver, to show the difference."""

    kernels = ("7.3",)
    driver = "in-tree"

    def test_f4_allocations_fail_in_tree(self) -> None:
        """F4: in-tree a flush allocates, and a failed allocation is a failed fsync."""
        with self.flushes(0, 0):
            calls, errors, name = self.fsync_without_memory()
        self.note(f"{errors} of {calls} fsyncs failed: {name}")
        self.assertEqual((calls, errors), (80, 80))


class Allocations(GuestCase):
    """Our driver, seen by the allocators."""

    kernels = ("6.1", "6.12")
    devices = 1

    def test_f4_device(self) -> None:
        """F4: for a device the driver allocates no more than 16 KiB, at probe."""
        device = self.unbind()
        with allocations.traced(self.guest) as found:
            self.bind(device)
        self.note(", ".join(f"{a.function}: {a.bytes} bytes" for a in found))
        self.assertIn("vpmem_probe", {a.function for a in found})
        self.assertLessEqual(sum(a.bytes for a in found), DEVICE_BYTES)

    def test_f4_flush(self) -> None:
        """F4: the driver allocates nothing for a flush, nor do its functions as callbacks."""
        before = self.host().count
        with allocations.traced(self.guest) as found:
            self.assertEqual(self.many("/dev/pmem0", threads=4, calls=20), (80, 0, "0"))
        self.assertGreater(self.host().count, before)
        self.assertEqual(found, [])


class AllocationsInTree(GuestCase):
    """The in-tree driver, which shows that an allocation is seen."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"
    devices = 1

    def test_f4_flush_in_tree(self) -> None:
        """F4: in-tree each flush allocates."""
        with allocations.traced(self.guest, ("virtio_pmem", "nd_virtio")) as found:
            self.assertEqual(self.many("/dev/pmem0", calls=20), (20, 0, "0"))
        self.note(f"{len(found)} allocations in 20 flushes")
        self.assertGreaterEqual(len(found), 20)
