# SPDX-License-Identifier: GPL-2.0-or-later
"""The root file system of a guest, as a cpio archive written directly.

An image is three archives one after the other; the kernel unpacks them in
that order and a later file replaces an earlier one:

base      busybox, kmod's modprobe, the agent; the same for every guest
modules   the kernel modules and their index, one for each kernel and driver
contents  the programs, libraries and files that this guest asked for

The first two are kept in the cache under a hash of what went into them. No
compression: the emulated processor would take longer to undo it than QEMU
takes to load the bytes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import lzma
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import kernels

HERE = Path(__file__).resolve().parent

# Loaded before the driver, in this order; what a kernel has built in or lacks
# is skipped.
PRELOAD = ("virtio_pci", "libnvdimm", "nd_btt", "nd_pmem", "device_dax", "dax_pmem")
# Put into the image, to be loaded on demand.
ON_DEMAND = ("virtio_pmem", "nd_virtio", "nd_e820", "nfit", "kmem", "ext4", "xfs", "loop",
             "dm_mod", "dm_writecache", "dm_snapshot", "dm_flakey", "dm_delay", "dm_thin_pool",
             "dm_mirror", "raid1", "virtio_console", "virtio_blk", "fuse", "overlay",
             "crc32c_generic", "crc32c_intel")
IN_TREE = "virtio_pmem"

# Directories that are symbolic links on a Debian system.
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
FORMAT = "1"     # part of every cache key; change it when the layout changes
KEEP = 12        # how many of each kind of file the cache keeps


class ImageError(Exception):
    """The image cannot be made: something it needs is missing."""


class Archive:
    """A cpio archive (newc) in memory; directories are made as needed."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._inode = 0
        self._made: set[str] = set()

    def _entry(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
               ) -> None:
        self._inode += 1
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        out = self._out
        out.write(b"070701" + b"".join(b"%08x" % f for f in fields))
        out.write(name.encode() + b"\0")
        out.write(b"\0" * (-out.tell() % 4))
        out.write(data)
        out.write(b"\0" * (-len(data) % 4))

    @staticmethod
    def _merged(path: str) -> str:
        """The name of an absolute path in the archive, below usr/ if so on Debian."""
        name = os.path.normpath(path).lstrip("/")
        first = name.split("/", 1)[0]
        return f"usr/{name}" if first in MERGED and "/" in name else name

    def directory(self, path: str, mode: int = 0o755) -> None:
        if not path.strip("/"):
            return
        name = self._merged(path)
        if name in self._made:
            return
        self.directory(os.path.dirname(name))
        self._made.add(name)
        self._entry(name, stat.S_IFDIR | mode)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        name = self._merged(path)
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def copy(self, source: str | os.PathLike[str], path: str) -> None:
        source = Path(source)
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.file(path, source.read_bytes(), mode)

    def link(self, path: str, target: str) -> None:
        name = self._merged(path)
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, major: int, minor: int) -> None:
        """A character device, for what happens before devtmpfs is there."""
        name = self._merged(path)
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self) -> bytes:
        self._entry("TRAILER!!!", 0)
        self._out.write(b"\0" * (-self._out.tell() % 512))
        return self._out.getvalue()


def _stamp(path: str | os.PathLike[str]) -> str:
    """Changes when the file does."""
    info = os.stat(path)
    return f"{path}:{info.st_size}:{info.st_mtime_ns}"


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join((FORMAT, *parts)).encode()).hexdigest()[:20]


def _images() -> Path:
    path = kernels.cache_dir() / "images"
    path.mkdir(exist_ok=True)
    return path


