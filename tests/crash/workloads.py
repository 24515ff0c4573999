# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs in the guest while its power is cut: one Workload each, in a table.

A workload makes a session (a guest with its backing files), sets things up in
it, starts writers, and cuts the power at moments that the seed chooses. drive()
is a generator: it yields after each cut, so that the states can be judged and
removed while the guest goes on.
"""

from __future__ import annotations

import errno
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import durable
import images
import lvm
import records
import vm
from session import Broken, Session

MIB = 1 << 20
PER_CUT = 2             # crash states of one moment: what must be there, and one more
KEPT, LOST = "kept", "lost"
VIRTIO_PMEM = "/sys/bus/nd/devices/region0/virtio_pmem"


@dataclass
class Run:
    """One run of a workload: where, with what, and how often."""

    kernel: str
    driver: str
    rng: random.Random
    scratch: Path
    build: Path
    count: int
    """Crash states to make, more or less."""
    salt: int
    """In every record of this run."""
    acked: int = 0
    """Records that were acknowledged."""


@dataclass(frozen=True)
class Workload:
    """Records on one region, with or without a file system; the others derive from it."""

    name: str
    about: str
    kernels: tuple[str, ...] = ("6.12",)
    """Those of a run without --kernel."""
    driver: str = "ours"
    expect: str = KEPT
    """LOST: a loss must be found, or the test fails."""
    kinds: dict[str, int] = field(default_factory=dict)
    """Kinds of writers, and how many of each."""
    filesystem: str | None = None
    mount: str = ""
    """Options of mount(8)."""
    format_options: tuple[str, ...] = ()
    """For mkfs."""
    states: int = 12
    """Crash states of a run without --count."""
    regions: int = 1
    mib: int = 64
    writer_options: tuple[str, ...] = ()
    driver_params: str = ""
    append: str = ""
    """For the kernel's command line."""
    share: bool = True
    early: bool = False
    needs: tuple[str, ...] = ()
    """Programs of this machine that the guest must have."""
    hold: float = 0.6
    """How likely the host stops to answer before a cut."""
    delays: tuple[int, ...] = (0, 2, 10, 30)
    """How much longer the host's fsync can take, in ms."""

    # -- parts of a run that derived classes change --

    def make_files(self, run: Run) -> list[Path]:
        """The backing files, with the file system on the first."""
        files = []
        for n in range(self.regions):
            path = run.scratch / f"region{n}"
            with open(path, "wb") as file:
                file.truncate(self.mib * MIB)
            files.append(path)
        return files

    def format(self, path: Path) -> None:
        """Make the file system, on the host."""
        make = {"ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096",
                         "-E", "lazy_itable_init=0,lazy_journal_init=0"],
                # Too small for the taste of mkfs.xfs, not for the kernel's.
                "xfs": ["mkfs.xfs", "-q", "-f", "--unsupported", "-m", "reflink=0"]}
        if self.filesystem:
            done = subprocess.run([*make[self.filesystem], *self.format_options, str(path)],
                                  capture_output=True, text=True, check=False,
                                  env={"PATH": images.PATH})
            if done.returncode != 0:
                raise Broken(f"{make[self.filesystem][0]}: {done.stderr}")

    def session(self, run: Run, files: list[Path]) -> Session:
        return Session(files, run.scratch / "states", run.rng, build=run.build,
                       share=self.share, kernel=run.kernel, driver=run.driver,
                       driver_params=self.driver_params, append=self.append,
                       programs=["crash-writer", *self.needs])

    def set_up(self, session: Session) -> str:
        """Prepare the guest; returns what the writers are to write to."""
        if not self.filesystem:
            return "/dev/pmem0"
        self.mount_it(session, "/dev/pmem0")
        return "/mnt"

    def mount_it(self, session: Session, device: str) -> None:
        options = f"-o {self.mount}" if self.mount else ""
        session.run(f"modprobe {self.filesystem} 2>/dev/null; "
                    f"mount -t {self.filesystem} {options} {device} /mnt")
        mounts = session.read("/proc/mounts")
        if "dax" in self.mount and not re.search(r" /mnt .*\bdax\b", mounts):
            raise Broken(f"the kernel does not mount with DAX: {mounts}")

    def facts(self, run: Run) -> dict[str, Any]:
        return {"workload": self.name, "kernel": run.kernel, "driver": run.driver,
                "salt": run.salt, "filesystem": self.filesystem, "frozen": False, "parts": [],
                "writers": self.writers()}

    def writers(self, first: int = 0) -> list[tuple[int, str, int]]:
        """(number, kind, place) of each writer, as crash-writer numbers them."""
        kinds = [kind for kind, count in self.kinds.items() for _ in range(count)]
        return [(first + index, kind, index) for index, kind in enumerate(kinds)]

    def start(self, session: Session, run: Run, target: str, first: int = 0,
              options: tuple[str, ...] = ()) -> vm.Job:
        """Start the writers, and wait until each of them has something durable."""
        job = self.launch(session, run, target, first, options)
        self.await_first(session, job, first)
        return job

    def launch(self, session: Session, run: Run, target: str, first: int = 0,
               options: tuple[str, ...] = ()) -> vm.Job:
        return session.guest.start(
            ["crash-writer", "-s", str(run.salt), "-w", str(first), *self.writer_options,
             *options, target, *(f"{kind}={count}" for kind, count in self.kinds.items())])

    def await_first(self, session: Session, job: vm.Job, first: int) -> None:
        numbers = [number for number, _, _ in self.writers(first)]
        session.until(lambda: all(n in session.acked or n in session.failed for n in numbers),
                      "a first record of each writer", job)
        if any(n in session.failed for n in numbers):
            raise Broken(f"writers failed at once: {session.failed}")

    # -- a run --

    def drive(self, run: Run) -> Iterator[list[Path]]:
        files = self.make_files(run)
        if self.filesystem:
            self.format(files[0])
        with self.session(run, files) as session:
            session.facts = self.facts(run)
            target = self.set_up(session)
            for file in session.durable:
                file.answer_early(self.early)
            yield from self.go(session, run, target)
            run.acked += sum(last + 1 for last in session.acked.values())
            session.guest.crash()

    def go(self, session: Session, run: Run, target: str) -> Iterator[list[Path]]:
        """Cut the power now and then, while the writers go on."""
        job = self.start(session, run, target)
        while len(session.made) < run.count:
            self.choose_host(session, run)
            session.run_for(run.rng.uniform(0.05, 0.25))
            yield session.cut(PER_CUT, hold=run.rng.random() < self.hold)
            self.must_go_on(session, job)

    def choose_host(self, session: Session, run: Run) -> None:
        """A fast host, or one so slow that everybody in the guest comes to ask meanwhile."""
        delay = run.rng.choice(self.delays)
        for host in session.guest.hosts:
            host.set(delay_ms=delay)

    def must_go_on(self, session: Session, job: vm.Job) -> None:
        if session.failed or not job.running:
            raise Broken(f"writers failed: {session.failed} {job.result().stderr}\n"
                         f"{session.guest.console[-3000:]}")


