# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels the tests boot, where they are, and our driver built for them.

A kernel has a short name: "6.1" and "6.12" are Debian's stock cloud kernels,
unpacked into the cache (or used where they are installed); the others are debug
kernels that tests/vm/build-kernel builds once, DEBUG has its names for them.

The stock image must be the one whose headers package is installed, because a
module built with one loads only into the other.

The cache is $XDG_CACHE_HOME/virtpmem (~/.cache/virtpmem). Entries appear in
one rename, so a reader never sees half of one; a lock file beside each entry
keeps two writers apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent

STOCK = {
    "6.1": "cloud-amd64",
    "6.12": "6.12-cloud-amd64",
}
DEBUG = {
    "7.3": "7.3",
    "7.3-kcsan": "7.3-kcsan",
    "7.3-rt": "7.3-rt",
    "7.3-bench": "7.3-bench",
    "6.12-debug": "6.12",
}
PLAIN = ("7.3-bench",)
"""Built like the debug kernels, but without debugging."""
NAMES = (*STOCK, *DEBUG)


class KernelMissing(Exception):
    """The kernel, its headers, or what is needed to get them is not there."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted."""

    name: str
    release: str
    """What uname -r prints in it."""
    image: Path
    """vmlinuz or bzImage."""
    modules: Path
    """Its directory of modules, .../lib/modules/RELEASE."""
    build: Path | None
    """What a module is built against (KDIR), None if not installed."""
    debug: bool
    """Built with KASAN and lockdep, and slow."""


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(base) / "virtpmem"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold PATH.lock; the file stays, because removing it would be a race."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    return done.stdout if done.returncode == 0 else ""


def _stock_release(name: str) -> tuple[str, str]:
    """(release, package version) of a stock kernel; version may be empty."""
    flavour = STOCK[name]
    headers = f"linux-headers-{flavour}"
    text = _output("dpkg-query", "-W", "-f", "${Version} ${Depends}", headers)
    found = re.match(r"(\S+) .*?linux-headers-(\S+)", text)
    if found:
        return found[2], found[1]
    # No headers: our driver cannot be built, but the in-tree one can be run.
    text = _output("apt-cache", "depends", "--important", f"linux-image-{flavour}")
    found = re.search(r"Depends: linux-image-(\d\S+)", text)
    if found:
        return found[1], ""
    raise KernelMissing(f"kernel {name}: {headers} is not installed, and apt does not know "
                        f"linux-image-{flavour}; run scripts/install-deps test")


def _complete(modules: Path, image: Path) -> bool:
    return (image.is_file() and (modules / "modules.order").is_file()
            and (modules / "modules.builtin").is_file()
            and any((modules / "kernel/drivers/nvdimm").glob("virtio_pmem.ko*")))


def _download(release: str, version: str, into: Path) -> None:
    """Unpack the image package of RELEASE below INTO, with boot/ and lib/."""
    package = f"linux-image-{release}"
    with tempfile.TemporaryDirectory(prefix="virtpmem-deb.") as tmp:
        # apt downloads as a user of its own, which must be able to write here.
        os.chmod(tmp, 0o755)
        attempts = [[f"{package}={version}"]] if version else []
        attempts.append([package])
        problem = ""
        for refresh in (False, True):
            if refresh:
                if os.geteuid() != 0:
                    break
                subprocess.run(["apt-get", "-qq", "update"], check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for wanted in attempts:
                done = subprocess.run(
                    ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *wanted],
                    cwd=tmp, capture_output=True, text=True, check=False)
                debs = list(Path(tmp).glob("*.deb"))
                if done.returncode == 0 and debs:
                    subprocess.run(["dpkg", "-x", str(debs[0]), str(into)], check=True)
                    return
                problem = done.stderr.strip()
    raise KernelMissing(f"cannot download {package}: {problem}\n"
                        "If newer headers are available, scripts/install-deps test installs them.")


def _stock(name: str) -> Kernel:
    release, version = _stock_release(name)
    build: Path | None = Path("/lib/modules") / release / "build"
    if build and not (build / "Makefile").exists():
        build = None

    modules = Path("/lib/modules") / release
    image = Path("/boot") / f"vmlinuz-{release}"
    if not _complete(modules, image) or not os.access(image, os.R_OK):
        entry = cache_dir() / "kernels" / release
        modules = entry / "lib/modules" / release
        image = entry / "boot" / f"vmlinuz-{release}"
        if not _complete(modules, image):
            with locked(entry):
                if not _complete(modules, image):
                    shutil.rmtree(entry, ignore_errors=True)
                    with tempfile.TemporaryDirectory(dir=entry.parent,
                                                     prefix="unpack.") as tmp:
                        _download(release, version, Path(tmp) / "root")
                        shutil.rmtree(Path(tmp) / "root/usr/share", ignore_errors=True)
                        os.rename(Path(tmp) / "root", entry)
        if not _complete(modules, image):
            raise KernelMissing(f"the package of {release} lacks what the tests need")
    return Kernel(name, release, image, modules, build, debug=False)


