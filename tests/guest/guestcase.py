# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests in guests share: a test case that has booted a guest.

    from guestcase import GuestCase, load_tests

    class Flush(GuestCase):
        def test_something(self) -> None:
            with self.flushes(0, 1):
                self.deep_flush(0)

Each class boots one guest for each kernel, before its first test; its tests run
in that guest one after the other and leave it as they found it. load_tests,
which a test file imports for unittest to find, makes the class once for each
kernel of $GUEST_KERNELS.

A kernel report during a test fails that test, and its own absence is a failure
where it is expected. $GUEST_BUILD is the meson build directory.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "vm"))
sys.path.append(str(HERE.parent))

# pylint: disable=wrong-import-position
import hostfsync                # noqa: E402
import initramfs                # noqa: E402
import kernels                  # noqa: E402
import vm                       # noqa: E402
from load import FlushLoad, Report      # noqa: E402
from schema import check_schema         # noqa: E402

ND = "/sys/bus/nd/devices"
DRIVER = "/sys/bus/virtio/drivers/virtio_pmem"
BIO = "/sys/kernel/debug/vpmem_test_bio"
DEVICE = "/sys/kernel/debug/vpmem_test_device"
BLOCK = 4096

# Bind what a test has left unbound, and give a broken region a new life.
HEAL = f"""
modprobe virtio_pmem
for device in /sys/bus/virtio/devices/*; do
    name=${{device##*/}}
    if [ -e $device/driver ]; then
        ! grep -q 1 $device/ndbus*/region*/virtio_pmem/broken 2> /dev/null && continue
        echo $name > {DRIVER}/unbind
    fi
    echo $name > {DRIVER}/bind
    until [ -b /dev/$(basename $device/ndbus*/region*/*/block/*) ]; do usleep 10000; done
done
"""


def chosen_kernels() -> list[str]:
    return os.environ.get("GUEST_KERNELS", "6.1 6.12").split()


def build_dir() -> Path:
    return Path(os.environ.get("GUEST_BUILD", TOP / "build"))


def kernel_class(kernel: str) -> str:
    """How a class names a kernel: every debug kernel runs what 7.3 does."""
    return kernel if kernel in kernels.STOCK else "7.3"


def load_tests(loader: unittest.TestLoader, standard: unittest.TestSuite,
               _pattern: str | None) -> unittest.TestSuite:
    """unittest's protocol: each class of a file, once for each kernel."""
    classes: dict[type, None] = {}
    for group in standard:
        assert isinstance(group, unittest.TestSuite)
        classes.update(dict.fromkeys(type(test) for test in group))
    suite = unittest.TestSuite()
    for kernel in chosen_kernels():
        for case in classes:
            if not issubclass(case, GuestCase) or kernel_class(kernel) not in case.kernels:
                continue
            bound = type(case.__name__, (case,), {"kernel": kernel, "__module__": case.__module__,
                                                  "__doc__": case.__doc__})
            suite.addTests(loader.loadTestsFromTestCase(bound))
    return suite


@functools.lru_cache(maxsize=None)
def _sysfs_names() -> dict[str, str]:
    """The defines of sysfs-abi.h, so that the tests spell no name a second time."""
    text = (TOP / "include/virtpmem/sysfs-abi.h").read_text(encoding="utf-8")
    return {name: value.strip('"') for name, value in
            re.findall(r'^#define\s+(VIRTIO_PMEM_\w+)\s+("[^"]*"|\d+)', text, re.MULTILINE)}


STATS = {name.removeprefix("VIRTIO_PMEM_STAT_").lower(): int(value)
         for name, value in _sysfs_names().items() if name.startswith("VIRTIO_PMEM_STAT_")}


