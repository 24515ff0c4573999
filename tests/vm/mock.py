# SPDX-License-Identifier: GPL-2.0-or-later
"""The mock devices of a guest: virtio-pmem devices that misbehave on demand.

    with vm.Guest("7.3", devices=0, mock=1) as guest:
        mock = guest.mocks[0]
        mock.set(hold=1)                    # no answer until it is 0 again
        ...
        assert mock.counter("requests") == 1

kernel/mock/README.md describes the files behind set() and get(). What the mock
has against the driver is a kernel report, and fails the guest.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import kernels

if TYPE_CHECKING:
    import vm

MODULE = "virtio_pmem_mock"
DEBUGFS = f"/sys/kernel/debug/{MODULE}"
REPORT = rf"{MODULE}: violation: "
"""How the kernel's log says that the driver broke a rule."""


def modules(kernel: kernels.Kernel) -> list[kernels.Path]:
    """The mock and the bad driver that proves it, built for a kernel."""
    return [kernels.build_module(kernel, name, subdir="kernel/mock")
            for name in (MODULE, "virtio_pmem_bad")]


class Mock:
    """One mock device."""

    def __init__(self, guest: "vm.Guest", number: int) -> None:
        self._guest = guest
        self.number = number
        self.directory = f"{DEBUGFS}/{number}"

    def set(self, **files: int) -> None:
        """Write numbers to files, in this order; one command for all of them."""
        self._guest.run(" && ".join(f"echo {value} > {self.directory}/{name}"
                                    for name, value in files.items()), timeout=120)

    def heal(self) -> None:
        """A device in good order that is there, and answers what it has held back."""
        self._guest.run(f"cd {self.directory} && {{ grep -q 'plugged 1' device || "
                        "echo 1 > replug; } && echo 1 > defaults", timeout=120)

    def get(self, name: str) -> int:
        return int(self._guest.read(f"{self.directory}/{name}"))

    def _table(self, name: str) -> dict[str, str]:
        lines = self._guest.read(f"{self.directory}/{name}").splitlines()
        return {key: rest for key, _, rest in (line.partition(" ") for line in lines)}

    def counters(self) -> dict[str, int]:
        return {key: int(value) for key, value in self._table("counters").items()}

    def counter(self, name: str) -> int:
        return self.counters()[name]

    def device(self) -> dict[str, str]:
        """What the device is now: name, plugged, status, features, queue."""
        return self._table("device")

    def violations(self) -> dict[str, str]:
        """What the driver did wrong: the rule's name, and how often and what."""
        return self._table("violations")

    def forgive(self) -> None:
        """Forget the violations. The kernel's log has them still."""
        self._guest.run(f"echo > {self.directory}/violations")

    def log(self) -> list[str]:
        """The last events: "TIME-us EVENT name=value ...", oldest first."""
        return self._guest.read(f"{self.directory}/log").splitlines()

    def wait(self, counter: str, value: int = 1, timeout: float = 20) -> None:
        """Wait until a counter has reached VALUE."""
        end = time.monotonic() + timeout
        while (now := self.counter(counter)) < value:
            if time.monotonic() > end:
                raise TimeoutError(f"mock {self.number}: {counter} is {now} after {timeout} s, "
                                   f"{value} expected")
            time.sleep(0.02)
