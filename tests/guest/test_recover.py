# SPDX-License-Identifier: GPL-2.0-or-later
"""Recover: how a broken region comes back, and that an old request's answer is never taken
for another's.

QEMU stops to serve a device that was notified with nothing in its ring; until
the guest resets it, it says NEEDS_RESET. A flush that the host is busy with at
that moment goes on, and its answer comes whenever the host is done: into the
memory of the old request, and, once there is one, into the new ring.
"""

from __future__ import annotations

import signal
import time

import vm
from guestcase import DRIVER, GuestCase, load_tests, until, written    # noqa: F401

EIO = "Input/output error"


class RecoverCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()
    load = True

    def held_flush(self) -> vm.Job:
        """An fsync that the host holds back, as it does each later one."""
        host = self.host()
        host.set(hold=True)
        job = self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 200)
        host.wait_holding()
        return job

    def release_old(self) -> None:
        """Let the host finish the oldest flush that it holds back."""
        host = self.host()
        before = host.done
        host.release()
        until(lambda: host.done == before + 1, "the old answer")


class Recover(RecoverCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")
    bios = True
    programs = ("mkfs.ext4", "e2fsck")

    def setUp(self) -> None:
        super().setUp()
        self.set_attr("stall_timeout_ms", "60000")

    def recover(self, n: int = 0) -> None:
        """Recover; afterwards the region works, and a flush is a host flush."""
        self.assertEqual(self.store(self.file("recover", n), "1", timeout=60), "")
        self.assertEqual([self.attr(name, n) for name in ("state", "broken", "broken_reason")],
                         ["active", "0", "none"])
        with self.flushes(n, 1):
            self.assertEqual(self.deep_flush(n), "")

    def broken(self, reason: str) -> None:
        until(lambda: self.attr("state") == "broken", "it breaks")
        self.assertEqual(self.attr("broken_reason"), reason)

    def broken_in_flight(self) -> None:
        """A region that broke while the host was busy, and which it holds back still."""
        job = self.held_flush()
        self.stray_notify()
        self.assertEqual(written(job), "EIO")
        self.broken("needs-reset")

    def test_after_a_host_error(self) -> None:
        """F14: what a failed host flush has latched, recover opens again; it is counted."""
        before = self.stats()
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), EIO)
        self.broken("host-error")
        events, poll = self.listen(), self.guest.start(["poll-file", self.file("state")])
        self.addCleanup(poll.kill)
        until(lambda: poll.output == b"broken\n", "the first look at state")
        self.recover()
        until(lambda: poll.output.endswith(b"active\n"), "poll() wakes")
        until(lambda: "VIRTIO_PMEM_STATE=active" in "".join(self.change_events(events)[-1:]),
              "a uevent")
        self.assertEqual(self.stats()["recoveries"], before["recoveries"] + 1)

    def test_f10_needs_reset_while_idle(self) -> None:
        """F10: a device that wants a reset breaks the region at once, and recover resets it.

        In-tree every flush fails from then on, until the driver is bound anew."""
        for _ in range(3):
            self.stray_notify()
            self.broken("needs-reset")
            with self.flushes(0, 0):
                self.assertEqual(self.deep_flush(), EIO)
            self.recover()

    def test_f10_needs_reset_in_flight(self) -> None:
        """F10: a device that wants a reset while 64 threads flush: each of them hears of it at
        once, nobody hangs, and after recover the load goes on.

        In-tree who waits does so for ever."""
        self.set_attr("stall_timeout_ms", "2000")
        self.host().set(delay_ms=20)
        load = self.start_load()
        load.wait_calls(100)
        while self.attr("state") != "broken":   # a notify with a full ring does no harm
            self.stray_notify()
        self.broken("needs-reset")
        until(lambda: load.report().oldest < 1, "nobody waits")
        # A flush that was submitted before the driver heard of the reset has no answer
        # to come, which the first recover cannot know.
        if written(self.start_writing("recover")) == "ETIMEDOUT":
            self.note("waited for an answer in vain")
            self.assertEqual(written(self.start_writing("recover")), "0")
        before = load.report().ok
        until(lambda: load.report().ok > before + 100, "it flushes again", 60)
        self.assertEqual(self.attr("state"), "active")
        report = load.stop()
        self.note(str(report))
        self.answered(report, "EIO")

    def test_f7_waits_for_the_old_answer(self) -> None:
        """F7, F12: recover with a request that the host is still busy with waits for its answer;
        what gathers meanwhile is flushed after it, and not answered by it.

        A naive one is in the class for the in-tree driver below."""
        self.broken_in_flight()
        host = self.host()
        recover = self.start_writing("recover")
        until(lambda: self.attr("state") == "recovering", "recover waits")
        gathers = self.start_deep_flush()
        self.submit_bios("F", count=3).wait()
        until(lambda: self.attr("queue_depth") == "4", "four gather")
        self.assertEqual((self.attr("state"), host.holding), ("recovering", 1))
        self.release_old()
        self.assertEqual(written(recover), "0")
        host.wait_holding()         # the flush for those that gathered
        time.sleep(0.5)
        self.assertTrue(gathers.running, "it was answered before the host had flushed")
        self.assertEqual(self.bio_result()["ended"], 0)
        host.set(hold=False)
        self.assertEqual(written(gathers), "0")
        result = self.bios_ended()
        self.assertEqual((result["failed"], result["again"]), (0, 0))
        self.assertEqual(self.attr("state"), "active")

    def test_f7_no_old_answer_in_time(self) -> None:
        """F7: if the old answer does not come within stall_timeout_ms, recover is -ETIMEDOUT and
        the region broken still; who gathered hears -EIO. Once it has come, recover works."""
        self.set_attr("stall_timeout_ms", "4000")       # time enough to see it recovering
        host = self.host()
        host.set(hold=True)
        job = self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 100)
        host.wait_holding()
        self.stray_notify()
        self.assertEqual(written(job), "EIO")
        recover = self.start_writing("recover")
        until(lambda: self.attr("state") == "recovering", "recover waits")
        gathers = self.start_deep_flush()
        self.assertEqual((written(recover), written(gathers)), ("ETIMEDOUT", "EIO"))
        self.broken("timeout")
        host.set(hold=False)
        until(lambda: host.done == host.count, "the old answer")
        self.recover()

    def test_f7_an_old_answer_in_the_new_ring(self) -> None:
        """F7: an administrator who goes on without the old answer: when it comes, into the new
        ring, it is recognised, and nobody is told success for it."""
        self.set_attr("stall_timeout_ms", "1000")
        self.broken_in_flight()
        host = self.host()
        self.assertEqual(written(self.start_writing("recover")), "ETIMEDOUT")
        self.assertEqual(written(self.start_writing("recover")), "0")
        self.assertEqual(self.attr("state"), "active")
        job = self.start_deep_flush()
        host.wait_holding(2)
        self.release_old()
        self.assertEqual(written(job), "EIO")
        self.broken("stale-answer")
        host.set(hold=False)
        until(lambda: host.done == host.count, "all answers")
        self.recover()

    def test_a_signal_ends_the_wait(self) -> None:
        """SIGKILL takes away who waits for a recover; the region is broken still."""
        self.broken_in_flight()
        recover = self.start_writing("recover")
        until(lambda: self.attr("state") == "recovering", "recover waits")
        recover.kill(signal.SIGKILL)
        self.assertEqual(recover.wait(check=False).status, 128 + signal.SIGKILL)
        until(lambda: self.attr("state") == "broken", "it is broken again")
        self.host().set(hold=False)
        self.recover()

    def test_f11_unbind_during_recover(self) -> None:
        """F11, F7: an unbind reaches who waits in recover with -ENODEV, and those who gather with
        -EIO, and does not wait for the old answer. When that comes, to the next binding, nobody
        there is told success for it."""
        self.broken_in_flight()
        host, device = self.host(), self.virtio()
        recover = self.start_writing("recover")
        until(lambda: self.attr("state") == "recovering", "recover waits")
        gathers = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "1", "one gathers")
        self.guest.run(f"echo {device} > {DRIVER}/unbind", timeout=60)
        self.assertEqual((written(recover), written(gathers)), ("ENODEV", "EIO"))
        self.assertEqual(host.holding, 1)
        self.bind(device)
        job = self.start_deep_flush()
        host.wait_holding(2)
        self.release_old()
        self.assertEqual(written(job), "EIO")
        self.broken("stale-answer")
        host.set(hold=False)
        until(lambda: host.done == host.count, "all answers")
        self.recover()

    def test_nothing_to_recover(self) -> None:
        """Recover of a healthy region succeeds and does nothing; anything but 1 is -EINVAL."""
        before = self.stats()
        load = self.start_load(threads=8)
        load.wait_calls(20)
        self.assertEqual(self.store(self.file("recover"), "1"), "")
        load.wait_calls(20)
        self.answered(load.stop())
        self.assertEqual(self.stats()["recoveries"], before["recoveries"])
        for bad in ("0", "2", "-1", "\n", "x"):
            self.assertEqual(self.store(self.file("recover"), bad), "Invalid argument")
        self.assertEqual(self.guest.run(["stat", "-c", "%a", self.file("recover")]).stdout.strip(),
                         "200")

    def test_f14_filesystem_after_recover(self) -> None:
        """F14: latched under ext4, recover alone does not bring a journal back, and never
        makes it lie; mounted anew, the filesystem is consistent and works."""
        self.guest.run("mkfs.ext4 -q -F -b 4096 /dev/pmem0 && mount -o errors=remount-ro "
                       "/dev/pmem0 /mnt")
        try:
            load = self.start_load(kinds=("file", "deep_flush", "empty"), directory="/mnt",
                                   threads=12)
            load.wait_calls(50)
            self.host().set(fail_next=1)
            self.broken("host-error")
            self.assertEqual(self.store(self.file("recover"), "1"), "")
            self.answered(load.stop(), "EIO", "EROFS")
        finally:
            self.guest.run("umount /mnt", timeout=60)
        # Its first answer is 1, "errors corrected": the journal's.
        self.guest.run("e2fsck -fy /dev/pmem0 > /dev/null; e2fsck -fn /dev/pmem0", timeout=60)
        self.guest.run("mount /dev/pmem0 /mnt && echo good > /mnt/a && sync /mnt/a && umount /mnt")