# --- device-mapper ---------------------------------------------------------------

def region_numbers(session: Session) -> dict[str, int]:
    """ "major:minor" -> number of the region, for each block device of one."""
    text = session.run("cd /sys/block; for d in pmem*; do "
                       "echo $(cat $d/dev) $(readlink -f $d); done").stdout
    numbers = {}
    for device, path in re.findall(r"^(\S+) (\S+)$", text, re.M):
        found = re.search(r"/0000:00:([0-9a-f]{2})\.0/", path)
        if found:
            numbers[device] = int(found[1], 16) - vm.FIRST_SLOT
    return numbers


def mapped_parts(session: Session, name: str) -> list[images.Extent]:
    """What a device-mapper device consists of."""
    table = session.run(["dmsetup", "table", name]).stdout
    return images.extents(table, region_numbers(session))


@dataclass(frozen=True)
class Linear(Workload):
    """dm-linear: two pages of a region by turns, so that most records lie on both."""

    def set_up(self, session: Session) -> str:
        piece = 2 * durable.PAGE // images.SECTOR
        pieces = sum(self.kinds.values()) * records.SLOTS_SIZE // (2 * durable.PAGE)
        table = "\n".join(f"{n * piece} {piece} linear /dev/pmem{n % 2} {(n + 100) * piece}"
                          for n in range(pieces))
        session.run("modprobe dm_mod && dmsetup --noudevsync create pieces && "
                    "dmsetup mknodes", table + "\n")
        session.facts["parts"] = mapped_parts(session, "pieces")
        return "/dev/mapper/pieces"


