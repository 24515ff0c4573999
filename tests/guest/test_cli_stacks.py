# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl on what regions are used through: logical volumes, DAX devices, and names that swap."""

from __future__ import annotations

import json
from typing import Any

import lvm
from guestcase import GuestCase, load_tests, until      # noqa: F401
from test_cli_change import PATHS, Changing, objects, outcome


def tree(holders: list[dict[str, Any]]) -> list[Any]:
    """Holders as (kind, what, [those on it])."""
    return [(h["kind"], h.get("path", h["name"]), tree(h.get("holders", []))) for h in holders]


class CliLvm(Changing):
    """A volume on one region and one that is striped over both, each with ext4."""

    programs = ("lvm", "dmsetup", "mkfs.ext4", "flock")
    modules = ("dm_mod",)
    ONE = ("lvm", "/dev/mapper/group-one", [("mount", "/mnt/one", [])])
    BOTH = ("lvm", "/dev/mapper/group-both", [("mount", "/mnt/both", [])])

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if cls._skip:
            return
        cls.guest.run("modprobe dm_mod; mkdir -p /run/lock/lvm /etc/lvm /mnt/one /mnt/both")
        for command in ("pvcreate -q /dev/pmem0 /dev/pmem1", "vgcreate -q group /dev/pmem0 /dev/pmem1",
                        "lvcreate -q -y -Wn -Zn -l 4 -n one group /dev/pmem0",
                        "lvcreate -q -y -Wn -Zn -l 8 -i 2 -I 64k -n both group"):
            cls.lvm(command)
        cls.guest.run("dmsetup mknodes && for i in one both; do "
                      "mkfs.ext4 -q -F -b 4096 /dev/mapper/group-$i || exit 1; done")

    @classmethod
    def lvm(cls, command: str) -> None:
        cls.guest.run(lvm.line(command), timeout=60)

    def setUp(self) -> None:
        super().setUp()
        self.mount_all()
        self.addCleanup(self.guest.run, "umount /mnt/one /mnt/both", check=False)
        self.addCleanup(self.guest.run, "pmemctl thaw all > /dev/null")

    def mount_all(self) -> None:
        self.guest.run("for i in one both; do mount /dev/mapper/group-$i /mnt/$i || exit 1; done")

    def test_holders(self) -> None:
        """D5: the volumes and what is mounted of them, on each region that they lie on."""
        regions = self.pmemctl_json("holders")["regions"]
        self.assertEqual([tree(region["holders"]) for region in regions],
                         [[self.ONE, self.BOTH], [self.BOTH]])

    def test_names(self) -> None:
        """A mount point names its region; one of two regions is named with both."""
        with self.flushes(0, 1):
            self.pmemctl_json("flush", "/mnt/one")
        result = self.pmemctl("flush", "/mnt/both")
        self.assertEqual(result.status, 2)
        for name in ("region0", "region1"):
            self.assertIn(name, result.stderr)

    def test_freeze_one_region(self) -> None:
        """A file system that lies on another region as well is frozen, and that is said."""
        answer = self.pmemctl_json("freeze", "region0")
        for place in ("/mnt/one", "/mnt/both"):
            self.assertTrue(self.is_frozen(place), place)
        self.assertEqual(objects(answer, "warnings"), ["region1"])
        self.assertIn("/mnt/both lies on region1 too",
                      answer["regions"][0]["warnings"][0]["message"])
        self.assertEqual(self.pmemctl("thaw", "region0").status, 0)
        self.wait_thawed("/mnt/one")
        self.wait_thawed("/mnt/both")

    def test_freeze_both_regions(self) -> None:
        """What lies on both regions is frozen once, and both are flushed after that."""
        before = [host.count for host in self.guest.hosts]
        answer = self.pmemctl_json("freeze", "region0", "region1")
        self.assertEqual([r["outcome"] for r in answer["regions"]], ["done", "done"])
        self.assertEqual([r["freeze"]["consistency"] for r in answer["regions"]],
                         ["filesystem", "filesystem"])
        second = answer["regions"][1]
        self.assertEqual([f"{step['step']} {step['result']}" for step in second["steps"]],
                         ["sync not_needed", "guard done", "freeze not_needed", "flush done",
                          "verify done"])
        self.assertEqual(second["warnings"], [])
        for host, count in zip(self.guest.hosts, before):
            self.assertGreater(host.count, count)
        self.assertTrue(self.is_frozen("/mnt/both"))
        self.assertEqual(self.pmemctl("thaw", "all").status, 0)
        self.wait_thawed("/mnt/both")
        self.wait_thawed("/mnt/one")

    def test_freeze_both_regions_for_a_command(self) -> None:
        """With all of its regions named nothing is warned of, and the command's status is ours."""
        self.guest.run("echo precious > /mnt/both/file")
        result = self.pmemctl("freeze", "region1", "region0", "--", "sh", "-c", "echo copy; exit 3")
        self.assertEqual((result.status, result.stdout, result.stderr), (3, "copy\n", ""))
        self.assertTrue(any(b"precious\n" in self.on_host(n, 0, 64 << 20) for n in (0, 1)))
        self.wait_thawed("/mnt/both")
        alone = self.pmemctl("freeze", "region1", "--", "true")
        self.assertEqual(alone.status, 0)
        self.assertIn("/mnt/both lies on region0 too", alone.stderr)

    def test_u5_all_or_none(self) -> None:
        """U5: somebody is at work on the second region: what both have is thawed again."""
        job = self.guest.start("exec flock /dev/ndctl1 sh -c 'echo locked; exec sleep 1000'", 300)
        self.addCleanup(job.kill)
        until(lambda: b"locked" in job.output, "it is locked")
        answer = self.pmemctl_json("freeze", "region0", "region1", status=5)
        self.assertEqual([(r["dev"], r["outcome"]) for r in answer["regions"]],
                         [("region0", "undone")])
        self.assertEqual(answer["errors"][0]["dev"], "region1")
        self.wait_thawed("/mnt/one")
        self.wait_thawed("/mnt/both")

    def test_d5_remove(self) -> None:
        """D5: refused while a volume is mounted, and while it is active; then removed, and back."""
        refused = self.pmemctl_json("remove", "region0", status=5)
        self.assertEqual(objects(refused, "obstacles"),
                         ["/dev/mapper/group-one", "/mnt/one", "/dev/mapper/group-both", "/mnt/both"])
        self.guest.run("echo kept > /mnt/both/kept && umount /mnt/one /mnt/both")
        refused = self.pmemctl_json("remove", "region0", status=5)
        self.assertEqual(objects(refused, "obstacles"),
                         ["/dev/mapper/group-one", "/dev/mapper/group-both"])
        self.lvm("vgchange -q -an group")
        self.assertEqual(self.pmemctl("remove", "region0", "region1").status, 0)
        self.assertEqual(self.pmemctl_json("list")["regions"], [])
        for path in PATHS:
            self.assertEqual(self.pmemctl("add", path).status, 0)
        self.guest.run("until [ -b /dev/pmem0 ] && [ -b /dev/pmem1 ]; do usleep 10000; done",
                       timeout=60)
        self.lvm("vgchange -q -ay group")
        self.guest.run("dmsetup mknodes")
        self.mount_all()
        self.assertEqual(self.guest.run("cat /mnt/both/kept").stdout, "kept\n")


