# SPDX-License-Identifier: GPL-2.0-or-later
"""F20: sector mode. BTT flushes under a spinlock, where the driver may not sleep."""

from __future__ import annotations

from guestcase import GuestCase, load_tests     # noqa: F401


class BttCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()
    devices = 1
    programs = ("ndctl",)

    def sector_mode(self) -> None:
        self.guest.run(["ndctl", "create-namespace", "-f", "-e", "namespace0.0", "-m", "sector"])


class Btt(BttCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not cls._skip:
            cls.sector_mode(cls("test_f20_writes"))

    def test_f20_writes(self) -> None:
        """F20: writes through BTT are flushed without sleeping, and without a kernel report.

        In-tree each is 'BUG: scheduling while atomic'."""
        before, count = self.stats(), self.host().count
        self.host().set(delay_ms=2)
        self.assertEqual(self.many("/dev/pmem0s", 4, 25), (100, 0, "0"))
        after = self.stats()
        self.assertGreaterEqual(after["requests"] - before["requests"], 100)
        self.assertEqual(after["failed_requests"], before["failed_requests"])
        self.assertGreaterEqual(self.host().count - count, 100 / 4)
        self.note(f"100 writes: {after['requests'] - before['requests']} requests, "
                  f"{self.host().count - count} host flushes")

    def test_f20_beside_callers_that_sleep(self) -> None:
        """F20: BTT's polling and deep_flush share host flushes; the data is right."""
        self.host().set(delay_ms=2)
        sleeper = self.guest.start(["fsync-many", "-t", 4, "-n", 50, "-m", "deep",
                                    f"{self.region()}/deep_flush"], 60)
        self.guest.run("dd if=/dev/urandom of=/tmp/data bs=4k count=64 status=none; "
                       "dd if=/tmp/data of=/dev/pmem0s bs=4k oflag=direct status=none")
        self.assertEqual(sleeper.wait().stdout, "calls=200 errors=0 errno=0\n")
        self.guest.run("dd if=/dev/pmem0s of=/tmp/copy bs=4k count=64 iflag=direct status=none; "
                       "cmp /tmp/data /tmp/copy")

    def test_f20_failing_host(self) -> None:
        """F20: a failed flush under BTT ends, and breaks the region as any other."""
        self.host().set(fail_next=1)
        _, errors, _ = self.many("/dev/pmem0s", 1, 5)
        self.note(f"{errors} of 5 writers heard of it")
        self.assertEqual(self.attr("state"), "broken")
        self.assertEqual(self.attr("queue_depth"), "0")

    def test_pmemctl_flush_of_a_sector_namespace(self) -> None:
        """pmemctl flush by the sector device: deep_flush is still there."""
        with self.flushes(0, 1):
            self.assertEqual(self.pmemctl("flush", "/dev/pmem0s").status, 0)


class BttInTree(BttCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"
    expected_report = "scheduling while atomic"

    def test_f20_writes_sleep_under_a_spinlock_in_tree(self) -> None:
        """F20: the kernel reports the in-tree driver's sleep; pmemctl status warns of it."""
        self.sector_mode()
        region = self.pmemctl_json("status", "region0")["regions"][0]
        self.assertIn("sector_mode_sleeps", [r["code"] for r in region["health"]["reasons"]])
        with self.flushes(0, 0):
            self.assertEqual(self.pmemctl("flush", "region0").status, 4)
        # What becomes of the program is not foreseeable: it has been seen to crash.
        ended = self.guest.run(["fsync-many", "-n", "5", "/dev/pmem0s"], check=False)
        self.note(f"the writer ended with status {ended.status}")
        self.assertTrue([r for r in self.guest.reports if "scheduling while atomic" in r])
