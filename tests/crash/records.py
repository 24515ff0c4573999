# SPDX-License-Identifier: GPL-2.0-or-later
"""What a power cut must have left of the records that were acknowledged.

One rule for each kind of writer in progs/crash-writer.c, and one for
progs/sqlite-writer.c. A writer has at most one record that it has begun and
whose acknowledgement is not known here, so a rule knows all that can be: every
record up to the acknowledged one whole and in its place, the one after it as
far as it got, and nothing else.

A rule yields what is wrong, in words; nothing, if the promise was kept.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

# Must agree with progs/record.h and progs/crash-writer.c.
PAGE = 4096
HEADER = struct.Struct("<IIIIQII")      # magic, checksum, salt, writer, seq, page, pages
MAGIC = 0x52435056
MESSAGE = struct.Struct("<IIQ")         # writer, what, seq
DURABLE, FAILED = 0, 1
SLOTS, SLOT_PAGES = 32, 4
SLOTS_SIZE = SLOTS * SLOT_PAGES * PAGE
FILE_RECORDS = 16
DIRECTORIES = 8
SQLITE_MODES = ("wal", "truncate", "persist", "delete")
SQLITE_KEEP = 100


def record_pages(seq: int) -> int:
    return 1 + seq % 3


def page_problem(page: bytes, salt: int, writer: int, seq: int, index: int) -> str:
    """What is wrong with a page of a record, or ""."""
    if len(page) < PAGE:
        return "cut off"
    if not any(page):
        return "all zeros"
    magic, checksum, *fields = HEADER.unpack_from(page)
    if magic != MAGIC:
        return "not a record"
    if zlib.crc32(page[:4] + bytes(4) + page[8:]) != checksum:
        return "torn"
    found = dict(zip(("salt", "writer", "record", "page", "pages"), fields, strict=True))
    wanted = {"salt": salt, "writer": writer, "record": seq, "page": index,
              "pages": record_pages(seq)}
    wrong = [f"{name} {found[name]}" for name in wanted if found[name] != wanted[name]]
    return "of " + ", ".join(wrong) if wrong else ""


def record_problem(data: bytes, salt: int, writer: int, seq: int) -> str:
    """What is wrong with a record that starts at DATA's first byte, or ""."""
    for index in range(record_pages(seq)):
        problem = page_problem(data[index * PAGE:(index + 1) * PAGE], salt, writer, seq, index)
        if problem:
            return f"page {index} is {problem}"
    return ""


def _slots(data: bytes, salt: int, writer: int, acked: int) -> Iterator[str]:
    """The last records that were acknowledged; the slot of the next one may be anything."""
    for seq in range(max(0, acked + 2 - SLOTS), acked + 1):
        at = seq % SLOTS * SLOT_PAGES * PAGE
        problem = record_problem(data[at:at + SLOT_PAGES * PAGE], salt, writer, seq)
        if problem:
            yield f"record {seq} of {acked}: {problem}"


def device_slots(image: Path, index: int, salt: int, writer: int, acked: int) -> Iterator[str]:
    """The slots of the writer that is number INDEX on a device."""
    with open(image, "rb") as file:
        file.seek(index * SLOTS_SIZE)
        yield from _slots(file.read(SLOTS_SIZE), salt, writer, acked)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def file_slots(tree: Path, salt: int, writer: int, acked: int) -> Iterator[str]:
    data = _read(tree / f"s{writer}")
    if data is None or len(data) != SLOTS_SIZE:
        # It was made durable, with its directory, before the first record.
        yield f"s{writer} is missing or of another size"
    else:
        yield from _slots(data, salt, writer, acked)


def append(tree: Path, salt: int, writer: int, acked: int) -> Iterator[str]:
    """Two files, whole up to the acknowledged record; behind it only what was being written."""
    last = acked // FILE_RECORDS
    for number in range(max(0, last - 1), last + 1):
        first = number * FILE_RECORDS
        data = _read(tree / f"a{writer}.{number}")
        if data is None:
            # The next record's file takes the place of the last but one.
            if not (number == last - 1 and (acked + 1) % FILE_RECORDS == 0):
                yield f"a{writer}.{number} is missing, {acked} was acknowledged"
            continue
        for seq in range(first, first + FILE_RECORDS):
            size = record_pages(seq) * PAGE
            if seq <= acked:
                problem = record_problem(data[:size], salt, writer, seq)
                if problem:
                    yield f"a{writer}.{number}: record {seq} of {acked}: {problem}"
                    break
                data = data[size:]
        if number == last:
            yield from _tail(data, salt, writer, acked)