class CliDisk(Changing):
    """A volume that lies on region 0 and on a disk that is no region."""

    programs = ("dmsetup", "mkfs.ext4")
    modules = ("dm_mod", "brd")

    def test_freeze_names_the_disk(self) -> None:
        """The volume is frozen; that a copy of the region is not all of it is said."""
        self.addCleanup(self.guest.run, "umount /mnt/both; dmsetup remove both; modprobe -r brd",
                        check=False)
        self.guest.run("modprobe dm_mod; modprobe brd rd_nr=1 rd_size=32768; mkdir -p /mnt/both; "
                       "printf '0 65536 linear /dev/pmem0 0\\n65536 65536 linear /dev/ram0 0\\n' | "
                       "dmsetup create both && dmsetup mknodes")
        self.make_file_system("/dev/mapper/both")
        self.guest.run("mount /dev/mapper/both /mnt/both")
        self.addCleanup(self.guest.run, "pmemctl thaw region0 > /dev/null")
        answer = self.pmemctl_json("freeze", "region0")
        self.assertTrue(self.is_frozen("/mnt/both"))
        self.assertEqual(objects(answer, "warnings"), ["ram0"])
        self.assertIn("/mnt/both lies on ram0 too",
                      answer["regions"][0]["warnings"][0]["message"])


