# SPDX-License-Identifier: GPL-2.0-or-later
"""The fault matrix: each fault of the device, in each situation of its callers.

A cell is one test: a row of FAULTS, met by one of the situations (the methods of
Situations). What must hold in each: whoever asked gets the answer that the row
says, once, in bounded time; the region says what is wrong; the device, in order
again, can be recovered; nothing is reported by the kernel or the mock.

    tests/guest/run --kernel 7.3 -k faults.            all of it
    tests/guest/run --kernel 7.3 -k faults.Faults.test_unbind,faults.Faults.test_freeze
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import vm
from guestcase import DEVICE, DRIVER, STATS, load_tests, parse_many, until     # noqa: F401
from test_mock import MockCase
from test_suspend import SuspendCase

EIO = "Input/output error"
EBUSY = "Device or resource busy"
ENODEV = "No such device"
TIMEDOUT = "Connection timed out"

STALL_MS = 1000     # the least that the driver takes
HELD_US = 300000    # for an answer that comes while others wait for it
BOUND = 30          # s; everything that the driver bounds ends long before
LOOKS = 4           # of kmemleak, until only what was lost on purpose is left
FAILSLAB = "/sys/kernel/debug/failslab"

# What writers write in a cell of "files"; all other files are read.
WRITES = (("quiesce", "1"), ("quiesce", "0"), ("recover", "1"), ("error_policy", "latch"),
          ("stall_timeout_ms", f"{STALL_MS}"), ("quiesce_timeout_ms", "1000"))


class Fault(NamedTuple):
    """A row: what is wrong with the device, and what follows from it."""

    name: str
    arm: dict[str, int]
    """Set before the request comes."""
    error: bool = False
    """Whoever waits for that request gets EIO."""
    reason: str = "none"
    """What the region is broken for afterwards; alternatives have a | between them."""
    busy: str = ""
    """The same if more requests wait at that moment, where it differs."""
    strike: dict[str, int] = {}
    """Set when the device has the request (arm has "hold")."""
    stalls: bool = False
    """The region stalls, until "release"; without one, for a while."""
    release: dict[str, int] = {}
    well: dict[str, int] = {"defaults": 1}
    """What puts the device in order."""
    recover: tuple[str, ...] = ("",)
    """How the writes to recover end after that, one after the other."""
    reaches: bool = True
    """The device gets the request at all."""
    allocations: bool = False
    """Every allocation of the driver fails as well."""


def answer(name: str, reason: str, error: bool = True, recover: tuple[str, ...] = ("",),
           busy: str = "", **settings: int) -> Fault:
    """One answer that is wrong; the next ones are right."""
    return Fault(name, {**settings, "next": 1}, error, reason, busy, recover=recover)


# A device that keeps the old request for good, or is thought to, is waited for once.
IN_VAIN = (TIMEDOUT, "")

FAULTS = (
    Fault("no_answer", {"hold": 1}, stalls=True, release={"hold": 0}),
    Fault("late_answer", {"delay_us": 2500000}, stalls=True),
    Fault("lost", {"lose": 1, "next": 1}, True, "virtqueue", stalls=True,
          release={"break_queue": 1}, recover=IN_VAIN),
    Fault("late_after_reset", {"hold": 1, "late_after_reset": 1}, True, "needs-reset",
          strike={"needs_reset": 1}, well={"hold": 0}),
    answer("failed", "host-error", value=1),
    answer("minus_one", "host-error", value=-1),
    answer("any_value", "host-error", value=0x7fffffff),
    answer("no_length", "host-error", used_len=0),
    answer("short_length", "host-error", used_len=3),
    answer("long_length", "none", error=False, used_len=8),
    answer("stale", "stale-answer", recover=IN_VAIN, write_response=0),
    # The second one may be taken for the next request, which the device has not answered.
    answer("repeated_id", "virtqueue", error=False, busy="virtqueue|stale-answer", repeat=1),
    answer("unknown_id", "virtqueue", bad_id=1),
    answer("wrong_id", "virtqueue", bad_id=2),
    answer("lost_interrupt", "none", error=False, no_interrupt=1),
    Fault("spurious_interrupt", {"hold": 1}, strike={"interrupt": 1}, release={"hold": 0}),
    Fault("refused_notify", {"refuse_notify": 1}, True, "notify", recover=IN_VAIN,
          reaches=False),
    Fault("broken_queue", {"hold": 1}, True, "virtqueue", strike={"break_queue": 1}),
    Fault("needs_reset", {"hold": 1}, True, "needs-reset", strike={"needs_reset": 1},
          recover=IN_VAIN),
    Fault("gone", {"hold": 1}, True, "gone", strike={"gone": 1}, recover=IN_VAIN),
    Fault("no_dma", {"fail_dma": 20}),
)

# What only a debug kernel can do.
DEBUG_FAULTS = (
    Fault("no_memory", {}, allocations=True),
)


class FaultCase(MockCase):
    """What all cells do."""

    _code: tuple[int, ...] = ()

    def setUp(self) -> None:
        super().setUp()
        self.failing = False
        self.prepare()

    def tearDown(self) -> None:
        self.allocate_again()
        super().tearDown()

    def prepare(self) -> None:
        """A region in good order, where a stall is soon one and no quiesce ends by itself."""
        self.guest.run(f"cd {self.file('')} && echo {STALL_MS} > stall_timeout_ms && "
                       "echo 60000 > quiesce_timeout_ms && echo latch > error_policy")
        seen = self.look()
        self.assertEqual((seen["state"], seen["stalled"], seen["queue_depth"]),
                         ("active", "0", "0"))
        self.stalls = self.stalls_in(seen)
        self.before = self.device.counters()
        self.delay_us = 0       # of a device in good order

    def look(self) -> dict[str, str]:
        """What the region says of itself, in one command."""
        text = self.guest.run(f"cd {self.file('')} && for f in state broken broken_reason "
                              "stalled queue_depth flush_stats; do read v < $f && echo $f $v; "
                              "done").stdout
        return dict(line.split(None, 1) for line in text.splitlines())  # type: ignore[misc]

    @staticmethod
    def stalls_in(seen: dict[str, str]) -> int:
        return int(seen["flush_stats"].split()[STATS["stalls"]])

    # -- the course of a fault --

    def be_patient(self, fault: Fault) -> None:
        """Whoever is slow in this test is not to be taken for the device."""
        if not fault.stalls:
            self.set_attr("stall_timeout_ms", "20000")

    def under_way(self, fault: Fault, job: vm.Job) -> None:
        """The request has reached the device, or has ended because it could not."""
        if fault.reaches:
            self.device.wait("requests", self.before["requests"] + 1, timeout=BOUND)
        else:
            until(lambda: not job.running, "the flush ends", BOUND)

    def arm(self, fault: Fault, **more: int) -> None:
        settings = {**more, **fault.arm}
        if settings:
            self.device.set(**settings)
        if fault.allocations:
            self.fail_allocations()

    def fail_allocations(self) -> None:
        """Every allocation that our driver asks for fails, whoever runs it, interrupts too.

        They are told by the driver being on the stack."""
        first, last = self.driver_code()
        self.guest.run(
            f"cd {FAILSLAB} && echo {first:#x} > require-start && "
            f"echo {(last | 0xfff) + 1:#x} > require-end && echo 32 > stacktrace-depth && "
            "echo N > task-filter && echo N > ignore-gfp-wait && echo 0 > verbose && "
            "echo 1 > interval && echo -1 > times && echo 100 > probability")
        self.failing = True

    def allocate_again(self) -> None:
        if self.failing:
            self.guest.run(f"echo 0 > {FAILSLAB}/probability")
            self.failing = False

    def driver_code(self) -> tuple[int, ...]:
        """The addresses of the driver's first and last function. Asked for once: it is slow."""
        if not self._code:
            symbols = self.guest.run(r"grep '\[virtio_pmem\]' /proc/kallsyms",
                                     timeout=300).stdout.splitlines()
            code = [int(words[0], 16) for words in map(str.split, symbols) if words[1] in "tT"]
            type(self)._code = (min(code), max(code))
        return self._code

    def befall(self, fault: Fault, *, unnoticed: bool = False) -> None:
        """It happens to the request that is with the device. UNNOTICED: sysfs cannot be asked."""
        if fault.strike:
            self.device.wait("outstanding", timeout=BOUND)
            self.device.set(**fault.strike)
        if fault.stalls and fault.release and not unnoticed:
            until(lambda: self.look()["stalled"] == "1", "it is stalled", BOUND)
            self.assertEqual(self.look()["broken"], "0")
        if fault.release and not (fault.stalls and unnoticed):
            self.device.set(**fault.release)

    def outcome(self, fault: Fault) -> None:
        """The region says what is wrong."""
        def seen() -> bool:
            now = self.look()
            return (now["broken_reason"] in fault.reason.split("|") and now["stalled"] == "0"
                    and now["broken"] == str(int(fault.reason != "none"))
                    and (self.stalls_in(now) > self.stalls or not fault.stalls))
        until(seen, f"broken: {fault.reason}" + (", after a stall" if fault.stalls else ""), BOUND)

    def well(self, fault: Fault) -> None:
        """Put the device in order."""
        self.device.set(**({"defaults": self.delay_us or 1} if "defaults" in fault.well
                           else fault.well))

    def recovered(self, fault: Fault, reset: bool = False) -> None:
        """The device in order, the region can be used again. RESET: the device has been reset
        since, and may have forgotten the request that is waited for then."""
        self.allocate_again()
        self.well(fault)
        results = self.recover()
        if fault.reason == "none":
            self.assertEqual(results, [])
        elif not (reset and tuple(results) in (IN_VAIN, ("",))):
            self.assertEqual(tuple(results), fault.recover)
        self.device.set(defaults=self.delay_us or 1)
        self.assertEqual(self.deep_flush(), "")
        self.assertEqual(self.look()["state"], "active")
        if not reset:
            self.assertEqual(self.device.counter("overlaps"), self.before["overlaps"],
                             "submitted while the device kept an older request")

    def recover(self, times: int = 3) -> list[str]:
        """Write to recover while the region is broken; how each write ended."""
        text = self.guest.run(
            f"cd {self.file('')} && for n in $(seq {times}); do read b < broken; "
            "[ $b = 0 ] && break; r=$(echo 1 2>&1 > recover); echo \"${r##*: }\"; done",
            timeout=3 * BOUND).stdout
        return text.splitlines()

    def start_store(self, path: str, text: str) -> vm.Job:
        return self.guest.start(f"echo {text} > {path}", BOUND)

    def stored(self, job: vm.Job) -> str:
        """How a start_store() ended: "" or the words of the error."""
        return job.wait(check=False).stderr.strip().rpartition(": ")[2]

    def flushed(self, job: vm.Job) -> str:
        """How a start_deep_flush() ended: "0" or the name of the error."""
        return parse_many(job.wait().stdout)[2]

    def expect(self, fault: Fault, job: vm.Job) -> None:
        self.assertEqual(self.flushed(job), "EIO" if fault.error else "0")


