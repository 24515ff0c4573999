# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of bios that ask for a flush: order, errors, and who ends them.

Userspace cannot send one bio with a chosen set of flags, so kmod/ does.
"""

from __future__ import annotations

import errno

from guestcase import BLOCK, GuestCase, load_tests, until   # noqa: F401

TRACE = "/sys/kernel/tracing"
HOLDS = bytes([0xA5]) * BLOCK
EMPTY = bytes(BLOCK)


class BioCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()
    bios = True
    _block = 0

    def fresh_block(self, count: int = 1) -> int:
        """The first of COUNT blocks that no test has written yet."""
        cls = type(self)
        cls._block += count
        return cls._block - count + 1

    def block_on_host(self, block: int) -> bytes:
        return self.on_host(0, block * BLOCK)

    def end(self, flags: str, block: int, **options: int) -> dict[str, int]:
        """Submit bios and wait until they have ended."""
        self.submit_bios(flags, block=block, **options).wait()
        result = self.bios_ended()
        self.assertEqual(result["again"], 0, "a bio was ended twice")
        return result

    def bios_queued(self, flags: str, block: int) -> int:
        """How many bios pass through the block layer for one that is submitted."""
        event = f"{TRACE}/events/block/block_bio_queue/enable"
        self.guest.run(f"echo > {TRACE}/trace; echo 1 > {event}")
        try:
            self.end(flags, block)
        finally:
            self.guest.run(f"echo 0 > {event}")
        return self.guest.read(f"{TRACE}/trace").count("block_bio_queue:")


class Bios(BioCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")

    def test_good_bios_are_written_and_flushed(self) -> None:
        """Each combination of flags ends once, with success, and as many flushes as it asks for."""
        for flags, flushes in (("", 0), ("P", 1), ("F", 1), ("PF", 2)):
            with self.subTest(flags=flags), self.flushes(0, flushes):
                block = self.fresh_block()
                result = self.end(flags, block)
                self.assertEqual((result["ended"], result["failed"]), (1, 0))
                self.assertEqual(self.block_on_host(block), HOLDS)

    def test_f3_bios_without_data(self) -> None:
        """F3: a flush without data is answered and touches no memory."""
        # Newer cores ask for PREFLUSH and FUA apart, and do not show us which bio the first is.
        for flags, flushes in (("P", 1), ("PF", 1 if self.kernel == "6.1" else 2)):
            with self.subTest(flags=flags), self.flushes(0, flushes):
                block = self.fresh_block()
                result = self.end(flags, block, length=0)
                self.assertEqual((result["ended"], result["failed"]), (1, 0))
                self.assertEqual(self.block_on_host(block), EMPTY)

    def test_f3_bios_without_data_fail(self) -> None:
        """F3: a flush without data that the host fails is an error."""
        self.set_attr("error_policy", "report")
        self.addCleanup(self.set_attr, "error_policy", "latch")
        for flags in ("P", "PF"):
            self.host().set(fail_next=1)
            result = self.end(flags, self.fresh_block(), length=0)
            self.assertEqual((result["failed"], result["status"]), (1, -errno.EIO))

    def test_f1_no_data_before_the_preflush(self) -> None:
        """F1: no data is copied before the preflush has been answered.

        In-tree on 6.1 the data is copied first."""
        for flags in ("P", "PF"):
            with self.subTest(flags=flags):
                block, host = self.fresh_block(), self.host()
                host.set(hold=True)
                job = self.submit_bios(flags, block=block)
                host.wait_holding()
                self.assertEqual(self.block_on_host(block), EMPTY)
                self.assertEqual(self.bio_result()["ended"], 0)
                host.set(hold=False)
                job.wait()
                result = self.bios_ended()
                self.assertEqual((result["failed"], result["again"]), (0, 0))
                self.assertEqual(self.block_on_host(block), HOLDS)

    def test_f1_no_data_if_the_preflush_failed(self) -> None:
        """F1: no data is copied if the preflush failed, and the submitter hears of it.

        With PREFLUSH|FUA the host would be healthy again for the second flush.
        In-tree on 6.1 the data is there."""
        for policy in ("report", "latch"):
            self.set_attr("error_policy", policy)
            for flags in ("P", "PF"):
                with self.subTest(flags=flags, policy=policy):
                    block = self.fresh_block()
                    self.host().set(fail_next=1)
                    result = self.end(flags, block)
                    self.assertEqual((result["failed"], result["status"]), (1, -errno.EIO))
                    self.assertEqual(self.block_on_host(block), EMPTY)
                if policy == "latch":
                    self.rebind()

    def test_f2_fua_does_not_block_the_submitter(self) -> None:
        """F2: submit_bio() of FUA returns while the host is still flushing.

        In-tree on 6.1 it sleeps there."""
        block, host = self.fresh_block(8), self.host()
        host.set(hold=True)
        self.submit_bios("F", block=block, count=8).wait()
        host.wait_holding()
        result = self.bio_result()
        self.assertEqual((result["submitted"], result["ended"]), (8, 0))
        self.assertEqual(self.attr("queue_depth"), "8")
        with self.flushes(0, 1):        # the 7 that gathered
            host.set(hold=False)
            result = self.bios_ended()
        self.assertEqual((result["ended"], result["failed"], result["again"]), (8, 0, 0))
        for n in range(8):
            self.assertEqual(self.block_on_host(block + n), HOLDS)

    def test_f2_no_child_bio(self) -> None:
        """F2: nothing but the bio itself passes through the block layer."""
        for flags in ("P", "F", "PF"):
            with self.subTest(flags=flags):
                self.assertEqual(self.bios_queued(flags, self.fresh_block()), 1)

    def test_f2_fua_of_a_failing_host(self) -> None:
        """F2, F14: every FUA bio that waits when the host fails ends once, with an error."""
        for policy in ("report", "latch"):
            with self.subTest(policy=policy):
                self.set_attr("error_policy", policy)
                block, host = self.fresh_block(50), self.host()
                host.set(hold=True, fail_next=1)
                self.submit_bios("F", block=block, count=50).wait()
                host.wait_holding()
                host.set(hold=False)
                result = self.bios_ended()
                self.assertEqual((result["ended"], result["failed"], result["again"],
                                  result["status"]), (50, 50, 0, -errno.EIO))
                if policy == "latch":
                    self.rebind()

    def test_f10_bios_of_a_broken_region(self) -> None:
        """F10: a broken region ends every bio at once, and copies no PREFLUSH's data."""
        host = self.host()
        host.set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        self.assertEqual(self.attr("state"), "broken")
        with self.flushes(0, 0):
            for flags in ("P", "F", "PF"):
                with self.subTest(flags=flags):
                    block = self.fresh_block(20)
                    result = self.end(flags, block, count=20)
                    self.assertEqual((result["failed"], result["status"]), (20, -errno.EIO))
                    if "P" in flags:
                        self.assertEqual(self.block_on_host(block), EMPTY)

    def test_f2_many_bios_end_once(self) -> None:
        """F2: 4000 FUA bios beside writers that fsync: each ends exactly once."""
        self.host().set(delay_ms=1)
        writers = self.guest.start(["fsync-many", "-t", 4, "-n", 50, "/dev/pmem0"], 60)
        for _ in range(4):
            result = self.end("F", 4096, count=1000, length=512)
            self.assertEqual((result["ended"], result["failed"]), (1000, 0))
        self.assertEqual(writers.wait().stdout, "calls=200 errors=0 errno=0\n")
        self.assertEqual(self.attr("queue_depth"), "0")


