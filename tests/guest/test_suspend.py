# SPDX-License-Identifier: GPL-2.0-or-later
"""F11, F12: a suspend to RAM, and a hibernation, lose and fail no flush.

The first S3 of a guest resets every device. QEMU 7.2 lets each later one return
at once; the driver's part of it, freeze and restore, is the same.
"""

from __future__ import annotations

import errno
import time

import vm
from guestcase import GuestCase, load_tests, until      # noqa: F401


class SuspendCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()
    bios = True

    def setUp(self) -> None:
        super().setUp()
        if self.kernel == "7.3-kcsan":
            self.skipTest("a kernel with KCSAN does not come back from S3 under QEMU, whatever the "
                          "driver: see tests/vm/README.md")
        if "[deep]" not in self.guest.run("cat /sys/power/mem_sleep", check=False).stdout:
            self.skipTest("this kernel has no suspend to RAM")

    def sleep_and_wake(self) -> None:
        """Suspend, and resume as soon as the machine sleeps."""
        job = self.suspend()
        self.wake(job)


class Suspend(SuspendCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")
    load = True

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
        """F11: 64 threads of all kinds, and fsyncs of another region, notice nothing of a suspend
        but the time. Bios come from threads that nothing freezes."""
        other = self.guest.start(["fsync-many", "-t", "4", "-n", "300", "/dev/pmem1"], 200)
        load = self.start_load()
        load.wait_calls(100)
        self.sleep_and_wake()
        load.wait_calls(100)
        report = load.stop()
        self.note(str(report))
        self.answered(report)
        self.assertEqual(other.wait().stdout, "calls=1200 errors=0 errno=0\n")
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


class Hibernate(GuestCase):
    """Our driver, and an image of the machine that is written to a disk and loaded again.

    test_resume loads it into the kernel that wrote it: memory, and with it what the driver
    believes, goes back to the moment of the image, after the device has been used and reset.
    6.1 cannot do that: its swap has the disk open exclusively, and so would the loader. The debug
    kernel has no hibernation.
    """

    kernels = ("6.12",)
    load = True
    bios = True
    programs = ("mkswap", "swapon", "swapoff")
    # Sparse; one of them takes the image.
    size = "1G"

    def hibernate(self) -> None:
        """Hibernate and come back, with region 1 as swap."""
        self.guest.run("mkswap /dev/pmem1 && swapon /dev/pmem1", timeout=60)
        self.addCleanup(self.guest.run, "swapoff /dev/pmem1", timeout=300)
        self.guest.run("cat /sys/block/pmem1/dev > /sys/power/resume; "
                       "echo test_resume > /sys/power/disk; echo 0 > /sys/power/image_size")
        self.guest.run("echo disk > /sys/power/state", timeout=300)
        self.assertIn("Image loading done", self.guest.console)

    def test_f11_load_and_hibernation(self) -> None:
        """F11: 64 threads of all kinds notice nothing of a hibernation but the time."""
        load = self.start_load()
        load.wait_calls(100)
        self.hibernate()
        load.wait_calls(100)
        report = load.stop()
        self.note(str(report))
        self.answered(report)
        self.assertEqual(self.stats()["failed_requests"], 0)
        self.assertEqual(self.attr("state"), "active")
        self.assertEqual(self.deep_flush(), "")


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


class SuspendInTree73(SuspendCase):
    """The newest in-tree driver, which can be suspended, and fails what is under way."""

    kernels = ("7.3",)
    driver = "in-tree"

    def test_f11_a_suspend_fails_the_flush_in_flight_in_tree(self) -> None:
        """F11: 7.3 fails every flush that is under way when it is suspended, though the host
        has only not answered yet."""
        host = self.host()
        host.set(hold=True)
        self.submit_bios("F", count=8).wait()
        host.wait_holding()
        self.sleep_and_wake()
        result = self.bios_ended()
        self.assertEqual((result["failed"], result["status"]), (8, -errno.EIO))
        # The answer goes to memory that the driver has freed: nobody may run after it.
        self.guest.qmp("stop")
        host.set(hold=False)
        until(lambda: host.done == host.count, "the host has flushed")
        self.assertEqual(host.failed, 0)
        self.guest.crash()
