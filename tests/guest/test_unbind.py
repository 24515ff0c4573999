# SPDX-License-Identifier: GPL-2.0-or-later
"""F11: taking the driver off a device, whatever happens there at that moment.

What must hold: it ends, nothing hangs, the host has everything that was
written and was asked to flush after it, and no message speaks of a defect.
"""

from __future__ import annotations

import re
import time

from guestcase import BLOCK, DRIVER, GuestCase, load_tests, parse_many, until   # noqa: F401

# Words that no message of an unbind in good order has.
WRONG = re.compile(r"broken|the last flush failed|leaking|virtio_pmem.*(error|fail)|"
                   r"I/O error|lost async page write", re.IGNORECASE)


class Unbind(GuestCase):
    """Unbind, bind again, unload."""

    def setUp(self) -> None:
        super().setUp()
        self.guest.run("dmesg -c > /dev/null")

    def good_order(self) -> None:
        """Nothing was said that an administrator would have to look into."""
        wrong = [line for line in self.guest.dmesg().splitlines() if WRONG.search(line)]
        self.assertEqual(wrong, [])

    def back(self, device: str) -> None:
        """The region is there again, works, and starts from nothing."""
        self.bind(device)
        self.assertEqual(self.attr("state"), "active")
        with self.flushes(0, 1):
            self.assertEqual(self.deep_flush(), "")
        self.assertEqual(self.stats()["requests"], 1)

    def test_f11_idle(self) -> None:
        """F11: an unbind with the device idle flushes a last time."""
        host = self.host()
        before = host.count
        device = self.unbind()
        self.assertGreater(host.count, before)
        self.assertEqual(host.count, host.done)
        self.assertEqual(self.guest.run("ls -d /sys/bus/nd/devices/region0 /dev/pmem0",
                                        check=False).stdout, "")
        self.good_order()
        self.back(device)

    def test_f11_dirty_page_cache(self) -> None:
        """F11: pages that only the unbind writes back are on the host, and flushed there.

        Somebody keeps the device open, so that they are still dirty then."""
        device = self.virtio()
        self.assertEqual(unbind_dirty(self)[-1:], [True],
                         "no fsync began after the data had arrived")
        self.good_order()
        self.back(device)

    def test_f11_flush_blocked_in_deep_flush(self) -> None:
        """F11: an unbind waits for whoever is in deep_flush, and fails nobody."""
        host = self.host()
        host.set(hold=True)
        waiting = [self.start_deep_flush() for _ in range(3)]
        until(lambda: self.attr("queue_depth") == "3", "three wait")
        device = self.virtio()
        host.set(delay_ms=1000, hold=False)     # from now on it answers, late
        self.guest.run(f"echo {device} > {DRIVER}/unbind")
        for job in waiting:
            calls, errors, _ = parse_many(job.wait().stdout)
            self.assertEqual((calls, errors), (1, 0))
        host.reset()
        self.good_order()
        self.back(device)

    def test_f11_fsync_in_flight(self) -> None:
        """F11: an unbind while threads fsync: each call ends, with success or an error."""
        self.host().set(delay_ms=20)
        load = self.guest.start(["fsync-many", "-t", 8, "-n", 200, "/dev/pmem0"], 100)
        until(lambda: self.stats()["requests"] > 50, "the load runs")
        device = self.unbind()
        calls, errors, name = parse_many(load.wait().stdout)
        self.note(f"{calls} calls, {errors} after the device had gone: {name}")
        self.assertEqual(calls, 1600)
        self.assertGreater(errors, 0)
        wrong = [line for line in self.guest.dmesg().splitlines()
                 if re.search(r"broken|the last flush failed|leaking", line)]
        self.assertEqual(wrong, [])
        self.back(device)

    def test_f11_host_fails_the_last_flush(self) -> None:
        """F11: an unbind from a failing host ends, says so, and leaves a device that binds."""
        self.host().set(fail_errno=5)
        device = self.unbind()
        self.assertIn("the host failed a flush", self.guest.dmesg())
        for host in self.guest.hosts:
            host.reset()
        self.back(device)

    def test_f11_files_held_open(self) -> None:
        """F11: who holds the driver's files open keeps nothing, and reads ENODEV afterwards."""
        poll = self.watch_state()
        holder = self.guest.start(f"exec 3< {self.file('flush_stats')} 4> {self.region()}"
                                  "/deep_flush; echo open; read x; read y <&3; echo 1 >&4",
                                  60, stdin=True)
        until(lambda: holder.output, "the files are open")
        device = self.unbind()
        holder.write(b"go\n")
        result = holder.wait(check=False)
        self.assertNotEqual(result.status, 0)
        self.assertIn("No such device", result.stderr)
        self.good_order()
        self.back(device)

    def test_f11_again_and_again(self) -> None:
        """F11: ten lives, with flushes in each; the other region does not notice."""
        other = self.guest.start(["fsync-many", "-t", 2, "-n", 500, "/dev/pmem1"], 100)
        for _ in range(10):
            self.assertEqual(self.many("/dev/pmem0", 4, 5)[1], 0)
            self.rebind()
        self.assertEqual(other.wait().stdout, "calls=1000 errors=0 errno=0\n")
        self.good_order()

    def test_f11_unload(self) -> None:
        """F11: the module unloads after its devices are unbound, not before, and loads again."""
        self.unbind(1)
        self.assertNotEqual(self.guest.run("rmmod virtio_pmem", check=False).status, 0)
        self.assertEqual(self.deep_flush(), "")
        self.unbind(0)
        self.guest.run("rmmod virtio_pmem", timeout=60)
        self.assertNotIn("region", self.guest.run("ls /sys/bus/nd/devices").stdout)
        self.guest.run("modprobe virtio_pmem", timeout=60)
        self.assertEqual(self.attr("state"), "active")
        self.assertEqual(self.deep_flush(), "")
        self.good_order()


