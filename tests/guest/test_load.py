# SPDX-License-Identifier: GPL-2.0-or-later
"""The load generator itself: that it sends what it says, and sees what goes wrong."""

from __future__ import annotations

from guestcase import GuestCase, load_tests, until      # noqa: F401
from load import BIO_KINDS, UNBOUND

LOAD = "/sys/kernel/debug/vpmem_test_load"
KINDS = (*BIO_KINDS, "fsync", "deep_flush")


class Load(GuestCase):
    """64 threads on region0."""

    load = True
    devices = 1

    def test_all_kinds_are_answered(self) -> None:
        """A healthy host: every kind of call is made, and answered with success."""
        before = self.stats()
        load = self.start_load()
        load.wait_calls(300)
        report = load.stop()
        self.note(str(report))
        self.answered(report)
        self.assertEqual(sorted(report.kinds), sorted(KINDS))
        for name, kind in report.kinds.items():
            self.assertGreater(kind.ok, 0, name)
            self.assertEqual(kind.lost(), "", name)
        # PREFLUSH|FUA with data is two requests.
        after = self.stats()
        self.assertEqual(after["requests"] - before["requests"],
                         report.calls + report.kinds["preflush_fua"].calls)

    def test_unanswered_calls_are_seen(self) -> None:
        """A host that does not answer: all 64 calls are reported as unanswered, and as answered
        once the host does."""
        host = self.host()
        host.set(hold=True)
        load = self.start_load(wait=30)
        host.wait_holding()
        until(lambda: load.report().unanswered == 64, "all threads wait")
        held = load.report()
        self.assertNotEqual(held.lost(), "")
        self.assertEqual((held.calls, held.ok), (64, 0))
        self.assertGreater(held.oldest, 0)
        host.set(hold=False)
        self.answered(load.stop())

    def test_unanswered_calls_after_the_stop(self) -> None:
        """What is not answered within the time that a stop waits is called lost."""
        host = self.host()
        host.set(hold=True)
        load = self.start_load(wait=0.5, kinds=("preflush", "fua", "empty"))
        host.wait_holding()
        report = load.stop()
        self.assertEqual(report.unanswered, 64)
        self.assertIn("64 never answered", report.lost())
        host.set(hold=False)
        until(lambda: self.attr("queue_depth") == "0", "the late answer")

    def test_errors_are_counted_by_errno(self) -> None:
        """A failing host is EIO for every kind of call, and the load goes on."""
        self.set_attr("error_policy", "report")
        self.addCleanup(self.set_attr, "error_policy", "latch")
        self.host().set(fail_errno=5)
        load = self.start_load()
        load.wait_calls(200)
        # Not all kinds of threads get as far at the same time.
        until(lambda: all("EIO" in k.errors for k in load.report().kinds.values()), "all fail")
        self.host().reset()
        load.wait_calls(200)
        until(lambda: all(k.ok for k in load.report().kinds.values()), "all succeed")
        report = load.stop()
        self.answered(report, "EIO")
        for name, kind in report.kinds.items():
            self.assertGreater(kind.errors.get("EIO", 0), 0, name)
            self.assertGreater(kind.ok, 0, name)

    def test_a_bio_that_ends_twice_is_counted(self) -> None:
        """A second end of a bio shows, and harms nothing."""
        text = self.guest.run(f"modprobe vpmem_test_load; exec 3<> {LOAD}; "
                              "echo '/dev/pmem0 PF 4096 0 2' >&3; usleep 100000; "
                              "echo stop 20000 >&3; echo again >&3; cat <&3").stdout
        self.assertIn(" again=1 ", text)

    def test_it_outlives_an_unbind(self) -> None:
        """A device that goes away and comes back has its load again."""
        self.search_no_modules()
        load = self.start_load(threads=12)
        load.wait_calls(100)
        device = self.unbind()
        until(lambda: load.report().absent, "the device is absent")
        self.bind(device)
        before = load.report().ok
        until(lambda: load.report().ok > before + 100, "it flushes again")
        report = load.stop()
        self.note(str(report))
        self.answered(report, *UNBOUND)