def _tail(data: bytes, salt: int, writer: int, acked: int) -> Iterator[str]:
    """Behind the end: pages of the next record, or zeros; never torn, stale or another's."""
    following = acked + 1
    most = record_pages(following) * PAGE if following % FILE_RECORDS else 0
    if len(data) > most:
        yield f"a{writer}: {len(data)} bytes behind record {acked}, at most {most} were written"
    for index in range(min(len(data), most) // PAGE):
        page = data[index * PAGE:(index + 1) * PAGE]
        problem = page_problem(page, salt, writer, following, index) if any(page) else ""
        if problem:
            yield f"a{writer}: page {index} behind record {acked} is {problem}"


def rename(tree: Path, salt: int, writer: int, acked: int) -> Iterator[str]:
    """The file is the acknowledged record or the next one, whole; it was never missing."""
    data = _read(tree / f"r{writer}")
    if data is None:
        if acked >= 0:
            yield f"r{writer} is missing, {acked} was acknowledged"
        return
    problems = []
    for seq in range(max(0, acked), acked + 2):
        problem = record_problem(data, salt, writer, seq)
        if not problem and len(data) == record_pages(seq) * PAGE:
            return
        problems.append(f"as record {seq}: {problem or 'of another size'}")
    yield f"r{writer}, {acked} acknowledged: " + "; ".join(problems)


def directories(tree: Path, salt: int, writer: int, acked: int) -> Iterator[str]:
    """The last directories with their files, and none that was removed."""
    try:
        there = {int(entry.name) for entry in (tree / f"d{writer}").iterdir()}
    except FileNotFoundError:
        yield f"d{writer} is missing"
        return
    # The next record may have made its own directory and removed one.
    for seq in range(max(0, acked + 2 - DIRECTORIES), acked + 1):
        if seq not in there:
            yield f"d{writer}/{seq} is missing, {acked} was acknowledged"
            continue
        data = _read(tree / f"d{writer}/{seq}/f")
        problem = "missing" if data is None else record_problem(data, salt, writer, seq)
        if problem:
            yield f"d{writer}/{seq}/f of {acked}: {problem}"
    for seq in sorted(there):
        if not acked + 1 - DIRECTORIES <= seq <= acked + 1:
            yield f"d{writer}/{seq} is there, {acked} was acknowledged"


def sqlite(tree: Path, salt: int, writer: int, acked: int) -> Iterator[str]:
    """The database recovers, is sound, and has every committed transaction, all of it."""
    mode = SQLITE_MODES[writer]
    with tempfile.TemporaryDirectory(prefix="crash-db.") as directory:
        for path in tree.glob(f"{mode}.db*"):
            shutil.copyfile(path, Path(directory) / path.name)
        path = Path(directory) / f"{mode}.db"
        if not path.exists():
            if acked >= 0:
                yield f"{mode}.db is missing, {acked} was acknowledged"
            return
        try:
            with contextlib.closing(sqlite3.connect(path)) as db:
                yield from _database(db, mode, salt, writer, acked)
        except sqlite3.DatabaseError as error:
            yield f"{mode}.db: {error}"


def sqlite_data(salt: int, writer: int, seq: int, size: int) -> bytes:
    """What progs/sqlite-writer.c puts into a row."""
    words = b"".join(struct.pack("<4I", salt, writer, seq, i) for i in range(-(-size // 16)))
    return words[:size]


def _database(db: sqlite3.Connection, mode: str, salt: int, writer: int, acked: int
              ) -> Iterator[str]:
    sound = db.execute("PRAGMA integrity_check").fetchall()
    if sound != [("ok",)]:
        yield f"{mode}.db: integrity_check: {sound[:3]}"
    if not db.execute("SELECT * FROM sqlite_master").fetchall():
        if acked >= 0:
            yield f"{mode}.db is empty, {acked} was acknowledged"
        return
    rows = db.execute("SELECT seq, data FROM log ORDER BY seq").fetchall()
    last = rows[-1][0] if rows else -1
    if not acked <= last <= acked + 1:
        yield f"{mode}.db: the last transaction is {last}, {acked} was acknowledged"

    def size(seq: int) -> int:
        return 100 + (seq * 977 + salt + writer) % 9000
    wanted = range(max(0, last - SQLITE_KEEP + 1), last + 1)
    if [seq for seq, _ in rows] != list(wanted):
        yield f"{mode}.db: {len(rows)} rows up to {last} are not the {len(wanted)} expected"
    for seq, data in rows:
        if data != sqlite_data(salt, writer, seq, size(seq)):
            yield f"{mode}.db: the data of transaction {seq} is not what was written"
    total = db.execute("SELECT count, bytes FROM sum").fetchone()
    expected = (last + 1, sum(size(seq) for seq in range(last + 1)))
    if total != expected:
        yield f"{mode}.db: the sum is {total}, and {expected} at transaction {last}"


# The rules of what is in a file system, by kind of writer.
TREE_RULES: dict[str, Callable[[Path, int, int, int], Iterator[str]]] = {
    "slots": file_slots, "msync": file_slots, "append": append, "lazy": append,
    "rename": rename, "directories": directories, "sqlite": sqlite,
}
DEVICE_KINDS = ("direct", "buffered", "dsync", "rwf-dsync", "aio-dsync", "deep", "command")
