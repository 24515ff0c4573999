# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a virtual machine with virtio-pmem devices and run programs in it.

    import vm
    with vm.Guest("6.12", driver="ours", devices=2, programs=["ndctl"]) as guest:
        before = guest.host(0).count
        guest.run("pmemctl flush region0")
        assert guest.host(0).count > before

Everything in tests/ that boots goes through Guest. It ends in one of two ways:
the with block's own result, or a GuestError that carries the console. A guest
that hangs, panics or prints a kernel report never ends silently, and no QEMU
outlives the process that started it.

Time is bounded everywhere: booting by boot_timeout, a command by its own
time-out (kept by the agent in the guest) plus a grace after which the guest as
a whole counts as hung.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import os
import platform
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import hostfsync
import initramfs
import kernels
import mock as mock_devices
from kernels import Kernel, KernelMissing    # noqa: F401  (for those who import vm)

QEMU = "qemu-system-x86_64"
TAIL = 60           # lines of console that an error shows
GRACE = 15.0        # s; what a guest may be late by before it counts as hung
FIRST_SLOT = 4      # the PCI slot of device 0

# Warnings and worse go to the console from the start, all the rest as soon as
# the agent runs. A panic ends QEMU at once (panic=-1 and -no-reboot). The second
# half skips what costs seconds under emulation and has nothing to do with us:
# self-tests of ciphers, security modules, mitigations of the processor's flaws.
COMMAND_LINE = (
    "console=ttyS0 loglevel=5 panic=-1 printk.time=1 log_buf_len=1M random.trust_cpu=on "
    "net.ifnames=0 mitigations=off apparmor=0 audit=0 tsc=reliable no_timer_check "
    "cryptomgr.notests initcall_blacklist=crypto_kdf108_init,jent_mod_init,init_encrypted")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What makes a guest fail when it stands in the kernel's log: a message that
# starts like the first, or has one of the second in it. A program's own output
# does not go there. Data races count where one of the two functions is in a module
# of ours: timers, works and the scheduler have many, in every kernel.
_REPORT_START = re.compile(
    r"BUG: (?!KCSAN: data-race in (?!.*\[virtio_pmem))|kernel BUG at |WARNING: |Oops|KASAN: |"
    r"KCSAN: |UBSAN: |ODEBUG: |refcount_t: |"
    r"Kernel panic|general protection fault|double fault|stack segment|invalid opcode|"
    r"divide error|list_(add|del) corruption|Unbalanced |DEBUG_LOCKS_WARN_ON|"
    r"INFO: (task .* blocked|rcu|possible|inconsistent|trying to register|lockdep is turned off)|"
    r"rcu: INFO: |watchdog: |kmemleak: \d+ new suspected|Bad page state|"
    r"sysfs: cannot create duplicate|kobject_add_internal failed|kobject: .* is not initialized|"
    rf"{mock_devices.REPORT}|=+ *BUG")
_REPORT_INSIDE = re.compile(
    r"scheduling while atomic|sleeping function called from invalid context|"
    r"possible (circular|recursive) locking|possible irq lock inversion|"
    r"inconsistent lock state|suspicious RCU usage|bad unlock balance|held lock freed|"
    r"Invalid wait context|unable to handle (kernel|page fault)|soft lockup|hard LOCKUP|"
    r"lock held when returning to user space")
_STAMP = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[CT]\d+\])? ?")


class GuestError(Exception):
    """The guest, or what was asked of it, failed."""

    def __init__(self, message: str, console: str = "") -> None:
        self.console = console
        """Everything that the guest had printed."""
        tail = excerpt(console)
        super().__init__(f"{message}\n--- console ---\n{tail}\n---" if tail else message)


class GuestDied(GuestError):
    """The guest panicked, hung or stopped, or QEMU died."""


class KernelReport(GuestError):
    """The kernel reported a defect, or did not report an expected one."""


class CommandError(GuestError):
    """A command failed; .result has its output."""

    def __init__(self, message: str, result: "Result", console: str = "") -> None:
        super().__init__(message, console)
        self.result = result


