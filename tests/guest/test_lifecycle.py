# SPDX-License-Identifier: GPL-2.0-or-later
"""What the library does to a region, through progs/lifecycle.c."""

from __future__ import annotations

import re
from dataclasses import dataclass

import vm
from guestcase import ND, load_tests, until     # noqa: F401
from mounting import MountCase

PATHS = ("pci-0000:00:04.0", "pci-0000:00:05.0")


@dataclass
class Step:
    """A line of the plan."""
    kind: str
    object: str
    result: str
    error: str
    text: str


@dataclass
class Outcome:
    """How a call ended, and its plan."""
    result: str
    steps: list[Step]
    output: str

    def results(self) -> list[tuple[str, str]]:
        return [(step.kind, step.result) for step in self.steps]

    def texts(self, kind: str) -> str:
        return "\n".join(step.text for step in self.steps if step.kind == kind)


def parse(text: str) -> Outcome:
    steps = [Step(*found) for found in
             re.findall(r"^(\S+) (\S+) (\S+) (\w+): (.*)$", text, re.MULTILINE)]
    found = re.search(r"^result=(\w+)$", text, re.MULTILINE)
    if not found:
        raise AssertionError(f"lifecycle printed {text!r}")
    return Outcome(found[1], steps, text)


class Acting(MountCase):
    """What the others share."""

    programs: tuple[str, ...] = ("lifecycle",)

    def act(self, command: str, region: str, *words: str, user: int = 0) -> Outcome:
        argv = ["lifecycle", command, region, *words]
        if user:
            argv = ["setpriv", f"--reuid={user}", "--clear-groups", *argv]
        return parse(self.guest.run(argv, timeout=100).stdout)


class Recover(Acting):
    """recover and settings, on our driver."""

    programs = ("lifecycle", "mkfs.ext4", "udevadm", "setpriv")

    def break_region(self) -> None:
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        self.assertEqual(self.attr("state"), "broken")

    def test_recover_of_a_latched_region(self) -> None:
        """A host error needs the data loss accepted, and the plan names the file system."""
        place = self.mount()
        self.break_region()
        refused = self.act("recover", "region0")
        self.assertEqual(refused.result, "ENOTRECOVERABLE")
        self.assertIn(place, refused.texts("warn"))
        self.assertEqual(self.attr("state"), "broken")

        dry = self.act("recover", "region0", "dry", "accept")
        self.assertEqual(dry.result, "0")
        self.assertEqual([s.result for s in dry.steps if s.kind != "warn"], ["planned"] * 3)
        self.assertEqual(self.attr("state"), "broken")

        with self.flushes(0, 1):
            done = self.act("recover", "region0", "accept")
        self.assertEqual(done.result, "0", done.output)
        self.assertIn(place, done.texts("warn"))
        self.assertEqual([s for s in done.results() if s[0] != "warn"],
                         [("recover", "done"), ("flush", "done"), ("verify", "done")])
        self.assertEqual(self.attr("state"), "active")
        self.assertEqual(self.deep_flush(), "")

    def test_recover_when_there_is_nothing_to_do(self) -> None:
        """A region that works is left alone."""
        with self.flushes(0, 0):
            outcome = self.act("recover", PATHS[0])
        self.assertEqual(outcome.result, "0")
        self.assertEqual(outcome.results(), [("recover", "not_needed")])

    def test_recover_with_a_host_that_still_fails(self) -> None:
        """U1: a host that fails again is known at once, and nothing is said to be well."""
        self.break_region()
        self.host().set(fail_errno=5)
        outcome = self.act("recover", "region0", "accept")
        self.assertEqual(outcome.result, "EIO")
        self.assertEqual([step for step in outcome.results() if step[0] != "warn"],
                         [("recover", "done"), ("flush", "failed"), ("verify", "not_done")],
                         outcome.output)
        self.assertEqual(self.attr("state"), "broken")

    def test_recover_without_the_right(self) -> None:
        """U2: whoever may not do it is told so."""
        self.break_region()
        outcome = self.act("recover", "region0", "accept", user=65534)
        self.assertEqual(outcome.result, "EACCES")
        self.assertEqual(self.attr("state"), "broken")

    def test_saved_settings_are_applied_by_udev(self) -> None:
        """What is saved is a rule that udev applies to the device at that path, and to no other."""
        self.guest.run("mkdir -p /etc/udev/rules.d")
        self.addCleanup(self.guest.run, "rm -rf /etc/udev/rules.d")
        outcome = self.act("set", "region0", "stall_timeout_ms=7000", "save")
        self.assertEqual(outcome.results(), [("set", "done"), ("save", "done")])
        self.assertEqual(self.attr("stall_timeout_ms"), "7000")
        self.set_attr("stall_timeout_ms", "30000")
        for n in (0, 1):
            self.guest.run(["udevadm", "test", "--action=add", self.region(n)])
        self.assertEqual(self.attr("stall_timeout_ms"), "7000")
        self.assertEqual(self.attr("stall_timeout_ms", 1), "30000")
        self.set_attr("stall_timeout_ms", "30000")
        self.assertEqual(self.act("set", "region0", "stall_timeout_ms=", "save").result, "0")
        self.assertEqual(self.guest.run("ls -A /etc/udev/rules.d").stdout, "")


