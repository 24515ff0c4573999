# SPDX-License-Identifier: GPL-2.0-or-later
"""F17: what is stacked on a region passes flushes down, and errors up, whatever the driver
is asked for meanwhile: device mapper, LVM, md; and ext4 on the region itself.
"""

from __future__ import annotations

import lvm
from guestcase import GuestCase, load_tests, until      # noqa: F401
from load import BIO_KINDS


class StackCase(GuestCase):
    """A device on top of region 0, or a filesystem, under load."""

    kernels = ()
    load = True

    def build(self, make: str, undo: str) -> None:
        """Make a stack in the guest, until the test's end."""
        self.guest.run(make, timeout=120)
        self.addCleanup(self.guest.run, undo, 120)

    def tearDown(self) -> None:
        # First what stands on the regions, then their state.
        self.doCleanups()
        super().tearDown()

    def quiesce(self) -> None:
        self.assertEqual(self.store(self.file("quiesce"), "1"), "")
        self.assertEqual(self.attr("state"), "quiesced")

    def resume(self) -> None:
        self.assertEqual(self.store(self.file("quiesce"), "0"), "")

    def holds(self, *, device: str = "", directory: str = "") -> None:
        """F12, F15: quiesce, resume and a late answer under load on top: nobody hears of them,
        and nobody is answered before the host has flushed."""
        host = self.host()
        kinds = ("file",) if directory else (*BIO_KINDS, "fsync")
        load = self.start_load(threads=24, kinds=kinds, device=device, directory=directory)
        load.wait_calls(50)
        self.quiesce()
        count = host.count
        until(lambda: load.report().unanswered == 24, "all threads wait")
        self.assertEqual(host.count, count)
        self.resume()
        load.wait_calls(50)
        host.set(hold=True)
        host.wait_holding()
        until(lambda: load.report().unanswered == 24, "all threads wait")
        answered = load.report().ok
        self.assertEqual(load.report().ok, answered)
        host.set(hold=False)
        load.wait_calls(50)
        report = load.stop()
        self.note(str(report))
        self.answered(report)

    def fails(self, device: str) -> None:
        """F1, F14: an error of the host's reaches who flushes on top, and stays until recovered."""
        self.host().set(fail_next=1)
        self.assertEqual(self.many(device, 1, 1, "fsync"), (1, 1, "EIO"))
        self.assertEqual(self.attr("state"), "broken")
        self.assertEqual(self.many(device, 1, 1, "fsync"), (1, 1, "EIO"))
        self.assertEqual(self.store(self.file("recover"), "1"), "")
        self.assertEqual(self.many(device, 1, 1, "fsync"), (1, 0, "0"))


class Stack(StackCase):
    """On every kernel."""

    kernels = ("6.1", "6.12", "7.3")
    programs = ("dmsetup", "mkfs.ext4", "e2fsck")
    modules = ("dm-mod",)

    def test_f17_dm_linear(self) -> None:
        """F17: a linear target."""
        self.build("modprobe dm-mod; dmsetup create lin --table '0 100000 linear /dev/pmem0 8' && "
                   "dmsetup mknodes", "dmsetup remove lin")
        self.holds(device="/dev/mapper/lin")
        self.fails("/dev/mapper/lin")

    def test_f17_ext4(self) -> None:
        """F17: ext4, plain and with DAX; its checker finds nothing afterwards."""
        for options in ("", "-o dax"):
            with self.subTest(options=options):
                self.guest.run("mkfs.ext4 -q -F -b 4096 /dev/pmem0 && "
                               f"mount -t ext4 {options} /dev/pmem0 /mnt", timeout=120)
                try:
                    self.holds(directory="/mnt")
                finally:
                    self.guest.run("umount /mnt", timeout=120)
                self.guest.run("e2fsck -fn /dev/pmem0", timeout=120)

    def test_f11_unbind_under_ext4(self) -> None:
        """F11: an unbind under a mounted and busy ext4 ends, and so does each of its calls; what
        was synced before is there when the device comes back."""
        self.guest.run("mkfs.ext4 -q -F -b 4096 /dev/pmem0 && mount -t ext4 /dev/pmem0 /mnt && "
                       "echo kept > /mnt/a && sync", timeout=120)
        load = self.start_load(threads=12, kinds=("file",), directory="/mnt")
        load.wait_calls(30)
        try:
            device = self.unbind()
            report = load.stop()
            self.note(str(report))
            self.assertEqual(report.lost(), "")
            self.assertEqual(set(report.errors) - {"EIO", "EROFS", "ENODEV", "ENXIO",
                                                   "ESHUTDOWN", "EUCLEAN"}, set())
        finally:
            self.guest.run("umount /mnt", timeout=120)
        self.bind(device)
        self.guest.run("mount -t ext4 /dev/pmem0 /mnt && grep kept /mnt/a && umount /mnt",
                       timeout=60)


class StackStock(StackCase):
    """What only the stock kernels have."""

    kernels = ("6.1", "6.12")
    programs = ("dmsetup", "lvm")
    modules = ("dm-mod", "raid1", "dm-writecache")

    def test_f17_lvm(self) -> None:
        """F17: a logical volume."""
        self.build(" && ".join(lvm.line(command) for command in
                               ("pvcreate -y -ff /dev/pmem0", "vgcreate vg /dev/pmem0",
                                "lvcreate -y -Wn -Zn -n lv -l 8 vg")),
                   lvm.line("vgchange -an vg") + "; dd if=/dev/zero of=/dev/pmem0 bs=1M "
                   "count=2 conv=fsync status=none")
        self.holds(device="/dev/mapper/vg-lv")
        self.fails("/dev/mapper/vg-lv")

    def test_f17_dm_writecache(self) -> None:
        """F17: a write cache in region 0, in front of region 1."""
        self.build("dd if=/dev/zero of=/dev/pmem0 bs=4k count=16 conv=fsync status=none; "
                   "modprobe dm-mod; modprobe dm-writecache; dmsetup create wc --table "
                   "'0 100000 writecache s /dev/pmem1 /dev/pmem0 4096 0' && dmsetup mknodes",
                   "dmsetup remove wc")
        self.holds(device="/dev/mapper/wc")
        # It gives itself up for good, so there is nothing to recover.
        self.host().set(fail_errno=5)
        _, errors, name = self.many("/dev/mapper/wc", 1, 4, "fdatasync")
        self.assertGreater(errors, 0)
        self.assertEqual(name, "EIO")

    def test_f17_md_raid1(self) -> None:
        """F17: a mirror of both regions: each flush is one of both, and both legs are alike."""
        md = "/sys/block/md7/md"
        self.build(f"""modprobe raid1 && echo md7 > /sys/module/md_mod/parameters/new_array &&
            cd {md} && echo none > metadata_version && echo raid1 > level &&
            echo 2 > raid_disks && echo 32768 > component_size &&
            for n in 0 1; do
                cat /sys/block/pmem$n/dev > new_dev && echo 32768 > dev-pmem$n/size &&
                    echo $n > dev-pmem$n/slot || exit 1
            done
            echo active > array_state && until [ -b /dev/md7 ]; do usleep 10000; done""",
                   # The load's threads in the kernel close it some time after their end.
                   f"until echo inactive > {md}/array_state; do usleep 50000; done; "
                   f"echo clear > {md}/array_state")
        before = [host.count for host in self.guest.hosts]
        self.holds(device="/dev/md7")
        for host, count in zip(self.guest.hosts, before):
            self.assertGreater(host.count, count)
        self.assertEqual(self.on_host(0, 0), self.on_host(1, 0))
