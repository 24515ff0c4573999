# SPDX-License-Identifier: GPL-2.0-or-later
"""File systems on the regions of a guest, for tests that act on what uses a region."""

from __future__ import annotations

import vm
from guestcase import GuestCase, until


class MountCase(GuestCase):
    """A case that makes and mounts file systems. What is mounted is idle: it flushes nothing."""

    def make_file_system(self, node: str, kind: str = "ext4") -> None:
        # A mount namespace or a writer that has just ended may hold the disk for a moment.
        self.guest.run(f"for i in $(seq 50); do mkfs.{kind} -q {node} && "
                       "exit; sleep 0.2; done; exit 1", timeout=60)

    def mount(self, n: int = 0, kind: str = "ext4") -> str:
        """Make a file system on a region's disk and mount it; returns the mount point."""
        place = f"/mnt/{n}"
        self.make_file_system(f"/dev/pmem{n}", kind)
        self.guest.run(f"mkdir -p {place} && mount -t {kind} /dev/pmem{n} {place} && sync")
        self.addCleanup(self.guest.run, f"for i in $(seq 50); do grep -q ' {place} ' /proc/mounts "
                        f"|| break; umount {place} || sleep 0.2; done", check=False)
        return place

    def mount_mapped(self, name: str = "lin", start: int = 0, sectors: int = 32768) -> str:
        """A file system on a mapped part of region 0's disk; returns the mount point."""
        place, node = f"/mnt/{name}", f"/dev/mapper/{name}"
        self.addCleanup(self.guest.run, f"umount {place}; dmsetup remove {name}", check=False)
        self.guest.run(f"dmsetup create {name} --table '0 {sectors} linear /dev/pmem0 {start}' && "
                       "dmsetup mknodes")
        self.make_file_system(node)
        self.guest.run(f"mkdir -p {place} && mount {node} {place} && sync")
        return place

    def mount_elsewhere(self, then: str = "exec sleep 1000") -> vm.Job:
        """A program that alone sees a file system on region 0, at /mnt/ns."""
        self.make_file_system("/dev/pmem0")
        job = self.guest.start(["unshare", "--mount", "sh", "-c", "mkdir -p /mnt/ns && "
                                f"mount /dev/pmem0 /mnt/ns && echo ready && {then}"], 100)
        self.addCleanup(job.kill)
        until(lambda: b"ready" in job.output, "it is mounted")
        return job

    def unmount_lazily(self, place: str) -> vm.Job:
        """Out of all mount tables, but alive: a program stands in it until it is killed."""
        job = self.guest.start(f"cd {place} && echo ready && exec sleep 1000", 100)
        self.addCleanup(job.kill)
        until(lambda: b"ready" in job.output, "it is held")
        self.guest.run(f"umount -l {place}")
        return job