class BiosInTree(BioCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_f1_preflush_in_tree(self) -> None:
        """F1: 6.1 copies the data while the preflush is under way, 6.12 does not."""
        block, host = self.fresh_block(), self.host()
        host.set(hold=True)
        job = self.submit_bios("P", block=block)
        host.wait_holding()
        self.assertEqual(self.block_on_host(block), HOLDS if self.kernel == "6.1" else EMPTY)
        host.set(hold=False)
        job.wait()
        self.assertEqual(self.bios_ended()["failed"], 0)

    def test_f1_failed_preflush_in_tree(self) -> None:
        """F1: 6.1 leaves the data of a write whose preflush failed on the device."""
        block = self.fresh_block()
        self.host().set(fail_next=1)
        self.assertEqual(self.end("P", block)["status"], -errno.EIO)
        self.assertEqual(self.block_on_host(block), HOLDS if self.kernel == "6.1" else EMPTY)

    def test_f2_fua_in_tree(self) -> None:
        """F2: on 6.1 the submitter of FUA sleeps until the host has answered; nothing is shared."""
        host = self.host()
        host.set(hold=True)
        job = self.submit_bios("F", block=self.fresh_block(8), count=8)
        host.wait_holding()
        until(lambda: not job.running or self.bio_result()["submitted"], "a bio is submitted")
        submitted = self.bio_result()["submitted"]
        self.note(f"{submitted} of 8 bios submitted while the host flushes")
        if self.kernel == "6.1":
            self.assertEqual(submitted, 1)
        before = host.count
        host.set(hold=False)
        job.wait()
        self.assertEqual(self.bios_ended()["ended"], 8)
        flushes = host.count - before + 1
        self.note(f"8 FUA bios cost {flushes} host flushes")
        self.assertEqual(flushes, 8)

    def test_f2_child_bio_in_tree(self) -> None:
        """F2: on 6.1 a FUA bio has a child, whose allocation can fail."""
        queued = self.bios_queued("F", self.fresh_block())
        self.note(f"{queued} bios for one")
        if self.kernel == "6.1":
            self.assertEqual(queued, 2)
