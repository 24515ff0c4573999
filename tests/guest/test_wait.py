# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that does not answer: who can stop waiting for it, and how."""

from __future__ import annotations

import signal

import vm
from guestcase import GuestCase, load_tests, until    # noqa: F401


class Held(GuestCase):
    """The host holds its fsyncs back."""

    def hold(self):     # type: ignore[no-untyped-def]
        host = self.host()
        host.set(hold=True)
        return host

    def test_sigkill_ends_a_blocked_deep_flush(self) -> None:
        """A fatal signal ends the wait in deep_flush at once, in flight or gathering.

        The in-tree driver's wait cannot be ended, not even by SIGKILL."""
        host, before = self.hold(), self.stats()
        first = self.start_deep_flush()
        host.wait_holding()
        second = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "2", "two wait")
        for left, job in ((1, second), (0, first)):
            job.kill(signal.SIGKILL)
            self.assertEqual(job.wait(timeout=20, check=False).status, 128 + signal.SIGKILL)
            self.assertEqual(self.attr("queue_depth"), str(left))
        self.assertEqual(host.holding, 1)

        # The engine goes on: who asks now waits for the next host flush, and gets it.
        third = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "1", "the third waits")
        host.set(hold=False)
        self.assertEqual(third.wait().stdout, "calls=1 errors=0 errno=0\n")
        self.assertEqual(self.deep_flush(), "")
        after = self.stats()
        self.assertEqual(after["requests"] - before["requests"], 2, "the killed are not counted")
        self.assertEqual(after["host_flushes"] - before["host_flushes"], 3)
        self.assertEqual(self.attr("state"), "active")

    def test_sigterm_does_not_end_it(self) -> None:
        """A signal that is handled does not make a flush fail."""
        host = self.hold()
        job = self.guest.start("trap : TERM; echo 1 > " + f"{self.region()}/deep_flush", 60)
        host.wait_holding()
        self.guest.run("sleep 0.2")
        job.kill(signal.SIGTERM)
        self.guest.run("sleep 0.2")
        self.assertTrue(job.running)
        host.set(hold=False)
        self.assertEqual(job.wait(check=False).status, 0)

    def test_pmemctl_timeout(self) -> None:
        """U2: pmemctl flush --timeout gives up with status 6; nothing of it stays behind."""
        host = self.hold()
        result = self.pmemctl("flush", "region0", "--timeout", "0.5")
        self.assertEqual(result.status, 6, result.stderr)
        self.assertIn("region0: the host did not answer within 0.5 s", result.stderr)
        error = self.pmemctl_json("flush", "region0", "--timeout=0.5", status=6)["errors"][0]
        self.assertEqual((error["code"], error["exit"]), ("timed_out", 6))
        until(lambda: self.attr("queue_depth") == "0", "nobody waits any more")
        self.assertEqual(self.guest.run("pidof pmemctl", check=False).stdout, "")
        host.set(hold=False)
        self.assertEqual(self.pmemctl("flush", "region0", "--timeout", "20").status, 0)

    def test_pmemctl_interrupted(self) -> None:
        """Ctrl-C ends pmemctl flush with status 130."""
        host = self.hold()
        job = self.guest.start(["pmemctl", "flush", "region0"], 60)
        host.wait_holding()
        job.kill(signal.SIGINT)
        result = job.wait(check=False)
        self.assertEqual(result.status, 130, result.stderr)
        self.assertIn("region0", result.stderr)

    def test_status_of_a_held_region(self) -> None:
        """status does not wait for the host, and shows who does."""
        host = self.hold()
        self.start_deep_flush()
        host.wait_holding()
        flush = self.pmemctl_json("status", "region0")["regions"][0]["flush"]
        self.assertEqual(flush["queue_depth"], 1)
        self.assertGreater(flush["in_flight_us"], 0)

    def test_other_region_is_not_held(self) -> None:
        """A dead host of one region does not concern another."""
        host = self.hold()
        self.start_deep_flush()
        host.wait_holding()
        self.assertEqual(self.deep_flush(1), "")
        self.assertEqual(self.pmemctl("flush", "region1").status, 0)

    def tearDown(self) -> None:
        super().tearDown()
        until(lambda: self.attr("queue_depth") == "0", "the region is idle again")


class HeldInTree(GuestCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_sigkill_does_not_end_an_fsync(self) -> None:
        """In-tree an fsync of the block device survives SIGKILL until the host answers."""
        host = self.host()
        host.set(hold=True)
        job = self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 60)
        host.wait_holding()
        job.kill(signal.SIGKILL)
        with self.assertRaises(vm.CommandTimeout):
            job.wait(timeout=1, check=False)
        host.set(hold=False)
        self.assertEqual(job.wait(check=False).status, 128 + signal.SIGKILL)

    def test_pmemctl_timeout_abandons_its_child(self) -> None:
        """U2: pmemctl flush --timeout is back in time with status 6 all the same, and says
        that a process still waits."""
        host = self.host()
        host.set(hold=True)
        result = self.pmemctl("flush", "region0", "--timeout", "0.5")
        self.assertEqual(result.status, 6, result.stderr)
        self.assertIn("cannot be interrupted still waits", result.stderr)
        host.set(hold=False)
        until(lambda: host.done == host.count, "the host has answered")
        result = self.pmemctl("flush", "region0", "--timeout", "20")
        self.assertEqual(result.status, 0, result.stderr)
        self.assertIn("region0: flushed by block_device in ", result.stdout)
