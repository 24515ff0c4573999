# SPDX-License-Identifier: GPL-2.0-or-later
"""What a driver allocates: for a device, and for a flush."""

from __future__ import annotations

from typing import Any

import allocations
import workloads
from plan import Cell
from session import Guests

BIND = "/sys/bus/virtio/drivers/virtio_pmem"
MODULES = {"in-tree": ("virtio_pmem", "nd_virtio")}


def measure(guests: Guests, _cell: Cell, label: str) -> dict[str, Any]:
    modules = MODULES.get(label, ("virtio_pmem",))
    with guests.running(label) as guest:
        device = guest.run(f"cd {BIND} && echo virtio*").stdout.split()[0]
        guest.run(f"echo {device} > {BIND}/unbind")
        with allocations.traced(guest, modules) as for_device:
            guest.run(f"echo {device} > {BIND}/bind && "
                      "while [ ! -b /dev/pmem0 ]; do sleep 0.1; done")
        before = guest.host(0).count
        with allocations.traced(guest, modules) as for_flushes:
            guest.run([workloads.PLACES["fsync-load"], "-s", "0.2", "-w", "0", "/dev/pmem0"])
        flushes = guest.host(0).count - before
    return {"device_bytes": sum(a.bytes for a in for_device),
            "device_functions": sorted({a.function for a in for_device}),
            "flushes": flushes, "flush_allocations": len(for_flushes)}