class CommandTimeout(CommandError):
    """A command took too long and was killed (or could not be)."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    """Its exit status; 128 + the signal that ended it."""
    out: bytes
    err: bytes
    timed_out: bool = False
    unkillable: bool = False
    """SIGKILL had no effect: the task is still in the guest."""
    seconds: float = 0.0

    @property
    def stdout(self) -> str:
        return self.out.decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.err.decode(errors="replace")


@dataclass(frozen=True)
class Device:
    """A memory device of the guest, backed by a file on the host."""

    size: int | str = "256M"
    kind: str = "virtio-pmem"
    """Or "nvdimm": an ACPI NVDIMM, a region that is not ours."""
    backing: Path | None = None
    """A file that is kept; else a sparse one that goes with the guest."""
    share: bool = True
    """False: QEMU maps it privately, answers success and persists nothing."""
    ram: bool = False
    """Not a file at all: QEMU answers every flush with a failure."""
    options: str = ""
    """Added to -device, say "disable-legacy=on"."""


def size_bytes(size: int | str) -> int:
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"(\d+)([KMGT]?)i?B?", size, re.IGNORECASE)
    if not found:
        raise ValueError(f"bad size {size!r}: say 256M or 1G")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[found[2].upper()]


def clean(console: str) -> str:
    """Console text without terminal control sequences and carriage returns."""
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|c|\][^\x07]*\x07)", "", console).replace("\r", "")


def _report_lines(lines: Sequence[str]) -> list[int]:
    return [n for n, line in enumerate(lines) if (stamp := _STAMP.match(line))
            and (_REPORT_START.match(line, stamp.end()) or _REPORT_INSIDE.search(line))]


def excerpt(console: str) -> str:
    """What a reader needs of a console: the first report, or else the end."""
    lines = clean(console).splitlines()
    reports = _report_lines(lines)
    start = max(0, len(lines) - TAIL)
    if reports and reports[0] < start:
        return "\n".join([*lines[max(0, reports[0] - 5):reports[0] + TAIL], "..."])
    return "\n".join(lines[start:])


def kernel_reports(log: str) -> list[str]:
    """The reports in a kernel log: each its line and what follows, to 40 lines."""
    lines = clean(log).splitlines()
    starts = _report_lines(lines)
    reports = []
    for n, start in enumerate(starts):
        end = starts[n + 1] if n + 1 < len(starts) else len(lines)
        reports.append("\n".join(lines[start:min(end, start + 40)]))
    return reports


# --- processes --------------------------------------------------------------

class _Spawner:
    """Starts processes from one thread that lives as long as this process.

    A child's parent-death signal fires when the thread that started it ends,
    not when the process does; so a caller's short-lived thread must not be it."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Callable[[], None], threading.Event]] = queue.Queue()
        self._lock = threading.Lock()
        self._owner = 0

    def _work(self) -> None:
        while True:
            task, done = self._queue.get()
            task()
            done.set()

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._owner != os.getpid():      # also after a fork
                self._owner = os.getpid()
                self._queue = queue.Queue()
                threading.Thread(target=self._work, name="vm-spawner", daemon=True).start()
        result: list[subprocess.Popen[bytes] | BaseException] = []
        done = threading.Event()

        def task() -> None:
            try:
                result.append(subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--", *argv], **options))
            except BaseException as error:      # pylint: disable=broad-except
                result.append(error)

        self._queue.put((task, done))
        done.wait()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]


_spawner = _Spawner()


class Terminated(SystemExit, KeyboardInterrupt):
    """A signal has asked this process to end. Only a KeyboardInterrupt gets through unittest."""


_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _terminate(signum: int, _frame: object) -> NoReturn:
    for other in _SIGNALS:      # one more must not interrupt the clean-up
        signal.signal(other, signal.SIG_IGN)
    raise Terminated(128 + signum)


def exit_on_signals() -> None:
    """Let signals unwind the stack, so that with blocks clean up."""
    if threading.current_thread() is not threading.main_thread():
        return
    for signum in _SIGNALS:
        if signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(signum, _terminate)


# Those that run, of this process.
_guests: set["Guest"] = set()


@atexit.register
def end_all() -> None:
    """Kill the guests that no with block has ended: a class of tests that was interrupted."""
    for guest in list(_guests):
        guest._destroy()


def _sweep() -> None:
    """Remove what a killed process left behind."""
    for path in Path(tempfile.gettempdir()).glob("virtpmem-vm.*.*"):
        pid = path.name.split(".")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)


# --- acceleration -----------------------------------------------------------

def _kvm_answers() -> bool:
    """Cheap checks that exclude most machines without KVM."""
    try:
        fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if fcntl.ioctl(fd, 0xAE00) != 12:       # KVM_GET_API_VERSION
            return False
        os.close(fcntl.ioctl(fd, 0xAE01, 0))    # KVM_CREATE_VM
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def accelerator(kernel: str | Kernel = "6.12") -> str:
    """ "kvm" if a guest really boots with it on this machine, else "tcg".

    The probe boots KERNEL; $VM_ACCEL decides without one. A probe's result is kept until reboot."""
    forced = os.environ.get("VM_ACCEL")
    if forced:
        return forced
    if not _kvm_answers():
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    known = kernels.cache_dir() / f"accel-{boot_id}"
    if known.exists():
        return known.read_text(encoding="ascii")
    try:
        with Guest(kernel, driver="none", devices=1, size="16M", accel="kvm",
                   boot_timeout=20) as guest:
            guest.run("true", timeout=10)
        found = "kvm"
    except (GuestError, OSError):
        found = "tcg"
    for old in known.parent.glob("accel-*"):
        old.unlink(missing_ok=True)
    known.write_text(found, encoding="ascii")
    return found