class CliDevdax(Changing):
    """Region 0 as a DAX device, which a process has mapped."""

    kernels = ("6.1", "6.12", "7.3")
    programs = ("ndctl", "map-file")
    size = "384M"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not cls._skip:
            cls.guest.run("ndctl create-namespace -f -e namespace0.0 -m devdax -M mem", timeout=120)

    def start_mapping(self) -> str:
        """A process that has the first 2 MiB mapped; returns its number."""
        job = self.guest.start("exec map-file /dev/dax0.0")
        self.addCleanup(job.kill)
        until(lambda: b"mapped" in job.output, "it is mapped")
        self.job = job
        return self.guest.run("pidof map-file").stdout.strip()

    def end_mapping(self) -> None:
        self.job.kill()
        self.job.wait(check=False)
        until(lambda: self.guest.run("pidof map-file", check=False).status, "it is gone")

    def test_holders(self) -> None:
        """D5: the process is named, though it has the device open no longer."""
        pid = self.start_mapping()
        [region] = self.pmemctl_json("holders", "/dev/dax0.0")["regions"]
        self.assertEqual([(h["kind"], h["name"], h["device"], h["pid"]) for h in region["holders"]],
                         [("mapped", "map-file", "dax0.0", int(pid))])
        self.assertIn("map-file", self.pmemctl("status", "region0").stdout)
        self.end_mapping()
        [region] = self.pmemctl_json("holders", "region0")["regions"]
        self.assertEqual((region["in_use"], region["holders"]), ("no", []))

    def test_d5_remove(self) -> None:
        """D5: refused while it is mapped; --force says whose mapping that is; then free."""
        pid = self.start_mapping()
        refused = self.pmemctl_json("remove", "region0", status=5)
        self.assertEqual(outcome(refused)[0], "refused")
        self.assertIn(pid, refused["regions"][0]["obstacles"][0]["message"])
        self.guest.run("test -c /dev/dax0.0")
        dry = self.pmemctl("remove", "--dry-run", "--force", "region0")
        self.assertEqual(dry.status, 0, dry.stderr)
        self.assertIn("map-file", dry.stdout)
        self.end_mapping()
        self.assertEqual(self.pmemctl("remove", "region0").status, 0)
        self.assertEqual(self.pmemctl("add", PATHS[0]).status, 0)
        self.guest.run("until [ -c /dev/dax0.0 ]; do usleep 10000; done", timeout=60)
        self.assertEqual(self.pmemctl("flush", "/dev/dax0.0").status, 0)

    def test_u5_freeze(self) -> None:
        """U5: who writes through a mapping cannot be frozen: flushed, said to be a crash's
        state, and thawed when the time is over or pmemctl is killed."""
        pid = self.start_mapping()
        with self.flushes(0, 1):
            answer = self.pmemctl_json("freeze", "--timeout", "600", "region0")
        region = answer["regions"][0]
        self.assertEqual(region["freeze"]["consistency"], "crash")
        self.assertIn(pid, region["freeze"]["reason"])
        self.assertEqual(self.pmemctl("thaw", "region0").status, 0)
        self.guest.run(f"! test -d /proc/{region['freeze']['guard_pid']}")
        job = self.guest.start("exec pmemctl freeze --quiesce --timeout 600 region0 -- sleep 1000")
        self.addCleanup(job.kill)
        until(lambda: self.attr("state") == "quiesced", "it is quiesced")
        self.guest.run("kill -KILL $(pidof pmemctl | tr ' ' '\\n' | sort -n | head -n 1)")
        until(lambda: self.attr("state") == "active", "it is thawed", timeout=60)