def _known(path: Path) -> bool:
    """Whether the cache has it; then it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _prune(kind: str) -> None:
    """Forget all but the last used files of a kind."""
    files = []
    for path in _images().glob(f"{kind}-*"):
        with contextlib.suppress(FileNotFoundError):
            files.append((path.stat().st_mtime, path))
    for _, path in sorted(files)[:-KEEP]:
        path.unlink(missing_ok=True)


def _store(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as tmp:
        tmp.write(data)
    os.rename(tmp.name, path)
    _prune(path.name.split("-")[0])


def compiled(source: str, flags: Sequence[str], suffix: str = "") -> Path:
    """Compile one of the harness' own C files into the cache, once."""
    files = sorted(p for p in HERE.glob("*.[ch]"))
    digest = _key(source, *flags, *(f.read_text(encoding="utf-8") for f in files))
    kind = Path(source).stem.replace("-", "_")
    target = _images() / f"{kind}-{digest}{suffix}"
    if not _known(target):
        with tempfile.TemporaryDirectory(dir=target.parent) as tmp:
            made = Path(tmp) / "out"
            done = subprocess.run(
                ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", *flags,
                 "-o", str(made), str(HERE / source)],
                capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise ImageError(f"compiling {source} failed:\n{done.stderr}")
            os.rename(made, target)
        _prune(kind)
    return target


def agent() -> Path:
    return compiled("agent.c", ("-static",))


def preload() -> Path:
    """The library that goes into QEMU."""
    return compiled("fsync-preload.c", ("-shared", "-fPIC", "-fvisibility=hidden"), ".so")


# --- programs and libraries -------------------------------------------------

def _is_elf(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


@functools.lru_cache(maxsize=None)
def _libraries_of(path: str, _stamped: str) -> tuple[tuple[str, str], ...]:
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
    if done.returncode != 0:
        if "not a dynamic executable" in done.stdout + done.stderr \
                or "statically linked" in done.stdout:
            return ()
        raise ImageError(f"ldd {path}: {done.stderr.strip()}")
    found = []
    for line in done.stdout.splitlines():
        match = re.match(r"\s*(\S+) => (.*)", line)
        if match and match[2].startswith("not found"):
            raise ImageError(f"{path} needs {match[1]}, which is not there")
        if match:
            found.append((match[1], match[2].split(" (")[0]))
        else:
            match = re.match(r"\s*(/\S+) \(", line)
            if match:
                found.append((match[1], match[1]))
    return tuple(found)


def libraries(path: Path) -> tuple[tuple[str, str], ...]:
    """(name, path on the host) of every library that a program needs."""
    if not _is_elf(path):
        return ()
    return _libraries_of(str(path), _stamp(path))


def _library_place(name: str, source: str, build: Path | None) -> str:
    if name.startswith("/"):
        return name
    if build and source.startswith(str(build)):
        return f"/usr/lib/x86_64-linux-gnu/{name}"
    return f"{os.path.dirname(source)}/{name}"


def locate(program: str, build: Path | None = None) -> Path:
    """A program by path, or by name: in the build directory, else in PATH."""
    if "/" in program:
        path = Path(program).resolve()
        if path.is_file():
            return path
        raise ImageError(f"no program {program}")
    if build:
        for directory, names, files in os.walk(build):
            names[:] = [n for n in names if not n.endswith(".p") and not n.startswith("meson-")]
            candidate = Path(directory) / program
            if program in files and os.access(candidate, os.X_OK):
                return candidate.resolve()
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise ImageError(f"no program {program} in PATH" + (f" or {build}" if build else ""))
    return Path(found)


# --- the three archives -----------------------------------------------------

def _add_program(archive: Archive, source: Path, places: Iterable[str],
                 build: Path | None, seen: set[str]) -> None:
    for place in places:
        archive.copy(source, place)
    for name, library in libraries(source):
        place = _library_place(name, library, build)
        if place not in seen:
            seen.add(place)
            archive.copy(library, place)


def mke2fs_config() -> str:
    """The host's mke2fs.conf (5), but for lazy initialisation: with it a new ext4 flushes when
    nobody asked for it, and no test could count flushes nor say whom an injected error hits."""
    config = Path("/etc/mke2fs.conf")
    if not config.exists():
        raise ImageError(f"no {config}: run scripts/install-deps test")
    return config.read_text(encoding="utf-8").replace(
        "[defaults]\n", "[defaults]\n\tlazy_itable_init = 0\n\tlazy_journal_init = 0\n", 1)


def _base() -> Path:
    busybox, kmod = Path("/bin/busybox"), Path("/bin/kmod")
    for tool in (busybox, kmod):
        if not tool.exists():
            raise ImageError(f"no {tool}: run scripts/install-deps test")
    init = agent()
    config = mke2fs_config()
    target = _images() / f"base-{_key(_stamp(busybox), _stamp(kmod), str(init), config)}.cpio"
    if _known(target):
        return target

    archive = Archive()
    for name in ("usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu",
                 "proc", "sys", "dev", "run", "tmp", "mnt", "root", "etc", "etc/vm", "var",
                 "var/lib", "var/log"):
        archive.directory(name)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.link(name, f"usr/{name}")
    archive.link("var/run", "/run")
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3)
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
                               b"nobody:x:65534:65534:nobody:/:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    archive.link("etc/mtab", "/proc/self/mounts")
    archive.file("etc/mke2fs.conf", config.encode())
    archive.copy(init, "init")
    archive.copy(busybox, "usr/bin/busybox")
    applets = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True)
    ours = {"insmod", "lsmod", "modinfo", "modprobe", "rmmod", "depmod", "busybox", "linuxrc"}
    for applet in applets.stdout.split():
        if os.path.basename(applet) not in ours:
            archive.link(applet, "/usr/bin/busybox")
    for name in ("insmod", "lsmod", "modinfo", "modprobe", "rmmod", "depmod"):
        archive.link(f"usr/sbin/{name}", "/usr/bin/kmod")
    _add_program(archive, kmod, ["usr/bin/kmod"], None, set())
    _store(target, archive.finish())
    return target


