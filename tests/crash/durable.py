# SPDX-License-Identifier: GPL-2.0-or-later
"""The test's end of what durable-preload.c keeps: crash states of backing files.

A crash state is what a power cut of the host can leave on its disk: the durable
image, and on top of it any of the pages that have changed since, because a host
may write a page back whenever it likes. QEMU must be stopped (by SIGSTOP) while
one is made.
"""

from __future__ import annotations

import mmap
import os
import random
import re
import struct
from collections.abc import Sequence
from pathlib import Path

# Must agree with durable.h.
MAGIC = 0x656C626172756476
VERSION = 1
MAX_FILES = 8
PAGE = 4096
HEADER = struct.Struct("=16Q")   # magic, version, files, attached, reserved
FILE = struct.Struct("=16Q")     # the fields below, reserved
_ATTACHED = 3
_FIELDS = ("dev", "ino", "size", "early", "mapped", "kept", "dropped")
_BEGUN = 2

# The preload makes a mapping of each page that was stored to alone; the kernel's
# usual limit is 65530 mappings.
MAX_SIZE = 128 << 20


def _sparse_file(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


def _extents(fd: int, size: int) -> list[tuple[int, int]]:
    """(start, end) of what is not a hole."""
    found = []
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:     # ENXIO: only a hole is left
            break
        end = os.lseek(fd, start, os.SEEK_HOLE)
        found.append((start, end))
    return found


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file and keep its holes."""
    with open(source, "rb") as old, open(target, "wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        for start, end in _extents(old.fileno(), size):
            while start < end:
                data = os.pread(old.fileno(), min(end - start, 1 << 20), start)
                os.pwrite(new.fileno(), data, start)
                start += len(data)


class Durable:
    """What is durable of one backing file."""

    def __init__(self, directory: Path, index: int, path: Path, words: memoryview) -> None:
        self.path = path
        """The backing file."""
        self.size = path.stat().st_size
        if self.size > MAX_SIZE or self.size % PAGE:
            raise ValueError(f"{path}: at most {MAX_SIZE >> 20} MiB, in whole pages")
        self._image = directory / f"durable.{index}"
        self._words = words
        self._base = (HEADER.size + index * FILE.size) // 8
        copy_sparse(path, self._image)
        _sparse_file(directory / f"begun.{index}", self.size)
        _sparse_file(directory / f"pages.{index}", self.size // PAGE)
        self._now = self._map(path)
        self._begun = self._map(directory / f"begun.{index}")
        self._pages = self._map(directory / f"pages.{index}")
        info = path.stat()
        self._put("dev", info.st_dev)
        self._put("ino", info.st_ino)
        self._put("size", self.size)

    @staticmethod
    def _map(path: Path) -> mmap.mmap:
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def _get(self, field: str) -> int:
        return self._words[self._base + _FIELDS.index(field)]

    def _put(self, field: str, value: int) -> None:
        self._words[self._base + _FIELDS.index(field)] = value

    @property
    def mapped(self) -> bool:
        """Whether the preload sees the stores."""
        return self._get("mapped") != 0

    @property
    def kept(self) -> int:
        """How many fsyncs have made something durable."""
        return self._get("kept")

    @property
    def dropped(self) -> int:
        """How many pages failed fsyncs have taken away."""
        return self._get("dropped")

    def answer_early(self, on: bool = True) -> None:
        """A host that lies: it answers one fsync at once, and does its work in the next one."""
        self._put("early", int(on))

    def changed(self) -> list[int]:
        """The pages that the host may have written back though no fsync asked for it."""
        return [found.start() for found in re.finditer(rb"[^\0]", self._pages)]

    def crash_state(self, target: Path, rng: random.Random, share: float) -> int:
        """Write a crash state, with each changed page in it with probability SHARE.

        Returns how many of them are in it."""
        copy_sparse(self._image, target)
        taken = 0
        with open(target, "r+b") as file:
            for page in self.changed():
                if rng.random() >= share:
                    continue
                # A page that was stored to again may be written back as it was
                # when the fsync began, or as it is now.
                old = self._pages[page] & _BEGUN and rng.random() < 0.5
                source = self._begun if old else self._now
                os.pwrite(file.fileno(), source[page * PAGE:(page + 1) * PAGE], page * PAGE)
                taken += 1
        return taken


class DurableControl:
    """The directory as a whole; made before QEMU starts, of files that exist."""

    def __init__(self, directory: Path, paths: Sequence[Path]) -> None:
        if len(paths) > MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} backing files")
        self.directory = directory
        size = HEADER.size + MAX_FILES * FILE.size
        _sparse_file(directory / "control", size)
        with open(directory / "control", "r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        HEADER.pack_into(self._map, 0, MAGIC, VERSION, len(paths), *([0] * 13))
        self._words = memoryview(self._map).cast("Q")
        self.files = [Durable(directory, index, path, self._words)
                      for index, path in enumerate(paths)]

    @property
    def environment(self) -> dict[str, str]:
        """What QEMU must find in its environment."""
        return {"VM_DURABLE": str(self.directory)}

    @property
    def attached(self) -> bool:
        """Whether the preload is in place in a process."""
        return self._words[_ATTACHED] != 0