class Situations(FaultCase):
    """The columns: each method is what the callers do while a fault happens."""

    kernels = ()

    def cell_idle(self, fault: Fault) -> None:
        """Nobody asks for anything: a wrong answer that nobody gets leaves no trace, and what is
        wrong with the device itself shows at the next flush at the latest."""
        if fault.strike:
            self.device.set(**fault.strike)
            self.assertEqual(self.deep_flush(), EIO if fault.error else "")
        else:
            self.arm(fault)
            fault = fault._replace(reason="none", stalls=False)
        self.outcome(fault)
        self.recovered(fault._replace(recover=("",)))

    def cell_sync(self, fault: Fault) -> None:
        """One synchronous flush."""
        self.arm(fault)
        job = self.start_deep_flush()
        self.befall(fault)
        self.expect(fault, job)
        self.outcome(fault)
        self.recovered(fault)

    def cell_fua(self, fault: Fault) -> None:
        """One FUA bio. It ends once."""
        self.arm(fault)
        self.submit_bios("F").wait()
        self.befall(fault)
        result = self.bios_ended()
        self.assertEqual((result["ended"], result["again"], result["failed"]),
                         (1, 0, int(fault.error)))
        self.outcome(fault)
        self.recovered(fault)

    def cell_load(self, fault: Fault) -> None:
        """64 threads that flush in all ways: each call is answered once, all go on afterwards."""
        # The threads wait for the device most of the time, and leave the processors alone.
        self.delay_us = 250000
        self.device.set(delay_us=self.delay_us)
        load = self.start_load()
        load.wait_calls(64)
        self.arm(fault)
        self.befall(fault)
        busy = fault._replace(reason=fault.busy or fault.reason)
        self.outcome(busy)
        self.recovered(busy, reset=bool(fault.busy))
        load.wait_calls(64)
        self.answered(load.stop(), *(["EIO"] if fault.reason != "none" else []))

    def cell_files(self, fault: Fault) -> None:
        """Writers in every file all the time. They change the state too, so only the end counts."""
        self.set_attr("quiesce_timeout_ms", "1000")
        files = [self.file(name) for name in self.guest.run(["ls", self.file("")]).stdout.split()
                 if name != "recover"]
        writes = (self.file(f"{name}={value}") for name, value in WRITES)
        hammer = self.guest.start(["hammer", "-u", "200000", f"{self.region()}/deep_flush=1",
                                   *writes, *files], 3 * BOUND, stdin=True)
        self.addCleanup(hammer.kill)
        until(lambda: hammer.output, "the writers run", BOUND)
        self.arm(fault)
        job = self.start_deep_flush()
        if fault.strike:
            self.device.wait("requests", self.before["requests"] + 1, timeout=BOUND)
            self.device.set(**fault.strike)
        time.sleep(0.5)
        self.device.set(**fault.release, **fault.well)
        self.assertIn(self.flushed(job), ("0", "EIO"))
        hammer.close_stdin()
        self.assertRegex(hammer.wait().stdout, r"calls=[1-9]\d*\n")
        self.set_attr("quiesce", "0")
        self.recovered(fault._replace(reason=self.look()["broken_reason"]), reset=True)

    def cell_quiesce(self, fault: Fault) -> None:
        """Quiescing waits for that flush; one that comes meanwhile waits for the resume."""
        self.arm(fault, **self.held(fault))
        job = self.start_deep_flush()
        self.under_way(fault, job)
        quiesce = self.start_store(self.file("quiesce"), "1")
        later = self.start_deep_flush()
        self.befall(fault)
        self.expect(fault, job)
        broken = fault.reason != "none"
        self.assertEqual(self.stored(quiesce), EIO if broken else "")
        if not broken:
            self.assertEqual(self.look()["state"], "quiesced")
            self.device.set(defaults=1)
            self.set_attr("quiesce", "0")
        self.assertEqual(self.flushed(later), "EIO" if broken else "0")
        self.outcome(fault)
        self.recovered(fault)

    def cell_freeze(self, fault: Fault) -> None:
        """A freeze waits for that flush, bounded; one that comes meanwhile waits for the
        restore."""
        self.be_patient(fault)
        self.arm(fault, **self.held(fault))
        job = self.start_deep_flush()
        self.under_way(fault, job)
        freeze = self.start_store(f"{self.device.directory}/freeze", "1")
        later = self.start_deep_flush()
        if fault.stalls:
            frozen = self.stored(freeze)    # at last when its own bound is over
            self.befall(fault)
        else:
            self.befall(fault)
            frozen = self.stored(freeze)
        if fault.name == "late_answer":
            self.assertIn(frozen, ("", EBUSY))
        else:
            self.assertEqual(frozen, EBUSY if fault.stalls else "")
        self.allocate_again()       # setting a queue up takes memory
        if not frozen:
            restored = self.stored(self.start_store(f"{self.device.directory}/restore", "1"))
            self.assertEqual(restored, EIO if fault.name == "gone" else "")
        self.expect(fault, job)
        broken = fault.reason != "none"
        self.assertEqual(self.flushed(later), "EIO" if broken else "0")
        self.outcome(fault)
        self.set_attr("stall_timeout_ms", str(STALL_MS))
        self.recovered(fault, reset=True)

    def cell_unbind(self, fault: Fault) -> None:
        """An unbind ends, whatever the device does; who waits is answered."""
        self.be_patient(fault)
        self.arm(fault, **self.held(fault))
        name = self.device.device()["name"]
        job = self.start_deep_flush()
        self.under_way(fault, job)
        self.submit_bios("F").wait()
        unbind = self.start_store(f"{DRIVER}/unbind", name)
        self.befall(fault, unnoticed=True)
        self.assertEqual(self.stored(unbind), "")
        self.assertEqual(self.bios_ended()["again"], 0)
        if fault.name == "late_answer":
            self.assertIn(self.flushed(job), ("0", "EIO"))
        else:
            self.expect(fault._replace(error=fault.error or fault.stalls), job)
        self.allocate_again()
        self.well(fault)
        self.device.set(defaults=1)
        self.bind(name)
        self.assertEqual(self.look()["state"], "active")
        self.assertEqual(self.deep_flush(), "")

    def cell_recovery(self, fault: Fault) -> None:
        """It happens to what gathered while the region was recovered."""
        self.device.set(break_queue=1)
        self.assertEqual(self.deep_flush(), EIO)
        self.device.set(hold_setup=1)
        recover = self.start_store(self.file("recover"), "1")
        until(lambda: self.look()["state"] == "recovering", "it is recovering", BOUND)
        self.arm(fault)
        job = self.start_deep_flush()
        until(lambda: self.look()["queue_depth"] == "1", "the flush gathers", BOUND)
        self.device.set(hold_setup=0)
        self.befall(fault)
        self.expect(fault, job)
        self.assertIn(self.stored(recover), ("", EIO) if fault.reason != "none" else ("",))
        self.outcome(fault)
        self.recovered(fault)

    @staticmethod
    def held(fault: Fault) -> dict[str, int]:
        """So that the answer comes while others wait for it."""
        return {} if "hold" in fault.arm or not fault.reaches else {"delay_us": HELD_US}


