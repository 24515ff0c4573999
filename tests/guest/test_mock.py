# SPDX-License-Identifier: GPL-2.0-or-later
"""The mock device itself: it commits each fault, and sees each rule broken.

What the driver does about the faults is judged elsewhere (test_faults.py). Here
its reaction, or the mock's own record, is the proof that there was a fault.
"""

from __future__ import annotations

import re

import guestcase
import vm
from guestcase import DRIVER, GuestCase, load_tests, until      # noqa: F401
from test_suspend import SuspendCase

EIO = "Input/output error"

# What the driver says of an answer: the settings, deep_flush's result, the region's reason.
ANSWERS = (
    ({"value": 1}, EIO, "host-error"),
    ({"value": -1}, EIO, "host-error"),
    ({"used_len": 0}, EIO, "host-error"),
    ({"used_len": 3}, EIO, "host-error"),
    ({"used_len": 8}, "", "none"),
    ({"write_response": 0}, EIO, "stale-answer"),
    ({"repeat": 1}, "", "virtqueue"),
    ({"bad_id": 1}, EIO, "virtqueue"),
    ({"bad_id": 2}, EIO, "virtqueue"),
)

# The sins of virtio_pmem_bad that need the device prepared.
PREPARED = {
    "two-requests": {"hold": 1},
    "too-many": {"hold": 1},
    "touched-response": {"delay_us": 50000},
    "touched-request": {"delay_us": 50000},
    "unmapped": {"hold": 1, "late_after_reset": 1},
    "config-shm": {"shm": 1},
}


class MockCase(GuestCase):
    """A guest whose only device is a mock."""

    devices = 0
    mock = 1

    def setUp(self) -> None:
        super().setUp()
        self.device = self.guest.mocks[0]

    def counted(self, before: dict[str, int], **wanted: int) -> None:
        """The counters have grown by so much."""
        after = self.device.counters()
        self.assertEqual({name: after[name] - before[name] for name in wanted}, wanted)

    def let_go(self) -> None:
        """Wait until an unplugged device has left its driver. Its "plugged" is 0 before that."""
        until(lambda: not self.guest.run("ls /sys/bus/virtio/devices").stdout,
              "the driver has let go", 60)

    def bind_error(self) -> str:
        """Bind the device again: "" or the words of the error."""
        result = self.guest.run(f"echo {self.device.device()['name']} > {DRIVER}/bind",
                                check=False)
        return result.stderr.strip().rpartition(": ")[2]


