# SPDX-License-Identifier: GPL-2.0-or-later
"""F11, F12: a suspend to RAM loses and fails no flush.

The first S3 of a guest resets every device. QEMU 7.2 lets each later one return
at once; the driver's part of it, freeze and restore, is the same.
"""

from __future__ import annotations

import time

import vm
from guestcase import GuestCase, load_tests, until      # noqa: F401


class SuspendCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()
    bios = True

    def setUp(self) -> None:
        super().setUp()
        if "[deep]" not in self.guest.run("cat /sys/power/mem_sleep", check=False).stdout:
            self.skipTest("this kernel has no suspend to RAM")

    def suspend(self) -> vm.Job:
        """Start to suspend; the job ends after the machine has been woken."""
        return self.guest.start("echo mem > /sys/power/state", 60)

    def sleep_and_wake(self) -> None:
        """Suspend, and resume as soon as the machine sleeps."""
        job = self.suspend()
        self.wake(job)

    def wake(self, job: vm.Job) -> None:
        """Wait until the machine sleeps, and wake it, or until it has come back by itself."""
        while job.running:
            try:
                self.guest.qmp_event("SUSPEND", 0.2)
                self.guest.qmp("system_wakeup")
                self.note("the machine slept")
                break
            except TimeoutError:
                pass
        self.assertEqual(job.wait(check=False).status, 0)


class Suspend(SuspendCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")

    def test_f11_without_load(self) -> None:
        """F11: after a suspend both regions work as before. In-tree the next fsync never ends."""
        before = self.stats()
        for _ in range(2):
            self.sleep_and_wake()
        self.assertEqual(self.stats(), before)
        for n in (0, 1):
            self.assertEqual(self.attr("state", n), "active")
            with self.flushes(n, 2):
                self.assertEqual(self.deep_flush(n), "")
                self.assertEqual(self.many(f"/dev/pmem{n}", 1, 1), (1, 0, "0"))

    def test_f11_load(self) -> None:
        """F11: writers that fsync all the time notice nothing of a suspend but the time."""
        load = [self.guest.start(["fsync-many", "-t", 4, "-n", 300, "-m", mode, path], 100)
                for mode, path in (("fdatasync", "/dev/pmem0"), ("fdatasync", "/dev/pmem1"),
                                   ("deep", f"{self.region()}/deep_flush"))]
        until(lambda: self.stats()["requests"] > 20, "the load runs")
        self.sleep_and_wake()
        for job in load:
            self.assertEqual(job.wait().stdout, "calls=1200 errors=0 errno=0\n")
        self.assertEqual(self.stats()["failed_requests"], 0)

    def test_f12_what_gathers_is_flushed_afterwards(self) -> None:
        """F12: the suspend waits for the flush in flight; what gathers meanwhile is flushed and
        answered after the resume."""
        host = self.host()
        host.set(hold=True)
        self.submit_bios("F", count=8).wait()
        host.wait_holding()
        before = host.count
        job = self.suspend()
        time.sleep(2)       # until the driver waits; earlier, the test shows less and passes
        host.set(hold=False)
        self.wake(job)
        result = self.bios_ended()
        self.assertEqual((result["ended"], result["failed"], result["again"]), (8, 0, 0))
        self.assertEqual(host.count - before, 1)

    def test_f14_a_broken_region_stays_broken(self) -> None:
        """F14: a suspend is no way around a latched error."""
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        self.sleep_and_wake()
        self.assertEqual(self.attr("state"), "broken")
        with self.flushes(0, 0):
            self.assertEqual(self.deep_flush(), "Input/output error")


class SuspendInTree(SuspendCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"
    bios = False

    def test_f11_the_next_fsync_never_ends_in_tree(self) -> None:
        """F11: in-tree no flush is answered after a suspend, and SIGKILL does not help."""
        self.assertEqual(self.many("/dev/pmem0", 1, 1), (1, 0, "0"))
        self.sleep_and_wake()
        before = self.host().count
        job = self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"])
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=5)
        job.kill()
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=1)
        self.note(f"the host got {self.host().count - before} flushes")
        self.guest.crash()      # what follows would wait for it