def cell(situation: Callable[[Situations, Fault], None], fault: Fault
         ) -> Callable[[Situations], None]:
    def test(self: Situations) -> None:
        situation(self, fault)
    test.__doc__ = f"{fault.name.replace('_', ' ')}; {situation.__doc__}"
    return test


class Faults(Situations):
    """The matrix."""

    kernels = ("6.1", "6.12", "7.3")
    bios = True
    load = True


class DebugFaults(Situations):
    """The rest of it."""

    kernels = ("7.3",)
    bios = True
    load = True

    def test_no_memory_for_recover(self) -> None:
        """A recover without memory is ENOMEM, and changes nothing."""
        self.device.set(break_queue=1)
        self.assertEqual(self.deep_flush(), EIO)
        before = self.look()
        self.fail_allocations()
        self.assertEqual(self.recover(1), ["Cannot allocate memory"])
        self.assertEqual(self.look(), before)
        self.recovered(Fault("", {}, reason="virtqueue", allocations=True))


# Cells that mean nothing: the core warns when the driver of a device goes that is gone (see
# test_fault_users.py); a recover without memory does not begin.
NOT_CELLS = (("cell_unbind", "gone"), ("cell_recovery", "no_memory"))


def fill(case: type[Situations], faults: Sequence[Fault]) -> None:
    """Give a class a test for each cell: all methods "cell_..." with all rows."""
    for name in (name for name in dir(case) if name.startswith("cell_")):
        for fault in faults:
            if (name, fault.name) not in NOT_CELLS:
                setattr(case, f"test_{name[5:]}_{fault.name}", cell(getattr(case, name), fault))


