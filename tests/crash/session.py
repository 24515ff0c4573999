# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose power can be cut at any moment, any number of times.

The guest is never really cut off: it is stopped, what the host's disk would
hold is written down, and it goes on.

What the guest acknowledges comes through a virtio port into a file. Without
ioeventfd, QEMU handles a notify of the port before the processor that sent it
goes on, and a file takes everything at once. So when a writer's write() has
returned, its message is in the file, and whenever QEMU stands still a writer has
at most one record that is begun and not known to be acknowledged.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import durable
import records
import vm

QUIET = 0.05        # s without a message after which held writers count as all waiting
# s; for a command in the guest. It is timed by the guest's clock, and that of an emulated
# one was seen to be ten times too fast.
PATIENCE = 600.0


class Broken(Exception):
    """The test did not work; it says nothing about what is durable."""


def stop_process(pid: int, timeout: float = 20) -> None:
    """Stop a process, and return when all of its threads stand still."""
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + timeout
    while True:
        states = set()
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8",
                          errors="replace") as file:
                    states.add(file.read().rpartition(")")[2].split()[0])
            except (FileNotFoundError, ProcessLookupError):
                states.add("gone")      # one of QEMU's pool that had nothing to do
        if states == {"T"}:
            return
        if time.monotonic() > end:
            raise Broken(f"process {pid} does not stop: its threads are {states}")
        time.sleep(0.001)