class RecoverInTree(Acting):
    """The kernel's own driver has nothing to recover or set."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"
    devices = 1

    def test_recover_in_tree(self) -> None:
        """Not supported, and said so."""
        self.assertEqual(self.act("recover", "region0").result, "EOPNOTSUPP")
        self.assertEqual(self.act("set", "region0", "error_policy=latch").result, "EOPNOTSUPP")


def by_kind(outcome: Outcome, kind: str) -> list[Step]:
    return [step for step in outcome.steps if step.kind == kind]


class Removing(Acting):
    """What is refused and done is the same with both drivers."""

    kernels = ("6.1", "6.12")

    programs = ("lifecycle", "mkfs.ext4", "dmsetup", "mkswap", "swapon", "swapoff", "setpriv",
                "unshare", "losetup")
    modules = ("dm_mod", "loop", "overlay")

    def region_names(self) -> dict[str, str]:
        """Path of each region by its name."""
        text = self.guest.run(f"for r in {ND}/region*; do readlink -f $r; done").stdout
        return {found[2]: "pci-" + found[1] for found in
                re.finditer(r"/([0-9a-f:.]+)/virtio\d+/ndbus\d+/(region\d+)", text)}

    def refuse(self, *expected: str, words: tuple[str, ...] = ()) -> Outcome:
        """remove is refused because of each of these objects, and nothing has changed."""
        outcome = self.act("remove", "region0", *words)
        self.assertEqual(outcome.result, "EBUSY", outcome.output)
        refused = {step.object for step in by_kind(outcome, "check")}
        self.assertLessEqual(set(expected), refused, outcome.output)
        self.assertEqual({step.result for step in outcome.steps if step.kind not in
                          ("check", "warn")}, {"not_done"})
        self.guest.run("test -b /dev/pmem0 && dd if=/dev/pmem0 of=/dev/null bs=4096 count=1 "
                       "status=none")
        return outcome

    def add(self, n: int = 0) -> None:
        outcome = self.act("add", PATHS[n])
        self.assertEqual(outcome.result, "0", outcome.output)
        self.guest.run(f"until [ -b /dev/pmem{n} ]; do usleep 10000; done", timeout=30)

    def remove_and_add(self) -> None:
        self.guest.run("echo hello | dd of=/dev/pmem0 conv=notrunc status=none")
        host = self.host()
        before = host.count
        outcome = self.act("remove", "region0")
        self.assertEqual(outcome.result, "0", outcome.output)
        self.assertEqual(outcome.results(), [("flush", "done"), ("disable", "done"),
                                             ("unbind", "done"), ("verify", "done")])
        self.assertGreater(host.count, before)
        self.assertEqual(self.region_names(), {"region1": PATHS[1]})
        with open(host.path, "rb") as file:
            self.assertEqual(file.read(5), b"hello")

        again = self.act("remove", PATHS[0])
        self.assertEqual(again.result, "ENXIO")

        dry = self.act("add", PATHS[0], "dry")
        self.assertEqual([s.result for s in dry.steps], ["planned"] * 4)
        outcome = self.act("add", PATHS[0])
        self.assertEqual(outcome.result, "0", outcome.output)
        self.assertEqual(outcome.results()[:2], [("load", "not_needed"), ("bind", "done")])
        self.assertIn(f"region=region0 path={PATHS[0]}", outcome.output)
        self.guest.run("until [ -b /dev/pmem0 ]; do usleep 10000; done", timeout=30)
        self.assertEqual(self.guest.run("head -c 5 /dev/pmem0").stdout, "hello")
        outcome = self.act("add", PATHS[0])
        self.assertEqual((outcome.result, {s.result for s in outcome.steps}),
                         ("0", {"not_needed", "done"}), outcome.output)
        self.assertEqual(outcome.results()[1:3], [("bind", "not_needed"),
                                                  ("enable", "not_needed")])


class Remove(Removing):
    """remove and add, on our driver."""

    def test_remove_and_add_back(self) -> None:
        """A region is flushed and taken away, comes back by its path, and its data is there."""
        self.remove_and_add()
        self.assertEqual(self.deep_flush(), "")

    def test_d5_dry_run(self) -> None:
        """D5: a dry run says the same steps and changes nothing."""
        with self.flushes(0, 0):
            outcome = self.act("remove", "region0", "dry")
        self.assertEqual(outcome.result, "0")
        self.assertEqual(outcome.results(), [("flush", "planned"), ("disable", "planned"),
                                             ("unbind", "planned"), ("verify", "planned")])
        self.assertEqual(sorted(self.region_names()), ["region0", "region1"])

    def test_d5_mounted(self) -> None:
        """D5: refused while mounted, also by a bind mount; each mount is named."""
        place = self.mount()
        self.guest.run("mkdir -p /mnt/bind && mount --bind /mnt/0 /mnt/bind")
        self.addCleanup(self.guest.run, "umount /mnt/bind", check=False)
        self.refuse(place, "/mnt/bind")

    def test_d5_force_breaks_what_it_says(self) -> None:
        """D5: force takes it from under a file system, and says so before."""
        place = self.mount()
        outcome = self.act("remove", "region0", "force")
        self.assertEqual(outcome.result, "0", outcome.output)
        self.assertIn(place, [step.object for step in by_kind(outcome, "warn")])
        self.assertEqual(self.region_names(), {"region1": PATHS[1]})
        self.guest.run(f"umount {place}")
        self.add()

    def test_d5_swap_is_never_forced(self) -> None:
        """D5: swap in use is refused, with force too."""
        self.guest.run("mkswap /dev/pmem0 > /dev/null && swapon /dev/pmem0")
        self.addCleanup(self.guest.run, "swapoff /dev/pmem0", check=False)
        self.refuse("/dev/pmem0")
        self.refuse("/dev/pmem0", words=("force",))

    def test_d5_through_device_mapper(self) -> None:
        """D5: refused for what lies on a mapped device on it."""
        self.refuse(self.mount_mapped("dm", 0))

    def test_d5_other_mount_namespace(self) -> None:
        """D5: a mount that only another mount namespace has is found, with its process."""
        job = self.mount_elsewhere()
        self.assertNotIn("/mnt/ns", self.guest.read("/proc/mounts"))
        outcome = self.refuse("/mnt/ns")
        self.assertIn("namespace of process", outcome.texts("check"))
        job.kill()
        job.wait(check=False)
        until(lambda: self.act("remove", "region0", "dry").result == "0", "it is free")

    def test_d5_lazy_unmount(self) -> None:
        """D5: a file system that was unmounted lazily and lives on is in no table, and found."""
        job = self.unmount_lazily(self.mount())
        self.assertNotIn("pmem0", self.guest.read("/proc/mounts"))
        self.refuse("pmem0")
        job.kill()
        job.wait(check=False)
        until(lambda: self.act("remove", "region0", "dry").result == "0", "it is free")

    def test_d5_root_is_an_overlay_on_it(self) -> None:
        """D5: what an overlay lies on that is the root is not forced, mounted or lazily unmounted."""
        place = self.mount()
        self.addCleanup(self.guest.run, "umount /mnt/t/root/* ; umount /mnt/t/root; umount /mnt/t")
        self.guest.run("modprobe overlay && mkdir -p /mnt/t && mount -t tmpfs none /mnt/t && "
                       "cd /mnt/t && mkdir root up work && mount -t overlay none -o "
                       f"lowerdir={place}:/,upperdir=up,workdir=work root && for d in proc sys "
                       "dev run; do mkdir -p $d && mount --bind /$d root/$d; done")
        self.refuse_from("/mnt/t/root", place)
        self.guest.run(f"umount -l {place}")
        self.refuse_from("/mnt/t/root", "pmem0")
        outcome = self.act("remove", "region0", "dry", "force")
        self.assertEqual(outcome.result, "0", outcome.output)
        self.assertIn("overlay", outcome.texts("warn"))

    def refuse_from(self, root: str, expected: str) -> None:
        outcome = parse(self.guest.run(f"chroot {root} lifecycle remove region0 dry force").stdout)
        self.assertEqual(outcome.result, "EBUSY", outcome.output)
        self.assertEqual([step.object for step in by_kind(outcome, "check")], [expected],
                         outcome.output)

    def test_two_callers_at_once(self) -> None:
        """Of two callers one removes the region, and the other finds that it has gone."""
        jobs = [self.guest.start(["lifecycle", "remove", "region0"], 60) for _ in range(2)]
        results = sorted(parse(job.wait().stdout).result for job in jobs)
        self.assertIn(results, (["0", "ENODEV"], ["0", "ENXIO"]))
        self.add()

    def test_u6_swapped_names(self) -> None:
        """U6: a region whose name has gone to another device meanwhile is not removed."""
        job = self.guest.start(["lifecycle", "remove", "region0", "stop"], 60)
        until(lambda: " T " in self.guest.run("cat /proc/$(pidof lifecycle)/stat").stdout,
              "the region is found")
        devices = [self.unbind(0), self.unbind(1)]
        for device in reversed(devices):
            self.bind(device)
        self.assertEqual(self.region_names(), {"region0": PATHS[1], "region1": PATHS[0]})
        self.guest.run("killall -CONT lifecycle")
        self.assertIn(parse(job.wait().stdout).result, ("ENODEV", "ESTALE"))
        self.assertEqual(self.region_names(), {"region0": PATHS[1], "region1": PATHS[0]})
        for device in [self.unbind(0), self.unbind(1)][::-1]:
            self.bind(device)
        self.assertEqual(self.region_names(), {"region0": PATHS[0], "region1": PATHS[1]})

    def test_a_claim_keeps_others_out(self) -> None:
        """D5: from the check to the unbind nobody can mount it."""
        self.guest.run("mkfs.ext4 -q /dev/pmem0 && mkdir -p /mnt/0")
        host = self.host()
        host.set(hold=True)
        job = self.guest.start(["lifecycle", "remove", "region0"], 60)
        host.wait_holding()
        result = self.guest.run("mount /dev/pmem0 /mnt/0", check=False)
        self.assertIn("busy", result.stderr)
        host.set(hold=False)
        self.assertEqual(parse(job.wait().stdout).result, "0")
        self.add()

    def test_a_flush_that_fails_ends_it(self) -> None:
        """U1: what cannot be flushed is not taken away; with force it is."""
        self.host().set(fail_next=1)
        outcome = self.act("remove", "region0")
        self.assertEqual(outcome.result, "EIO")
        self.assertEqual(outcome.results(), [("flush", "failed"), ("disable", "not_done"),
                                             ("unbind", "not_done"), ("verify", "not_done")])
        outcome = self.act("remove", "region0", "force")
        self.assertEqual(outcome.result, "0", outcome.output)
        self.assertIn("broken", outcome.texts("warn"))
        self.add()

    def test_without_the_right(self) -> None:
        """U2: whoever may not do it is told so."""
        self.assertEqual(self.act("remove", "region0", user=65534).result, "EACCES")

    def test_add_what_cannot_be(self) -> None:
        """U2: paths that are none, or of no device."""
        for path, result in (("pci-0000:00:1e.0", "ENXIO"), ("region0", "EINVAL"),
                             ("pci-../..", "EINVAL"), ("pci-", "EINVAL")):
            with self.subTest(path=path):
                self.assertEqual(self.act("add", path).result, result)
        self.assertEqual(self.act("add", PATHS[0], "driver=other").result, "EBUSY")


class RemoveInTree(Removing):
    """remove and add work with the kernel's own driver."""

    driver = "in-tree"

    def test_remove_and_add_back_in_tree(self) -> None:
        """The same steps, and the data is there."""
        self.remove_and_add()


