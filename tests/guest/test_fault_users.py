# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults of test_faults.py under what sits on a region, and while a machine changes.

Filesystem and sector mode meet every row of the table. Suspend, power-off and surprise
removal meet those that mean something else there.
"""

from __future__ import annotations

from collections.abc import Callable

from guestcase import DRIVER, GuestCase, load_tests, until     # noqa: F401
from load import UNBOUND
from test_faults import BOUND, EBUSY, EIO, FAULTS, Fault, FaultCase
from test_suspend import SuspendCase


def each_fault(case: type[FaultCase], meet: Callable[[FaultCase, Fault], None]) -> None:
    """Give a class a test for each row."""
    for fault in FAULTS:
        def test(self: FaultCase, fault: Fault = fault) -> None:
            meet(self, fault)
        test.__doc__ = f"{fault.name.replace('_', ' ')}; {meet.__doc__}"
        setattr(case, f"test_{fault.name}", test)


class Ext4(FaultCase):
    """A filesystem with a journal."""

    kernels = ("6.1", "6.12", "7.3")
    programs = ("mkfs.ext4", "e2fsck")
    modules = ("ext4",)

    def write(self, name: str) -> str:
        return (f"dd if=/dev/urandom of=/mnt/{name} bs=4k count=8 conv=fsync status=none && "
                f"cp /mnt/{name} /tmp/{name}")

    def meet(self, fault: Fault) -> None:
        """what fsync acknowledged before is there afterwards, and a failed one says so."""
        self.guest.run("mkfs.ext4 -q -F -b 4096 /dev/pmem0 && mount /dev/pmem0 /mnt && "
                       + self.write("kept"), timeout=60)
        self.before = self.device.counters()
        self.arm(fault)
        job = self.guest.start(self.write("new"), BOUND)
        self.befall(fault)
        failed = job.wait(check=False).status != 0
        # An fsync is more than one flush. What breaks after the first may fail it too.
        if fault.error or fault.reason == "none":
            self.assertEqual(failed, fault.error)
        self.outcome(fault._replace(reason=fault.busy or fault.reason))
        self.guest.run("umount /mnt", timeout=120)      # a dozen flushes, late ones too
        self.recovered(fault._replace(reason=fault.busy or fault.reason), reset=bool(fault.busy))
        check = self.guest.run("e2fsck -f -y /dev/pmem0", timeout=60, check=False)
        self.assertIn(check.status, (0, 1), check.stdout)
        self.guest.run("mount /dev/pmem0 /mnt && cmp /mnt/kept /tmp/kept"
                       + ("" if failed else " && cmp /mnt/new /tmp/new") + "; r=$?; umount /mnt; "
                       "exit $r")


each_fault(Ext4, Ext4.meet)     # type: ignore[arg-type]


class Sector(FaultCase):
    """BTT, whose flushes may not sleep."""

    kernels = ("6.1", "6.12", "7.3")
    programs = ("ndctl",)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not cls._skip:
            cls.guest.run("ndctl create-namespace -f -e namespace0.0 -m sector")

    def meet(self, fault: Fault) -> None:
        """a write through BTT ends, and the region is broken as under any other caller."""
        # The writer keeps a processor, and maybe the one that was to notice a short stall.
        fault = fault._replace(stalls=bool(fault.release) and fault.stalls)
        self.arm(fault)
        job = self.guest.start(["fsync-many", "-n", 1, "/dev/pmem0s"], BOUND)
        self.befall(fault)
        job.wait()
        self.outcome(fault._replace(reason=fault.busy or fault.reason))
        self.assertEqual(self.look()["queue_depth"], "0")
        self.recovered(fault._replace(reason=fault.busy or fault.reason), reset=bool(fault.busy))
        self.assertEqual(self.many("/dev/pmem0s", 1, 2), (2, 0, "0"))


each_fault(Sector, Sector.meet)     # type: ignore[arg-type]


class Sleep(FaultCase, SuspendCase):
    """A suspend to RAM of the whole machine."""

    kernels = ("6.1", "6.12", "7.3")
    bios = True
    load = True

    def refused(self, why: str) -> None:
        """F18: the suspend fails at once, with a message, and nothing has changed."""
        before = self.device.counters()
        self.assertEqual(self.store("/sys/power/state", "mem"), EBUSY)
        self.assertIn(f"region0 is {why}", self.guest.dmesg())
        self.assertEqual(self.device.counters()["resets"], before["resets"])

    def test_f18_stalled(self) -> None:
        """F18: no suspend while the host does not answer; the answer is taken as ever."""
        self.device.set(hold=1)
        job = self.start_deep_flush()
        until(lambda: self.look()["stalled"] == "1", "it is stalled")
        self.refused("stalled")
        self.device.set(hold=0)
        self.assertEqual(self.flushed(job), "0")
        self.sleep_and_wake()

    def test_f18_quiesced(self) -> None:
        """F18: no suspend while quiesced."""
        self.set_attr("quiesce", "1")
        self.refused("quiesced")
        self.set_attr("quiesce", "0")
        self.sleep_and_wake()

    def test_the_resume_fails(self) -> None:
        """A device that cannot be set up after a resume, or is another one: broken, recoverable."""
        for settings, reason in (({"fail_setup": 5}, "virtqueue"), ({"size": 1 << 20}, "gone")):
            with self.subTest(reason):
                self.device.set(**settings)
                self.sleep_and_wake()
                self.assertEqual(self.look()["broken_reason"], reason)
                self.assertEqual(self.deep_flush(), EIO)
                self.device.set(defaults=1)
                self.assertEqual(self.recover(), [""])
                self.assertEqual(self.deep_flush(), "")

    def test_f11_load(self) -> None:
        """F11: 64 threads of all kinds of flushes lose and fail none in a suspend."""
        self.device.set(delay_us=20000)
        load = self.start_load()
        load.wait_calls(64)
        self.sleep_and_wake()
        load.wait_calls(64)
        self.answered(load.stop())
        self.assertGreater(self.device.counter("setups"), self.before["setups"])


class PowerOff(FaultCase):
    """The machine is switched off while the device does not answer. Each test ends the guest."""

    kernels = ()

    def tearDown(self) -> None:
        """There is no guest to put in order."""

    def power_off(self, **strike: int) -> None:
        self.device.set(hold=1)
        self.start_deep_flush()
        self.device.wait("outstanding")
        if strike:
            self.device.set(**strike)
        self.guest.start(["poweroff", "-f"])
        self.guest.wait_exit(BOUND)


class PowerOffDead(PowerOff):
    """A host that does not answer."""

    kernels = ("6.1", "6.12", "7.3")

    def test_f15_dead_host(self) -> None:
        """F15: power-off ends though the device never answers, and the kernel reports nothing."""
        self.power_off()


class PowerOffBroken(PowerOff):
    """A device that has stopped."""

    kernels = ("6.1", "6.12", "7.3")

    def test_needs_reset(self) -> None:
        """Power-off ends though the device wants a reset."""
        self.power_off(needs_reset=1)


class Removal(FaultCase):
    """A device that vanishes with its driver bound.

    Its status reads all ones then, of which the virtio core warns once, whatever the driver."""

    kernels = ("6.1", "6.12", "7.3")
    bios = True
    load = True
    expected_report = r"WARNING: .*virtio_dev_remove"

    def removed(self) -> None:
        until(lambda: self.device.device()["plugged"] == "0", "it is unplugged", BOUND)

    def back(self) -> None:
        """Plugged in again, it is a region as any."""
        self.removed()
        self.device.heal()
        until(lambda: self.guest.run("[ -b /dev/pmem0 ]", check=False).status == 0, "it is back")
        self.assertEqual(self.deep_flush(), "")
        self.assertEqual(self.look()["state"], "active")

    def test_idle(self) -> None:
        """Nobody asks for anything."""
        self.device.set(unplug=1)
        self.back()

    def test_flush_in_flight(self) -> None:
        """Who waits, synchronously or with a bio, gets EIO once."""
        self.device.set(hold=1)
        job = self.start_deep_flush()
        self.submit_bios("F", count=4).wait()
        self.device.wait("outstanding")
        self.device.set(unplug=1)
        self.assertEqual(self.flushed(job), "EIO")
        result = self.bios_ended()
        self.assertEqual((result["ended"], result["again"], result["failed"]), (4, 0, 4))
        self.back()

    def test_load(self) -> None:
        """64 threads: each call is answered once, and all go on when it is there again."""
        self.search_no_modules()
        self.device.set(delay_us=20000)
        load = self.start_load()
        load.wait_calls(64)
        self.device.set(unplug=1)
        self.back()
        load.wait_calls(64)
        self.answered(load.stop(), *UNBOUND)

    def test_gone_before_the_unbind(self) -> None:
        """The device goes first, and the driver is unbound later."""
        self.device.set(gone=1)
        self.assertEqual(self.deep_flush(), EIO)
        name = self.device.device()["name"]
        self.assertEqual(self.stored(self.start_store(f"{DRIVER}/unbind", name)), "")
        self.device.set(unplug=2)
        self.back()