fill(Faults, FAULTS)
fill(DebugFaults, DEBUG_FAULTS)


# What is wrong when a queue is set up once more: settings, and the reason that follows.
SETUPS = (
    ("fails", {"fail_setup": 5}, "virtqueue"),
    ("no_queue", {"queue_size": 0}, "virtqueue"),
    ("small_queue", {"queue_size": 1}, "virtqueue"),
    ("smaller", {"size": 1 << 20}, "gone"),
    ("elsewhere", {"start": 1 << 40}, "gone"),
    ("empty", {"size": 0}, "gone"),
    ("gone", {"gone": 1}, "gone"),
)


class Setups(FaultCase):
    """A queue that cannot be set up once more, and a device that is another one by then."""

    kernels = ("6.1", "6.12", "7.3")

    def healed(self) -> None:
        self.device.set(defaults=1)
        self.assertEqual(self.recover(), [""])
        self.assertEqual(self.deep_flush(), "")
        self.assertEqual(self.look()["state"], "active")

    def test_at_restore(self) -> None:
        """The restore fails, who waited gets EIO, and a recover helps once the device is well."""
        for name, settings, reason in SETUPS:
            with self.subTest(name):
                self.set_attr("stall_timeout_ms", "20000")
                self.device.set(freeze=1)
                job = self.start_deep_flush()
                until(lambda: self.look()["queue_depth"] == "1", "the flush gathers")
                self.device.set(**settings)
                restore = self.start_store(f"{self.device.directory}/restore", "1")
                self.assertEqual(self.stored(restore), EIO)
                self.assertEqual(self.flushed(job), "EIO")
                self.assertEqual(self.look()["broken_reason"], reason)
                self.healed()

    def test_at_recover(self) -> None:
        """The recover fails and the region stays broken; the next one helps."""
        for name, settings, reason in SETUPS:
            with self.subTest(name):
                self.device.set(break_queue=1)
                self.assertEqual(self.deep_flush(), EIO)
                self.device.set(**settings)
                self.assertEqual(self.recover(1), [ENODEV if name == "gone" else EIO])
                seen = self.look()
                self.assertEqual((seen["state"], seen["broken_reason"]), ("broken", reason))
                self.healed()


