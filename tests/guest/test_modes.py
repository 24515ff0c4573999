# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands on a region: ndctl's namespaces and their modes, file systems with
and without DAX, and programs that are linked to Debian's libndctl and libpmem2."""

from __future__ import annotations

import json
from typing import Any

from guestcase import GuestCase, load_tests     # noqa: F401

MIB = 1 << 20


class ModesCase(GuestCase):
    """What the tests of both drivers need."""

    kernels = ()
    # mkfs.xfs makes nothing that is smaller than 300 MiB. The files are sparse.
    size = "384M"
    programs = ("ndctl", "mkfs.ext4", "e2fsck", "mkfs.xfs", "xfs_repair", "ndctl-deep-flush",
                "pmem2-deep-flush")

    def ndctl(self, *args: str) -> Any:
        """Run ndctl and return what it printed, an object or a list."""
        return json.loads(self.guest.run(["ndctl", *args], timeout=60).stdout or "null")

    def namespace(self, n: int, mode: str) -> dict[str, Any]:
        """Give region N's namespace a mode, until the test's end."""
        self.addCleanup(self.guest.run, f"ndctl destroy-namespace -f namespace{n}.0; "
                                        f"ndctl enable-namespace namespace{n}.0")
        extra = ["-M", "mem"] if mode in ("fsdax", "devdax") else []
        made = self.ndctl("create-namespace", "-f", "-e", f"namespace{n}.0", "-m", mode, *extra)
        self.assertEqual(made["mode"], mode)
        return made     # type: ignore[no-any-return]

    def libndctl(self) -> str:
        return self.guest.run(["ndctl-deep-flush", "region0"]).stdout.strip()

    def libpmem2(self, path: str) -> str:
        return self.guest.run(["pmem2-deep-flush", path, "0x5a"]).stdout.strip()

    def dax_file(self) -> None:
        """ext4 with DAX on region0, mounted on /mnt until the test's end, with a file in it.

        Not after the region was in devdax mode: the kernel may give its disk the DAX inode of
        that time, which allows MAP_SYNC, and libpmem2 then needs no msync().
        """
        self.guest.run("mkfs.ext4 -q -F -b 4096 /dev/pmem0 && mount -o dax /dev/pmem0 /mnt")
        self.addCleanup(self.guest.run, "umount /mnt")
        self.guest.run("dd if=/dev/zero of=/mnt/file bs=1M count=4 conv=fsync status=none; sync")


