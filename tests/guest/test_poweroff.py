# SPDX-License-Identifier: GPL-2.0-or-later
"""F15: a machine powers off, whatever its hosts do. Each test ends its own guest."""

from __future__ import annotations

import time

import vm
from guestcase import GuestCase, load_tests, until      # noqa: F401

STALL_MS = 1000
SLACK = 20      # s; what an emulated machine may take on top of a time-out


class PowerOffCase(GuestCase):
    """What the tests of both drivers need. A guest that has gone cannot be tidied up."""

    kernels = ()

    def tearDown(self) -> None:
        pass

    def dead_host(self) -> None:
        """Region 0 has a host that does not answer, and an fsync that waits for it."""
        host = self.host()
        host.set(hold=True)
        self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"])
        host.wait_holding()


class PowerOff(PowerOffCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")

    def test_f15_dead_host_and_quiesced_region(self) -> None:
        """F15: power-off with a dead host under region 0 ends after stall_timeout_ms and about a
        second; what gathered in the quiesced region 1 is flushed before it.

        In-tree it never ends."""
        self.set_attr("stall_timeout_ms", str(STALL_MS))
        self.dead_host()
        self.assertEqual(self.store(self.file("quiesce", 1), "1"), "")
        self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem1"])
        until(lambda: self.attr("queue_depth", 1) == "1", "one gathers")
        other = self.host(1)
        before, started = other.done, time.monotonic()
        self.guest.start(["poweroff", "-f"])
        self.guest.wait_exit(STALL_MS / 1000 + 1 + SLACK + self.guest.grace)
        self.note(f"power-off took {time.monotonic() - started:.1f} s")
        self.assertGreater(other.done, before, "what gathered was not flushed")
        self.assertIn("region0 is broken (timeout)", self.guest.console)


class PowerOffInTree(PowerOffCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_f15_power_off_hangs_in_tree(self) -> None:
        """F15: in-tree a power-off with a dead host never ends."""
        self.dead_host()
        job = self.guest.start(["poweroff", "-f"])
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=15)
        self.guest.crash()