class Freezing(Acting):
    """What both drivers share."""

    kernels = ("6.1", "6.12")

    programs = ("lifecycle", "mkfs.ext4", "dmsetup", "losetup", "unshare", "fsfreeze")
    modules = ("dm_mod", "loop")

    def freeze(self, *words: str, user_dir: str = "/") -> vm.Job:
        """Freeze region 0; returns when it is frozen, with the process that holds it."""
        job = self.guest.start(f"cd {user_dir} && exec lifecycle freeze region0 {' '.join(words)}",
                               100)
        self.addCleanup(self.guest.run, "lifecycle thaw region0 > /dev/null")
        self.addCleanup(job.kill)
        until(lambda: b"reason=" in job.output or not job.running, "it is frozen")
        self.assertIn(b"frozen pid=", job.output)
        return job

    @staticmethod
    def pid(job: vm.Job, which: str = "pid") -> str:
        found = re.search(rf"\b{which}=(\d+)", job.output.decode())
        assert found
        return found[1]

    def thaw(self, job: vm.Job) -> Outcome:
        """Let the process that holds the region frozen thaw it, and end."""
        self.guest.run(["kill", "-USR1", self.pid(job)])
        return parse(job.wait().stdout)

    def kill(self, job: vm.Job) -> None:
        """SIGKILL to that process, and not to its guard, which has the same program."""
        self.guest.run(["kill", "-KILL", self.pid(job)])
        job.wait(check=False)

    def consistency(self, job: vm.Job) -> str:
        found = re.search(rb"consistency=(\w+)", job.output)
        assert found
        return found[1].decode()

    def freeze_and_thaw(self) -> None:
        place = self.mount()
        self.guest.run(f"echo precious > {place}/file")
        job = self.freeze()
        outcome = Outcome("", parse(job.output.decode() + "result=0\n").steps, "")
        self.assertEqual(outcome.results(), [("sync", "done"), ("guard", "done"),
                                             ("freeze", "done"), ("flush", "done"),
                                             ("verify", "done")])
        self.assertEqual(self.consistency(job), "filesystem")
        self.assertTrue(self.is_frozen(place))
        with open(self.host().path, "rb") as file:
            self.assertIn(b"precious\n", file.read())
        self.assertEqual(self.thaw(job).result, "0")
        self.wait_thawed(place)