class Modes(ModesCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")

    def test_ndctl_list(self) -> None:
        """ndctl list -BRN shows bus, region and namespace."""
        buses = {bus["regions"][0]["dev"]: bus for bus in self.ndctl("list", "-BRN")}
        self.assertEqual(sorted(buses), ["region0", "region1"])
        for n in (0, 1):
            bus = buses[f"region{n}"]
            self.assertEqual(bus["provider"], "virtio-pmem")
            region = bus["regions"][0]
            self.assertEqual((region["size"], region["type"]), (384 * MIB, "pmem"))
            namespace = region["namespaces"][0]
            self.assertEqual((namespace["dev"], namespace["blockdev"], namespace["mode"]),
                             (f"namespace{n}.0", f"pmem{n}", "fsdax"))

    def test_libndctl_deep_flush(self) -> None:
        """ndctl_region_deep_flush() of Debian's libndctl succeeds, and the host flushes.

        In-tree it is -EBADF."""
        with self.flushes(0, 1):
            self.assertEqual(self.libndctl(), "deep_flush=0")
        self.set_attr("error_policy", "report")
        self.addCleanup(self.set_attr, "error_policy", "latch")
        self.host().set(fail_next=1)
        self.assertNotEqual(self.libndctl(), "deep_flush=0")

    def test_libpmem2_deep_flush_of_devdax(self) -> None:
        """pmem2_deep_flush() of a DAX device makes the host flush what was stored.

        In-tree it returns 0 and does nothing."""
        device = self.namespace(0, "devdax")["daxregion"]["devices"][0]["chardev"]
        with self.flushes(0, 1):
            self.assertEqual(self.libpmem2(f"/dev/{device}"), "granularity=1 deep_flush=0")
        # Its memory begins behind ndctl's label and the kernel's page structures.
        with open(self.host().path, "rb") as file:
            self.assertIn(b"\x5a" * (2 * MIB), file.read())

    def test_fsdax_before_devdax_libpmem2(self) -> None:
        """pmem2_deep_flush() of a mapped file on ext4 with DAX makes the host flush."""
        self.dax_file()
        before = self.host().count
        self.assertEqual(self.libpmem2("/mnt/file"), "granularity=2 deep_flush=0")
        self.assertGreater(self.host().count, before)

    def test_namespace_modes(self) -> None:
        """create-namespace -f: fsdax, devdax and sector; all can be written and flushed."""
        for mode, device in (("fsdax", "pmem0"), ("devdax", "dax0.0"), ("sector", "pmem0s")):
            with self.subTest(mode=mode):
                made = self.namespace(0, mode)
                shown = made["daxregion"]["devices"][0] if mode == "devdax" else made
                self.assertEqual(shown.get("blockdev", shown.get("chardev")), device)
                self.assertIn(mode, json.dumps(self.ndctl("list", "-N", "-r", "region0")))
                listed = self.pmemctl_json("list", "region0")["regions"][0]["namespaces"]
                self.assertEqual([(n["dev"], n["mode"]) for n in listed],
                                 [("namespace0.0", mode)])
                if mode != "devdax":
                    self.assertEqual(self.many(f"/dev/{device}", 2, 5), (10, 0, "0"))
                with self.flushes(0, 1):
                    self.assertEqual(self.pmemctl("flush", f"/dev/{device}").status, 0)

    def test_f17_filesystems(self) -> None:
        """F17: ext4 and xfs, plain and with DAX: what was synced is there after a new mount, and
        the checkers find nothing."""
        make = {"ext4": "mkfs.ext4 -q -F -b 4096", "xfs": "mkfs.xfs -q -f -m reflink=0"}
        check = {"ext4": "e2fsck -f -n", "xfs": "xfs_repair -n"}
        for kind in make:
            for dax in (False, True):
                with self.subTest(kind=kind, dax=dax):
                    self.filesystem(kind, make[kind], "-o dax" if dax else "", check[kind])

    def filesystem(self, kind: str, make: str, options: str, check: str) -> None:
        host = self.host()
        self.guest.run(f"{make} /dev/pmem0", timeout=60)
        self.guest.run(f"mount -t {kind} {options} /dev/pmem0 /mnt")
        try:
            if options:
                self.assertIn("dax", self.guest.run("grep /mnt /proc/mounts").stdout)
            before = host.count
            self.guest.run("dd if=/dev/urandom of=/mnt/a bs=64k count=40 conv=fsync status=none")
            self.assertGreater(host.count, before, "fsync of a file reaches the host")
            before = host.count
            self.guest.run("mkdir /mnt/d; cp /mnt/a /mnt/d/b; sync")
            self.assertGreater(host.count, before, "sync reaches the host")
            before = host.count             # the file system may flush by itself meanwhile
            self.assertEqual(self.pmemctl("flush", "/mnt").status, 0, "a mount point is a name")
            self.assertGreater(host.count, before, "pmemctl flush reaches the host")
            sums = self.guest.run("cd /mnt; sha256sum a d/b").stdout
        finally:
            self.guest.run("umount /mnt")
        self.guest.run(f"mount -t {kind} {options} /dev/pmem0 /mnt")
        try:
            self.assertEqual(self.guest.run("cd /mnt; sha256sum a d/b").stdout, sums)
        finally:
            self.guest.run("umount /mnt")
        self.guest.run(f"{check} /dev/pmem0", timeout=60)

    def test_f1_failed_commit_of_a_journal(self) -> None:
        """F1, F14: an ext4 whose host fails a flush gets EIO for its fsync, and its journal
        aborts; with latch nothing written later is called durable."""
        self.guest.run("mkfs.ext4 -q -F -b 4096 /dev/pmem0 && mount -o errors=remount-ro "
                       "/dev/pmem0 /mnt")
        try:
            self.guest.run("echo good > /mnt/a; sync /mnt/a")
            self.host().set(fail_next=1)
            self.assertNotEqual(self.guest.run("echo bad > /mnt/b && sync /mnt/b",
                                               check=False).status, 0)
            self.host().reset()
            self.assertNotEqual(self.guest.run("echo worse > /mnt/c && sync /mnt/c",
                                               check=False).status, 0)
            self.assertEqual(self.attr("state"), "broken")
        finally:
            self.guest.run("umount /mnt")


class ModesInTree(ModesCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_libndctl_deep_flush_in_tree(self) -> None:
        """ndctl_region_deep_flush() is -EBADF on the in-tree driver, and nothing is flushed."""
        with self.flushes(0, 0):
            self.assertEqual(self.libndctl(), "deep_flush=EBADF")

    def test_libpmem2_deep_flush_of_devdax_in_tree(self) -> None:
        """pmem2_deep_flush() of a DAX device reports success in-tree, and nothing is flushed."""
        device = self.namespace(0, "devdax")["daxregion"]["devices"][0]["chardev"]
        with self.flushes(0, 0):
            self.assertEqual(self.libpmem2(f"/dev/{device}"), "granularity=1 deep_flush=0")

    def test_pmemctl_flush_of_devdax_in_tree(self) -> None:
        """U1: pmemctl flush says that there is no way, where libpmem2 says success."""
        self.namespace(0, "devdax")
        with self.flushes(0, 0):
            error = self.pmemctl_json("flush", "region0", status=4)["errors"][0]
        self.assertEqual((error["code"], error["dev"]), ("not_supported", "region0"))

    def test_fsdax_before_devdax_libpmem2_in_tree(self) -> None:
        """A file on ext4 with DAX is flushed in-tree too: libpmem2 uses msync() there."""
        self.dax_file()
        before = self.host().count
        self.assertEqual(self.libpmem2("/mnt/file"), "granularity=2 deep_flush=0")
        self.assertGreater(self.host().count, before)