@dataclass(frozen=True)
class Lvm(Workload):
    """A striped logical volume on two regions, with ext4."""

    def format(self, path: Path) -> None:
        pass        # in the guest, once the volume is there

    def set_up(self, session: Session) -> str:
        session.run("modprobe dm_mod; mkdir -p /run/lock/lvm /etc/lvm")
        for command in ("pvcreate -q /dev/pmem0 /dev/pmem1",
                        "vgcreate -q group /dev/pmem0 /dev/pmem1",
                        "lvcreate -q -y -Wn -Zn -i 2 -I 64k -L 64m -n volume group"):
            session.run(lvm.line(command))
        session.run("dmsetup mknodes; mkfs.ext4 -q -F -b 4096 /dev/mapper/group-volume")
        session.facts["parts"] = mapped_parts(session, "group-volume")
        self.mount_it(session, "/dev/mapper/group-volume")
        return "/mnt"


# --- DAX devices -------------------------------------------------------------------

@dataclass(frozen=True)
class Devdax(Workload):
    """Stores to a DAX device, flushed through sysfs and with pmemctl."""

    def set_up(self, session: Session) -> str:
        session.run("ndctl create-namespace -f -e namespace0.0 -m devdax -M mem")
        base, start, size = (int(session.read(f"/sys/bus/nd/devices/{name}"), 0)
                             for name in ("region0/resource", "dax0.0/resource", "dax0.0/size"))
        session.facts["parts"] = [(0, size, 0, start - base)]
        return "/dev/dax0.0"


@dataclass(frozen=True)
class Pmem2(Devdax):
    """A program that is linked to PMDK stores to a DAX device and calls its deep flush."""

    def go(self, session: Session, run: Run, target: str) -> Iterator[list[Path]]:
        while len(session.made) < run.count:
            value = run.rng.randrange(1, 255)
            said = session.run(["pmem2-deep-flush", target, str(value)]).stdout
            if "deep_flush=0" not in said:
                raise Broken(f"pmem2_deep_flush() failed: {said}")
            run.acked += 1
            yield session.cut(PER_CUT, fill=value)


# --- freeze --------------------------------------------------------------------------

@dataclass(frozen=True)
class Freeze(Workload):
    """Writers that never ask for a flush, and `pmemctl freeze`.

    What was written when the freeze was complete is in every image of that time,
    and ext4 needs no repair and no replay."""

    freeze_options: tuple[str, ...] = ()

    def go(self, session: Session, run: Run, target: str) -> Iterator[list[Path]]:
        job = self.start(session, run, target)
        session.facts["frozen"] = True
        while len(session.made) < run.count:
            session.run_for(run.rng.uniform(0.1, 0.5))
            frozen = session.run(["pmemctl", "freeze", "region0", *self.freeze_options])
            if "each file system is whole" not in frozen.stdout:
                raise Broken(f"pmemctl freeze: {frozen.stdout}")
            yield session.cut(PER_CUT)
            session.run(["pmemctl", "thaw", "region0"])
            self.must_go_on(session, job)


# --- a host that fails -----------------------------------------------------------------