class RecoverInTree(RecoverCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12", "7.3")
    driver = "in-tree"
    # As it is on Debian's kernels: the debug kernel has it off.
    append = "init_on_alloc=1"

    def test_f10_needs_reset_in_tree(self) -> None:
        """F10: in-tree one notify too many makes every flush fail, for ever."""
        self.assertEqual(self.many("/dev/pmem0", mode="fsync"), (1, 0, "0"))
        self.stray_notify()
        with self.flushes(0, 0):
            self.assertEqual(self.many("/dev/pmem0", 1, 20, "fsync"), (20, 20, "EIO"))
        self.rebind()

    def test_f10_waiters_hang_in_tree(self) -> None:
        """F10: in-tree who waits when the device wants a reset is never answered."""
        host = self.host(1)
        host.set(hold=True)
        job = self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem1"])
        host.wait_holding()
        self.stray_notify(1)
        host.set(hold=False)
        until(lambda: host.done == host.count, "the host has flushed")
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=5)
        job.kill()
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=1)


class NaiveInTree(RecoverCase):
    """What a recover is that resets the device and goes on: 7.3's unbind and bind."""

    kernels = ("7.3",)
    driver = "in-tree"
    append = "init_on_alloc=1"
    devices = 1

    def test_f7_an_old_answer_is_taken_for_a_new_one_in_tree(self) -> None:
        """F7: in-tree on 7.3, a flush of the new device is told success by the answer to the
        old one's, while the host has not flushed."""
        old = self.held_flush()
        host, device = self.host(), self.virtio()
        self.guest.run(f"echo {device} > {DRIVER}/unbind", timeout=60)
        self.assertEqual(written(old), "EIO")
        self.bind(device)
        new = self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 100)
        host.wait_holding(2)
        self.assertTrue(new.running)
        self.release_old()
        self.assertEqual(written(new), "0")
        self.assertEqual(host.holding, 1, "the host has not flushed")
