# SPDX-License-Identifier: GPL-2.0-or-later
"""What a module of the guest's kernel allocates, from the kernel's tracepoints.

Only what the module asks for itself counts, not what others allocate for it: the
tracepoints name the function that called the allocator.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import vm

TRACING = "/sys/kernel/tracing"
EVENTS = ("kmalloc", "kmem_cache_alloc", "kmalloc_node", "kmem_cache_alloc_node")
_ALLOCATION = re.compile(
    r": (?:kmalloc|kmem_cache_alloc)\w*: call_site=(\w+)\+.* bytes_alloc=(\d+)")
# A line of /proc/kallsyms. Not every kernel's tracepoints name the module.
_FUNCTIONS = re.compile(r"^([0-9a-f]+) [tT] (\w+)\t\[(\w+)\]$", re.MULTILINE)
LONGEST = 4096      # bytes that the last function of a module may have


@dataclass(frozen=True)
class Allocation:
    function: str
    bytes: int


def functions(guest: vm.Guest, module: str) -> dict[str, int]:
    """The functions of a loaded module, and where they are."""
    text = guest.run(f"grep '\\[{module}\\]' /proc/kallsyms").stdout
    return {name: int(address, 16) for address, name, owner in _FUNCTIONS.findall(text)
            if owner == module}


def _filter(places: dict[str, int]) -> str:
    return (f"(call_site >= {min(places.values()):#x} && "
            f"call_site < {max(places.values()) + LONGEST:#x})")


@contextlib.contextmanager
def traced(guest: vm.Guest, modules: Sequence[str] = ("virtio_pmem",)
           ) -> Iterator[list[Allocation]]:
    """What these modules allocate within the block; known when it has ended."""
    own = [functions(guest, module) for module in modules]
    guest.run(f"mountpoint -q {TRACING} || mount -t tracefs none {TRACING}; cd {TRACING} && "
              "echo 4096 > buffer_size_kb && echo > trace && "
              f"for e in {' '.join(EVENTS)}; do [ ! -e events/kmem/$e ] || "
              f"{{ echo '{' || '.join(map(_filter, own))}' > events/kmem/$e/filter && "
              "echo 1 > events/kmem/$e/enable; } || exit 1; done")
    found: list[Allocation] = []
    try:
        yield found
    finally:
        guest.run(f"echo 0 > {TRACING}/events/enable")
    text = guest.run(["cat", f"{TRACING}/trace"], timeout=120).stdout
    found += [Allocation(function, int(size)) for function, size in _ALLOCATION.findall(text)
              if any(function in places for places in own)]
