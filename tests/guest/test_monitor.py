# SPDX-License-Identifier: GPL-2.0-or-later
"""The library's monitor, through the example program Documentation/examples/monitor.c."""

from __future__ import annotations

import vm
from guestcase import GuestCase, load_tests, until     # noqa: F401

PATHS = ("pci-0000:00:04.0", "pci-0000:00:05.0")


class Watching(GuestCase):
    """What the others share: a running monitor, and what it has printed."""

    programs = ("example-monitor", "setpriv")

    def watch(self, user: int = 0) -> vm.Job:
        job = self.guest.start(["setpriv", f"--reuid={user}", "--clear-groups", "example-monitor"])
        self.addCleanup(job.kill)
        until(lambda: b"watching\n" in job.output, "the monitor runs")
        return job

    @staticmethod
    def events(job: vm.Job) -> list[str]:
        return job.output.decode().splitlines()[1:]

    def wait_for(self, job: vm.Job, *expected: str) -> None:
        """These events, and no others, in this order."""
        until(lambda: len(self.events(job)) >= len(expected), f"{len(expected)} events")
        self.assertEqual(self.events(job), list(expected))

    def unbind_and_bind(self, n: int = 0) -> None:
        job = self.watch()
        self.rebind(n)
        until(lambda: any(e.startswith("region-added") for e in self.events(job)), "added")
        told = [e.split()[0:3] for e in self.events(job) if e.startswith("region-")]
        self.assertEqual(told, [["region-removed", f"region{n}", PATHS[n]],
                                ["region-added", f"region{n}", PATHS[n]]])


class Monitor(Watching):
    """With our driver."""

    def test_host_error_and_state(self) -> None:
        """A failed host flush is told once, and then what it has led to."""
        job = self.watch()
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        self.wait_for(job, f"host-error region0 {PATHS[0]} broken host-error 1",
                      f"state region0 {PATHS[0]} broken host-error")
        self.assertEqual(self.deep_flush(1), "")
        self.assertEqual(len(self.events(job)), 2)

    def test_stalled(self) -> None:
        """A host flush that is late is told, and its end."""
        self.set_attr("stall_timeout_ms", "1000")
        self.addCleanup(self.set_attr, "stall_timeout_ms", "30000")
        job = self.watch()
        host = self.host()
        host.set(hold=True)
        flush = self.start_deep_flush()
        host.wait_holding()
        self.wait_for(job, f"stalled region0 {PATHS[0]} active none yes 1")
        host.set(hold=False)
        flush.wait()
        self.wait_for(job, f"stalled region0 {PATHS[0]} active none yes 1",
                      f"stalled region0 {PATHS[0]} active none no 0")

    def test_hotplug(self) -> None:
        """Unbind and bind: the region goes and comes, told with its path."""
        self.unbind_and_bind()

    def test_u6_swapped_names(self) -> None:
        """U6: bound in the other order the names swap; what is told is which device it is."""
        job = self.watch()
        devices = [self.unbind(0), self.unbind(1)]
        self.addCleanup(self.bind, devices[0])
        self.addCleanup(self.bind, devices[1])
        self.addCleanup(lambda: [self.guest.run(
            f"echo {d} > /sys/bus/virtio/drivers/virtio_pmem/unbind") for d in devices])
        for device in reversed(devices):
            self.bind(device)
        added = until(lambda: [e.split()[1:3] for e in self.events(job)
                               if e.startswith("region-added")][1:], "two regions come")
        self.assertEqual(added, [["region1", PATHS[0]]])
        self.assertIn(f"region-added region0 {PATHS[1]}", "\n".join(self.events(job)))

    def test_an_idle_monitor_sleeps(self) -> None:
        """Nothing is polled: without an event the monitor makes no switch of context."""
        job = self.watch()
        switches = ("grep -h ctxt_switches /proc/$(pidof example-monitor)/status")
        until(lambda: self.guest.run("cat /proc/$(pidof example-monitor)/stat").stdout
              .split()[2] == "S", "it sleeps")
        before = self.guest.run(switches).stdout
        self.deep_flush()
        self.guest.run("sleep 3")
        self.assertEqual(self.guest.run(switches).stdout, before)
        self.assertEqual(self.events(job), [])


class MonitorStock(Watching):
    """What the debug kernel lacks inotify for, or holds too many uevents for."""

    kernels = ("6.1", "6.12")

    def test_settings(self) -> None:
        """A setting that is written, which the kernel announces to nobody, is told."""
        job = self.watch()
        self.set_attr("error_policy", "report", 1)
        self.addCleanup(self.set_attr, "error_policy", "latch", 1)
        self.wait_for(job, f"setting region1 {PATHS[1]} active none error_policy=report")

    def test_d3_bad_ranges(self) -> None:
        """D3: a range that goes bad is told, and one that is well again."""
        job = self.watch()
        self.guest.run("echo 8 1 > /sys/block/pmem1/badblocks")
        self.wait_for(job, f"bad-ranges region1 {PATHS[1]} active none")
        # A write to a bad range clears it: the kernel tells, not a writer of the file.
        self.guest.run("dd if=/dev/zero of=/dev/pmem1 bs=4096 seek=1 count=1 oflag=direct "
                       "conv=notrunc status=none")
        self.wait_for(job, *[f"bad-ranges region1 {PATHS[1]} active none"] * 2)

    def test_lost_uevents_are_said(self) -> None:
        """More uevents than the socket holds, to a monitor that does not read: resync.

        Not as root, whose sockets libudev makes very large."""
        job = self.watch(user=65534)
        self.guest.run("killall -STOP example-monitor")
        self.guest.run(f"for i in $(seq 3000); do echo change > {self.region(1)}/uevent; done",
                       timeout=100)
        self.set_attr("error_policy", "report", 1)
        self.addCleanup(self.set_attr, "error_policy", "latch", 1)
        self.guest.run("killall -CONT example-monitor")
        self.wait_for(job, "resync", f"setting region1 {PATHS[1]} active none error_policy=report")


class MonitorInTree(Watching):
    """With the kernel's own driver there is no state, but regions come and go."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_hotplug_in_tree(self) -> None:
        """Unbind and bind are told."""
        self.unbind_and_bind(1)

    def test_empty_machine(self) -> None:
        """A machine without a region is watched, and the first one that comes is told."""
        devices = [self.unbind(0), self.unbind(1)]
        job = self.watch()
        self.bind(devices[0])
        self.wait_for(job, f"region-added region0 {PATHS[0]}")
        self.bind(devices[1])
        self.wait_for(job, f"region-added region0 {PATHS[0]}", f"region-added region1 {PATHS[1]}")