@functools.lru_cache(maxsize=None)
def test_modules(kernel: kernels.Kernel) -> list[Path]:
    """The modules of kmod/ for a kernel, built on a copy of their sources."""
    if kernel.build is None:
        raise kernels.KernelMissing(f"no headers for {kernel.release}")
    place = TOP / "build-vm" / f"{kernel.release}-test"
    with kernels.locked(place):
        place.mkdir(exist_ok=True)
        for source in (HERE / "kmod").iterdir():
            copy = place / source.name
            if not copy.exists() or copy.read_bytes() != source.read_bytes():
                shutil.copyfile(source, copy)
        done = subprocess.run(["make", "-C", str(place), f"KDIR={kernel.build}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(f"building the test's modules for {kernel.release} failed:\n"
                               f"{done.stdout}")
    return [place / f"{source.stem}.ko" for source in sorted((HERE / "kmod").glob("*.c"))]


def until(condition: Callable[[], Any], what: str, timeout: float = 20) -> Any:
    """Wait until CONDITION returns something that is true, and return that."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)
    return value


class GuestCase(unittest.TestCase):
    """Tests that run in one guest. What a class wants, it says here."""

    kernels: Sequence[str] = ("6.1", "6.12", "7.3")
    driver = "ours"
    params = ""
    devices: int | Sequence[vm.Device] = 2
    size = "64M"
    programs: Sequence[str] = ()
    modules: Sequence[str] = ()
    mock = 0
    """How many mock devices there are, after the devices; see tests/vm/mock.py."""
    bios = False
    """Whether vpmem_test_bio is to be loaded: see submit_bios()."""
    load = False
    """Whether start_load() and stray_notify() can be called."""
    append = ""
    """Words for the kernel's command line."""
    expected_report = ""
    """A regex of the kernel report that a test of this class must provoke."""

    kernel = ""
    guest: vm.Guest
    _skip = ""

    # -- life --

    @classmethod
    def setUpClass(cls) -> None:
        cls._skip = ""
        try:
            kernel = kernels.find(cls.kernel)
            guest = vm.Guest(kernel, cls.driver, driver_params=cls.params, devices=cls.devices,
                             size=cls.size, build=build_dir(), modules=cls.modules,
                             mock=cls.mock, append=cls.append,
                             module_files=(test_modules(kernel) if cls.bios or cls.load else ()),
                             programs=["fsync-many", "flush-load", "hammer", "poll-file", "uevents",
                                       *cls.programs])
        except kernels.KernelMissing as missing:
            cls._skip = str(missing)
            return
        for program in cls.programs:
            try:
                initramfs.locate(program, build_dir())
            except initramfs.ImageError as missing:
                cls._skip = str(missing)
                return
        cls.guest = guest
        cls.guest.__enter__()
        cls.addClassCleanup(cls.guest.__exit__, None, None, None)
        if cls.expected_report:
            cls.guest.expect_kernel_report(cls.expected_report)
        if cls.bios:
            cls.guest.run("modprobe vpmem_test_bio")

    def setUp(self) -> None:
        if self._skip:
            self.skipTest(self._skip)
        self.notes: list[str] = []
        self._loads: list[FlushLoad] = []
        self._reports = len(self.guest.reports)

    def tearDown(self) -> None:
        if self._skip:
            return
        for host in self.guest.hosts:
            host.reset()
        for mock in self.guest.mocks:
            mock.heal()
        if self.driver == "ours":
            self.guest.run(HEAL, timeout=60)
        for load in self._loads:
            load.close()
        new = [report for report in self.guest.reports[self._reports:]
               if not (self.expected_report and re.search(self.expected_report, report))]
        if new:
            self.fail(f"the kernel reported a defect:\n{new[0]}")

    def id(self) -> str:
        name = super().id().removeprefix("tests.guest.").removeprefix("test_")
        return f"{self.kernel} {name}" if self.kernel else name

    def __str__(self) -> str:
        return self.id()

    def note(self, text: str) -> None:
        """Something worth knowing that is not judged; the runner prints it."""
        self.notes.append(text)

    # -- the guest's side --

    def region(self, n: int = 0) -> str:
        return f"{ND}/region{n}"

    def file(self, name: str, n: int = 0) -> str:
        """One of the driver's files."""
        return f"{self.region(n)}/{_sysfs_names()['VIRTIO_PMEM_GROUP']}/{name}"

    def watch_state(self) -> vm.Job:
        """A program that poll()s region 0's state, and prints it now and at each change."""
        poll = self.guest.start(["poll-file", self.file("state")])
        self.addCleanup(poll.kill)
        until(lambda: poll.output == b"active\n", "the first look at state")
        return poll

    def attr(self, name: str, n: int = 0) -> str:
        return self.guest.read(self.file(name, n))

    def set_attr(self, name: str, value: str, n: int = 0) -> None:
        self.guest.write(self.file(name, n), value)

    def stats(self, n: int = 0) -> dict[str, int]:
        """flush_stats, by name."""
        values = [int(word) for word in self.attr("flush_stats", n).split()]
        self.assertGreaterEqual(len(values), len(STATS))
        return {name: values[at] for name, at in STATS.items()}

    def store(self, path: str, text: str, timeout: float = 30) -> str:
        """Write to a file of sysfs: "" or the words of the error."""
        result = self.guest.run(["dd", f"of={path}", "conv=notrunc", "status=none"],
                                input=text, timeout=timeout, check=False)
        if result.status == 0:
            return ""
        return result.stderr.strip().rpartition(": ")[2] or f"status {result.status}"

    def deep_flush(self, n: int = 0, text: str = "1") -> str:
        """Write to deep_flush: "" or the words of the error."""
        return self.store(f"{self.region(n)}/deep_flush", text)

    def start_deep_flush(self, n: int = 0) -> vm.Job:
        """The same, not waited for. The command is the writer, so it can be killed."""
        return self.guest.start(["fsync-many", "-m", "deep", f"{self.region(n)}/deep_flush"], 100)

    def start_writing(self, name: str, n: int = 0) -> vm.Job:
        """Write "1" to one of the driver's files; written() says how that ended."""
        return self.guest.start(["fsync-many", "-m", "deep", self.file(name, n)], 100)

    def many(self, path: str, threads: int = 1, calls: int = 1, mode: str = "fdatasync"
             ) -> tuple[int, int, str]:
        """Run fsync-many: (calls, errors, first errno or "0")."""
        return parse_many(self.guest.run(["fsync-many", "-t", threads, "-n", calls, "-m", mode,
                                          path]).stdout)

    def is_frozen(self, place: str) -> bool:
        """Whether a write to a file system waits."""
        job = self.guest.start(["touch", f"{place}/probe"], 100)
        waiting = "for s in /proc/[0-9]*/stat; do cat $s; done 2> /dev/null | grep -c '(touch) D'"
        until(lambda: not job.running or
              self.guest.run(waiting, check=False).stdout.strip() != "0", "it ends or waits")
        return job.running

    def wait_thawed(self, place: str) -> None:
        self.guest.run(["touch", f"{place}/probe"], timeout=60)

    def listen(self) -> vm.Job:
        """A program that prints uevents: see change_events()."""
        job = self.guest.start(["uevents"])
        self.addCleanup(job.kill)
        until(lambda: b"listening" in job.output, "the listener runs")
        return job

    def change_events(self, job: vm.Job, n: int = 0) -> list[str]:
        """The driver's events of a region that a listener has printed until now."""
        return [line for line in job.output.decode().splitlines()
                if line.startswith("change@") and f"/region{n} " in line
                and "VIRTIO_PMEM_STATE" in line]

    def pci(self, n: int = 0) -> str:
        """The PCI device behind a region, "0000:00:04.0"."""
        path = self.guest.run(["readlink", "-f", self.region(n)]).stdout
        return str(re.findall(r"/(0000:[0-9a-f:.]+)/", path)[-1])

    def stray_notify(self, n: int = 0) -> None:
        """Notify a region's device with nothing in its ring: QEMU then wants a reset."""
        self.guest.run("modprobe vpmem_test_device")
        self.guest.write(f"{DEVICE}/notify", self.pci(n))

    def virtio(self, n: int = 0) -> str:
        """The name of the virtio device behind a region."""
        path = self.guest.run(["readlink", "-f", self.region(n)]).stdout
        found = re.search(r"/(virtio\d+)/", path)
        self.assertTrue(found, path)
        return found[1]     # type: ignore[index]

    def unbind(self, n: int = 0, timeout: float = 60) -> str:
        """Take the driver off the device of a region; returns the device."""
        device = self.virtio(n)
        self.guest.run(f"echo {device} > {DRIVER}/unbind", timeout=timeout)
        return device

    def bind(self, device: str) -> None:
        """Give a device its driver, and wait for the disk, which libnvdimm adds by the way."""
        disk = f"/sys/bus/virtio/devices/{device}/ndbus*/region*/*/block/*"
        self.guest.run(f"echo {device} > {DRIVER}/bind && until [ -b /dev/$(basename {disk}) ]; "
                       "do usleep 10000; done", timeout=30)

    def rebind(self, n: int = 0) -> None:
        """A new life for a region. The lowest free number is its own again."""
        self.bind(self.unbind(n))

    def submit_bios(self, flags: str, *, length: int = BLOCK, byte: int = 0xA5, block: int = 1,
                    count: int = 1, device: str = "/dev/pmem0") -> vm.Job:
        """Start to submit bios; the job ends when submit_bio() has returned."""
        text = f"{device} {block * BLOCK // 512} {length} {flags or '-'} {byte:x} {count}"
        return self.guest.start(f"echo '{text}' > {BIO}/submit", 100)

    def bio_result(self) -> dict[str, int]:
        words = self.guest.read(f"{BIO}/result").split()
        return {name: int(value) for name, value in (word.split("=") for word in words)}

    def bios_ended(self) -> dict[str, int]:
        """Wait until all bios of the last submit_bios() have ended."""
        def ended() -> dict[str, int] | None:
            result = self.bio_result()
            return result if result["ended"] == result["submitted"] else None
        return until(ended, "all bios have ended")

    def start_load(self, n: int = 0, **options: Any) -> FlushLoad:
        """Flush region N with 64 threads until stop(); the options are FlushLoad's."""
        load = FlushLoad(self.guest, n, **options)
        self._loads.append(load)
        return load

    def search_no_modules(self) -> None:
        """Until the test's end. Else the kernel starts modprobe whenever a thread of a load opens
        a disk that is going, or not there."""
        path = "/proc/sys/kernel/modprobe"
        self.addCleanup(self.guest.write, path, self.guest.read(path))
        self.guest.run(f"echo > {path}")

    def answered(self, report: Report, *errors: str) -> None:
        """Each call of a load was answered once, with success or one of these errors."""
        self.assertEqual(report.lost(), "")
        self.assertEqual(set(report.errors) - set(errors), set(), str(report))

    def suspend(self) -> vm.Job:
        """Start to suspend; the job ends after the machine has been woken."""
        return self.guest.start("echo mem > /sys/power/state", 100)

    def wake_if_asleep(self) -> bool:
        """Wake the machine, if it sleeps. (Its event is lost on who did not listen yet.)"""
        if self.guest.qmp("query-status")["status"] != "suspended":
            return False
        self.guest.qmp("system_wakeup")
        return True

    def wake(self, job: vm.Job) -> None:
        """Wait until the machine sleeps, and wake it, or until it has come back by itself."""
        end = time.monotonic() + 60 + 4 * self.guest.grace
        while job.running:
            if self.wake_if_asleep():
                self.note("the machine slept")
                break
            if time.monotonic() > end:
                raise vm.GuestDied("the suspend hangs", self.guest.console)
            time.sleep(0.1)
        self.assertEqual(job.wait(check=False).status, 0)

    # -- pmemctl --

    def pmemctl(self, *args: str, env: dict[str, str] | None = None,
                user: int = 0) -> vm.Result:
        """Run pmemctl, as the user of that number, and return how it ended."""
        argv = ["pmemctl", *args]
        if user:
            argv = ["setpriv", f"--reuid={user}", "--clear-groups", *argv]
        return self.guest.run(argv, check=False, env=env, timeout=60)

    def pmemctl_json(self, *args: str, status: int = 0, user: int = 0) -> dict[str, Any]:
        """The same with --json: the object, after checking exit status and schema."""
        result = self.pmemctl(*args, "--json", user=user)
        self.assertEqual(result.status, status, result.stdout + result.stderr)
        answer = json.loads(result.stdout)
        check_schema(answer)
        self.assertEqual(bool(answer["errors"]), status != 0, answer)
        return answer

    # -- the host's side --

    def host(self, n: int = 0) -> hostfsync.HostFile:
        """The host's side of a region."""
        return self.guest.host(f"region{n}")

    @contextlib.contextmanager
    def flushes(self, n: int, count: int) -> Iterator[None]:
        """The block makes the host fsync region N so often, and no other region."""
        mine = self.host(n)
        before = [(host, host.count) for host in self.guest.hosts]
        yield
        for host, old in before:
            self.assertEqual(host.count - old, count if host is mine else 0,
                             "fsyncs of the host, " + ("this region" if host is mine
                                                       else "another region"))

    def on_host(self, n: int, offset: int, size: int = BLOCK) -> bytes:
        """What a region's backing file holds."""
        with open(self.host(n).path, "rb") as file:
            file.seek(offset)
            return file.read(size)


def written(job: vm.Job) -> str:
    """How a start_writing() ended: "0", or the name of its errno."""
    return parse_many(job.wait().stdout)[2]


def parse_many(text: str) -> tuple[int, int, str]:
    found = re.fullmatch(r"calls=(\d+) errors=(\d+) errno=(\w+)\n", text)
    if not found:
        raise AssertionError(f"fsync-many printed {text!r}")
    return int(found[1]), int(found[2]), found[3]