class UnbindInTree(GuestCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_f11_dirty_page_cache_in_tree(self) -> None:
        """F11: in-tree the last flush comes before the last pages: they are not durable."""
        self.assertEqual(unbind_dirty(self)[-1:], [False])


class UnbindInTree73(GuestCase):
    """The newest in-tree driver, which has another defect there."""

    kernels = ("7.3",)
    driver = "in-tree"

    def test_f11_the_last_flush_fails_in_tree(self) -> None:
        """F11: 7.3 calls its queue broken before the region goes, so the last flush of an unbind
        never reaches the host."""
        self.assertEqual(unbind_dirty(self), [])


def unbind_dirty(test: GuestCase) -> list[bool]:
    """Unbind region0 while its block device has dirty pages.

    Returns for each fsync of the host whether all data had arrived when it began.
    All data is on the host in the end."""
    host, blocks = test.host(), 1024
    text = (b"dirty\n" * (BLOCK * blocks // 6 + 1))[:BLOCK * blocks]
    device, path = test.virtio(), host.path

    def arrived() -> bool:
        with open(path, "rb") as file:
            return file.read(len(text)) == text

    # Nobody but the unbind may write the pages back.
    test.guest.run("echo 0 > /proc/sys/vm/dirty_writeback_centisecs")
    writer = test.guest.start(f"exec 3<>/dev/pmem0; yes dirty | dd bs={BLOCK} count={blocks} "
                              "iflag=fullblock status=none >&3; echo written; read x", 60,
                              stdin=True)
    until(lambda: writer.output, "the pages are dirty")
    test.assertFalse(arrived(), "the pages have been written back already")

    host.set(delay_ms=300)      # time enough to look, whenever one begins
    count, seen = host.count, []
    job = test.guest.start(f"echo {device} > {DRIVER}/unbind", 60)
    while job.running:
        if host.count > count:
            count += 1
            seen.append(arrived())
        time.sleep(0.002)
    job.wait()
    writer.kill()
    test.assertEqual(count, host.count)
    test.assertTrue(arrived(), "the data did not reach the host at all")
    test.note(f"{len(seen)} host flushes; all data had arrived before: {seen}")
    test.guest.run("echo 500 > /proc/sys/vm/dirty_writeback_centisecs")
    host.reset()
    return seen
