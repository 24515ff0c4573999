# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl monitor on real regions, beside ndctl monitor."""

from __future__ import annotations

import json
from typing import Any

import kernels
import vm
from guestcase import GuestCase, load_tests, until     # noqa: F401
from schema import check_schema

CHANGES = 1000

# Each change is made when the one before has been told: faster ones may become one.
LOOP = """
exec 3< /tmp/events
n=0
while [ $n -lt $1 ]; do
    for value in 1 0; do
        echo $value > /sys/bus/nd/devices/region0/virtio_pmem/quiesce || exit 1
        until read -r line <&3; do usleep 2000; done
        n=$((n + 1))
    done
done
"""


class CliMonitor(GuestCase):
    """With our driver."""

    kernels = ("6.1", "6.12", "7.3")
    programs = ("ndctl",)

    def watch(self, *args: str) -> vm.Job:
        job = self.guest.start(["sh", "-c", 'exec pmemctl monitor "$@" 2>&1', "sh", *args], 600)
        self.addCleanup(job.kill)
        until(lambda: b"watching" in job.output, "it watches")
        return job

    def log_events(self, *args: str) -> vm.Job:
        """Begin to write events, from now on, for events()."""
        self.guest.run("rm -f /tmp/events")
        job = self.guest.start(["pmemctl", "monitor", "--json", "--log=/tmp/events", *args], 600)
        self.addCleanup(job.kill)
        until(lambda: self.guest.run("test -e /tmp/events", check=False).status == 0, "a log")
        return job

    def events(self) -> list[dict[str, Any]]:
        """What was written until now; each is as the schema says."""
        told = [json.loads(line) for line in
                self.guest.run("cat /tmp/events").stdout.splitlines(keepends=True)
                if line.endswith("\n")]
        for event in told:
            check_schema(event, "event")
        return told

    def kinds(self, n: int) -> list[str]:
        """Of the events of one region."""
        return [next(iter(event["event"])) for event in self.events()
                if event.get("region", {}).get("dev") == f"region{n}"]

    def test_a_thousand_state_changes(self) -> None:
        """1,000 changes of state, and each is told once, in order, where ndctl monitor gives up.
        On a debug kernel, which is slow, 200.

        ndctl monitor watches only DIMMs that have the command for SMART data, and ends where there
        is none: no virtio-pmem has a DIMM, and QEMU's NVDIMM has no such command. So it is started
        beside, and what is shown of it is that it ends, whatever happens to regions."""
        changes = CHANGES if self.kernel in kernels.STOCK else CHANGES // 5
        job = self.log_events("--event=state")
        beside = self.guest.start(["sh", "-c", "exec ndctl monitor 2>&1"], 60)
        self.guest.run(["sh", "-c", LOOP, "sh", changes], timeout=600)
        self.assertNotEqual(beside.wait(check=False).status, 0)
        self.assertIn(b"no dimms to monitor", beside.output)
        told = self.events()
        self.assertTrue(job.running)
        self.assertEqual([e["region"]["flush"]["state"] for e in told],
                         ["quiesced", "active"] * (changes // 2))
        times = [e["event"]["boottime_ns"] for e in told]
        self.assertEqual(times, sorted(times))
        self.assertEqual({e["region"]["path"] for e in told}, {"pci-0000:00:04.0"})

    def test_host_error(self) -> None:
        """A failed host flush: the error, and the broken region, with a command for each."""
        self.guest.run("rm -f /tmp/ran")
        job = self.watch("--exec", "echo $PMEMCTL_EVENT $PMEMCTL_STATE $PMEMCTL_REASON >> /tmp/ran")
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        ran = until(lambda: (lambda r: r if r.count("\n") == 2 else "")(
            self.guest.run("cat /tmp/ran", check=False).stdout), "two commands have run")
        self.assertEqual(ran, "host-error broken host-error\nstate broken host-error\n")
        self.assertIn(b"region0 pci-0000:00:04.0: the host failed 1 flush\n", job.output)
        self.assertIn(b"region0 pci-0000:00:04.0: the region is broken: host-error\n", job.output)

    def test_events_are_as_the_schema_says(self) -> None:
        """What a guest tells of a failing and a late host, and of a region that goes and comes."""
        self.set_attr("stall_timeout_ms", "1000")
        self.addCleanup(self.set_attr, "stall_timeout_ms", "30000")
        self.log_events()
        host = self.host()
        host.set(hold=True)
        flush = self.start_deep_flush()
        until(lambda: self.kinds(0), "the late flush")
        host.set(hold=False)
        flush.wait()
        until(lambda: len(self.kinds(0)) == 2, "its end")
        host.set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        until(lambda: "state" in self.kinds(0), "the failed flush")
        self.bind(self.unbind(1))
        until(lambda: "region-added" in self.kinds(1), "the region")
        self.assertEqual(self.kinds(0), ["stalled", "stalled", "host-error", "state"])
        # It may be seen removing before it is gone.
        self.assertEqual([kind for kind in self.kinds(1) if kind != "state"],
                         ["region-removed", "region-added"])

    def test_name_to_come(self) -> None:
        """A region is recognised by the name of a block device that it gets later."""
        disk = self.guest.run(f"basename {self.region(1)}/*/block/*").stdout.strip()
        device = self.unbind(1)
        job = self.watch(disk)
        self.assertIn(b"no such region yet", job.output)
        self.bind(device)
        until(lambda: b"is watched from now on" in job.output, "the name is found")
        for n in (0, 1):
            self.set_attr("quiesce", "1", n)
            self.set_attr("quiesce", "0", n)
        until(lambda: b"region1 pci-0000:00:05.0: the region is active" in job.output, "an event")
        self.assertNotIn(b"region0 ", job.output)

    def test_hotplug(self) -> None:
        """It goes on when the last region goes, and sees them come back."""
        job = self.watch()
        devices = [self.unbind(0), self.unbind(1)]
        until(lambda: job.output.count(b"the region is gone") == 2, "two are gone")
        for device in devices:
            self.bind(device)
        until(lambda: job.output.count(b"the region has come") == 2, "two have come")
