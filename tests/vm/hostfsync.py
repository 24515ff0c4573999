# SPDX-License-Identifier: GPL-2.0-or-later
"""The test's end of the page that fsync-preload.c shares with it."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path

# Must agree with fsync-preload.h.
MAGIC = 0x636E797366706D76
VERSION = 2
MAX_FILES = 64
FOREVER = 2**64 - 1
HEADER = struct.Struct("=16Q")   # magic, version, files, attached, reserved
FILE = struct.Struct("=16Q")     # the fields below, reserved
SIZE = HEADER.size + MAX_FILES * FILE.size
_FILES, _ATTACHED = 2, 3
_FIELDS = ("dev", "ino", "delay_us", "hold", "fail_errno", "fail_left", "released",
           "begun", "ended", "failed", "holding", "held")


class HostFile:
    """What the host does with the fsyncs of one backing file, and did."""

    def __init__(self, words: memoryview, index: int, path: Path) -> None:
        self._words = words
        self._base = (HEADER.size + index * FILE.size) // 8
        self.path = path
        """The backing file."""

    def _get(self, field: str) -> int:
        return self._words[self._base + _FIELDS.index(field)]

    def _put(self, field: str, value: int) -> None:
        # One aligned word through a cast view: the other side sees all or nothing of it.
        self._words[self._base + _FIELDS.index(field)] = value

    @property
    def count(self) -> int:
        """How many fsyncs have come in since the guest started."""
        return self._get("begun")

    @property
    def done(self) -> int:
        """How many of them have been answered, whatever the answer."""
        return self._get("ended")

    @property
    def failed(self) -> int:
        """How many of those were answered with an error."""
        return self._get("failed")

    @property
    def holding(self) -> int:
        """How many are being held back at this moment."""
        return self._get("holding")

    def set(self, *, delay_ms: float | None = None, fail_errno: int | None = None,
            fail_next: int | None = None, hold: bool | None = None) -> None:
        """Change how the host answers from now on; what is not named stays.

        delay_ms    each fsync takes so much longer; 0 ends it
        fail_errno  every fsync fails with it; 0 ends it
        fail_next   only so many of the next ones fail (with EIO, unless
                    fail_errno says otherwise)
        hold        True: fsyncs are not answered until False is set
        """
        if delay_ms is not None:
            self._put("delay_us", round(delay_ms * 1000))
        if fail_errno is not None:
            self._put("fail_left", 0)
            self._put("fail_errno", fail_errno)
            self._put("fail_left", FOREVER if fail_errno else 0)
        if fail_next is not None:
            self._put("fail_left", 0)
            if not self._get("fail_errno"):
                self._put("fail_errno", errno.EIO)
            self._put("fail_left", fail_next)
        if hold is not None:
            self._put("hold", int(hold))

    def release(self, count: int = 1) -> None:
        """Let the oldest COUNT of the fsyncs that are held back go on; hold stays."""
        self._put("released", self._get("held") - self.holding + count)

    def reset(self) -> None:
        """Answer everything, at once and with success, from now on."""
        self.set(delay_ms=0, fail_errno=0, hold=False)

    def wait_holding(self, count: int = 1, timeout: float = 20) -> None:
        """Wait until at least COUNT fsyncs are held back."""
        end = time.monotonic() + timeout
        while self.holding < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.holding} fsyncs held back after {timeout} s, "
                                   f"{count} expected")
            time.sleep(0.005)


def steer(path: Path) -> list[HostFile]:
    """The host's side of every device of a guest that another process has started."""
    with open(path, "r+b") as file:
        words = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("Q")
    if (words[0], words[1]) != (MAGIC, VERSION) or not Path(f"/proc/{words[_ATTACHED]}").exists():
        raise FileNotFoundError(f"{path} is not the page of a guest that runs")
    return [HostFile(words, index, Path()) for index in range(words[_FILES])]


class HostControl:
    """The page as a whole; made before QEMU starts."""

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        if len(files) > MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} backing files")
        with open(path, "w+b") as file:
            file.truncate(SIZE)
            self._map = mmap.mmap(file.fileno(), SIZE)
        HEADER.pack_into(self._map, 0, MAGIC, VERSION, len(files), *([0] * 13))
        self._words = memoryview(self._map).cast("Q")
        self.files: list[HostFile] = []
        for index, name in enumerate(files):
            host = HostFile(self._words, index, name)
            info = os.stat(name)
            host._put("dev", info.st_dev)
            host._put("ino", info.st_ino)
            self.files.append(host)

    @property
    def attached(self) -> bool:
        """Whether the preload is in place in a process."""
        return self._words[_ATTACHED] != 0