class CliNames(Changing):
    """Region names that have swapped: what was region0 is region1 now."""

    kernels = ("6.1", "6.12", "7.3")

    def swap(self) -> None:
        """Bind the devices in the other order, until the test's end.

        The harness goes by names too: host(1) is then that of PATHS[0].
        """
        devices = [self.unbind(0), self.unbind(1)]
        for device in reversed(devices):
            self.bind(device)
        self.addCleanup(self.swap_back, devices)

    def swap_back(self, devices: list[str]) -> None:
        for n in (0, 1):
            self.unbind(n)
        for device in devices:
            self.bind(device)
        self.assertEqual([r["path"] for r in self.pmemctl_json("list")["regions"]], list(PATHS))

    def test_u6_path_means_the_device(self) -> None:
        """U6: flush, freeze, set and recover of a path are of its device, whatever its name."""
        place = self.mount(1)
        self.guest.run(f"echo mine > {place}/file && umount {place}")
        self.swap()
        self.assertEqual([(r["dev"], r["path"]) for r in self.pmemctl_json("list")["regions"]],
                         [("region0", PATHS[1]), ("region1", PATHS[0])])
        with self.flushes(1, 1):
            self.assertEqual(self.pmemctl_json("flush", PATHS[0])["regions"][0]["dev"], "region1")
        self.guest.run(f"mount /dev/pmem0 {place} && grep mine {place}/file")
        self.addCleanup(self.guest.run, f"umount {place}", check=False)
        frozen = self.pmemctl_json("freeze", PATHS[1])
        self.assertEqual(frozen["regions"][0]["dev"], "region0")
        self.assertTrue(self.is_frozen(place))
        self.assertEqual(self.pmemctl("thaw", PATHS[1]).status, 0)
        self.wait_thawed(place)
        refused = self.pmemctl_json("remove", PATHS[1], status=5)
        self.assertEqual(objects(refused, "obstacles"), [place])
        self.assertEqual(self.pmemctl("set", PATHS[0], "stall_timeout_ms=7000").status, 0)
        self.assertEqual([self.attr("stall_timeout_ms", n) for n in (0, 1)], ["30000", "7000"])
        self.host(1).set(fail_next=1)
        self.assertEqual(self.pmemctl("flush", PATHS[0]).status, 7)
        self.assertEqual([self.attr("state", n) for n in (0, 1)], ["active", "broken"])
        self.assertEqual(self.pmemctl("recover", "--accept-data-loss", PATHS[0]).status, 0)
        self.assertEqual(self.attr("state", 1), "active")
        self.guest.run(f"umount {place}")

    def test_u6_saved_settings_follow_the_device(self) -> None:
        """U6: what is saved for a path is shown at its device after the names have swapped."""
        self.guest.run("mkdir -p /etc/udev/rules.d")
        self.addCleanup(self.guest.run, "rm -rf /etc/udev/rules.d")
        self.assertEqual(self.pmemctl("set", "--persist", "region0", "stall_timeout_ms=7000").status,
                         0)
        self.swap()
        saved = {r["path"]: {s["setting"]: s.get("saved") for s in r["settings"]}
                 for r in self.pmemctl_json("set", "all")["regions"]}
        self.assertEqual(saved[PATHS[0]]["stall_timeout_ms"], "7000")
        self.assertIsNone(saved[PATHS[1]]["stall_timeout_ms"])

    def test_u6_labels(self) -> None:
        """Counters and rates are those of the path, with the name that it has now."""
        self.swap()
        with self.flushes(1, 1):
            self.assertEqual(self.pmemctl("flush", PATHS[0]).status, 0)
        text = self.pmemctl("export").stdout
        self.assertIn(f'path="{PATHS[0]}",region="region1"', text)
        self.assertIn(f'virtpmem_flush_requests_total{{path="{PATHS[0]}"}} 1\n', text)
        self.assertIn(f'virtpmem_flush_requests_total{{path="{PATHS[1]}"}} 0\n', text)
        stat = {r["path"]: (r["dev"], r["stat"]["requests"])
                for r in json.loads(self.pmemctl("stat", "--json").stdout)["regions"]}
        self.assertEqual(stat, {PATHS[0]: ("region1", 1), PATHS[1]: ("region0", 0)})