class Freeze(Freezing):
    """freeze and thaw, on our driver."""

    def test_freeze_and_thaw(self) -> None:
        """Frozen, what was written is on the host, and writers wait; thawed, they go on."""
        self.freeze_and_thaw()

    def test_u5_sigkill_under_writers(self) -> None:
        """U5: SIGKILL of the caller, while others write: it is thawed."""
        place = self.mount()
        writers = [self.guest.start(f"while :; do echo x >> {place}/{i}; sync {place}/{i}; done")
                   for i in range(4)]
        for writer in writers:
            self.addCleanup(writer.kill)
        job = self.freeze()
        guard = self.pid(job, "guard")
        self.assertTrue(self.is_frozen(place))
        self.kill(job)
        self.wait_thawed(place)
        until(lambda: self.guest.run(f"test -d /proc/{guard}", check=False).status,
              "the guard has gone")

    def test_u5_deadline(self) -> None:
        """U5: at its time it is thawed, and the caller is told that it was."""
        place = self.mount()
        job = self.freeze("timeout=5000", "wait")
        self.assertEqual(parse(job.wait().stdout).result, "ETIMEDOUT")
        self.wait_thawed(place)

    def test_u5_signals(self) -> None:
        """U5: the guard survives what ends others; SIGTERM makes it thaw and go."""
        place = self.mount()
        job = self.freeze("wait")
        guard = self.pid(job, "guard")
        self.guest.run(f"kill -INT {guard}; kill -HUP {guard}; kill -QUIT {guard}; "
                       f"kill -USR1 {guard}; kill -PIPE {guard}; kill -ALRM {guard}")
        self.assertTrue(self.is_frozen(place))
        self.guest.run(f"kill -TERM {guard}")
        self.assertEqual(parse(job.wait().stdout).result, "ECANCELED")
        self.wait_thawed(place)

    def test_bare_freeze_leaves_the_guard(self) -> None:
        """U5: detached, it stays frozen; thaw ends the guard."""
        place = self.mount()
        job = self.freeze("detach")
        self.assertEqual(parse(job.wait().stdout).result, "0")
        self.assertTrue(self.is_frozen(place))
        self.assertEqual(self.act("freeze", "region0").result, "EBUSY")
        self.assertEqual(self.act("remove", "region0").result, "EBUSY")
        outcome = self.act("thaw", "region0")
        self.assertEqual(outcome.result, "0", outcome.output)
        self.assertEqual(outcome.results(), [("guard", "done"), ("resume", "not_needed"),
                                             ("thaw", "not_needed")])
        self.wait_thawed(place)
        self.assertEqual(self.act("thaw", "region0").results(),
                         [("resume", "not_needed"), ("thaw", "not_needed")])

    def test_thaw_what_another_program_froze(self) -> None:
        """thaw needs no guard: a file system that fsfreeze froze is thawed."""
        place = self.mount()
        self.guest.run(["fsfreeze", "-f", place])
        outcome = self.act("thaw", "region0")
        self.assertEqual(outcome.results(), [("resume", "not_needed"), ("thaw", "done")])
        self.wait_thawed(place)

    def test_topmost_first(self) -> None:
        """What lies on top is frozen first and thawed last; the order is that of the plan."""
        place = self.mount()
        self.guest.run(f"truncate -s 16M {place}/image && mkfs.ext4 -q {place}/image && "
                       f"mkdir -p /mnt/top && mount -o loop {place}/image /mnt/top")
        self.addCleanup(self.guest.run, "umount -d /mnt/top", check=False)
        steps = by_kind(self.thaw(self.freeze()), "freeze")
        self.assertEqual([step.object for step in steps], ["/mnt/top", place])
        self.wait_thawed("/mnt/top")

    def test_all_or_nothing(self) -> None:
        """A file system that somebody else holds frozen: the others are thawed again."""
        for i, name in enumerate(("a", "b")):
            self.mount_mapped(name, i * 32768)
        order = [s.object for s in by_kind(self.act("freeze", "region0", "dry"), "freeze")]
        self.assertEqual(sorted(order), ["/mnt/a", "/mnt/b"])
        self.guest.run(["fsfreeze", "-f", order[1]])
        self.addCleanup(self.guest.run, ["fsfreeze", "-u", order[1]], check=False)
        outcome = self.act("freeze", "region0")
        self.assertEqual(outcome.result, "EBUSY", outcome.output)
        self.assertEqual([(s.object, s.result) for s in by_kind(outcome, "freeze")],
                         [(order[0], "undone"), (order[1], "failed")])
        self.wait_thawed(order[0])
        self.assertTrue(self.is_frozen(order[1]))
        self.guest.run(["fsfreeze", "-u", order[1]])

    def test_refuses_what_it_stands_on(self) -> None:
        """The file system of the caller's own directory is refused, unless it is forced."""
        place = self.mount()
        outcome = parse(self.guest.run(f"cd {place} && lifecycle freeze region0").stdout)
        self.assertEqual(outcome.result, "EBUSY")
        self.assertIn("working directory", outcome.texts("check"))
        outcome = parse(self.guest.run(f"lifecycle freeze region0 3>> {place}/log").stdout)
        self.assertEqual(outcome.result, "EBUSY")
        self.assertIn("open for writing", outcome.texts("check"))
        self.assertEqual(self.thaw(self.freeze("force", user_dir=place)).result, "0")

    def test_raw_writers_make_it_a_crash_copy(self) -> None:
        """Whoever has the device open is told, and the consistency is no better than crash."""
        sleeper = self.guest.start("exec 3<> /dev/pmem0; echo open; exec sleep 1000", 100)
        self.addCleanup(sleeper.kill)
        until(lambda: b"open" in sleeper.output, "it is open")
        outcome = self.thaw(self.freeze())
        self.assertIn("consistency=crash reason=process", outcome.output)
        self.assertEqual(outcome.result, "0")

    def test_other_mount_namespace(self) -> None:
        """A file system that only another mount namespace has is frozen too."""
        self.mount_elsewhere("while :; do echo x >> /mnt/ns/x; done")
        frozen = self.freeze()
        self.assertEqual(self.consistency(frozen), "filesystem")
        outcome = self.thaw(frozen)
        self.assertEqual(outcome.result, "0")
        self.assertEqual([step.object for step in by_kind(outcome, "freeze")], ["/mnt/ns"])

    def test_quiesce(self) -> None:
        """With quiesce the driver asks the host for nothing; SIGKILL releases that too."""
        place = self.mount()
        job = self.freeze("quiesce")
        self.assertEqual(self.attr("state"), "quiesced")
        with self.flushes(0, 0):
            flush = self.start_deep_flush()
            self.guest.run("sleep 1")
        self.kill(job)
        flush.wait()
        self.wait_thawed(place)
        self.assertEqual(self.attr("state"), "active")

    def test_a_broken_region_is_not_frozen(self) -> None:
        """U1: what cannot be flushed is not said to be frozen."""
        place = self.mount()
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        self.assertEqual(self.act("freeze", "region0").result, "EIO")
        self.assertEqual(self.act("recover", "region0", "accept").result, "0")
        self.wait_thawed(place)


class FreezeInTree(Freezing):
    """The kernel's own driver: freeze needs nothing of ours."""

    driver = "in-tree"

    def test_freeze_and_thaw_in_tree(self) -> None:
        """The same as with our driver."""
        self.freeze_and_thaw()

    def test_quiesce_in_tree(self) -> None:
        """U2: there is no quiesce, and nothing is frozen."""
        place = self.mount()
        self.assertEqual(self.act("freeze", "region0", "quiesce").result, "EOPNOTSUPP")
        self.wait_thawed(place)