class Session:
    """A guest, its backing files, and the crash states that are made of them.

    files       the backing files, with what is to be in them at first
    states      where crash states go: a directory for each
    options     further arguments of vm.Guest
    """

    def __init__(self, files: Sequence[Path], states: Path, rng: random.Random, *,
                 build: Path, share: bool = True, **options: Any) -> None:
        self.files = list(files)
        self.states = states
        self.rng = rng
        self.made: list[Path] = []
        """The crash states so far."""
        self.acked: dict[int, int] = {}
        """writer -> the last record that it has acknowledged"""
        self.failed: dict[int, int] = {}
        """writer -> the errno that ended it"""
        self.known: dict[int, int] = {}
        """The same of an earlier guest, which left these backing files."""
        self.facts: dict[str, Any] = {}
        """What each state's description says besides (judge.py)."""
        self._tail = b""
        self._watch = Path(tempfile.mkdtemp(prefix="watch.", dir=states.parent))
        self._control = durable.DurableControl(self._watch, files)
        port = self._watch / "port"
        port.touch()
        self._port = open(port, "rb", buffering=0)  # pylint: disable=consider-using-with
        self.guest = vm.Guest(
            devices=[vm.Device(file.stat().st_size, backing=file, share=share)
                     for file in files],
            build=build, accel="tcg", memory=512,
            qemu_preloads=[build / "tests/crash/durable-preload.so"],
            qemu_env=self._control.environment,
            qemu_args=["-chardev", f"file,id=port,path={port}",
                       "-device", "virtio-serial-pci,id=serial,addr=0x1c,ioeventfd=off",
                       "-device", "virtserialport,bus=serial.0,nr=1,chardev=port"],
            **options)
        self._share = share

    def __enter__(self) -> "Session":
        self.guest.__enter__()
        try:
            if not self._control.attached or self._share != all(f.mapped for f in self.durable):
                raise Broken("the preload does not see the guest's stores")
            self.run("modprobe virtio_console && until [ -e /dev/vport*p1 ]; "
                     "do usleep 10000; done")
        except BaseException as error:
            self.guest.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for host in self.guest.hosts:
            host.reset()
        self.guest.__exit__(kind, error, trace)
        self._port.close()

    @property
    def durable(self) -> list[durable.Durable]:
        """What is durable of each backing file."""
        return self._control.files

    # -- commands in the guest --

    def run(self, command: str | Sequence[str], stdin: str | None = None) -> vm.Result:
        return self.guest.run(command, timeout=PATIENCE, input=stdin)

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout.strip()

    def write(self, path: str, text: str) -> None:
        self.run(f"echo {text!r} > {path}")

    # -- what the guest has acknowledged --

    def drain(self) -> bool:
        """Take what has come; returns whether there was anything."""
        data = self._tail + self._port.read()
        whole = len(data) // records.MESSAGE.size * records.MESSAGE.size
        self._tail = data[whole:]
        for message in records.MESSAGE.iter_unpack(data[:whole]):
            self._message(*message)
        return whole > 0

    def _message(self, writer: int, what: int, number: int) -> None:
        if what == records.FAILED:
            self.failed[writer] = number
            return
        last = self.acked.get(writer)
        if last is None and number <= self.known.get(writer, -1):
            raise Broken(f"writer {writer} goes on with {number} though it had acknowledged "
                         f"{self.known[writer]} before the power cut")
        if last is not None and number != last + 1:
            raise Broken(f"writer {writer} acknowledges {number} after {last}")
        self.acked[writer] = number

    def until(self, condition: Any, what: str, job: vm.Job | None = None,
              timeout: float = 120) -> None:
        """Take messages until CONDITION() holds."""
        end = time.monotonic() + timeout
        while not condition():
            self.drain()
            if job and not job.running:
                self.drain()
                if not condition():
                    raise Broken(f"{job.what} ended before {what}: {job.result().stderr}")
            if time.monotonic() > end:
                raise Broken(f"not after {timeout:g} s: {what}; acknowledged {self.acked}, "
                             f"failed {self.failed}\n{vm.excerpt(self.guest.console)}")
            time.sleep(0.005)

    def run_for(self, seconds: float) -> None:
        """Let the guest go on for a while."""
        time.sleep(seconds)
        self.drain()

    @staticmethod
    def acked_by(state: Path) -> dict[int, int]:
        """What had been acknowledged when a crash state was made."""
        acked = json.loads((state / "state.json").read_text(encoding="utf-8"))["acked"]
        return {int(writer): last for writer, last in acked.items()}

    # -- power cuts --

    def cut(self, count: int, *, hold: bool = False, **facts: Any) -> list[Path]:
        """Make COUNT crash states of this moment.

        With HOLD the host stops to answer first, until nobody in the guest gets on:
        what was acknowledged without being durable has then no later flush to save
        it. FACTS are written into each state's description."""
        if hold:
            self._hold(True)
        stop_process(self.guest.pid)
        try:
            self.drain()
            made = [self._state(n, facts, hold) for n in range(count)]
        finally:
            os.kill(self.guest.pid, signal.SIGCONT)
            if hold:
                self._hold(False)
        self.made += made
        return made

    def _hold(self, on: bool) -> None:
        for host in self.guest.hosts:
            host.set(hold=on)
        if not on:
            return
        quiet_since = time.monotonic()
        end = quiet_since + 2
        while time.monotonic() - quiet_since < QUIET and time.monotonic() < end:
            time.sleep(0.005)
            if self.drain():
                quiet_since = time.monotonic()

    def _state(self, number: int, facts: dict[str, Any], held: bool) -> Path:
        # First what must be there at the least; then what a host may have added.
        share = 0.0 if number == 0 else self.rng.choice((0.02, 0.2, 0.5, 0.8, 1.0))
        self.states.mkdir(exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=f"{len(self.made) + number:04}.", dir=self.states))
        # How many pages have changed is not in the seed's hands; what comes after is.
        rng = random.Random(self.rng.getrandbits(64))
        taken = [file.crash_state(path / f"region{n}", rng, share)
                 for n, file in enumerate(self.durable)]
        description = {"acked": self.acked, "failed": self.failed, "held": held, "share": share,
                       "pages_written_early": sum(taken), **self.facts, **facts}
        (path / "state.json").write_text(json.dumps(description, indent=1) + "\n",
                                         encoding="utf-8")
        return path