# --- QEMU's monitor ---------------------------------------------------------

@functools.lru_cache(maxsize=None)
def _counter_khz() -> int:
    """The rate of a TCG guest's time stamp counter: the host's. Measured by a guest on a busy host
    it can be wrong by a factor of 27, and so are then its clock and every time-out."""
    if platform.machine() != "x86_64":
        return 0
    done = subprocess.run([initramfs.compiled("tsc-khz.c", ())], capture_output=True, check=True)
    return int(done.stdout)


class _Qmp:
    """The client's side of QEMU's monitor protocol."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._pending = b""
        self._events: list[dict[str, Any]] = []
        self._ready = False

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self._connection.settimeout(left)
            data = self._connection.recv(65536)
            if not data:
                raise ConnectionError("the monitor was closed")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _execute(self, command: str, arguments: Mapping[str, Any], deadline: float) -> Any:
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = dict(arguments)
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self._message(deadline)
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                raise GuestError(f"QEMU refuses {command}: {message['error'].get('desc')}")
            elif "return" in message:
                return message["return"]

    def command(self, command: str, arguments: Mapping[str, Any], timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        with self._lock:
            if not self._ready:
                self._execute("qmp_capabilities", {}, deadline)
                self._ready = True
            return self._execute(command, arguments, deadline)

    def event(self, name: str, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        with self._lock:
            if not self._ready:
                self._execute("qmp_capabilities", {}, deadline)
                self._ready = True
            while True:
                for n, event in enumerate(self._events):
                    if event["event"] == name:
                        return self._events.pop(n)
                message = self._message(deadline)
                if "event" in message:
                    self._events.append(message)

    def close(self) -> None:
        self._connection.close()


# --- a command in the guest -------------------------------------------------

class Job:
    """A command that runs in the guest; made by Guest.start()."""

    def __init__(self, guest: "Guest", number: int, what: str, timeout: float | None,
                 on_output: Callable[[int, bytes], None] | None) -> None:
        self._guest = guest
        self.number = number
        self.what = what
        self._timeout = timeout
        self._on_output = on_output
        self._out = bytearray()
        self._err = bytearray()
        self._ended = threading.Event()
        self._acked = threading.Event()
        self._started = time.monotonic()
        self._seconds = 0.0
        self._status = 0
        self._flags = 0

    # Called by the guest's reader thread.
    def _receive(self, kind: bytes, data: bytes) -> None:
        if kind == b"O":
            self._out += data
            if self._on_output:
                self._on_output(1, data)
        elif kind == b"E":
            self._err += data
            if self._on_output:
                self._on_output(2, data)
        elif kind == b"A":
            self._acked.set()
        elif kind == b"X":
            self._status, self._flags = struct.unpack("<II", data)
            self._seconds = time.monotonic() - self._started
            self._acked.set()
            self._ended.set()

    def _wake(self) -> None:
        self._acked.set()
        self._ended.set()

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    @property
    def output(self) -> bytes:
        """What it has written to stdout so far."""
        return bytes(self._out)

    def write(self, data: bytes, timeout: float = 60) -> None:
        """Write to its standard input (start() with stdin=True)."""
        for offset in range(0, len(data), 2048):
            self._acked.clear()
            if not self.running:
                return
            self._guest._send(b"I", self.number, data[offset:offset + 2048])
            if not self._acked.wait(timeout):
                raise self._guest._hung(f"{self.what} does not take its input")

    def close_stdin(self) -> None:
        if self.running:
            self._guest._send(b"I", self.number, b"")

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send a signal to the command and its children."""
        if self.running:
            self._guest._send(b"K", self.number, struct.pack("<I", signum))

    def wait(self, timeout: float | None = None, check: bool = True) -> Result:
        """Wait until it ends and return how.

        The time-out given to start() ends the command; TIMEOUT here only ends
        the waiting, with a CommandTimeout, and the command goes on. CHECK makes
        any status but 0 a CommandError."""
        limit = timeout
        if limit is None and self._timeout is not None:
            spent = time.monotonic() - self._started
            limit = max(0.0, self._timeout - spent) + 3 + self._guest.grace
        if not self._ended.wait(limit):
            if timeout is None:
                raise self._guest._hung(f"no answer about {self.what} after its time-out")
            raise CommandTimeout(f"{self.what}: not finished after {timeout} s",
                                 self.result(), self._guest.console)
        self._guest._raise_if_dead(self)
        result = self.result()
        if result.timed_out:
            end = "SIGKILL did not end it" if result.unkillable else "killed"
            raise CommandTimeout(
                f"{self.what}: timed out after {self._timeout} s, {end}\n"
                f"stdout: {result.stdout}\nstderr: {result.stderr}",
                result, self._guest.console)
        if check and result.status != 0:
            raise CommandError(f"{self.what}: exit status {result.status}\n"
                               f"stdout: {result.stdout}\nstderr: {result.stderr}", result)
        return result

    def result(self) -> Result:
        """What is known now; the status means something only when it has ended."""
        status = os.waitstatus_to_exitcode(self._status)
        return Result(status if status >= 0 else 128 - status, bytes(self._out),
                      bytes(self._err), bool(self._flags & 1), bool(self._flags & 2),
                      self._seconds or time.monotonic() - self._started)


