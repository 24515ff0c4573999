# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in an image: put together as device-mapper had it, checked and read.

ext4 is checked and read with e2fsprogs, without a kernel. xfs needs one to
replay its log: a guest mounts all images of a test, one after the other, and
hands over their files; then xfs_repair looks at what is left.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import durable
import vm

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 1800.0   # s; see session.py
SECTOR = 512
MIB = 1 << 20
REPLAY_KERNEL = "6.12"
TREE_MIB = 24       # for the files of one image, as a tar archive


class CheckError(Exception):
    """An image could not be checked, which says nothing about what is in it."""


# --- device-mapper ------------------------------------------------------------

# (start, length, region, offset): bytes of the image, and where they are.
Extent = tuple[int, int, int, int]


def extents(table: str, regions: dict[str, int]) -> list[Extent]:
    """What `dmsetup table DEVICE` says, with REGIONS as its "major:minor" of each."""
    found: list[Extent] = []
    for line in table.splitlines():
        start, length, kind, *words = line.split()
        begin, size = int(start) * SECTOR, int(length) * SECTOR
        if kind == "linear":
            found.append((begin, size, regions[words[0]], int(words[1]) * SECTOR))
        elif kind == "striped":
            found += _stripes(begin, size, words, regions)
        else:
            raise CheckError(f"a device-mapper target that is not known here: {line}")
    return found


def _stripes(begin: int, size: int, words: Sequence[str], regions: dict[str, int]
             ) -> Iterator[Extent]:
    count, chunk = int(words[0]), int(words[1]) * SECTOR
    legs = [(regions[words[2 + 2 * n]], int(words[3 + 2 * n]) * SECTOR) for n in range(count)]
    for number in range(size // chunk):
        region, offset = legs[number % count]
        yield begin + number * chunk, chunk, region, offset + number // count * chunk


def compose(state: Path, parts: Sequence[Extent], target: Path) -> None:
    """Write the image that device-mapper showed; no parts: region 0 as it is."""
    if not parts:
        durable.copy_sparse(state / "region0", target)
        return
    with open(target, "wb") as out:
        out.truncate(max(start + size for start, size, _, _ in parts))
        for start, size, region, offset in parts:
            with open(state / f"region{region}", "rb") as file:
                file.seek(offset)
                for at in range(0, size, MIB):
                    data = file.read(min(MIB, size - at))
                    if any(data):
                        out.seek(start + at)
                        out.write(data)


# --- ext4 ------------------------------------------------------------------------

def _run(argv: Sequence[str | Path], good: Sequence[int] = (0,)) -> str:
    """Run a tool; "" or what it said, if its exit status is not one of GOOD."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                          env={"PATH": PATH, "LC_ALL": "C"})
    return "" if done.returncode in good else f"exit status {done.returncode}: {done.stdout}"


def ext4_problem(image: Path, frozen: bool) -> str:
    """What e2fsck finds after the journal was replayed (in IMAGE itself), or "".

    A frozen file system must be sound as it is. Of any other the journal is replayed,
    and orphans are released, which the kernel does when it mounts. What e2fsck would
    have to repair is found by the last, which may change nothing: the mark that there
    have been errors, which a host's error leaves, would let the one before repair it."""
    steps = [["e2fsck", "-f", "-n", str(image)]]
    if not frozen:
        steps[:0] = [["e2fsck", "-E", "journal_only", "-p", str(image)],
                     ["debugfs", "-w", "-R", "set_super_value state 1", str(image)],
                     ["e2fsck", "-p", str(image)]]
    for step in steps:
        problem = _run(step, good=(0, 1) if "-p" in step else (0,))
        if problem:
            return f"{' '.join(step[:-1])}: {problem}"
    return ""


def ext4_tree(image: Path, target: Path) -> None:
    """Copy all files of an image into a directory."""
    target.mkdir()
    problem = _run(["debugfs", "-R", f"rdump / {target}", image])
    if problem:
        raise CheckError(f"debugfs: {problem}")


# --- xfs --------------------------------------------------------------------------

# For each image: mount, which replays the log; write the files to the other disk;
# a line with the number and what went well.
_XFS_SCRIPT = """
n=0
while [ $n -lt {count} ]; do
    mounted=no
    losetup -o $((n * {size})) /dev/loop0 /dev/vda || exit 1
    if mount -t xfs {options} /dev/loop0 /mnt; then
        mounted=yes
        tar -c -f - -C /mnt . | dd of=/dev/vdb bs=1M seek=$((n * {tree})) conv=notrunc \\
            iflag=fullblock status=none || mounted=no
        umount /mnt || exit 1
    fi
    losetup -d /dev/loop0
    echo $n $mounted
    n=$((n + 1))
done
sync
"""


def xfs_trees(images: Sequence[Path], targets: Sequence[Path], scratch: Path) -> list[str]:
    """Replay each image's log, check the image and copy its files into a directory.

    Returns what is wrong with each, or ""."""
    size = images[0].stat().st_size
    disk, trees = scratch / "xfs.images", scratch / "xfs.trees"
    with open(disk, "wb") as out:
        out.truncate(size * len(images))
    for n, image in enumerate(images):
        _insert(image, disk, n * size)
    with open(trees, "wb") as out:
        out.truncate(TREE_MIB * MIB * len(images))
    said = _xfs_guest(disk, trees, _XFS_SCRIPT.format(
        count=len(images), size=size, tree=TREE_MIB, options="-o nouuid"))

    problems = []
    for n, (image, target) in enumerate(zip(images, targets, strict=True)):
        if said.get(n) != "yes":
            problems.append("it cannot be mounted")
            continue
        _extract(trees, n * TREE_MIB * MIB, target)
        _cut_out(disk, n * size, size, image)
        problem = _run(["xfs_repair", "-n", "-f", image])
        problems.append(f"xfs_repair -n: {problem}" if problem else "")
    return problems


def _xfs_guest(disk: Path, trees: Path, script: str) -> dict[int, str]:
    drives: list[str] = []
    for name, path, place in (("images", disk, "0x1a"), ("trees", trees, "0x1b")):
        drives += ["-drive", f"file={path},format=raw,if=none,id={name},cache=unsafe",
                   "-device", f"virtio-blk-pci,drive={name},addr={place}"]
    with vm.Guest(REPLAY_KERNEL, driver="none", devices=0, qemu_args=drives, accel="tcg",
                  memory=512) as guest:
        guest.run("modprobe -a virtio_blk loop xfs && until [ -b /dev/vdb ]; "
                  "do usleep 10000; done", timeout=PATIENCE)
        result = guest.run(script, timeout=PATIENCE)
    return {int(n): word for n, word in re.findall(r"^(\d+) (yes|no)$", result.stdout, re.M)}


def _insert(image: Path, disk: Path, offset: int) -> None:
    with open(image, "rb") as file, open(disk, "r+b") as out:
        for at in range(0, image.stat().st_size, MIB):
            data = file.read(MIB)
            if any(data):
                out.seek(offset + at)
                out.write(data)


def _cut_out(disk: Path, offset: int, size: int, target: Path) -> None:
    with open(disk, "rb") as file, open(target, "wb") as out:
        out.truncate(size)
        for at in range(0, size, MIB):
            file.seek(offset + at)
            data = file.read(min(MIB, size - at))
            if any(data):
                out.seek(at)
                out.write(data)


def _extract(archive: Path, offset: int, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with open(archive, "rb") as file:
        file.seek(offset)
        with tarfile.open(fileobj=file, mode="r|") as tar:
            tar.extractall(target)