class LateAnswers(FaultCase):
    """F7: a device that answers an old request after a reset, as QEMU does."""

    kernels = ("6.1", "6.12", "7.3")

    def setUp(self) -> None:
        super().setUp()
        self.device.set(hold=1, late_after_reset=1)
        job = self.start_deep_flush()
        self.device.wait("outstanding")
        self.device.set(needs_reset=1)
        self.assertEqual(self.flushed(job), "EIO")

    def recovering(self) -> tuple[vm.Job, vm.Job]:
        """A recover that waits, and a flush that gathers."""
        recover = self.start_store(self.file("recover"), "1")
        until(lambda: self.look()["state"] == "recovering", "it is recovering")
        job = self.start_deep_flush()
        until(lambda: self.look()["queue_depth"] == "1", "the flush gathers")
        return recover, job

    def test_f7_recover_waits_for_the_old_answer(self) -> None:
        """No queue is set up before the old answer is there; what gathered is flushed then."""
        self.set_attr("stall_timeout_ms", "20000")
        recover, job = self.recovering()
        before = self.device.counters()
        self.assertEqual(self.device.device()["queue"], "0")
        self.device.set(hold=0)
        self.assertEqual(self.stored(recover), "")
        self.assertEqual(self.flushed(job), "0")
        after = self.device.counters()
        self.assertEqual([after[name] - before[name] for name in
                          ("late_answers", "answered", "setups", "overlaps")], [1, 1, 1, 0])

    def test_f14_an_old_answer_that_is_a_failure(self) -> None:
        """The old answer says that the host failed: the region stays broken for that."""
        self.set_attr("stall_timeout_ms", "20000")
        recover, job = self.recovering()
        self.device.set(value=1, hold=0)
        self.assertEqual(self.stored(recover), EIO)
        self.assertEqual(self.flushed(job), "EIO")
        self.assertEqual(self.look()["broken_reason"], "host-error")
        self.device.set(defaults=1)
        self.assertEqual(self.recover(), [""])

    def test_f7_an_answer_that_comes_too_late(self) -> None:
        """Given up, it comes under the id of a new request: nobody is told success."""
        self.assertEqual(self.recover(1), [TIMEDOUT])
        self.assertEqual(self.look()["broken_reason"], "timeout")
        self.assertEqual(self.recover(1), [""])
        self.device.set(delay_us=60000000)      # for the new one
        job = self.start_deep_flush()
        self.device.wait("outstanding", 2)
        self.device.set(hold=0)
        self.assertEqual(self.flushed(job), "EIO")
        self.assertIn(self.look()["broken_reason"], ("stale-answer", "virtqueue"))
        self.assertGreater(self.device.counter("late_answers"), self.before["late_answers"])