@dataclass(frozen=True)
class HostErrors(Workload):
    """The host fails fsyncs for a while, and drops what it should have written.

    Writers wait between storing and flushing, so that some have stored before a
    failed fsync and ask for their flush after it: those are the ones that `report`
    lets down. A round ends with the writers; the next has new ones, in a new place."""

    latch: bool = True
    fails_for: float = 0.4
    """s, after the first failed fsync"""
    delays: tuple[int, ...] = (0, 2, 10)

    def go(self, session: Session, run: Run, target: str) -> Iterator[list[Path]]:
        session.facts["writers"] = []
        for number in range(-(-run.count // (2 * PER_CUT))):
            self.choose_host(session, run)
            writers, options = self.place(session, number)
            job = self.start(session, run, target, writers[0], options)
            session.run_for(run.rng.uniform(0.02, 0.2))
            yield from self.fail_once(session, run, job, writers)
            if self.latch:
                self.heal(session, run)

    def place(self, session: Session, number: int) -> tuple[range, tuple[str, ...]]:
        """The writers of a round, and the options that give them a place of their own.

        They take the place of those of an earlier round if there is no room left."""
        size = sum(self.kinds.values())
        first = number * size
        place = number % (self.mib * MIB // (size * records.SLOTS_SIZE))
        session.facts["writers"] = [
            w for w in session.facts["writers"] if w[2] // size != place
        ] + [(w, kind, place * size + index) for w, kind, index in self.writers(first)]
        return range(first, first + size), ("-o", str(place * size * records.SLOTS_SIZE))

    def fail_once(self, session: Session, run: Run, job: vm.Job, writers: range
                  ) -> Iterator[list[Path]]:
        host = session.guest.host(0)
        before = host.failed
        host.set(fail_errno=errno.EIO)
        session.until(lambda: host.failed > before, "a failed fsync", job)
        session.run_for(self.fails_for)
        host.set(fail_errno=0)
        yield session.cut(PER_CUT, hold=run.rng.random() < 0.5)
        if self.latch:
            session.until(lambda: all(w in session.failed for w in writers),
                          "every writer was told of the error")
            yield session.cut(PER_CUT)
        else:
            self.others_go_on(session, writers)
            yield session.cut(PER_CUT, hold=True)
            job.kill()
            job.wait(30, check=False)
        wrong = {w: e for w, e in session.failed.items() if e != errno.EIO}
        if wrong:
            raise Broken(f"errors other than EIO: {wrong}")

    @staticmethod
    def others_go_on(session: Session, writers: range) -> None:
        """Wait until those that were not told have something more acknowledged."""
        session.run_for(0.01)
        start = dict(session.acked)
        session.until(lambda: all(w in session.failed or session.acked[w] > start[w]
                                  for w in writers), "the writers that got no error go on")

    @staticmethod
    def heal(session: Session, run: Run) -> None:
        """What an administrator can do about a latched region."""
        if run.rng.random() < 0.5:
            session.write(f"{VIRTIO_PMEM}/recover", "1")
            return
        session.run(
            "d=$(basename $(readlink -f /sys/bus/nd/devices/region0/../..)); "
            "cd /sys/bus/virtio/drivers/virtio_pmem; "
            "echo $d > unbind; echo $d > bind; "
            "until [ -b /dev/pmem0 ]; do usleep 10000; done")


@dataclass(frozen=True)
class HostErrorsExt4(HostErrors):
    """The same below ext4, whose journal must not go on either. A region a round.

    What the kernel's ext4 does about a failed flush is not under test, and it loses what was
    acknowledged, whatever the driver answers (README.md): so the journal is so large that
    nothing is ever taken out of it, and a record counts as acknowledged only if the region,
    too, answers a flush after fsync has returned success."""

    def make_files(self, run: Run) -> list[Path]:
        files = super().make_files(run)
        for path in files[1:]:
            self.format(path)
        return files

    def set_up(self, session: Session) -> str:
        session.run("modprobe ext4 2>/dev/null; " + " && ".join(
            f"mkdir /mnt/{n} && mount -t ext4 /dev/pmem{n} /mnt/{n}"
            for n in range(self.regions)))
        return "/mnt"

    def go(self, session: Session, run: Run, target: str) -> Iterator[list[Path]]:
        size = sum(self.kinds.values())
        for number in range(self.regions):
            first = number * size
            session.facts["writers"] = self.writers(first)
            session.facts["parts"] = [(0, self.mib * MIB, number, 0)]
            self.choose_host(session, run)
            job = self.start(session, run, f"{target}/{number}", first,
                             ("-a", "-f", f"/sys/bus/nd/devices/region{number}/deep_flush"))
            session.run_for(run.rng.uniform(0.05, 0.3))
            yield from self.fail_region(session, run, job, number, range(first, first + size))

    def fail_region(self, session: Session, run: Run, job: vm.Job, number: int, writers: range
                    ) -> Iterator[list[Path]]:
        host = session.guest.host(f"region{number}")
        host.set(fail_next=1)
        session.until(lambda: host.failed, "a failed fsync", job)
        yield session.cut(PER_CUT, hold=run.rng.random() < 0.5)
        session.until(lambda: all(w in session.failed for w in writers),
                      "every writer was told of the error")
        yield session.cut(PER_CUT)


# --- an engine that is stopped and started ---------------------------------------------

@dataclass(frozen=True)
class Quiesce(Workload):
    """The region is quiesced and resumed all the time: requests gather, and are answered later."""

    def go(self, session: Session, run: Run, target: str) -> Iterator[list[Path]]:
        session.guest.start(f"while echo 1 > {VIRTIO_PMEM}/quiesce && usleep 30000 && "
                            f"echo 0 > {VIRTIO_PMEM}/quiesce; do usleep 60000; done")
        yield from super().go(session, run, target)


def notify_address(config: bytes, bars: list[int]) -> int:
    """Where the driver notifies queue 0: by the notify capability of virtio's PCI transport."""
    at = config[0x34]
    while at:
        if config[at] == 0x09 and config[at + 3] == 2:
            return bars[config[at + 4]] + int.from_bytes(config[at + 8:at + 12], "little")
        at = config[at + 1]
    raise Broken("the device has no notify capability")


@dataclass(frozen=True)
class NeedsReset(HostErrors):
    """A notify too many makes QEMU's device ask for a reset, and the region is recovered.

    In each round the host has a flush under way then, whose answer comes after the
    reset. It must not count for the next round's writers, who ask before it comes:
    the host holds back the flush that is theirs."""

    append: str = "iomem=relaxed"
    late_ms: int = 1500

    def go(self, session: Session, run: Run, target: str) -> Iterator[list[Path]]:
        guest, host = session.guest, session.guest.host(0)
        session.facts["writers"] = []
        session.write(f"{VIRTIO_PMEM}/stall_timeout_ms", "600000")
        writers, options = self.place(session, 0)
        job = self.start(session, run, target, writers[0], options)
        for number in range(1, 1 + -(-run.count // (2 * PER_CUT))):
            self.choose_host(session, run)
            session.run_for(run.rng.uniform(0.02, 0.2))
            yield session.cut(PER_CUT, hold=run.rng.random() < self.hold)

            under_way = self.one_late(session)
            self.notify(session)
            session.until(lambda told=writers: all(w in session.failed for w in told),
                          "every writer was told that the region is broken")
            recover = guest.start(f"echo 1 > {VIRTIO_PMEM}/recover")
            session.until(lambda: session.read(f"{VIRTIO_PMEM}/state") != "broken",
                          "the recovery begins", recover)
            writers, options = self.place(session, number)
            job = self.launch(session, run, target, writers[0], options)
            session.until(lambda last=under_way: host.done >= last, "the late answer")
            session.run_for(0.2)
            yield session.cut(PER_CUT)
            host.set(delay_ms=0, hold=False)
            recover.wait(120)
            session.failed.clear()
            self.await_first(session, job, writers[0])

    def one_late(self, session: Session) -> int:
        """Have one fsync under way that takes long, and hold back those after it.

        Returns how many will have been answered with it."""
        host = session.guest.host(0)
        host.set(delay_ms=self.late_ms)
        before = host.count
        session.until(lambda: host.count > before, "an fsync that takes long")
        session.run_for(0.02)
        host.set(hold=True)
        return before + 1

    @staticmethod
    def notify(session: Session) -> None:
        device = "/sys/bus/pci/devices/0000:00:04.0"
        config = session.run(["cat", f"{device}/config"]).out
        lines = session.read(f"{device}/resource").splitlines()
        address = notify_address(config, [int(line.split()[0], 0) for line in lines])
        session.run(["devmem", f"{address:#x}", "16", "0"])


# --- a wrong setting ----------------------------------------------------------------------

@dataclass(frozen=True)
class WriteThrough(Workload):
    """The guest's kernel believes that the disk has no cache, and sends no flush."""

    def set_up(self, session: Session) -> str:
        session.write("/sys/block/pmem0/queue/write_cache", "write through")
        return super().set_up(session)


# --- SQLite --------------------------------------------------------------------------------

@dataclass(frozen=True)
class Sqlite(Workload):
    """Transactions; after a power cut the next guest goes on with what was left."""

    generations: int = 3

    def writers(self, first: int = 0) -> list[tuple[int, str, int]]:
        return [(n, "sqlite", n) for n in range(len(records.SQLITE_MODES))]

    def session(self, run: Run, files: list[Path]) -> Session:
        return Session(files, run.scratch / "states", run.rng, build=run.build,
                       kernel=run.kernel, driver=run.driver, programs=["sqlite-writer"])

    def drive(self, run: Run) -> Iterator[list[Path]]:
        files = self.make_files(run)
        self.format(files[0])
        known: dict[int, int] = {}
        for generation in range(self.generations):
            with self.session(run, files) as session:
                session.facts = {**self.facts(run), "generation": generation}
                session.known = known
                self.set_up(session)
                for made in self.commits(session, run):
                    if len(session.made) >= self.each(run):
                        files = [self.left(made[-1], run, generation)]
                        known = session.acked_by(made[-1])
                    yield made
                run.acked += sum(session.acked.values())
                session.guest.crash()

    def each(self, run: Run) -> int:
        """Crash states of one generation."""
        return -(-run.count // self.generations)

    def commits(self, session: Session, run: Run) -> Iterator[list[Path]]:
        job = session.guest.start(["sqlite-writer", str(run.salt), "/mnt"])
        session.until(lambda: len(session.acked) == len(records.SQLITE_MODES),
                      "a first transaction of each writer", job)
        while len(session.made) < self.each(run):
            self.choose_host(session, run)
            session.run_for(run.rng.uniform(0.1, 0.6))
            yield session.cut(PER_CUT, hold=run.rng.random() < self.hold)
            self.must_go_on(session, job)

    @staticmethod
    def left(state: Path, run: Run, generation: int) -> Path:
        """A copy of what a cut has left, as the backing file of the next guest."""
        path = run.scratch / f"generation{generation}"
        durable.copy_sparse(state / "region0", path)
        return path


# --- the table --------------------------------------------------------------------------------

BOTH = ("6.1", "6.12")
BLOCK = {"direct": 3, "buffered": 1, "dsync": 1, "rwf-dsync": 1, "aio-dsync": 2}
FILES = {"append": 2, "rename": 2, "directories": 2, "slots": 1, "msync": 1}
# Writers wait before they store a record, and longer before they ask for its flush, so that
# some store one while the host fails, and ask after that.
SLOW = ("-g", "1000000", "-t", "500000")

WORKLOADS: tuple[Workload, ...] = (
    Workload("raw", "the block device: fdatasync, fsync, O_DSYNC and RWF_DSYNC, FUA alone",
             BOTH, kinds=BLOCK),
    Workload("ext4", "ext4, data=ordered: appended, renamed and mapped files, directories",
             BOTH, kinds=FILES, filesystem="ext4", mount="data=ordered"),
    Workload("ext4-journal", "the same with data=journal",
             kinds=FILES, filesystem="ext4", mount="data=journal"),
    Workload("ext4-dax", "ext4 with DAX, msync of mapped files among them",
             BOTH, kinds={**FILES, "msync": 3}, filesystem="ext4", mount="dax"),
    Workload("xfs", "xfs", kinds=FILES, filesystem="xfs"),
    Workload("xfs-dax", "xfs with DAX", ("6.1",), kinds={**FILES, "msync": 3},
             filesystem="xfs", mount="dax"),
    Devdax("devdax", "a DAX device: stores, then deep_flush or `pmemctl flush`",
           BOTH, kinds={"deep": 4, "command": 1}, needs=("ndctl",),
           writer_options=("-f", "/sys/bus/nd/devices/region0/deep_flush",
                           "-c", "exec pmemctl flush region0 >/dev/null")),
    Pmem2("devdax-pmem2", "a DAX device and libpmem2's deep flush",
          needs=("ndctl", "pmem2-deep-flush")),
    Sqlite("sqlite", "SQLite on ext4, four journal modes, going on after each power cut",
           filesystem="ext4", states=18),
    Linear("dm-linear", "two pages of a region by turns", BOTH, kinds=BLOCK, regions=2, mib=32,
           needs=("dmsetup",)),
    Lvm("lvm", "ext4 on a logical volume striped over two regions", kinds=FILES,
        filesystem="ext4", regions=2, mib=64, needs=("lvm", "dmsetup", "mkfs.ext4")),
    Freeze("freeze-ext4", "written without fsync, `pmemctl freeze`", kinds={"lazy": 4},
           filesystem="ext4", writer_options=("-t", "2000")),
    Freeze("freeze-xfs", "the same on xfs, with --quiesce", kinds={"lazy": 4},
           filesystem="xfs", writer_options=("-t", "2000"), freeze_options=("--quiesce",)),
    HostErrors("latch", "the host fails now and then: nobody is told a lie",
               BOTH, kinds={"direct": 6, "dsync": 2}, writer_options=SLOW),
    HostErrorsExt4("latch-ext4", "the same below ext4", BOTH, kinds=FILES, filesystem="ext4",
                   format_options=("-J", "size=56"), mib=128, regions=3),
    Quiesce("quiesce", "the region is quiesced and resumed under load", BOTH, kinds=BLOCK),
    NeedsReset("recover", "the device asks for a reset under load, and the region is recovered",
               BOTH, kinds=BLOCK),

    Workload("in-tree", "the kernel's driver on the block device", driver="in-tree",
             kinds=BLOCK),
    Workload("in-tree-ext4", "the kernel's driver below ext4", driver="in-tree", kinds=FILES,
             filesystem="ext4", mount="data=ordered"),

    Workload("finds-early-answer", "a host that answers before its fsync", expect=LOST,
             kinds=BLOCK, early=True, hold=1),
    Workload("finds-private-mapping", "a host that maps the file privately (share=off)",
             expect=LOST, kinds=BLOCK, share=False, states=4),
    WriteThrough("finds-write-through", "a guest whose disk was set to \"write through\"",
             expect=LOST, kinds={"direct": 4}, states=6),
    HostErrors("finds-report", "error_policy=report on a host that fails", expect=LOST,
               kinds={"direct": 12}, latch=False, driver_params="error_policy=report",
               writer_options=SLOW, states=8),
    HostErrors("finds-in-tree-errors", "the kernel's driver on a host that fails", expect=LOST,
               kinds={"direct": 12}, latch=False, driver="in-tree", writer_options=SLOW,
               states=8),
    Pmem2("finds-in-tree-pmem2", "the kernel's driver and libpmem2's deep flush: no flush at all",
          BOTH, expect=LOST, driver="in-tree", states=4, needs=("ndctl", "pmem2-deep-flush")),
)
