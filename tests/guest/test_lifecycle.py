# SPDX-License-Identifier: GPL-2.0-or-later
"""What the library does to a region, through progs/lifecycle.c."""

from __future__ import annotations

import re
from dataclasses import dataclass

from guestcase import GuestCase, load_tests     # noqa: F401

PATHS = ("pci-0000:00:04.0", "pci-0000:00:05.0")


@dataclass
class Step:
    """A line of the plan."""
    kind: str
    object: str
    result: str
    error: str
    text: str


@dataclass
class Outcome:
    """How a call ended, and its plan."""
    result: str
    steps: list[Step]
    output: str

    def results(self) -> list[tuple[str, str]]:
        return [(step.kind, step.result) for step in self.steps]

    def texts(self, kind: str) -> str:
        return "\n".join(step.text for step in self.steps if step.kind == kind)


def parse(text: str) -> Outcome:
    steps = [Step(*found) for found in
             re.findall(r"^(\S+) (\S+) (\S+) (\w+): (.*)$", text, re.MULTILINE)]
    found = re.search(r"^result=(\w+)$", text, re.MULTILINE)
    if not found:
        raise AssertionError(f"lifecycle printed {text!r}")
    return Outcome(found[1], steps, text)


class Acting(GuestCase):
    """What the others share."""

    programs: tuple[str, ...] = ("lifecycle",)

    def act(self, command: str, region: str, *words: str, user: int = 0) -> Outcome:
        argv = ["lifecycle", command, region, *words]
        if user:
            argv = ["setpriv", f"--reuid={user}", "--clear-groups", *argv]
        return parse(self.guest.run(argv, timeout=100).stdout)

    def mount(self, n: int = 0, kind: str = "ext4") -> str:
        """Make a file system on a region's disk and mount it; returns the mount point."""
        place = f"/mnt/{n}"
        self.guest.run(f"mkdir -p {place} && mkfs.{kind} -q /dev/pmem{n} && "
                       f"mount -t {kind} /dev/pmem{n} {place}", timeout=60)
        self.addCleanup(self.guest.run, f"umount {place}", check=False)
        return place


class Recover(Acting):
    """recover and settings, on our driver."""

    programs = ("lifecycle", "mkfs.ext4", "udevadm", "setpriv")

    def break_region(self) -> None:
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        self.assertEqual(self.attr("state"), "broken")

    def test_recover_of_a_latched_region(self) -> None:
        """A host error needs the data loss accepted, and the plan names the file system."""
        place = self.mount()
        self.break_region()
        refused = self.act("recover", "region0")
        self.assertEqual(refused.result, "ENOTRECOVERABLE")
        self.assertIn(place, refused.texts("warn"))
        self.assertEqual(self.attr("state"), "broken")

        dry = self.act("recover", "region0", "dry", "accept")
        self.assertEqual(dry.result, "0")
        self.assertEqual([s.result for s in dry.steps if s.kind != "warn"], ["planned"] * 3)
        self.assertEqual(self.attr("state"), "broken")

        with self.flushes(0, 1):
            done = self.act("recover", "region0", "accept")
        self.assertEqual(done.result, "0", done.output)
        self.assertIn(place, done.texts("warn"))
        self.assertEqual([s for s in done.results() if s[0] != "warn"],
                         [("recover", "done"), ("flush", "done"), ("verify", "done")])
        self.assertEqual(self.attr("state"), "active")
        self.assertEqual(self.deep_flush(), "")

    def test_recover_when_there_is_nothing_to_do(self) -> None:
        """A region that works is left alone."""
        with self.flushes(0, 0):
            outcome = self.act("recover", PATHS[0])
        self.assertEqual(outcome.result, "0")
        self.assertEqual(outcome.results(), [("recover", "not_needed")])

    def test_recover_with_a_host_that_still_fails(self) -> None:
        """U1: a host that fails again is known at once, and nothing is said to be well."""
        self.break_region()
        self.host().set(fail_errno=5)
        outcome = self.act("recover", "region0", "accept")
        self.assertEqual(outcome.result, "EIO")
        self.assertEqual(outcome.results(), [("recover", "done"), ("flush", "failed"),
                                             ("verify", "not_done")])
        self.assertEqual(self.attr("state"), "broken")

    def test_recover_without_the_right(self) -> None:
        """U2: whoever may not do it is told so."""
        self.break_region()
        outcome = self.act("recover", "region0", "accept", user=65534)
        self.assertEqual(outcome.result, "EACCES")
        self.assertEqual(self.attr("state"), "broken")

    def test_saved_settings_are_applied_by_udev(self) -> None:
        """What is saved is a rule that udev applies to the device at that path, and to no other."""
        self.guest.run("mkdir -p /etc/udev/rules.d")
        self.addCleanup(self.guest.run, "rm -rf /etc/udev/rules.d")
        outcome = self.act("set", "region0", "stall_timeout_ms=7000", "save")
        self.assertEqual(outcome.results(), [("set", "done"), ("save", "done")])
        self.assertEqual(self.attr("stall_timeout_ms"), "7000")
        self.set_attr("stall_timeout_ms", "30000")
        for n in (0, 1):
            self.guest.run(["udevadm", "test", "--action=add", self.region(n)])
        self.assertEqual(self.attr("stall_timeout_ms"), "7000")
        self.assertEqual(self.attr("stall_timeout_ms", 1), "30000")
        self.set_attr("stall_timeout_ms", "30000")
        self.assertEqual(self.act("set", "region0", "stall_timeout_ms=", "save").result, "0")
        self.assertEqual(self.guest.run("ls -A /etc/udev/rules.d").stdout, "")


class RecoverInTree(Acting):
    """The kernel's own driver has nothing to recover or set."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"
    devices = 1

    def test_recover_in_tree(self) -> None:
        """Not supported, and said so."""
        self.assertEqual(self.act("recover", "region0").result, "EOPNOTSUPP")
        self.assertEqual(self.act("set", "region0", "error_policy=latch").result, "EOPNOTSUPP")