def _debug(name: str) -> Kernel:
    done = subprocess.run([HERE / "build-kernel", "--find", DEBUG[name]],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KernelMissing(f"kernel {name} is not built yet: run tests/vm/build-kernel "
                            f"{DEBUG[name]} (about ten minutes, once)")
    entry = Path(done.stdout.strip())
    release = (entry / "release").read_text(encoding="ascii").strip()
    return Kernel(name, release, entry / "bzImage", entry / "lib/modules" / release,
                  entry / "build", debug=name not in PLAIN)


def find(name: str) -> Kernel:
    """The kernel of that name, downloaded if it is a stock one and not there.

    A debug kernel is never built here, because that takes minutes. Raises
    KernelMissing."""
    if name in STOCK:
        return _stock(name)
    if name in DEBUG:
        return _debug(name)
    raise KernelMissing(f"unknown kernel {name!r}: one of {', '.join(NAMES)}")


def available(name: str) -> bool:
    """Whether find() would return at once or after a download."""
    try:
        find(name)
    except KernelMissing:
        return False
    return True


def _mirror(source: Path, target: Path) -> bool:
    """Make TARGET's sources equal to SOURCE's; what was built there stays.

    Unchanged files are not touched, so make rebuilds only what it must. Returns
    whether anything changed."""
    changed = False
    built = re.compile(r".*(\.o|\.ko|\.log|\.mod|\.mod\.c|\.cmd|\.a|\.order|\.symvers|\.d)$")
    for directory, names, files in os.walk(source):
        names[:] = [n for n in names if not n.startswith((".", "build"))]
        here = target / Path(directory).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        wanted = {f for f in files if not built.match(f)}
        for name in wanted:
            old, new = Path(directory) / name, here / name
            if not new.exists() or not filecmp.cmp(old, new, shallow=False):
                shutil.copyfile(old, new)
                changed = True
        for left in here.iterdir():
            if left.is_file() and left.name not in wanted and not built.match(left.name) \
                    and not left.name.startswith("."):
                left.unlink()
                changed = True
    return changed


def build_module(kernel: Kernel, name: str = "virtio_pmem", *, subdir: str = "kernel",
                 make_args: tuple[str, ...] = (), source: Path = TOP) -> Path:
    """Build SUBDIR of the source tree for a kernel and return NAME.ko.

    It happens in build-vm/RELEASE, on a copy of kernel/ and include/: a module
    cannot be built beside its sources for two kernels. MAKE_ARGS (say,
    "CHECK=1") are part of the directory's name. What the compiler said is in
    NAME.log beside the module. Raises RuntimeError with the compiler's output,
    KernelMissing without headers."""
    if kernel.build is None:
        raise KernelMissing(f"no headers for {kernel.release}: run scripts/install-deps test")
    if not (source / "kernel" / "Makefile").exists():
        raise KernelMissing("this tree has no driver (kernel/Makefile)")
    suffix = re.sub(r"[^A-Za-z0-9]+", "-", "".join("-" + arg for arg in make_args))
    place = source / "build-vm" / (kernel.release + suffix)
    result = place / subdir / f"{name}.ko"
    with locked(place):
        # The log is written last: with it and nothing changed, make has nothing to do.
        log = result.with_suffix(".log")
        changed = _mirror(source / "kernel", place / "kernel")
        changed |= _mirror(source / "include", place / "include")
        if changed:
            for stale in place.rglob("*.log"):
                stale.unlink()
        symbols = kernel.build.resolve() / "Module.symvers"
        if result.exists() and log.exists() \
                and (not symbols.exists() or log.stat().st_mtime > symbols.stat().st_mtime):
            return result
        log.unlink(missing_ok=True)
        done = subprocess.run(
            ["make", "-C", str(place / subdir), f"KDIR={kernel.build}",
             f"-j{os.cpu_count()}", *make_args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")})
        if done.returncode != 0 or not result.exists():
            raise RuntimeError(f"building {name} for {kernel.release} failed:\n{done.stdout}")
        log.write_text(done.stdout, encoding="utf-8")
    return result
