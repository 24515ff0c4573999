# SPDX-License-Identifier: GPL-2.0-or-later
"""F15: a host that does not answer. It is reported, and waited for; nobody else waits with it.

The time-out is 1 s here, the shortest there is.
"""

from __future__ import annotations

import time

import vm
from guestcase import DRIVER, GuestCase, load_tests, until, written     # noqa: F401
from load import UNBOUND

STALL_MS = 1000
SLACK = 10      # s; what an emulated machine may take on top of a time-out


class StallCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()

    def hold(self, n: int = 0) -> vm.Job:
        """A dead host, and an fsync that waits for it."""
        host = self.host(n)
        host.set(hold=True)
        job = self.guest.start(["fsync-many", "-m", "fsync", f"/dev/pmem{n}"], 200)
        host.wait_holding()
        return job


class Stall(StallCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")
    load = True
    bios = True

    def setUp(self) -> None:
        super().setUp()
        self.set_attr("stall_timeout_ms", str(STALL_MS))

    def stalled(self) -> None:
        until(lambda: self.attr("stalled") == "1", "the host is called stalled")

    def test_f15_reported_and_answered_late(self) -> None:
        """F15: a host that takes longer than stall_timeout_ms is "stalled" in sysfs and in a
        uevent; requests stay pending, and its late answer answers them with success."""
        events, before = self.listen(), self.stats()
        waiting = [self.hold(), self.start_deep_flush(),
                   self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 100)]
        self.submit_bios("F", count=5).wait()
        until(lambda: self.attr("queue_depth") == "8", "all wait")
        self.stalled()
        event = until(lambda: self.change_events(events), "a uevent")[-1]
        self.assertIn("VIRTIO_PMEM_STALLED=1", event)
        self.assertIn("VIRTIO_PMEM_STATE=active", event)
        self.assertEqual([self.attr(name) for name in ("state", "broken", "queue_depth")],
                         ["active", "0", "8"])
        self.assertGreater(int(self.attr("in_flight_us")), STALL_MS * 1000)
        self.assertTrue(all(job.running for job in waiting), "somebody was answered")
        self.assertEqual(self.bio_result()["ended"], 0)

        with self.flushes(0, 1):        # for those who gathered
            self.host().set(hold=False)
            self.assertEqual([written(job) for job in waiting], ["0", "0", "0"])
            self.assertEqual(self.bios_ended()["failed"], 0)
        self.assertEqual(self.attr("stalled"), "0")
        until(lambda: "VIRTIO_PMEM_STALLED=0" in self.change_events(events)[-1],
              "a uevent of its end")
        after = self.stats()
        self.assertEqual([after[name] - before[name] for name in
                          ("stalls", "failed_requests", "failed_host_flushes")], [1, 0, 0])

    def test_f15_poll_wakes(self) -> None:
        """F15: a stall, and its end, wake poll() on state, though the state is the same."""
        poll = self.watch_state()
        job = self.hold()
        until(lambda: poll.output == b"active\nactive\n", "poll() wakes")
        self.host().set(hold=False)
        self.assertEqual(written(job), "0")
        until(lambda: poll.output == b"active\nactive\nactive\n", "poll() wakes")

    def test_f15_the_time_out_counts_at_once(self) -> None:
        """A shorter stall_timeout_ms applies to the flush that is in flight."""
        self.set_attr("stall_timeout_ms", "600000")
        self.hold()
        time.sleep(STALL_MS / 1000 + 0.5)
        self.assertEqual(self.attr("stalled"), "0")
        self.set_attr("stall_timeout_ms", str(STALL_MS))
        self.stalled()

    def test_f15_more_time_ends_a_stall(self) -> None:
        """A longer stall_timeout_ms ends the stall of a flush that is not that old."""
        job = self.hold()
        self.stalled()
        self.set_attr("stall_timeout_ms", "600000")
        until(lambda: self.attr("stalled") == "0", "the stall ends")
        self.host().set(hold=False)
        self.assertEqual(written(job), "0")

    def test_f15_reported_after_a_quiesce(self) -> None:
        """F15: a quiesce that has ended does not delay the report: its time-out is 60 s."""
        for value in ("1", "0"):
            self.assertEqual(self.store(self.file("quiesce"), value), "")
        self.hold()
        self.stalled()

    def test_stall_timeout_takes_its_range(self) -> None:
        """1000 to 600000; anything else is -EINVAL and changes nothing."""
        for good in ("1000", "600000", "1234\n"):
            self.assertEqual(self.store(self.file("stall_timeout_ms"), good), "")
            self.assertEqual(self.attr("stall_timeout_ms"), good.strip())
        for bad in ("999", "600001", "0", "-1", "1e4", "5000 1", "4294968296", "\n", "x" * 4000):
            with self.subTest(bad=bad[:12]):
                self.assertIn(self.store(self.file("stall_timeout_ms"), bad),
                              ("Invalid argument", "Numerical result out of range"))
                self.assertEqual(self.attr("stall_timeout_ms"), "1234")

    def test_f15_unbind(self) -> None:
        """F15: an unbind from a dead host ends after stall_timeout_ms and about a second, fails
        whoever waits, and leaves a device that serves again once the host is back.

        In-tree it never ends."""
        self.search_no_modules()
        load, host = self.start_load(threads=16), self.host()
        load.wait_calls(50)
        job = self.hold()
        device = self.virtio()
        result = self.guest.run(f"echo {device} > {DRIVER}/unbind", timeout=100)
        self.note(f"unbind took {result.seconds:.1f} s")
        self.assertLess(result.seconds, STALL_MS / 1000 + 1 + SLACK + self.guest.grace)
        self.assertEqual(written(job), "EIO")
        self.answered(load.stop(), *UNBOUND)
        host.set(hold=False)
        until(lambda: host.done == host.count, "the late answer, to no driver at all")
        self.bind(device)
        before = self.interrupts()
        with self.flushes(0, 1):
            self.assertEqual(self.deep_flush(), "")
        self.assertGreater(self.interrupts(), before, "the answer was found without one")

    def interrupts(self) -> int:
        """How many interrupts the device of region 0 has raised."""
        line = self.guest.run(f"grep -w {self.virtio()} /proc/interrupts").stdout
        return sum(int(word) for word in line.split()[1:] if word.isdigit())

    def test_f11_unbind_with_writers_in_every_file(self) -> None:
        """F11: writers that wait in deep_flush and quiesce keep no unbind waiting: -EIO for the
        flush that was never answered, -ENODEV for the other."""
        self.set_attr("stall_timeout_ms", "600000")
        host = self.host()
        host.set(hold=True)
        flush = self.start_deep_flush()
        host.wait_holding()
        quiesce = self.start_writing("quiesce")
        until(lambda: self.attr("state") == "quiesced", "quiesce waits")
        gathers = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "2", "one gathers")
        device = self.virtio()
        # The flush is to be younger than the time-out at the unbind.
        old = int(self.attr("in_flight_us")) // 1000
        result = self.guest.run(f"echo {old + 4000} > {self.file('stall_timeout_ms')} && "
                                f"echo {device} > {DRIVER}/unbind", timeout=100)
        self.assertLess(result.seconds, 4 + 1 + SLACK + self.guest.grace)
        self.assertEqual([written(job) for job in (flush, quiesce, gathers)],
                         ["EIO", "ENODEV", "EIO"])
        host.set(hold=False)
        self.bind(device)

    def test_f18_no_suspend_while_stalled(self) -> None:
        """F18: a suspend while a region is stalled is refused at once, with a message; the
        requests are none the worse for it."""
        job = self.hold()
        self.stalled()
        self.guest.run("dmesg -c > /dev/null")
        result = self.guest.run("echo mem > /sys/power/state", timeout=60, check=False)
        self.assertIn("Device or resource busy", result.stderr)
        self.assertIn("region0 is stalled", self.guest.dmesg())
        self.assertNotIn("Freezing", self.guest.dmesg())
        self.assertEqual(self.attr("queue_depth"), "1")
        self.host().set(hold=False)
        self.assertEqual(written(job), "0")


class StallInTree(StallCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_f15_unbind_hangs_in_tree(self) -> None:
        """F15: in-tree an unbind from a dead host never ends, and SIGKILL does not help."""
        self.hold()
        job = self.guest.start(f"echo {self.virtio()} > {DRIVER}/unbind")
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=STALL_MS / 1000 + 1 + SLACK)
        job.kill()
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=1)
        self.guest.crash()      # what follows would wait for it