# --- the guest --------------------------------------------------------------

class Guest:
    """A virtual machine; a context manager that boots it.

    kernel      a name of kernels.NAMES, or a Kernel
    driver      "ours" (built from this tree), "in-tree", "none" (not loaded),
                or the path of a virtio_pmem.ko
    driver_params   module parameters of the driver, say "error_policy=report"
    devices     a number of virtio-pmem devices of SIZE, or a list of Device
    programs    host programs to take along with their libraries: a name (looked
                up in BUILD, then PATH), a path, or "PATH:PLACE"
    files       place in the guest -> bytes, a file or a directory of the host
    build       a meson build directory; its pmemctl is always taken along
    modules     further modules of the kernel to put into the image
    module_files    further modules of ours (.ko) for /lib/modules/.../updates
    preload     modules loaded before the driver; replaces the usual ones
    mock        number of mock devices (0 to 2) of mock_size each, see mock.py
    append      further words for the kernel's command line
    memory      MiB of RAM; cpus: number of virtual processors
    accel       "auto", "kvm" or "tcg"
    qemu_args   further arguments of QEMU
    qemu_preloads, qemu_env     libraries to preload into QEMU in front of the
                fsync one, and variables for its environment
    interactive the console is this process's terminal
    keep        keep the working directory (also $VM_KEEP=1)

    With $VM_LOG_DIR set, every guest's console is copied there when it ends.
    """

    def __init__(self, kernel: str | Kernel = "6.12", driver: str | Path = "ours", *,
                 driver_params: str = "",
                 devices: int | Sequence[Device] = 2, size: int | str = "256M",
                 programs: Sequence[str] = (),
                 files: Mapping[str, str | bytes | os.PathLike[str]] | None = None,
                 build: str | os.PathLike[str] | None = None,
                 modules: Sequence[str] = (), module_files: Sequence[Path] = (),
                 preload: Sequence[str] = initramfs.PRELOAD,
                 mock: int = 0, mock_size: int | str = "64M",
                 append: str = "", memory: int = 1024, cpus: int = 2, accel: str = "auto",
                 qemu_args: Sequence[str] = (), qemu_preloads: Sequence[Path] = (),
                 qemu_env: Mapping[str, str] | None = None, boot_timeout: float | None = None,
                 interactive: bool = False, keep: bool = False) -> None:
        self.kernel = kernels.find(kernel) if isinstance(kernel, str) else kernel
        self.driver = driver
        self.devices = ([Device(size) for _ in range(devices)]
                        if isinstance(devices, int) else list(devices))
        self._image_options: dict[str, Any] = {
            "programs": list(programs), "files": dict(files or {}),
            "build": Path(build).resolve() if build else None,
            "modules": modules, "module_files": list(module_files),
            "preload_modules": preload,
        }
        self.mocks = [mock_devices.Mock(self, n) for n in range(mock)]
        self._mock_bytes = mock * size_bytes(mock_size)
        self._driver_params = driver_params
        self._append = append
        self._memory = memory
        self._cpus = cpus
        self._accel = accel
        self._qemu_args = list(qemu_args)
        self._qemu_preloads = list(qemu_preloads)
        self._qemu_env = dict(qemu_env or {})
        slow = 4 if self.kernel.debug else 1
        self.boot_timeout = boot_timeout or 180.0 * slow
        self.grace = GRACE * slow
        self._interactive = interactive
        self._keep = keep or os.environ.get("VM_KEEP") == "1"

        self.directory = Path()
        """The working directory: backing files, image, console.log."""
        self.boot_seconds = 0.0
        """From starting QEMU to the agent's first word."""
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._qmp: _Qmp | None = None
        self._hosts: hostfsync.HostControl | None = None
        self._jobs: dict[int, Job] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._hello = threading.Event()
        self._dead = threading.Event()
        self._exit_expected = False
        self._hang: GuestError | None = None
        self._expected: list[re.Pattern[str]] = []
        self._trouble = ""
        self._unexpected_end = False
        self._dmesg = ""
        self._final_console: str | None = None

    # -- life --

    def __enter__(self) -> "Guest":
        try:
            self.boot()
        except BaseException:
            self._destroy()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 _trace: TracebackType | None) -> None:
        try:
            if error is None or isinstance(error, Exception):
                self._collect()
        finally:
            self._destroy()
        try:
            self._judge()
        except GuestError as report:
            if error is None:
                raise
            if isinstance(error, GuestDied):    # says the same already
                return
            error.add_note(f"In the same guest: {report}")

    def boot(self) -> None:
        """Start the machine and wait for its agent; __enter__ does it."""
        exit_on_signals()
        _sweep()
        self.directory = Path(tempfile.mkdtemp(prefix=f"virtpmem-vm.{os.getpid()}."))
        _guests.add(self)
        image = self.directory / "initrd"
        driver, load = self._driver()
        if self.mocks:
            self._image_options["module_files"] += mock_devices.modules(self.kernel)
        if (build := self._image_options["build"]) is not None:
            if (build / "cli" / "pmemctl").exists() \
                    and "pmemctl" not in self._image_options["programs"]:
                self._image_options["programs"].append("pmemctl")
        initramfs.make(image, self.kernel, driver=driver, load=load, **self._image_options)
        self._start_qemu(image)

        started = time.monotonic()
        while not self._hello.wait(0.05):
            if self._dead.is_set():
                raise self._death("the guest stopped while it booted")
            if time.monotonic() - started > self.boot_timeout:
                raise GuestDied(f"the guest did not boot within {self.boot_timeout:.0f} s",
                                self.console)
        self.boot_seconds = time.monotonic() - started
        image.unlink()
        if self._trouble:
            raise GuestError(f"the guest booted badly: {self._trouble}", self.console)
        if self._hosts and self._hosts.files and not self._hosts.attached:
            raise GuestError("the preload is not in QEMU: fsyncs are not seen")
        if self.mocks:
            self.run(f"modprobe {mock_devices.MODULE} start={self._memory << 20:#x} "
                     f"size={self._mock_bytes} devices={len(self.mocks)}")
            # As at boot: reading it returns when the namespaces have been probed.
            self.run("for f in /sys/class/nd/*/device/wait_probe; do [ ! -e $f ] || cat $f; done")

    def _driver(self) -> tuple[Path | None, str]:
        load = f"virtio_pmem {self._driver_params}".strip()
        if self.driver == "none":
            return None, ""
        if self.driver == "in-tree":
            return None, load
        if self.driver == "ours":
            return kernels.build_module(self.kernel), load
        return Path(self.driver), load

    def _device_args(self) -> list[str]:
        args: list[str] = []
        backings: list[Path] = []
        for n, device in enumerate(self.devices):
            size = size_bytes(device.size)
            if device.ram:
                args += ["-object", f"memory-backend-ram,id=m{n},size={size}"]
                path = self.directory / f"mem{n}"   # never synced, but keeps the numbering
                path.touch()
            else:
                path = device.backing or self.directory / f"mem{n}"
                with open(path, "ab") as file:
                    if file.tell() < size:
                        file.truncate(size)
                share = "on" if device.share else "off"
                args += ["-object", f"memory-backend-file,id=m{n},share={share},"
                                    f"mem-path={path},size={size}"]
            backings.append(path)
            extra = f",{device.options}" if device.options else ""
            if device.kind == "nvdimm":
                args += ["-device", f"nvdimm,id=nvdimm{n},memdev=m{n}{extra}"]
            else:
                args += ["-device", f"virtio-pmem-pci,id=pmem{n},memdev=m{n},"
                                    f"addr={FIRST_SLOT + n:#x}{extra}"]
        self._hosts = hostfsync.HostControl(self.control_path, backings)
        return args

    def _start_qemu(self, image: Path) -> None:
        accel = accelerator(self.kernel) if self._accel == "auto" else self._accel
        ours, theirs = socket.socketpair()
        qmp_ours, qmp_theirs = socket.socketpair()
        limit = (self._memory + (self._mock_bytes >> 20) + 4096
                 + sum(size_bytes(d.size) for d in self.devices) // 2**20)
        console = self.console_path
        console.touch()
        chardev = (f"stdio,id=con,mux=off,signal=off,logfile={console}" if self._interactive
                   else f"file,id=con,path={console}")
        nvdimm = (",nvdimm=on,nvdimm-persistence=mem-ctrl"
                  if any(d.kind == "nvdimm" for d in self.devices) else "")
        argv = [
            "env", f"LD_PRELOAD={' '.join(map(str, [*self._qemu_preloads, initramfs.preload()]))}",
            f"VM_FSYNC_CONTROL={self.control_path}",
            *(f"{name}={value}" for name, value in self._qemu_env.items()),
            QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            # q35 because its interrupt routing is plain: under KASAN the other
            # machine's takes 20 s of ACPI interpretation.
            "-machine", f"q35,i8042=off,usb=off,sata=off,smbus=off,vmport=off{nvdimm}",
            "-accel", "tcg,thread=single" if accel == "tcg" else accel,
            # Five-level paging and KASAN do not go together under emulation.
            "-cpu", "max,la57=off", "-smp", str(self._cpus),
            "-m", f"{self._memory + (self._mock_bytes >> 20)}M,slots=32,maxmem={limit}M",
            "-kernel", str(self.kernel.image), "-initrd", str(image),
            "-append", self._command_line(accel),
            "-chardev", chardev, "-serial", "chardev:con",
            "-chardev", f"socket,id=agent,fd={theirs.fileno()}", "-serial", "chardev:agent",
            "-chardev", f"socket,id=qmp,fd={qmp_theirs.fileno()}",
            "-mon", "chardev=qmp,mode=control",
            *self._device_args(), *self._qemu_args,
        ]
        with open(self.directory / "qemu.stderr", "wb") as stderr:
            self._process = _spawner.start(
                argv, pass_fds=(theirs.fileno(), qmp_theirs.fileno()),
                stdin=None if self._interactive else subprocess.DEVNULL,
                stdout=None if self._interactive else stderr, stderr=stderr,
                # Ctrl-C is for us; we then end QEMU. A terminal needs its own group.
                start_new_session=not self._interactive)
        theirs.close()
        qmp_theirs.close()
        self._channel = ours
        self._qmp = _Qmp(qmp_ours)
        threading.Thread(target=self._read, name="vm-reader", daemon=True).start()

    def _command_line(self, accel: str) -> str:
        quiet = " quiet" if self._interactive else ""
        # On stock kernels some drivers are shown to hang.
        hung = " sysctl.kernel.hung_task_timeout_secs=60" if self.kernel.debug else ""
        # The mocks have what is behind the guest's own memory.
        mock = f" memmap={self._mock_bytes:#x}${self._memory << 20:#x}" if self.mocks else ""
        clock = f" tsc_early_khz={khz}" if accel == "tcg" and (khz := _counter_khz()) else ""
        return f"{COMMAND_LINE}{quiet}{hung}{clock}{mock} {self._append}".strip()

    # -- the channel --

    def _read(self) -> None:
        channel = self._channel
        assert channel is not None
        pending = b""
        try:
            while data := channel.recv(65536):
                pending += data
                while len(pending) >= 12:
                    kind, number, length = struct.unpack_from("<c3xII", pending)
                    if len(pending) < 12 + length:
                        break
                    payload = pending[12:12 + length]
                    pending = pending[12 + length:]
                    self._dispatch(kind, number, payload)
        except OSError:
            pass
        self._dead.set()
        with self._lock:
            for job in self._jobs.values():
                job._wake()

    def _dispatch(self, kind: bytes, number: int, payload: bytes) -> None:
        if kind == b"H":
            _release, _, self._trouble = payload.decode(errors="replace").partition("\n")
            self._hello.set()
            return
        with self._lock:
            job = self._jobs.get(number)
            if kind == b"X":
                self._jobs.pop(number, None)
        if job:
            job._receive(kind, payload)

    def _send(self, kind: bytes, number: int, payload: bytes) -> None:
        assert self._channel is not None
        try:
            self._channel.sendall(struct.pack("<c3xII", kind, number, len(payload)) + payload)
        except OSError:
            raise self._death("the guest is gone") from None

    def _hung(self, message: str) -> GuestError:
        self._hang = GuestDied(f"the guest hangs: {message}", self.console)
        return self._hang

    def _death(self, message: str) -> GuestError:
        assert self._process is not None
        try:
            status: int | str = self._process.wait(5)
        except subprocess.TimeoutExpired:
            status = "still there"
        console = self.console
        if "Kernel panic" in console:
            message += ": kernel panic"
        stderr = (self.directory / "qemu.stderr").read_text(errors="replace").strip()
        if stderr:
            message += f"\nQEMU says: {stderr[-2000:]}"
        return GuestDied(f"{message} (QEMU: {status})", console)

    def _raise_if_dead(self, job: Job | None = None) -> None:
        if self._hang:
            raise self._hang
        if self._dead.is_set() and (job is None or not job._seconds):
            raise self._death(f"the guest stopped during {job.what}" if job
                              else "the guest has stopped")

    # -- commands --

    def start(self, cmd: str | Sequence[str], timeout: float | None = None, *,
              env: Mapping[str, str] | None = None, stdin: bool = False,
              on_output: Callable[[int, bytes], None] | None = None) -> Job:
        """Start a command and return at once.

        A string goes to the guest's sh, a list is run as it is. After TIMEOUT
        seconds the guest kills it with all its children. ON_OUTPUT(1 or 2,
        bytes) is called from another thread for each piece of stdout or stderr."""
        self._raise_if_dead()
        argv = ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else [str(a) for a in cmd]
        variables = {"PATH": PATH, "HOME": "/root", "TERM": "vt100", "LC_ALL": "C.UTF-8",
                     **(env or {})}
        strings = [*argv, *(f"{k}={v}" for k, v in variables.items())]
        what = cmd if isinstance(cmd, str) else " ".join(argv)
        with self._lock:
            self._next += 1
            job = Job(self, self._next, what, timeout, on_output)
            self._jobs[job.number] = job
        payload = struct.pack("<III", round((timeout or 0) * 1000), len(argv), len(variables))
        self._send(b"R", job.number, payload + b"".join(s.encode() + b"\0" for s in strings))
        if not stdin:
            job.close_stdin()
        return job

    def run(self, cmd: str | Sequence[str], timeout: float = 60, check: bool = True, *,
            input: bytes | str | None = None,    # pylint: disable=redefined-builtin
            env: Mapping[str, str] | None = None) -> Result:
        """Run a command and return its Result.

        Raises CommandTimeout when it takes longer than TIMEOUT, CommandError
        when CHECK is set and it fails, GuestDied when there is no guest left."""
        job = self.start(cmd, timeout, env=env, stdin=input is not None)
        if input is not None:
            job.write(input.encode() if isinstance(input, str) else input)
            job.close_stdin()
        return job.wait(check=check)

    def read(self, path: str) -> str:
        """The text of a file in the guest, without the white space around it."""
        return self.run(["cat", path]).stdout.strip()

    def write(self, path: str, text: str | bytes) -> None:
        """Write a file in the guest (one write(), so sysfs takes it)."""
        data = text.encode() if isinstance(text, str) else text
        self.run(["dd", f"of={path}", "bs=64k", "iflag=fullblock"], input=data)

    def put(self, source: str | os.PathLike[str] | bytes, path: str, mode: int = 0o755) -> None:
        """Copy a file into the running guest; slow, prefer files= for large ones."""
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        self.run(f"cat > '{path}' && chmod {mode:o} '{path}'", input=data,
                 timeout=60 + len(data) / 10000)

    # -- the host's side --

    def host(self, device: int | str = 0) -> hostfsync.HostFile:
        """The host's side of a device: by number (as in DEVICES), or by the name
        that the guest has for it now ("region1", "pmem1", "/dev/pmem1")."""
        assert self._hosts is not None
        if isinstance(device, int):
            return self._hosts.files[device]
        name = os.path.basename(device)
        base = f"/sys/block/{name}" if name.startswith("pmem") else f"/sys/bus/nd/devices/{name}"
        path = self.run(["readlink", "-f", base]).stdout
        found = re.search(r"/0000:00:([0-9a-f]{2})\.0/", path)
        if not found:
            raise GuestError(f"{device} is not on a virtio-pmem device: {path.strip()}")
        return self._hosts.files[int(found[1], 16) - FIRST_SLOT]

    @property
    def hosts(self) -> list[hostfsync.HostFile]:
        """The host's side of every device."""
        assert self._hosts is not None
        return self._hosts.files

    @property
    def control_path(self) -> Path:
        """The page with which another process can change that, see tests/vm/host."""
        return self.directory / "fsync.control"

    def qmp(self, command: str, timeout: float = 20, **arguments: Any) -> Any:
        """Run a command of QEMU's monitor, say qmp("system_wakeup")."""
        if self._qmp is None or self._dead.is_set():
            raise self._death("no monitor: the guest has stopped")
        try:
            return self._qmp.command(command, arguments, timeout)
        except TimeoutError as error:
            raise GuestError(f"QEMU's monitor does not answer {command}: {error}") from None
        except OSError:
            raise self._death(f"the guest stopped during {command}") from None

    def qmp_event(self, name: str, timeout: float = 20) -> dict[str, Any]:
        """Wait for an event of QEMU that came after boot, say "SUSPEND"; take it."""
        assert self._qmp is not None
        return self._qmp.event(name, timeout)

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        assert self._process is not None
        return self._process.pid

    # -- the kernel's log --

    @property
    def console_path(self) -> Path:
        return self.directory / "console.log"

    @property
    def console(self) -> str:
        """What the guest has printed on its console."""
        if self._final_console is not None:
            return self._final_console
        try:
            return self.console_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def dmesg(self) -> str:
        """The kernel's log. (After the end: as it was then.)"""
        if self._final_console is not None or self._dead.is_set():
            return self._dmesg
        return self.run(["dmesg"], timeout=30).stdout

    @property
    def reports(self) -> list[str]:
        """The kernel's reports on the console until now, expected ones too."""
        whole, _, _half = self.console.rpartition("\n")
        return kernel_reports(whole)

    def expect_kernel_report(self, regex: str) -> None:
        """From now on a kernel report that matches is right, and its absence
        at the end a failure (KernelReport). The regex is searched for in the
        report's line and what follows it."""
        self._expected.append(re.compile(regex))

    # -- the end --

    def shutdown(self, timeout: float = 60) -> None:
        """Power the guest off as an administrator does, and wait for the end."""
        self.run("sync", timeout=timeout)
        self._dmesg = self.dmesg()
        self._exit_expected = True
        job = self.start(["poweroff", "-f"])
        try:
            self.wait_exit(timeout)
        except GuestDied:
            if not job.running:
                raise GuestError(f"poweroff failed: {job.result().stderr}",
                                 self.console) from None
            raise

    def wait_exit(self, timeout: float = 60) -> None:
        """Wait until the machine has ended by itself; that is then no failure."""
        assert self._process is not None
        self._exit_expected = True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._hung(f"not powered off after {timeout} s") from None
        self._dead.wait(10)

    def crash(self) -> None:
        """Cut the power: QEMU is killed this moment, and that is no failure."""
        assert self._process is not None
        self._exit_expected = True
        self._process.kill()
        self._process.wait()
        self._dead.wait(10)

    def _collect(self) -> None:
        """What must be asked of the guest before it goes."""
        if self._hosts:
            for host in self._hosts.files:
                host.reset()
        if self._dead.is_set() or self._hang or self._process is None:
            return
        try:
            self._dmesg = self.dmesg()
            self.run("sync", timeout=10, check=False)
        except GuestError as error:
            if not isinstance(error, CommandTimeout):
                self._hang = self._hang or error

    def _destroy(self) -> None:
        _guests.discard(self)
        process = self._process
        if self._dead.is_set() and not self._exit_expected:
            self._unexpected_end = True
        if process is not None and process.poll() is None:
            process.kill()
        if process is not None:
            process.wait()
            if self._channel is not None:
                self._dead.wait(5)
                self._channel.close()
            if self._qmp is not None:
                self._qmp.close()
        if self._final_console is not None:
            return
        self._final_console = self.console
        if self.directory != Path():
            logs = os.environ.get("VM_LOG_DIR")
            if logs:
                Path(logs).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.console_path, Path(logs) / f"{self.directory.name}.log")
            if not self._keep:
                shutil.rmtree(self.directory, ignore_errors=True)

    def _judge(self) -> None:
        """Raise if anything is wrong with how the guest lived or ended."""
        console = self._final_console or ""
        if self._hang:
            raise self._hang
        if self._unexpected_end:
            raise GuestDied("the guest stopped by itself"
                            + (": kernel panic" if "Kernel panic" in console else ""), console)
        if self._interactive:
            return      # whoever sat there saw it, and may have typed it
        found = kernel_reports(console)
        seen = {_STAMP.sub("", r.splitlines()[0]) for r in found}
        found += [r for r in kernel_reports(self._dmesg)
                  if _STAMP.sub("", r.splitlines()[0]) not in seen]
        wrong = [r for r in found if not any(e.search(r) for e in self._expected)]
        if wrong:
            raise KernelReport(f"{len(wrong)} kernel report(s), the first:\n{wrong[0]}", console)
        for expected in self._expected:
            if not any(expected.search(r) for r in found):
                raise KernelReport(f"no kernel report matched {expected.pattern!r}, "
                                   "though one was expected", console)
