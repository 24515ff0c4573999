# SPDX-License-Identifier: GPL-2.0-or-later
"""Who holds a region (libvirtpmem's holders), on real mounts, stacks and processes (D5)."""

from __future__ import annotations

import vm
from guestcase import GuestCase, load_tests, until     # noqa: F401


class Holders(GuestCase):
    """Each kind of holder, as far as a stock kernel has it."""

    kernels = ("6.1", "6.12")
    programs = ("read-region", "mkfs.ext4", "mkfs.xfs", "dmsetup", "unshare", "losetup",
                "mkswap", "swapon", "swapoff", "setpriv", "hold-thread")
    modules = ("loop", "dm-mod", "xfs", "overlay")
    # mkfs.xfs makes nothing that is smaller than 300 MiB. The files are sparse.
    size = "384M"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not cls._skip:
            cls.guest.run("modprobe loop && modprobe xfs")

    def holders(self, n: int = 0) -> list[str]:
        return self.guest.run(["read-region", "holders", f"region{n}"]).stdout.splitlines()

    def undo(self, *commands: str) -> None:
        """At the test's end, in this order; nothing may be left then. What only a process held
        is given up some time after its end."""
        self.addCleanup(until, lambda: not self.holders(0) + self.holders(1), "nobody holds any")
        for command in reversed(commands):
            self.addCleanup(self.guest.run, command)

    def holding(self, script: str, word: str) -> None:
        """A process that says WORD when it has what it should, and then waits."""
        job = self.guest.start(f"{script}; echo {word}; exec sleep 1000")
        self.addCleanup(job.wait, 60, check=False)
        self.addCleanup(job.kill)
        until(lambda: word.encode() in job.output, word)

    def ext4(self, n: int = 0) -> None:
        self.guest.run(f"mkfs.ext4 -q -F /dev/pmem{n}")

    def test_mounts(self) -> None:
        """A mount and its bind mount, and one that only another mount namespace has."""
        self.ext4()
        self.undo("umount /tmp/d /mnt; umount /tmp")
        self.guest.run("mkdir -p /tmp && mount -t tmpfs none /tmp && mkdir /tmp/d /tmp/m")
        self.holding("exec unshare -m sh -c 'mount /dev/pmem0 /tmp/m; echo mounted; "
                     "exec sleep 1000'", "mounted")
        [line] = self.holders()
        self.assertRegex(line, r"^mount ext4 on pmem0 /tmp/m pid \d+$")
        self.guest.run("mount /dev/pmem0 /mnt && mkdir /mnt/d && mount --bind /mnt/d /tmp/d")
        self.assertEqual(self.holders()[:2],
                         ["mount ext4 on pmem0 /mnt", "mount ext4 on pmem0 /tmp/d"])
        self.assertEqual(self.holders(1), [])

    def test_lazy_unmount(self) -> None:
        """A lazy unmount leaves no line in any mount table, and yet a holder."""
        self.ext4()
        self.undo("true")
        self.holding("mount /dev/pmem0 /mnt && cd /mnt && umount -l /mnt", "unmounted")
        self.assertEqual(self.holders(), ["unknown held by kernel on pmem0"])

    def test_stack(self) -> None:
        """A file system in a loop device on a file system on device mapper."""
        self.undo("umount /mnt/m; losetup -d /dev/loop0; umount /mnt; dmsetup remove lin")
        self.guest.run("dmsetup create lin --table '0 400000 linear /dev/pmem0 0' && "
                       "dmsetup mknodes && mkfs.ext4 -q -F /dev/mapper/lin && "
                       "mount /dev/mapper/lin /mnt && mkdir /mnt/m && "
                       "truncate -s 16M /mnt/image && mkfs.ext4 -q -F /mnt/image && "
                       "losetup /dev/loop0 /mnt/image && mount /dev/loop0 /mnt/m")
        self.assertEqual(self.holders(),
                         ["dm dm-0 on pmem0 /dev/mapper/lin",
                          "  mount ext4 on dm-0 /mnt",
                          "    loop loop0 on dm-0 /mnt/image",
                          "      mount ext4 on loop0 /mnt/m"])

    def test_loop(self) -> None:
        """What a loop device lies on is known though its file has been deleted."""
        self.ext4()
        self.undo("losetup -d /dev/loop0; umount /mnt")
        self.guest.run("mount /dev/pmem0 /mnt && truncate -s 16M /mnt/image && "
                       "losetup /dev/loop0 /mnt/image && rm /mnt/image")
        self.assertEqual(self.holders(), ["mount ext4 on pmem0 /mnt",
                                          "  loop loop0 on pmem0 /mnt/image (deleted)"])

    def test_loop_on_the_device(self) -> None:
        """A loop device on the block device itself."""
        self.undo("losetup -d /dev/loop0")
        self.guest.run("losetup /dev/loop0 /dev/pmem0")
        self.assertEqual(self.holders(), ["loop loop0 on pmem0 /dev/pmem0"])

    def test_journal_of_ext4(self) -> None:
        """The journal of a file system on the other region."""
        self.undo("umount /mnt")
        self.guest.run("mkfs.ext4 -q -F -O journal_dev -b 4096 /dev/pmem1 && "
                       "mkfs.ext4 -q -F -b 4096 -J device=/dev/pmem1 /dev/pmem0 && "
                       "mount /dev/pmem0 /mnt")
        self.assertEqual(self.holders(1), ["log ext4 on pmem1", "  mount ext4 on pmem1 /mnt"])
        self.assertEqual(self.holders(), ["mount ext4 on pmem0 /mnt"])

    def test_log_of_xfs(self) -> None:
        """The log of a file system on the other region."""
        self.undo("umount /mnt")
        self.guest.run("mkfs.xfs -q -f -l logdev=/dev/pmem1,size=64m /dev/pmem0 && "
                       "mount -o logdev=/dev/pmem1 /dev/pmem0 /mnt")
        self.assertEqual(self.holders(1), ["log xfs on pmem1", "  mount xfs on pmem1 /mnt"])

    def test_swap(self) -> None:
        """Swap on the device, and in a file."""
        self.undo("umount /mnt")
        self.guest.run("mkswap /dev/pmem1 && swapon /dev/pmem1")
        self.addCleanup(self.guest.run, "swapoff /dev/pmem1")
        self.assertEqual(self.holders(1), ["swap swap on pmem1 /dev/pmem1"])
        self.ext4()
        self.guest.run("mount /dev/pmem0 /mnt && "
                       "dd if=/dev/zero of=/mnt/s bs=1M count=8 status=none && "
                       "chmod 600 /mnt/s && mkswap /mnt/s && swapon /mnt/s")
        self.addCleanup(self.guest.run, "swapoff /mnt/s")
        self.assertEqual(self.holders(), ["mount ext4 on pmem0 /mnt",
                                          "  swap swap on pmem0 /mnt/s"])

    def test_open(self) -> None:
        """A process that has the device open."""
        self.undo("true")
        self.holding("exec 7</dev/pmem0", "opened")
        [line] = self.holders()
        self.assertRegex(line, r"^open sleep on pmem0 pid \d+$")

    def hold_in_thread(self, mode: str) -> vm.Job:
        job = self.guest.start(["hold-thread", mode, "/dev/pmem0"], 100)
        self.addCleanup(job.wait, 60, check=False)
        self.addCleanup(job.kill)
        until(lambda: b"ready" in job.output, "it is held")
        return job

    def test_d5_first_thread_has_exited(self) -> None:
        """D5: what a process has is found after its first thread has exited."""
        for mode, kind in (("open", "open"), ("mapped", "mapped")):
            with self.subTest(mode=mode):
                job = self.hold_in_thread(mode)
                [pid] = self.guest.run("pidof hold-thread").stdout.split()
                until(lambda p=pid: "State:\tZ" in self.guest.read(f"/proc/{p}/status"),
                      "the first thread has exited")
                self.assertEqual(self.holders(), [f"{kind} hold-thread on pmem0 pid {pid}"])
                job.kill()
                job.wait(check=False)
                until(lambda: not self.holders(), "nobody holds it")

    def test_d5_thread_with_its_own_descriptors(self) -> None:
        """D5: a descriptor that only one thread of a process has is found."""
        self.undo("true")
        self.hold_in_thread("own")
        [pid] = self.guest.run("pidof hold-thread").stdout.split()
        self.assertEqual(self.holders(), [f"open hold-thread on pmem0 pid {pid}"])

    def test_d5_from_a_changed_root(self) -> None:
        """D5: from a chroot, the mounts of the machine are found, whose root is "/" as well."""
        self.ext4()
        self.undo("umount /mnt/root/sys /mnt/root/proc /mnt/root/dev; umount /mnt/root; "
                  "umount /mnt/low; umount /mnt")
        self.guest.run("mount -t tmpfs none /mnt && cd /mnt && mkdir low root up work && "
                       "mount /dev/pmem0 low && modprobe overlay && mount -t overlay none -o "
                       "lowerdir=/mnt/low:/,upperdir=up,workdir=work root && for d in proc sys "
                       "dev; do mount --bind /$d root/$d; done")
        out = self.guest.run("chroot /mnt/root read-region holders region0").stdout
        self.assertEqual(out, "mount ext4 on pmem0 /mnt/low pid 1\n")

    def test_not_root(self) -> None:
        """Without the right to see everything the answer is not complete."""
        out = self.guest.run(["setpriv", "--reuid=65534", "--clear-groups", "read-region",
                              "holders", "region0"]).stdout.splitlines()
        self.assertRegex(out[-1], "^missing: .*Permission denied")