def _read_module(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _module_name(path: str) -> str:
    return re.sub(r"\.ko(\.xz|\.zst|\.gz)?$", "", os.path.basename(path)).replace("-", "_")


def _dependencies(modules: Path) -> dict[str, tuple[str, list[str]]]:
    """name -> (path below MODULES, paths of what it needs), from modules.dep.

    A package that was only unpacked has no index: depmod makes one beside it."""
    index = modules / "modules.dep"
    if not index.exists():
        with kernels.locked(modules.parent / modules.name):
            if not index.exists():
                subprocess.run(["depmod", "-b", str(modules.parents[2]), modules.name],
                               check=True, stderr=subprocess.DEVNULL)
    table = {}
    for line in index.read_text(encoding="utf-8").splitlines():
        path, _, needs = line.partition(":")
        table[_module_name(path)] = (path, needs.split())
    return table


def _modules(kernel: kernels.Kernel, driver: Path | None, extra_files: Sequence[Path],
             extra: Sequence[str]) -> Path:
    own = [*([driver] if driver else []), *extra_files]
    key = _key(kernel.release, _stamp(kernel.image), *(PRELOAD + ON_DEMAND), "+", *sorted(extra),
               *(f"{p.name}:{hashlib.sha256(p.read_bytes()).hexdigest()}" for p in own))
    target = _images() / f"modules-{kernel.release}-{key}.cpio"
    if _known(target):
        return target

    table = _dependencies(kernel.modules)
    wanted: dict[str, None] = {}
    for name in (*PRELOAD, *ON_DEMAND, *(e.replace("-", "_") for e in extra)):
        if name in table:
            path, needs = table[name]
            wanted.update(dict.fromkeys((path, *needs)))
        elif name in extra and not _built_in(kernel, name):
            raise ImageError(f"kernel {kernel.release} has no module {name}")

    with tempfile.TemporaryDirectory(prefix="virtpmem-mod.") as tmp:
        root = Path(tmp) / "lib/modules" / kernel.release
        for path in wanted:
            source = kernel.modules / path
            place = root / re.sub(r"\.xz$", "", path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_read_module(source))
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            if (kernel.modules / name).exists():
                shutil.copyfile(kernel.modules / name, root / name)
        updates = root / "updates"
        updates.mkdir()
        for module in own:
            shutil.copyfile(module, updates / module.name)
            subprocess.run(["strip", "--strip-debug", str(updates / module.name)], check=True)
        # Say the order instead of trusting the host's: updates win.
        (Path(tmp) / "depmod.conf").write_text("search updates built-in\n", encoding="ascii")
        subprocess.run(["depmod", "-b", tmp, "-C", f"{tmp}/depmod.conf", kernel.release],
                       check=True)
        archive = Archive()
        for directory, _, files in sorted(os.walk(root)):
            for name in sorted(files):
                path = Path(directory) / name
                archive.file(f"/lib/modules/{kernel.release}/{path.relative_to(root)}",
                             path.read_bytes())
        _store(target, archive.finish())
    return target


def _built_in(kernel: kernels.Kernel, name: str) -> bool:
    index = kernel.modules / "modules.builtin"
    return any(_module_name(line) == name
               for line in index.read_text(encoding="utf-8").splitlines())


def _contents(programs: Sequence[str], files: Mapping[str, str | bytes | os.PathLike[str]],
              build: Path | None, preloaded: Sequence[str], driver: str) -> bytes:
    archive = Archive()
    archive.file("etc/vm/modules", (" ".join(preloaded) + "\n").encode())
    archive.file("etc/vm/driver", (driver + "\n").encode())
    seen: set[str] = set()
    for program in programs:
        asked, _, place = program.partition(":")
        source = locate(asked, build)
        if place:
            places = [place]
        elif str(source).startswith(("/usr/", "/bin/", "/sbin/")):
            # Keep the name it was asked for: many are links to one program.
            places = [str(source)]
            source = source.resolve()
        else:
            places = [f"/usr/bin/{os.path.basename(asked)}"]
        _add_program(archive, source, places, build, seen)
    for place, content in files.items():
        if isinstance(content, bytes):
            archive.file(place, content, 0o755 if content.startswith(b"#!") else 0o644)
            continue
        path = Path(content)
        if path.is_dir():
            for directory, _, names in sorted(os.walk(path)):
                for name in sorted(names):
                    source = Path(directory) / name
                    archive.copy(source, f"{place}/{source.relative_to(path)}")
        elif path.is_file():
            _add_program(archive, path, [place], build, seen)
        else:
            raise ImageError(f"no file {path}")
    return archive.finish()


def make(target: Path, kernel: kernels.Kernel, *, driver: Path | None = None,
         load: str = IN_TREE, preload_modules: Sequence[str] = PRELOAD,
         modules: Sequence[str] = (), module_files: Sequence[Path] = (),
         programs: Sequence[str] = (),
         files: Mapping[str, str | bytes | os.PathLike[str]] | None = None,
         build: Path | None = None) -> None:
    """Write the image of a guest.

    DRIVER is our virtio_pmem.ko and takes the in-tree one's place; LOAD is what
    the agent loads last (a module and its parameters), "" for nothing. MODULES
    are further ones of the kernel, MODULE_FILES further ones of ours. A program
    is "NAME", "PATH" or "PATH:PLACE IN THE GUEST" and comes with its libraries.
    FILES maps a place in the guest to bytes, a file or a directory."""
    table = _dependencies(kernel.modules)
    present = [m for m in preload_modules
               if m in table or any(m == p.stem for p in module_files)]
    parts = [_base(), _modules(kernel, driver, module_files, modules)]
    contents = _contents(programs, files or {}, build, present, load)
    with open(target, "wb") as out:
        for part in parts:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
        out.write(contents)
