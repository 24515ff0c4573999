# SPDX-License-Identifier: GPL-2.0-or-later
"""Quiesce: an administrator lets requests gather while the host is to be idle. It has an
end of its own, and takes nobody's flush away."""

from __future__ import annotations

import re
import signal
import time

from guestcase import DEVICE, DRIVER, GuestCase, load_tests, until, written     # noqa: F401

TIMEOUT_MS = 1000       # the shortest there is
BUSY = "Device or resource busy"


class Quiesce(GuestCase):
    """What happens in regions that are quiesced, and how that ends."""

    load = True
    bios = True
    append = "no_console_suspend"

    def tearDown(self) -> None:
        if not self._skip:
            for n in (0, 1):
                self.guest.run(f"echo 0 > {self.file('quiesce', n)}")
        super().tearDown()

    def quiesce(self, n: int = 0) -> None:
        # The shell alone: a short quiesce_timeout_ms must not pass between store and look.
        there = self.guest.run(f"cd {self.file('', n)} && echo 1 > quiesce && "
                               "read state < state && read value < quiesce && "
                               "echo $state $value").stdout
        self.assertEqual(there.split(), ["quiesced", "1"])

    def resume(self, n: int = 0) -> None:
        self.assertEqual(self.store(self.file("quiesce", n), "0"), "")

    def active(self, n: int = 0) -> None:
        self.assertEqual((self.attr("state", n), self.attr("quiesce", n)), ("active", "0"))

    def suspend_refused(self, why: str, kind: str = "mem") -> None:
        self.guest.run("dmesg -c > /dev/null")
        result = self.guest.run(f"echo {kind} > /sys/power/state", timeout=60, check=False)
        self.assertIn(BUSY, result.stderr)
        log = self.guest.dmesg()
        self.assertIn(why, log)
        self.assertNotIn("Freezing", log)

    def test_f12_requests_gather_and_are_answered(self) -> None:
        """F12: under 64 threads of all kinds: the store returns when nothing is in flight; from
        then on requests gather and the host is not asked; what gathered is answered."""
        load = self.start_load()
        load.wait_calls(100)
        self.quiesce()
        host = self.host()
        before = host.count
        self.assertEqual(host.done, before)
        until(lambda: load.report().unanswered == 64, "all 64 wait")
        # A bio with PREFLUSH can be on its way to the engine still.
        until(lambda: self.attr("queue_depth") == "64", "all 64 gather")
        self.assertEqual(self.attr("in_flight_us"), "0")
        self.assertEqual((host.count, host.done), (before, before))
        self.assertEqual(self.deep_flush(1), "", "the other region has nothing to do with it")
        self.resume()
        self.active()
        load.wait_calls(100)
        self.answered(load.stop())

    def test_it_waits_for_the_flush_in_flight(self) -> None:
        """Writing 1 returns after the host has answered, not before."""
        host = self.host()
        host.set(hold=True)
        flush = self.start_deep_flush()
        host.wait_holding()
        quiesce = self.start_writing("quiesce")
        until(lambda: self.attr("state") == "quiesced", "quiesce waits")
        late = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "2", "one gathers")
        self.assertTrue(quiesce.running)
        count = host.count
        host.set(hold=False)
        self.assertEqual((written(flush), written(quiesce)), ("0", "0"))
        self.assertEqual((self.attr("state"), host.count), ("quiesced", count))
        self.assertTrue(late.running)
        self.resume()
        self.assertEqual(written(late), "0")
        self.assertEqual(host.count, count + 1)

    def test_it_sleeps_while_it_waits(self) -> None:
        """Whoever waits for the host to become idle takes no processor meanwhile."""
        host = self.host()
        host.set(hold=True)
        flush = self.start_deep_flush()
        host.wait_holding()
        quiesce = self.guest.start(f"echo $$ > /tmp/writer; echo 1 > {self.file('quiesce')}", 60)
        until(lambda: self.attr("state") == "quiesced", "quiesce waits")
        states = self.guest.run("for i in 1 2 3 4 5 6 7 8 9 10; do usleep 50000; "
                                "cut -d' ' -f3 /proc/$(cat /tmp/writer)/stat; done").stdout.split()
        self.assertEqual(states, ["S"] * 10)
        host.set(hold=False)
        self.assertEqual(written(flush), "0")
        self.assertEqual(quiesce.wait().status, 0)

    def test_it_ends_by_itself(self) -> None:
        """After quiesce_timeout_ms the region is active again, what gathered is answered, and
        the kernel's log says so. Asked for again, the time begins anew."""
        self.guest.run("dmesg -c > /dev/null")
        self.set_attr("quiesce_timeout_ms", "2000")
        self.addCleanup(self.set_attr, "quiesce_timeout_ms", "60000")
        with self.flushes(0, 1):
            self.quiesce()
            self.assertEqual(written(self.start_deep_flush()), "0")
        self.active()
        self.assertRegex(self.guest.dmesg(), r"region0.*quiesce")

        # Long beside what two commands take on a busy machine.
        self.set_attr("quiesce_timeout_ms", "6000")
        self.quiesce()
        started = time.monotonic()
        flush = self.start_deep_flush()
        time.sleep(1.5)
        self.quiesce()
        self.assertEqual(written(flush), "0")
        self.assertGreater(time.monotonic() - started, 1.5 + 5.5)

    def test_it_fails_when_the_host_does_not_answer(self) -> None:
        """A host that does not answer within quiesce_timeout_ms is -ETIMEDOUT; nobody else
        is the worse for it."""
        self.set_attr("quiesce_timeout_ms", str(TIMEOUT_MS))
        self.addCleanup(self.set_attr, "quiesce_timeout_ms", "60000")
        host = self.host()
        host.set(hold=True)
        flush = self.start_deep_flush()
        host.wait_holding()
        self.assertEqual(written(self.start_writing("quiesce")), "ETIMEDOUT")
        self.active()
        self.assertTrue(flush.running)
        host.set(hold=False)
        self.assertEqual(written(flush), "0")

    def test_a_signal_ends_the_wait(self) -> None:
        """SIGINT and SIGKILL take away who waits for the quiesce, and with him the quiesce."""
        host = self.host()
        host.set(hold=True)
        flush = self.start_deep_flush()
        host.wait_holding()
        for signum in (signal.SIGINT, signal.SIGKILL):
            quiesce = self.start_writing("quiesce")
            until(lambda: self.attr("state") == "quiesced", "quiesce waits")
            quiesce.kill(signum)
            self.assertEqual(quiesce.wait(check=False).status, 128 + signum)
            self.active()
        host.set(hold=False)
        self.assertEqual(written(flush), "0")

    def test_a_broken_region(self) -> None:
        """A broken region refuses with -EIO, and one that breaks meanwhile fails the waiter."""
        host = self.host()
        host.set(hold=True, fail_next=1)
        flush = self.start_deep_flush()
        host.wait_holding()
        quiesce = self.start_writing("quiesce")
        until(lambda: self.attr("state") == "quiesced", "quiesce waits")
        gathers = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "2", "one gathers")
        host.set(hold=False)
        self.assertEqual([written(job) for job in (flush, quiesce, gathers)], ["EIO"] * 3)
        self.assertEqual(self.attr("state"), "broken")
        self.assertEqual(self.store(self.file("quiesce"), "1"), "Input/output error")
        self.assertEqual(self.attr("state"), "broken")

    def test_f11_unbind_ends_it(self) -> None:
        """F11, F12: an unbind of a quiesced region flushes what gathered, and fails nobody."""
        self.quiesce()
        self.submit_bios("F", count=4).wait()
        flush = self.start_deep_flush()
        until(lambda: self.attr("queue_depth") == "5", "five gather")
        host, device = self.host(), self.virtio()
        before = host.count
        self.guest.run(f"echo {device} > {DRIVER}/unbind", timeout=60)
        self.assertEqual(written(flush), "0")
        result = self.bios_ended()
        self.assertEqual((result["failed"], result["again"]), (0, 0))
        self.assertGreater(host.count, before)
        self.bind(device)
        self.active()

    def test_events(self) -> None:
        """Each change that an administrator makes is a uevent of its own, and wakes poll()."""
        events, poll = self.listen(), self.watch_state()
        self.quiesce()
        self.quiesce()
        until(lambda: poll.output == b"active\nquiesced\n", "poll() wakes")
        self.resume()
        self.resume()
        until(lambda: poll.output == b"active\nquiesced\nactive\n", "poll() wakes")
        # Who listens may be told after who polls.
        until(lambda: len(self.change_events(events)) >= 2, "two uevents")
        states = [re.search(r"VIRTIO_PMEM_STATE=(\w+)", event)
                  for event in self.change_events(events)]
        self.assertEqual([found and found[1] for found in states], ["quiesced", "active"])

    def test_files_take_their_values(self) -> None:
        """Bad input to quiesce and quiesce_timeout_ms is -EINVAL and changes nothing."""
        for bad in ("2", "-1", "", "\n", "maybe", "x" * 4000):
            with self.subTest(bad=bad[:10]):
                if bad:     # a write of nothing does not reach the driver
                    self.assertEqual(self.store(self.file("quiesce"), bad), "Invalid argument")
                self.active()
        for bad in ("999", "600001", "0", "-1", "60s", "4294968296"):
            with self.subTest(bad=bad):
                self.assertIn(self.store(self.file("quiesce_timeout_ms"), bad),
                              ("Invalid argument", "Numerical result out of range"))
                self.assertEqual(self.attr("quiesce_timeout_ms"), "60000")

    def test_f18_no_suspend_while_quiesced(self) -> None:
        """F18: a suspend while a region is quiesced is refused at once, with a message, and so is
        a hibernation where the kernel has one."""
        self.quiesce(1)
        flush = self.start_deep_flush(1)
        for kind in self.guest.read("/sys/power/state").split():
            if kind in ("mem", "disk"):
                self.suspend_refused("region1 is quiesced", kind)
        self.assertEqual(self.attr("state", 1), "quiesced")
        self.resume(1)
        self.assertEqual(written(flush), "0")

    def test_f18_neither_quiesce_nor_recover_during_a_suspend(self) -> None:
        """F18: from the moment that a suspend is announced, quiesce and recover are -EBUSY; when
        it is over they are not."""
        self.guest.run(f"modprobe vpmem_test_device; echo 4000 > {DEVICE}/suspend_ms")
        self.addCleanup(self.guest.run, f"echo 0 > {DEVICE}/suspend_ms")
        self.host(1).set(fail_next=1)
        self.assertEqual(self.deep_flush(1), "Input/output error")
        before = self.guest.read(f"{DEVICE}/suspends")
        # One script in the guest, so that all of it comes within the 4 s.
        script = self.guest.start(
            f"until read n < {DEVICE}/suspends; [ $n != {before} ]; do usleep 1000; done; "
            + self.try_it("quiesce", 0) + self.try_it("recover", 1)
            + f"echo 1 > {self.region()}/deep_flush && echo flushes work", 60)
        job = self.suspend()
        try:
            said = script.wait().stdout
        finally:
            self.wake(job)
        self.assertEqual(said.splitlines(), [f"active {BUSY} active", f"broken {BUSY} broken",
                                             "flushes work"])
        self.quiesce()
        self.resume()

    def try_it(self, name: str, n: int) -> str:
        """Lines of a script that writes 1 to a file: the state, the words of the error, and the
        state after it."""
        return (f"cd {self.file('', n)}; read old < state; r=$(echo 1 2>&1 > {name}); "
                "read new < state; echo $old ${r##*: } $new; ")