class MockFaults(MockCase):
    """Each setting and action does what it says."""

    def test_answers(self) -> None:
        """Value, length, stale, repeated and unknown answers reach the driver as set."""
        for settings, result, reason in ANSWERS:
            with self.subTest(settings=settings):
                self.device.set(**settings, next=1)
                self.assertEqual(self.deep_flush(), result)
                until(lambda: self.attr("broken_reason") == reason, f"the reason {reason}")
                for name, good in (("value", 0), ("used_len", 4), ("write_response", 1),
                                   ("repeat", 0), ("bad_id", 0), ("next", 0)):
                    self.assertEqual(self.device.get(name), good, name)
                self.rebind()
                self.assertEqual(self.deep_flush(), "")

    def test_delay(self) -> None:
        """delay_us: the answer comes so much later, and not before."""
        self.device.set(delay_us=300000)
        self.assertEqual(self.deep_flush(), "")
        events = [line.split() for line in self.device.log()]
        # The delay counts from a moment after the notify, and shortly before "taken".
        times = [int(e[0]) for e in events if e[1] in ("notify", "answer")]
        self.assertGreaterEqual(times[-1] - times[-2], 300000)

    def test_defaults(self) -> None:
        """defaults: all is good and what was held is answered; a number is the delay from then."""
        for number, delay in ((1, 0), (50000, 50000)):
            self.device.set(hold=1, delay_us=200000)
            job = self.start_deep_flush()
            self.device.wait("outstanding")
            self.device.set(used_len=3, defaults=number)
            self.assertEqual(job.wait().stdout, "calls=1 errors=0 errno=0\n")
            self.assertEqual([self.device.get(name) for name in ("hold", "used_len", "delay_us")],
                             [0, 4, delay])

    def test_hold(self) -> None:
        """hold keeps the request, and its end answers it."""
        self.device.set(hold=1)
        job = self.start_deep_flush()
        self.device.wait("outstanding")
        self.assertTrue(job.running)
        self.device.set(hold=0)
        self.assertEqual(job.wait().stdout, "calls=1 errors=0 errno=0\n")
        self.assertEqual(self.device.counter("outstanding"), 0)

    def test_no_interrupt(self) -> None:
        """no_interrupt leaves the answer in the ring; interrupt raises one."""
        before = self.device.counters()
        self.device.set(no_interrupt=1, next=1)
        job = self.start_deep_flush()
        self.device.wait("answered", before["answered"] + 1)
        self.counted(before, interrupts=0)
        self.device.set(interrupt=1)
        self.assertEqual(job.wait().stdout, "calls=1 errors=0 errno=0\n")

    def test_lose(self) -> None:
        """lose: the device drops the request and never answers it."""
        before = self.device.counters()
        self.device.set(lose=1, next=1)
        job = self.start_deep_flush()
        self.device.wait("forgotten", before["forgotten"] + 1)
        self.counted(before, answered=0, outstanding=0)
        self.assertTrue(job.running)
        self.device.set(break_queue=1)      # so that the unbind does not wait for it
        self.rebind()
        self.assertEqual(job.wait().stdout, "calls=1 errors=1 errno=EIO\n")

    def test_refuse_notify(self) -> None:
        """refuse_notify: the notify fails, so often, and the device takes nothing."""
        before = self.device.counters()
        self.device.set(refuse_notify=1)
        self.assertEqual(self.deep_flush(), EIO)
        self.assertEqual(self.attr("broken_reason"), "notify")
        self.counted(before, refused_notifies=1, requests=0)

    def test_fail_dma(self) -> None:
        """fail_dma: so many mappings fail."""
        before = self.device.counters()
        self.device.set(fail_dma=3)
        self.assertEqual(self.deep_flush(), "")
        self.counted(before, failed_mappings=3, answered=1)

    def test_needs_reset(self) -> None:
        """needs_reset: the status says so, the driver is told, and nothing is answered."""
        self.device.set(hold=1)
        job = self.start_deep_flush()
        self.device.wait("outstanding")
        before = self.device.counters()
        self.device.set(needs_reset=1, hold=0)
        self.assertEqual(job.wait().stdout, "calls=1 errors=1 errno=EIO\n")
        self.assertEqual(self.attr("broken_reason"), "needs-reset")
        self.counted(before, config_interrupts=1, answered=0)

    def test_setup_fails(self) -> None:
        """fail_setup, its count, and a queue that is too small or not there."""
        name = self.unbind()
        self.device.set(fail_setup=5, fail_setup_times=1)
        self.assertEqual(self.bind_error(), EIO)
        self.assertEqual(self.device.get("fail_setup_times"), 0)
        for size, error in ((1, "Invalid argument"), (0, "No such file or directory")):
            self.device.set(defaults=1, queue_size=size)
            self.assertEqual(self.bind_error(), error)
        self.device.set(queue_size=2)
        self.bind(name)
        self.assertEqual(self.deep_flush(), "")

    def test_hold_setup(self) -> None:
        """hold_setup: a set-up takes until it is 0 again."""
        name = self.unbind()
        before = self.device.counters()
        self.device.set(hold_setup=1)
        job = self.guest.start(f"echo {name} > {DRIVER}/bind", 60)
        until(lambda: int(self.device.device()["status"]) & 8, "the features are agreed on")
        self.counted(before, setups=0)
        self.assertTrue(job.running)
        self.device.set(hold_setup=0)
        job.wait()
        self.counted(before, setups=1)

    def test_memory(self) -> None:
        """start, size and shm are what the driver sees at its next probe."""
        name = self.unbind()
        start, size = self.device.get("start"), self.device.get("size")
        for shm in (0, 1):
            self.device.set(start=start + size // 2, size=size // 2, shm=shm)
            self.bind(name)
            self.assertEqual(self.guest.read(f"{self.region()}/size"), str(size // 2))
            self.assertEqual(int(self.guest.read(f"{self.region()}/resource"), 16),
                             start + size // 2)
            self.assertEqual(int(self.device.device()["features"]) & 1, shm)
            self.unbind()
        for settings in ({"shm": 2}, {"shm": 0, "size": 0}):
            self.device.set(**settings)
            self.assertEqual(self.bind_error(), "Invalid argument")

    def test_features(self) -> None:
        """F4: indirect descriptors are offered, and our driver does not take them."""
        features = int(self.device.device()["features"])
        self.assertTrue(self.device.get("features") & 1 << 28)
        self.assertFalse(features & 1 << 28, "indirect descriptors")
        self.assertTrue(features & 1 << 29, "event index")
        self.device.set(features=0)
        self.rebind()
        self.assertFalse(int(self.device.device()["features"]) & 3 << 28)
        self.assertEqual(self.many("/dev/pmem0", 4, 10)[1], 0)

    def test_freeze_and_restore(self) -> None:
        """freeze takes the queue away, restore brings it back."""
        before = self.device.counters()
        self.device.set(freeze=1)
        self.assertEqual(self.device.device()["queue"], "0")
        job = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "1", "the flush waits")
        self.device.set(restore=1)
        self.assertEqual(job.wait().stdout, "calls=1 errors=0 errno=0\n")
        self.counted(before, setups=1, answered=1)

    def test_orderly_unplug(self) -> None:
        """unplug 2: the device goes as after an unbind, flushes included; replug: it is back."""
        before = self.device.counters()
        self.device.set(unplug=2)
        self.let_go()
        self.assertEqual(self.device.device()["plugged"], "0")
        self.assertNotEqual(self.guest.run(["ls", self.region()], check=False).status, 0)
        after = self.device.counters()
        self.assertGreater(after["answered"], before["answered"])
        self.assertEqual(after["refused_notifies"], before["refused_notifies"])
        self.device.set(replug=1)
        until(lambda: self.guest.run("[ -b /dev/pmem0 ]", check=False).status == 0, "it is back")
        self.assertEqual(self.deep_flush(), "")

    def test_bad_input(self) -> None:
        """Numbers out of their range, and words, are -EINVAL and change nothing."""
        for name, bad in (("hold", "2"), ("hold", "-1"), ("bad_id", "3"), ("queue_size", "3"),
                          ("value", "0x100000000"), ("next", "-1"), ("unplug", "0"),
                          ("used_len", "many"), ("shm", "")):
            if bad:
                path = f"{self.device.directory}/{name}"
                before = None if name == "unplug" else self.device.get(name)
                self.assertEqual(self.store(path, bad), "Invalid argument", (name, bad))
                if before is not None:
                    self.assertEqual(self.device.get(name), before)


class MockSuspend(MockCase, SuspendCase):
    """A suspend to RAM of the whole machine."""

    kernels = ("6.1", "6.12", "7.3")
    bios = False

    def test_suspend_reaches_the_driver(self) -> None:
        """The kernel's suspend freezes and restores the driver through the mock's parent device."""
        before = self.device.counters()
        self.sleep_and_wake()
        self.counted(before, setups=1)
        self.assertEqual(self.deep_flush(), "")


class MockGone(MockCase):
    """A device that vanishes. The virtio core itself warns when such a device's driver goes."""

    expected_report = r"WARNING: .*virtio_dev_remove"

    def test_gone_and_surprise_removal(self) -> None:
        """gone: all ones, nothing answered; unplug 1: the device goes too, and ends nobody's life.

        The core then warns that a status of all ones is no 0 (and would for any driver)."""
        self.device.set(hold=1)
        job = self.start_deep_flush()
        self.device.wait("outstanding")
        self.device.set(unplug=1)
        self.assertEqual(job.wait().stdout, "calls=1 errors=1 errno=EIO\n")
        self.let_go()
        self.assertEqual(self.device.device()["plugged"], "0")
        self.assertEqual(self.device.counter("outstanding"), 0)
        self.device.heal()
        until(lambda: self.guest.run("[ -b /dev/pmem0 ]", check=False).status == 0, "it is back")
        self.assertEqual(self.deep_flush(), "")


    def test_d4_the_loss_of_a_device_is_one_event(self) -> None:
        """D4: a flush finds a broken queue, and the one event that follows says that the device
        is gone."""
        events = self.listen()
        self.device.set(gone=1)
        self.assertIn("Input/output error", self.deep_flush())
        until(lambda: self.attr("broken_reason") == "gone", "the reason is known")
        event = until(lambda: self.change_events(events), "a uevent")
        self.device.set(unplug=1)
        self.let_go()
        self.assertEqual(len(self.change_events(events)), 1, event)
        self.assertIn("VIRTIO_PMEM_STATE=broken", event[0])
        self.assertIn("VIRTIO_PMEM_REASON=gone", event[0])


class MockRules(MockCase):
    """A driver that breaks the rules, one at a time, is found out."""

    expected_report = vm.mock_devices.REPORT

    def sins(self) -> list[str]:
        """All names, from the driver's table, so that none is left out."""
        text = (guestcase.TOP / "kernel/mock/bad-driver.c").read_text(encoding="utf-8")
        return re.findall(r'^\t\{ "([a-z-]+)",\s+sin_', text, re.MULTILINE)

    def rules(self) -> list[str]:
        text = (guestcase.TOP / "kernel/mock/control.c").read_text(encoding="utf-8")
        return re.findall(r'^\t\[MOCK_V_\w+\] = \{ "([a-z-]+)"', text, re.MULTILINE)

    def test_every_rule_has_its_sin(self) -> None:
        """There is a sin for each rule that the mock knows."""
        self.assertGreater(len(self.rules()), 15)
        self.assertEqual(sorted(self.sins()), sorted(self.rules()))

    def test_every_sin_is_seen(self) -> None:
        """Each sin is a violation of its name, in debugfs and in the kernel's log."""
        self.unbind()
        for sin in self.sins():
            with self.subTest(sin=sin):
                self.device.heal()
                self.device.set(**PREPARED.get(sin, {}))
                reports = len(self.guest.reports)
                job = self.guest.start(f"modprobe virtio_pmem_bad sin={sin}", 60)
                if sin == "reset-gone":
                    self.device.set(gone=1)
                job.wait()
                self.device.heal()      # answers what it held, so that nothing is freed too early
                self.guest.run("rmmod virtio_pmem_bad")
                self.assertIn(sin, self.device.violations())
                until(lambda sin=sin, first=reports: f"violation: {sin}: " in
                      "".join(self.guest.reports[first:]), "it is on the console")
                self.device.forgive()
                self.assertEqual(self.device.violations(), {})

    def test_a_good_driver_breaks_none(self) -> None:
        """Flushes, freeze, restore, unbind and bind of our driver are no violation."""
        self.assertEqual(self.many("/dev/pmem0", 8, 20)[1], 0)
        self.device.set(freeze=1, restore=1)
        self.rebind()
        self.assertEqual(self.many("/dev/pmem0", 8, 20)[1], 0)
        self.assertEqual(self.device.violations(), {})


class MockLate(MockCase):
    """Late answers, shown on the driver in the kernel tree, which does not expect them."""

    kernels = ("7.3",)
    driver = "in-tree"
    expected_report = (r"KASAN: slab-use-after-free in mock_"
                       rf"|{vm.mock_devices.REPORT}(unmapped|touched-response)")

    def test_f7_late_answer_in_tree(self) -> None:
        """F7: in-tree, a late answer after a reset is written into memory that was freed."""
        self.device.set(hold=1, late_after_reset=1)
        job = self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 60)
        self.device.wait("outstanding")
        self.device.set(freeze=1)
        self.assertEqual(job.wait().stdout, "calls=1 errors=1 errno=EIO\n")
        self.device.set(hold=0)
        self.assertEqual(self.device.counter("late_answers"), 1)
        until(lambda: any("use-after-free" in report for report in self.guest.reports),
              "KASAN's report is on the console")
        self.assertIn("unmapped", self.device.violations())
        self.device.set(restore=1)