class Leaks(FaultCase):
    """What a region and its queues take is given back, or is the device's for good."""

    kernels = ("7.3",)
    # With a cache's checks on, no pointer to what it handed out stays behind in its own lists,
    # where kmemleak takes it for a user.
    append = "kmemleak=on slab_debug=F"
    bios = True
    load = True

    def lives(self) -> None:
        """All ways by which a queue, or a region, comes and goes."""
        name = self.device.device()["name"]
        self.set_attr("stall_timeout_ms", str(STALL_MS))
        self.device.set(freeze=1, restore=1)
        self.device.set(break_queue=1)
        self.assertEqual(self.deep_flush(), EIO)
        self.assertEqual(self.recover(), [""])
        self.device.set(hold=1)                 # a slot that stays the device's
        job = self.start_deep_flush()
        self.device.wait("outstanding")
        self.device.set(needs_reset=1)
        self.assertEqual(self.flushed(job), "EIO")
        self.assertEqual(self.recover(), list(IN_VAIN))
        self.device.set(defaults=1)
        self.unbind()
        self.device.set(fail_setup=5, fail_setup_times=1)
        self.assertEqual(self.bind_error(), EIO)
        self.device.set(size=0)
        self.assertEqual(self.bind_error(), "Invalid argument")
        self.device.set(defaults=1)
        self.bind(name)
        self.submit_bios("PF", count=4).wait()
        self.assertEqual(self.bios_ended()["failed"], 0)
        self.unbind()
        self.guest.run("rmmod virtio_pmem && modprobe virtio_pmem")
        until(lambda: self.guest.run("[ -b /dev/pmem0 ]", check=False).status == 0, "it is bound")
        self.device.set(unplug=2, replug=1)
        until(lambda: self.guest.run("[ -b /dev/pmem0 ]", check=False).status == 0, "it is back")
        self.assertEqual(self.many("/dev/pmem0", 4, 5), (20, 0, "0"))

    def test_nothing_is_leaked(self) -> None:
        """After two rounds of it, kmemleak finds nothing, look after look, but what the test has
        lost."""
        kmemleak = "/sys/kernel/debug/kmemleak"
        if self.guest.run(["test", "-e", kmemleak], check=False).status != 0:
            self.skipTest("this kernel has no kmemleak")
        # Of what the test loses on purpose, to see that a leak is found.
        self.expected_report = r"kmemleak: \d+ new suspected"
        self.guest.expect_kernel_report(self.expected_report)
        self.guest.run(f"modprobe vpmem_test_device && echo scan > {kmemleak} && "
                       f"echo clear > {kmemleak}", timeout=300)
        for _ in range(2):
            self.lives()
        # Some, because an old pointer to one may be left anywhere.
        for size in range(1000, 1016):
            self.guest.write(f"{DEVICE}/leak", str(size))
        # What is younger than 5 s is not judged, and what changed since the last look neither.
        self.guest.run("sleep 6")
        for _ in range(LOOKS):
            self.guest.run(f"echo scan > {kmemleak} && echo scan > {kmemleak}", timeout=300)
            found = self.guest.read(kmemleak).split("unreferenced object")[1:]
            others = [leak for leak in found if "leak_set" not in leak]
            # A pointer that only a register held during a look is in memory at the next.
            if len(others) < len(found) and not others:
                break
        self.assertTrue(any("leak_set" in leak for leak in found), found)
        self.assertEqual(others, [])
