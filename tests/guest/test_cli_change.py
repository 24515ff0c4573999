# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl's commands that change a region: what they say, and what they do to it.

The library's own cases are in test_lifecycle.py; here is what a person sees of them.
"""

from __future__ import annotations

import json
from typing import Any

import vm
from guestcase import load_tests, until      # noqa: F401
from mounting import MountCase

PATHS = ("pci-0000:00:04.0", "pci-0000:00:05.0")

# SIGINT to pmemctl itself, until that has taken it: before, its child could end as if nothing were.
INTERRUPT = """
p=$(pidof pmemctl | tr ' ' '\\n' | sort -n | head -n 1)
kill -INT $p
while grep -q '^ShdPnd:.*[2367abef]$' /proc/$p/status; do usleep 1000; done
"""


def outcome(answer: dict[str, Any]) -> tuple[str, list[str]]:
    """What became of the one region of an answer, and of each step."""
    region = answer["regions"][0]
    return region["outcome"], [f"{step['step']} {step['result']}" for step in region["steps"]]


def objects(answer: dict[str, Any], which: str) -> list[str]:
    """What the obstacles or warnings of the one region are about."""
    return [entry["object"] for entry in answer["regions"][0][which]]


class Changing(MountCase):
    """What the others share."""

    kernels = ("6.1", "6.12")
    programs: tuple[str, ...] = ("mkfs.ext4",)

    def break_region(self) -> None:
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), "Input/output error")
        self.assertEqual(self.attr("state"), "broken")


class CliRecover(Changing):
    """recover."""

    def test_recover_names_whose_data_it_is(self) -> None:
        """After a host error it refuses and names the file system, then does what it is told."""
        place = self.mount()
        self.break_region()
        refused = self.pmemctl("recover", "region0")
        self.assertEqual(refused.status, 7)
        self.assertIn(f"is mounted at {place}", refused.stdout)
        self.assertIn("--accept-data-loss region0", refused.stderr)
        self.assertEqual(self.attr("state"), "broken")

        with self.flushes(0, 0):
            dry = self.pmemctl_json("recover", "-n", "--accept-data-loss", place)
        self.assertEqual(outcome(dry), ("planned", ["recover planned", "flush planned",
                                                    "verify planned"]))
        self.assertEqual(objects(dry, "warnings"), [place])
        self.assertEqual(self.attr("state"), "broken")

        with self.flushes(0, 1):
            done = self.pmemctl("recover", "--accept-data-loss", PATHS[0])
        self.assertEqual(done.status, 0, done.stderr)
        self.assertIn(f"region0 ({PATHS[0]}): recovered, and flushed", done.stdout)
        self.assertEqual(self.attr("state"), "active")
        again = self.pmemctl_json("recover", "region0")
        self.assertEqual(outcome(again), ("not_needed", ["recover not_needed"]))

    def test_recover_with_a_host_that_still_fails(self) -> None:
        """U1: a host that fails again is status 7, and nothing is said to be well."""
        self.break_region()
        self.host().set(fail_errno=5)
        answer = self.pmemctl_json("recover", "--accept-data-loss", "region0", status=7)
        self.assertEqual(outcome(answer), ("failed", ["recover done", "flush failed",
                                                      "verify not_done"]))
        self.assertEqual(self.attr("state"), "broken")


class CliSet(Changing):
    """set."""

    programs = ("udevadm",)

    def test_set_and_persist(self) -> None:
        """Set, saved as a rule that udev applies to this device alone, and forgotten."""
        self.guest.run("mkdir -p /etc/udev/rules.d")
        self.addCleanup(self.guest.run, "rm -rf /etc/udev/rules.d")
        answer = self.pmemctl_json("set", "--persist", PATHS[0], "stall_timeout_ms=7000")
        self.assertEqual(outcome(answer), ("done", ["set done", "save done"]))
        self.assertEqual(self.attr("stall_timeout_ms"), "7000")
        self.assertEqual(answer["regions"][0]["settings"][0]["saved"], "7000")
        self.assertEqual(self.pmemctl("set", "all", "stall_timeout_ms=30000").status, 0)
        for n in (0, 1):
            self.guest.run(["udevadm", "test", "--action=add", self.region(n)])
        self.assertEqual(self.attr("stall_timeout_ms"), "7000")
        self.assertEqual(self.attr("stall_timeout_ms", 1), "30000")
        self.assertEqual(self.pmemctl("set", "-p", "region0", "stall_timeout_ms=").status, 0)
        self.assertEqual(self.guest.run("ls -A /etc/udev/rules.d").stdout, "")
        self.set_attr("stall_timeout_ms", "30000")

    def test_a_wrong_value_sets_nothing(self) -> None:
        """U2: one wrong value: status 2, and the right one beside it is not set."""
        result = self.pmemctl("set", "region0", "error_policy=report", "stall_timeout_ms=5")
        self.assertEqual(result.status, 2)
        self.assertIn("1000 to 600000", result.stderr)
        self.assertEqual(self.attr("error_policy"), "latch")


class CliRecoverInTree(Changing):
    """On the in-tree driver."""

    driver = "in-tree"
    devices = 1

    def test_not_supported(self) -> None:
        """U2: there is nothing to recover, and it says so: status 4."""
        result = self.pmemctl("recover", "region0")
        self.assertEqual(result.status, 4)
        self.assertIn("cannot recover", result.stderr)


class CliFreeze(Changing):
    """freeze and thaw."""

    programs = ("mkfs.ext4", "dmsetup", "unshare", "fsfreeze")
    modules = ("dm_mod",)

    def start_freeze(self, *args: str, directory: str = "/") -> vm.Job:
        """freeze region 0 while a command sleeps; returns when it does."""
        job = self.guest.start(["sh", "-c", f"cd {directory} && exec pmemctl freeze "
                                f"{' '.join(args)} region0 -- sh -c 'echo frozen; exec sleep 1000'"],
                               100)
        self.addCleanup(self.guest.run, "pmemctl thaw all > /dev/null")
        self.addCleanup(job.kill)
        until(lambda: b"frozen" in job.output or not job.running, "it is frozen")
        self.assertTrue(job.running, job.output)
        return job

    def test_bare_freeze_and_thaw(self) -> None:
        """U5: a bare freeze leaves a guard; what was written is on the host; thaw ends it."""
        place = self.mount()
        self.guest.run(f"echo precious > {place}/file")
        answer = self.pmemctl_json("freeze", place)
        self.addCleanup(self.guest.run, "pmemctl thaw region0 > /dev/null")
        region = answer["regions"][0]
        self.assertEqual(outcome(answer), ("done", ["sync done", "guard done", "freeze done",
                                                    "flush done", "verify done"]))
        self.assertEqual((region["freeze"]["consistency"], region["freeze"]["timeout_ns"]),
                         ("filesystem", 60_000_000_000))
        self.guest.run(f"test -d /proc/{region['freeze']['guard_pid']}")
        self.assertTrue(self.is_frozen(place))
        with open(self.host().path, "rb") as file:
            self.assertIn(b"precious\n", file.read())
        busy = self.pmemctl("freeze", "region0")
        self.assertEqual(busy.status, 5)
        self.assertIn("holds region0 frozen", busy.stderr)
        thawed = self.pmemctl("thaw", "region0")
        self.assertEqual(thawed.status, 0, thawed.stderr)
        self.assertIn("region0 (pci-0000:00:04.0): thawed", thawed.stdout)
        self.wait_thawed(place)
        self.assertEqual(outcome(self.pmemctl_json("thaw", "region0"))[0], "not_needed")

    def test_frozen_is_a_reason(self) -> None:
        """status, health and the plugin say that it is frozen, by whom, and how that ends."""
        place = self.mount()
        region = self.pmemctl_json("freeze", place)["regions"][0]
        self.addCleanup(self.guest.run, "pmemctl thaw region0 > /dev/null")
        words = f"process {region['freeze']['guard_pid']} holds the region frozen"
        for args in (["status", "region0"], ["health", "region0"]):
            with self.subTest(args=args):
                health = self.pmemctl_json(*args)["regions"][0]["health"]
                self.assertEqual([r["code"] for r in health["reasons"]], ["frozen"])
                self.assertEqual(health["health_state"], "non-critical")
                text = self.pmemctl(*args).stdout
                self.assertIn(words, text)
                self.assertIn("'pmemctl thaw region0'", text)
        plugin = self.pmemctl("health", "--nagios", "region0")
        self.assertEqual((plugin.status, plugin.stdout.split(" - ")[0]), (1, "PMEM WARNING"))
        self.assertIn(words, plugin.stdout)
        self.assertEqual(self.pmemctl("thaw", "region0").status, 0)
        self.assertEqual(self.pmemctl_json("health", "region0")["regions"][0]["health"],
                         {"health_state": "ok", "reasons": []})

    def test_u5_deadline(self) -> None:
        """U5: a bare freeze ends by itself."""
        place = self.mount()
        # Enough for the freeze itself, on a busy machine.
        self.assertEqual(self.pmemctl("freeze", "--timeout", "5", "region0").status, 0)
        self.wait_thawed(place)
        self.assertEqual(outcome(self.pmemctl_json("thaw", "region0"))[0], "not_needed")

    def test_command_line(self) -> None:
        """The command runs while it is frozen, stdout is its own, and its status is ours."""
        place = self.mount()
        # If nothing is frozen, the time-out ends the command, with another status.
        result = self.pmemctl("freeze", "-t", "30", "region0", "--", "sh", "-c",
                              f"touch {place}/x & until grep -qs '(touch) D' /proc/[0-9]*/stat; "
                              "do usleep 20000; done; echo waits; exit 3")
        self.assertEqual((result.status, result.stdout, result.stderr), (3, "waits\n", ""))
        self.wait_thawed(place)

    def test_125_if_it_was_ours(self) -> None:
        """What is not frozen runs no command: 125."""
        place = self.mount()
        result = self.guest.run(f"cd {place} && pmemctl freeze region0 -- echo ran", check=False)
        self.assertEqual((result.status, result.stdout), (125, ""))
        self.assertIn("working directory", result.stderr)
        forced = self.guest.run(f"cd {place} && pmemctl freeze -f region0 -- echo ran", check=False)
        self.assertEqual((forced.status, forced.stdout), (0, "ran\n"), forced.stderr)
        self.assertIn("warning", forced.stderr)
        self.wait_thawed(place)

    def test_u5_the_time_is_over_while_the_command_runs(self) -> None:
        """U5: the command is ended, and nobody is told that its copy is good: 125."""
        place = self.mount()
        result = self.pmemctl("freeze", "-t", "5", "region0", "--", "sleep", "1000")
        self.assertEqual(result.status, 125)
        self.assertIn("not consistent", result.stderr)
        self.wait_thawed(place)

    def test_u5_sigkill(self) -> None:
        """U5: SIGKILL of pmemctl thaws, and ends the command, whose copy is of no use now."""
        place = self.mount()
        self.start_freeze("--timeout", "600")
        self.assertTrue(self.is_frozen(place))
        self.guest.run("kill -KILL $(pidof pmemctl | tr ' ' '\\n' | sort -n | head -n 1)")
        self.wait_thawed(place)
        until(lambda: self.guest.run("pidof sleep", check=False).status, "the command has ended")

    def test_u5_signals(self) -> None:
        """U5: SIGTERM and SIGHUP end pmemctl, and SIGINT the command: thawed each time."""
        place = self.mount()
        for name in ("TERM", "HUP", "INT"):
            with self.subTest(signal=name):
                job = self.start_freeze("--timeout", "600")
                self.guest.run(f"kill -{name} "
                               "$(pidof pmemctl | tr ' ' '\\n' | sort -n | head -n 1)")
                result = job.wait(check=False)
                if name == "INT":
                    self.assertEqual(result.status, 130, result.stderr)
                self.wait_thawed(place)

    def test_u5_sigint_while_it_freezes(self) -> None:
        """U5: SIGINT at each phase before: 130, and nothing is frozen."""
        place = self.mount()
        # The other region has no file system, so that its flush is the first that waits.
        for n, phase in ((0, "sync"), (1, "flush")):
            with self.subTest(phase=phase):
                host = self.host(n)
                host.set(hold=True)
                job = self.guest.start(["pmemctl", "freeze", "--json", f"region{n}"], 60)
                host.wait_holding()
                self.guest.run(INTERRUPT)
                if phase == "flush":        # which is given up; a sync cannot be
                    job.wait(check=False)
                host.set(hold=False)
                result = job.wait(check=False)
                self.assertEqual(result.status, 130, result.stdout + result.stderr)
                answer = json.loads(result.stdout)
                self.assertEqual(answer["errors"][0]["code"], "interrupted")
                self.assertIn(f"{phase} failed", outcome(answer)[1])
                self.wait_thawed(place)

    def phase(self, frozen: list[str]) -> str:
        """What a freeze does that the host keeps waiting. FROZEN: what has had its turn so far."""
        call = self.guest.run("p=$(grep -ls virtpmem-guard /proc/[0-9]*/comm); "
                              "[ -z \"$p\" ] || cat ${p%comm}syscall").stdout.split()
        if not call:
            return "sync"
        # ioctl(), its descriptor, FIFREEZE.
        if call[0] != "16" or call[2] != "0xc0045877":
            return "flush"
        if call[1] not in frozen:
            frozen.append(call[1])
        return ("first freeze", "second freeze")[frozen.index(call[1])]

    def step_to(self, job: vm.Job, wanted: str) -> None:
        """Let the host answer one flush after the other, until the freeze is there."""
        host = self.host()
        frozen: list[str] = []
        while True:
            until(lambda: host.holding or not job.running, "it waits for the host, or ends")
            self.assertTrue(job.running, f"it never came to: {wanted}")
            if self.phase(frozen) == wanted:
                return
            before = host.done
            host.release()
            until(lambda before=before: host.done > before, "the flush is answered")

    def test_u5_sigkill_while_it_freezes(self) -> None:
        """U5: SIGKILL in the sync, in each of two FIFREEZEs, in the flush: nothing stays frozen."""
        places = [self.mount_mapped(name, i * 32768) for i, name in enumerate(("a", "b"))]
        host = self.host()
        self.addCleanup(host.set, hold=False)
        for wanted in ("sync", "first freeze", "second freeze", "flush"):
            with self.subTest(phase=wanted):
                host.set(hold=True)
                job = self.guest.start(["pmemctl", "freeze", "--timeout", "600", "region0"], 200)
                self.addCleanup(job.kill)
                self.step_to(job, wanted)
                self.guest.run("kill -KILL $(pidof pmemctl | tr ' ' '\\n' | sort -n | head -n 1)")
                host.set(hold=False)
                job.wait(check=False)
                until(lambda: self.guest.run("grep -qs virtpmem-guard /proc/[0-9]*/comm",
                                             check=False).status, "the guard has ended")
                for place in places:
                    self.wait_thawed(place)

    def test_all_regions_or_none(self) -> None:
        """With one region broken, no other one stays frozen."""
        places = [self.mount(0), self.mount(1)]
        self.host(1).set(fail_next=1)
        self.assertEqual(self.deep_flush(1), "Input/output error")
        answer = json.loads(self.guest.run("pmemctl freeze --json region0 region1",
                                           check=False).stdout)
        self.assertEqual([region["outcome"] for region in answer["regions"]],
                         ["undone", "refused"])
        self.assertEqual(answer["errors"][0]["exit"], 7)
        self.wait_thawed(places[0])
        self.assertEqual(self.pmemctl("recover", "--accept-data-loss", "region1").status, 0)

    def test_stack(self) -> None:
        """A file system on a mapped device is frozen, and found by its mount point."""
        place = self.mount_mapped()
        answer = self.pmemctl_json("freeze", place)
        self.assertTrue(self.is_frozen(place))
        self.assertEqual([step["object"] for step in answer["regions"][0]["steps"]
                          if step["step"] == "freeze"], [place])
        self.assertEqual(self.pmemctl("thaw", place).status, 0)
        self.wait_thawed(place)

    def test_other_mount_namespace(self) -> None:
        """A file system that only another mount namespace has is frozen too."""
        job = self.mount_elsewhere()
        answer = self.pmemctl_json("freeze", "region0")
        self.assertEqual([step["object"] for step in answer["regions"][0]["steps"]
                          if step["step"] == "freeze"], ["/mnt/ns"])
        self.assertEqual(self.pmemctl("thaw", "region0").status, 0)

    def test_quiesce(self) -> None:
        """With --quiesce the host is asked for nothing; thaw releases that too."""
        self.mount()
        self.assertEqual(self.pmemctl("freeze", "--quiesce", "region0").status, 0)
        self.assertEqual(self.attr("state"), "quiesced")
        self.assertEqual(self.pmemctl("thaw", "region0").status, 0)
        self.assertEqual(self.attr("state"), "active")

    def test_thaw_what_another_program_froze(self) -> None:
        """thaw needs no guard."""
        place = self.mount()
        self.guest.run(["fsfreeze", "-f", place])
        self.assertEqual(outcome(self.pmemctl_json("thaw", "region0")),
                         ("done", ["resume not_needed", "thaw done"]))
        self.wait_thawed(place)

    def test_u3_thaw_of_what_is_mounted_nowhere(self) -> None:
        """U3: frozen and unmounted lazily: said, not passed over; mounted again it is thawed."""
        place = self.mount()
        self.guest.run(f"fsfreeze --freeze {place} && umount -l {place}")
        thaw = self.pmemctl("thaw", "region0")
        self.assertEqual(thaw.status, 5, thaw.stdout)
        self.assertIn("thaw what holds pmem0 unseen (mount it first", thaw.stderr)
        self.assertEqual(self.pmemctl("thaw", "-n", "region0").status, 5)
        self.guest.run(["mount", "/dev/pmem0", place])
        self.assertEqual(outcome(self.pmemctl_json("thaw", "region0")),
                         ("done", ["resume not_needed", "thaw done"]))
        self.wait_thawed(place)
        # What only a guard held is gone with it.
        self.assertEqual(self.pmemctl("freeze", "region0").status, 0)
        self.guest.run(["umount", "-l", place])
        self.assertEqual(self.pmemctl("thaw", "-n", "region0").status, 0)
        self.assertEqual(outcome(self.pmemctl_json("thaw", "region0")),
                         ("done", ["guard done", "resume not_needed", "thaw not_needed"]))


class CliRemove(Changing):
    """remove and add."""

    programs = ("mkfs.ext4", "dmsetup", "unshare", "mkswap", "swapon", "swapoff")
    modules = ("dm_mod",)

    def add(self, n: int = 0) -> None:
        result = self.pmemctl("add", PATHS[n])
        self.assertEqual(result.status, 0, result.stderr)
        self.guest.run(f"until [ -b /dev/pmem{n} ]; do usleep 10000; done", timeout=30)

    def refused(self, *args: str) -> dict[str, Any]:
        """remove is refused, and the region is as it was."""
        answer = self.pmemctl_json("remove", "region0", *args, status=5)
        self.assertEqual(answer["regions"][0]["outcome"], "refused")
        self.guest.run("dd if=/dev/pmem0 of=/dev/null bs=4096 count=1 status=none")
        return answer

    def test_remove_and_add_back(self) -> None:
        """Flushed, taken away, and brought back by its path with its data."""
        self.guest.run("echo hello | dd of=/dev/pmem0 conv=notrunc status=none")
        dry = self.pmemctl("remove", "-n", "region0")
        self.assertEqual(dry.status, 0, dry.stderr)
        self.assertIn(f"disable region0 ({PATHS[0]})", dry.stdout)
        host = self.host()
        count = host.count
        removed = self.pmemctl("remove", "region0")
        self.assertEqual(removed.status, 0, removed.stderr)
        self.assertIn(f"region0 ({PATHS[0]}): removed; 'pmemctl add {PATHS[0]}'", removed.stdout)
        self.assertGreater(host.count, count)
        self.assertEqual(self.pmemctl("remove", PATHS[0]).status, 3)
        self.add()
        self.assertEqual(self.guest.run("head -c 5 /dev/pmem0").stdout, "hello")
        again = self.pmemctl_json("add", PATHS[0])
        self.assertEqual(outcome(again)[0], "not_needed")
        self.assertEqual(again["regions"][0]["dev"], "region0")

    def test_d5_everybody_in_the_way_is_named(self) -> None:
        """D5: a mounted file system and one on a mapped device; force says what it breaks."""
        place = self.mount_mapped()
        self.assertIn(place, objects(self.refused(), "obstacles"))
        dry = self.pmemctl_json("remove", "--dry-run", "--force", "region0")
        self.assertIn(place, objects(dry, "warnings"))
        self.refused()

    def test_d5_swap_is_never_forced(self) -> None:
        """D5: swap in use is refused, with --force too."""
        self.guest.run("mkswap /dev/pmem0 > /dev/null && swapon /dev/pmem0")
        self.addCleanup(self.guest.run, "swapoff /dev/pmem0", check=False)
        self.assertIn("/dev/pmem0", objects(self.refused("--force"), "obstacles"))

    def test_d5_lazy_unmount(self) -> None:
        """D5: what lives on after a lazy unmount is in no table, and found."""
        job = self.unmount_lazily(self.mount())
        self.assertIn("pmem0", objects(self.refused(), "obstacles"))
        job.kill()
        job.wait(check=False)
        until(lambda: self.pmemctl("remove", "-n", "region0").status == 0, "it is free")

    def test_d5_other_mount_namespace(self) -> None:
        """D5: a mount that only another mount namespace has is found."""
        job = self.mount_elsewhere()
        self.assertIn("/mnt/ns", objects(self.refused(), "obstacles"))
        job.kill()
        job.wait(check=False)
        until(lambda: self.pmemctl("remove", "-n", "region0").status == 0, "it is free")

    def test_u1_what_cannot_be_flushed_stays(self) -> None:
        """U1: a flush that fails ends it: status 7; --force takes it away all the same."""
        self.host().set(fail_next=1)
        result = self.pmemctl("remove", "region0")
        self.assertEqual(result.status, 7, result.stderr)
        self.assertIn("could not be flushed", result.stderr)
        forced = self.pmemctl("remove", "--force", "region0")
        self.assertEqual(forced.status, 0, forced.stderr)
        self.assertIn("is broken and is not flushed", forced.stdout)
        self.add()

    def test_u6_swapped_names(self) -> None:
        """U6: after names have swapped, a path still removes what it names."""
        devices = [self.unbind(0), self.unbind(1)]
        for device in reversed(devices):
            self.bind(device)
        removed = self.pmemctl_json("remove", PATHS[0])
        self.assertEqual([(region["dev"], region["path"]) for region in removed["regions"]],
                         [("region1", PATHS[0])])
        self.assertEqual([region["path"] for region in self.pmemctl_json("list")["regions"]],
                         [PATHS[1]])
        self.unbind(0)
        for path in PATHS:
            self.assertEqual(self.pmemctl("add", path).status, 0)
        self.guest.run("until [ -b /dev/pmem1 ]; do usleep 10000; done", timeout=30)
        self.assertEqual([region["path"] for region in self.pmemctl_json("list")["regions"]],
                         list(PATHS))

    def test_add_what_cannot_be(self) -> None:
        """U2: names that are no path, and paths of no device."""
        self.assertEqual(self.pmemctl("add", "region0").status, 2)
        self.assertEqual(self.pmemctl("add", "pci-0000:00:1e.0").status, 3)


class CliRemoveInTree(Changing):
    """Freeze, remove and add need nothing of ours."""

    driver = "in-tree"

    def test_freeze_remove_add_in_tree(self) -> None:
        """With the kernel's own driver: frozen, thawed, removed and added back."""
        place = self.mount()
        self.assertEqual(self.pmemctl("freeze", "region0").status, 0)
        self.assertTrue(self.is_frozen(place))
        self.assertEqual(self.pmemctl("thaw", "region0").status, 0)
        self.wait_thawed(place)
        result = self.pmemctl("freeze", "--quiesce", "region0")
        self.assertEqual(result.status, 4, result.stderr)
        self.guest.run(f"umount {place}")
        self.assertEqual(self.pmemctl("remove", "region0").status, 0)
        self.assertEqual(self.pmemctl("add", PATHS[0]).status, 0)
        self.guest.run("until [ -b /dev/pmem0 ]; do usleep 10000; done", timeout=30)
