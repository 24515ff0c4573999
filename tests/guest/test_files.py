# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl errors --files on real file systems: which files bad memory hits (D3, D6)."""

from __future__ import annotations

import re
from typing import Any

from guestcase import GuestCase, load_tests      # noqa: F401

SECTOR = 512
PAGE = 4096
NOBODY = 65534


class Files(GuestCase):
    """Bad blocks are declared through the block device's badblocks, as the administrator can."""

    kernels = ("6.1", "6.12")
    programs = ("mkfs.ext4", "mkfs.xfs", "filefrag", "dmsetup", "unshare", "xfs_io",
                "/usr/bin/setpriv")
    modules = ("dm-mod", "xfs")
    # mkfs.xfs makes nothing that is smaller than 300 MiB. The files are sparse.
    size = "384M"

    def tearDown(self) -> None:
        self.guest.run("umount /mnt; dmsetup remove lin; true", check=False)
        # The list of bad blocks goes with the disk.
        self.rebind(0)
        super().tearDown()

    def mount(self, mkfs: str) -> None:
        self.guest.run(f"modprobe xfs; {mkfs} /dev/pmem0 && mount /dev/pmem0 /mnt && "
                       "mkdir -p /mnt/dir && "
                       "dd if=/dev/urandom of=/mnt/dir/file bs=1M count=4 status=none && sync")

    def lies_at(self, path: str) -> int:
        """The device's offset of the file's first byte, which the kernel tells filefrag."""
        text = self.guest.run(f"filefrag -v -b{SECTOR} {path}").stdout
        match = re.search(r"(?m)^ *0: +0\.\. *\d+: +(\d+)\.\.", text)
        assert match, text
        return int(match[1]) * SECTOR

    def declare_bad(self, offset: int, length: int) -> None:
        self.guest.run(f"echo {offset // SECTOR} {length // SECTOR} > /sys/block/pmem0/badblocks")

    def owners(self, **how: Any) -> list[dict[str, Any]]:
        region = self.pmemctl_json("errors", "--files", "region0", **how)["regions"][0]
        return [owner for bad in region["bad_ranges"] for owner in bad.get("owners", [])]

    def check_file(self) -> None:
        start = self.lies_at("/mnt/dir/file")
        self.declare_bad(start + 8 * PAGE, 2 * PAGE)
        self.declare_bad(start + 40 * PAGE, PAGE)
        self.assertEqual(self.owners(), [
            {"kind": "file", "offset_bytes": start + at * PAGE, "length_bytes": n * PAGE,
             "path": "/mnt/dir/file", "file_offset_bytes": at * PAGE}
            for at, n in ((8, 2), (40, 1))])
        text = self.pmemctl("errors", "-f", "/mnt").stdout
        self.assertRegex(text, r"(?m)-file +\d+ +8 KiB /mnt/dir/file at 32768$")

    def test_d6_file_on_ext4(self) -> None:
        """D6: on ext4 a bad range is mapped to the file, and to the place in it."""
        self.mount("mkfs.ext4 -q -F -b 4096")
        self.check_file()

    def test_d6_file_on_xfs(self) -> None:
        """D6: on xfs without the reverse map, too."""
        self.mount("mkfs.xfs -q -f -m rmapbt=0")
        self.check_file()

    def test_d6_file_on_xfs_with_rmapbt(self) -> None:
        """D6: and with it."""
        self.mount("mkfs.xfs -q -f -m rmapbt=1")
        self.check_file()

    def test_d6_shared_block(self) -> None:
        """D6: a block that two files share is named for both."""
        self.mount("mkfs.xfs -q -f -m reflink=1")
        self.guest.run("xfs_io -f -c 'reflink /mnt/dir/file' /mnt/copy && sync")
        self.declare_bad(self.lies_at("/mnt/dir/file"), PAGE)
        self.assertEqual(sorted((o["kind"], o["path"]) for o in self.owners()),
                         [("file", "/mnt/copy"), ("file", "/mnt/dir/file")])

    def test_d6_metadata_and_free(self) -> None:
        """D6: what is the file system's own, and what is nobody's, is told apart."""
        self.mount("mkfs.ext4 -q -F -b 4096")
        # The backup of the superblock; the first is written often, which would mend it.
        self.declare_bad(128 << 20, PAGE)
        self.declare_bad(300 << 20, PAGE)
        self.assertEqual([(o["kind"], o["offset_bytes"]) for o in self.owners()],
                         [("metadata", 128 << 20), ("free", 300 << 20)])

    def test_d6_range_over_the_end_of_a_file(self) -> None:
        """D6: a range is divided among its owners, without a gap."""
        self.mount("mkfs.ext4 -q -F -b 4096")
        start = self.lies_at("/mnt/dir/file")
        self.declare_bad(start + (4 << 20) - PAGE, 2 * PAGE)
        owners = self.owners()
        self.assertEqual(sum(o["length_bytes"] for o in owners), 2 * PAGE)
        self.assertIn(("file", PAGE), [(o["kind"], o["length_bytes"]) for o in owners])

    def test_d6_deleted_file_is_unknown(self) -> None:
        """D6: the blocks of a deleted file that is open are unknown, and why is said."""
        self.mount("mkfs.ext4 -q -F -b 4096")
        self.declare_bad(self.lies_at("/mnt/dir/file"), PAGE)
        job = self.guest.start("exec 7</mnt/dir/file; rm /mnt/dir/file; sync; echo gone; "
                               "exec sleep 1000")
        self.addCleanup(job.kill)
        self.guest.run("for i in 1 2 3 4 5 6 7 8 9; do [ -e /mnt/dir/file ] || break; sleep 1; "
                       "done; sync")
        [owner] = self.owners()
        job.kill()
        job.wait(60, check=False)     # it holds the file system
        self.assertEqual(owner["kind"], "unknown")
        self.assertIn("deleted", owner["reason"])

    def test_u3_names_of_files(self) -> None:
        """U3: a file's name is told whole in JSON, and plays no tricks in text."""
        names = (b"a\nINJECTED", b"\x1b[2J\x7f", b"\"'`\\$(id)", b"\xff\xc0\x80 \xc2\x9b2J",
                 "M\u00fcller \u65e5\u672c".encode(), b"{path}[%s|", 255 * b"n")
        self.mount("mkfs.ext4 -q -F -b 4096")
        self.declare_bad(self.lies_at("/mnt/dir/file"), PAGE)
        old = "/mnt/dir/file"
        for name in names:
            with self.subTest(name=name):
                octal = "".join(f"\\{byte:03o}" for byte in name)
                new = f"\"/mnt/dir/$(printf '{octal}')\""
                self.guest.run(f"mv {old} {new}")
                old = new
                [owner] = self.owners()
                self.assertEqual(owner["path"], "/mnt/dir/" + re.sub(
                    "[\udc80-\udcff]", "\ufffd", name.decode("utf-8", "surrogateescape")))
                text = self.pmemctl("errors", "-f", "region0").stdout
                self.assertNotRegex(text, r"[^\n -~\u00a0-\U0010ffff]")
                self.assertNotRegex(text, r"(?m)^\W*INJECTED")

    def test_d6_limit(self) -> None:
        """D6: where the limit leaves files out that is said; what is enough finds all of it."""
        self.mount("mkfs.ext4 -q -F -b 4096")
        self.declare_bad(self.lies_at("/mnt/dir/file"), PAGE)
        region = self.pmemctl_json("errors", "--files", "--limit=1", "region0")["regions"][0]
        # That a block is bad for the disk only comes first.
        self.assertFalse(region["complete"])
        self.assertRegex(region["missing"], "; not all files below /mnt were looked at$")
        self.assertIn("--limit", region["remedy"])
        [owner] = [o for bad in region["bad_ranges"] for o in bad.get("owners", [])]
        self.assertEqual(owner["kind"], "unknown")
        self.assertIn("the limit of 1 was reached", owner["reason"])
        text = self.pmemctl("errors", "-fl1", "region0")
        self.assertEqual(text.status, 0, text.stderr)
        self.assertRegex(text.stdout, "This is not all: .*not all files below /mnt were looked at")

        region = self.pmemctl_json("errors", "--files", "--limit=1000", "region0")["regions"][0]
        self.assertNotIn("not all files", region["missing"])
        self.assertEqual([o["kind"] for bad in region["bad_ranges"]
                          for o in bad.get("owners", [])], ["file"])

    def test_d6_limit_of_pieces(self) -> None:
        """D6: a file in very many pieces comes to the limit, too."""
        self.mount("mkfs.ext4 -q -F -b 4096")
        # Each other page has a block: 150 pieces, which are three questions.
        writes = " ".join(f"-c 'pwrite -q {n * 2 * PAGE} {PAGE}'" for n in range(150))
        self.guest.run(f"xfs_io -f {writes} /mnt/dir/holes && sync")
        self.declare_bad(self.lies_at("/mnt/dir/file"), PAGE)
        for limit, cut in ((5, True), (100, False)):
            region = self.pmemctl_json("errors", "--files", f"--limit={limit}",
                                       "region0")["regions"][0]
            self.assertEqual("not all files" in region["missing"], cut, region)

    def test_d6_not_root(self) -> None:
        """D6: who may not look at files is told how many, and nothing is made up."""
        self.mount("mkfs.ext4 -q -F -b 4096")
        self.declare_bad(self.lies_at("/mnt/dir/file"), PAGE)
        self.guest.run("chmod 700 /mnt/dir")
        [owner] = self.owners(user=NOBODY)
        self.assertEqual(owner["kind"], "unknown")
        self.assertIn("try it as root", owner["reason"])

    def test_d6_stacked(self) -> None:
        """D6: device mapper places blocks in its own way: unknown, and not complete."""
        self.guest.run("dmsetup create lin --table '0 400000 linear /dev/pmem0 0'")
        self.declare_bad(0, PAGE)
        [owner] = self.owners()
        self.assertEqual(owner["kind"], "unknown")
        self.assertIn("dm-0", owner["reason"])
        self.assertFalse(self.pmemctl_json("errors", "region0")["regions"][0]["complete"])

    def test_d6_mount_in_another_namespace(self) -> None:
        """D6: files of a file system that only another mount namespace has are found."""
        self.guest.run("mkfs.ext4 -q -F -b 4096 /dev/pmem0")
        job = self.guest.start(
            "exec unshare -m sh -c 'mount /dev/pmem0 /mnt; "
            "dd if=/dev/urandom of=/mnt/file bs=1M count=1 status=none; sync; "
            f"filefrag -v -b{SECTOR} /mnt/file; echo ready; exec sleep 1000'")
        self.addCleanup(job.kill)
        for _ in range(60):
            if b"ready" in job.output:
                break
            self.guest.run("sleep 0.5")
        match = re.search(rb"(?m)^ *0: +0\.\. *\d+: +(\d+)\.\.", job.output)
        assert match, job.output
        self.declare_bad(int(match[1]) * SECTOR, PAGE)
        [owner] = self.owners()
        job.kill()
        job.wait(60, check=False)
        self.assertEqual((owner["kind"], owner["path"]), ("file", "/mnt/file"))
