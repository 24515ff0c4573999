# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl on real regions: names, output, and every way in which a call can be wrong."""

from __future__ import annotations

import json

from guestcase import DRIVER, GuestCase, load_tests, until      # noqa: F401

NOBODY = 65534


class Cli(GuestCase):
    """With our driver."""

    programs = ("/usr/bin/setpriv",)

    def test_list(self) -> None:
        """list shows every region with its path, as text and as JSON."""
        answer = self.pmemctl_json("list")
        self.assertEqual([(r["dev"], r["path"], r["size"], r["type"], r["flush"]["driver"],
                           r["flush"]["state"]) for r in answer["regions"]],
                         [("region0", "pci-0000:00:04.0", 64 << 20, "pmem", "virtpmem", "active"),
                          ("region1", "pci-0000:00:05.0", 64 << 20, "pmem", "virtpmem", "active")])
        lines = self.pmemctl("list").stdout.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[0], r"^NAME +PATH +SIZE ")
        self.assertRegex(lines[1], r"^region0 +pci-0000:00:04\.0 +64 MiB ")
        self.assertEqual(len(self.pmemctl("list", "region1").stdout.splitlines()), 2)

    def test_status_agrees_with_sysfs(self) -> None:
        """status --json has the driver's counters under their names."""
        self.many("/dev/pmem0", 4, 5)
        flush = self.pmemctl_json("status", "region0")["regions"][0]["flush"]
        for name, value in self.stats().items():
            self.assertEqual(flush[name], value, name)
        for name in ("state", "error_policy", "queue_depth", "queue_depth_max", "in_flight_us"):
            self.assertEqual(str(flush[name]), self.attr(name), name)
        self.assertEqual((flush["driver"], flush["method"], flush["abi"]),
                         ("virtpmem", "deep_flush", int(self.attr("abi"))))
        bins = sum(entry["count"] for entry in flush["latency"])
        self.assertEqual(bins, flush["host_flushes"])
        self.assertEqual(self.pmemctl_json("status", "all")["regions"][1]["dev"], "region1")

    def test_status_text(self) -> None:
        """status says in words what the counters say."""
        self.assertEqual(self.deep_flush(), "")
        text = self.pmemctl("status", "region0").stdout
        self.assertRegex(text, r"(?m)^region0 \(pci-0000:00:04\.0\): ok$")
        self.assertRegex(text, r"(?m)^ +flush method +deep_flush$")
        self.assertRegex(text, r"(?m)^ +host flushes +\d+ answered, 0 failed$")
        self.assertRegex(text, r"(?m)^ +HOST LATENCY +FLUSHES$")
        self.assertRegex(text, r"(?m)^ +used +no$")

    def test_every_name_of_a_region(self) -> None:
        """A region is found by name, path, namespace and block device; the host is the judge."""
        for name in ("region1", "pci-0000:00:05.0", "namespace1.0", "pmem1", "/dev/pmem1"):
            with self.subTest(name=name), self.flushes(1, 1):
                answer = self.pmemctl_json("flush", name)
                self.assertEqual([r["dev"] for r in answer["regions"]], ["region1"])
                self.assertEqual(answer["regions"][0]["flush"]["method"], "deep_flush")
                self.assertGreater(answer["regions"][0]["flush"]["latency_ns"], 0)

    def test_human_units(self) -> None:
        """-u gives sizes and times a unit."""
        region = self.pmemctl_json("list", "region0", "-u")["regions"][0]
        self.assertRegex(region["size"], r"^64\.00 MiB")
        flush = self.pmemctl_json("flush", "region0", "-u")["regions"][0]["flush"]
        self.assertRegex(flush["latency_ns"], r"^[\d.]+ (us|ms|s)$")

    def test_unknown_region(self) -> None:
        """An unknown region is status 3 and named; the others are still flushed."""
        with self.flushes(0, 1):
            answer = self.pmemctl_json("flush", "region9", "region0", status=3)
        self.assertEqual([r["dev"] for r in answer["regions"]], ["region0"])
        error = answer["errors"][0]
        self.assertEqual((error["dev"], error["code"], error["exit"]),
                         ("region9", "no_such_region", 3))
        for command in ("list", "status", "flush"):
            result = self.pmemctl(command, "/dev/null")
            self.assertEqual(result.status, 3, command)
            self.assertIn("/dev/null", result.stderr)
            self.assertEqual(result.stdout, "")

    def test_usage(self) -> None:
        """Unknown commands and options, and a flush of nothing, are status 2."""
        for args in (("flash",), ("flush",), ("flush", "--bogus"), ("list", "--timeout=3"),
                     ("flush", "region0", "--timeout=soon"), ("flush", "region0", "-t", "-1"), ()):
            with self.subTest(args=args), self.flushes(0, 0):
                result = self.pmemctl(*args)
                self.assertEqual(result.status, 2, result.stderr)
                self.assertTrue(result.stderr.startswith("pmemctl: "), result.stderr)
                self.assertEqual(result.stdout, "")
                self.assertEqual(self.pmemctl_json(*args, status=2)["errors"][0]["code"], "usage")

    def test_no_permission(self) -> None:
        """Who may not flush is told so, with status 1, and nothing is flushed; reading works."""
        with self.flushes(0, 0):
            error = self.pmemctl_json("flush", "region0", status=1, user=NOBODY)["errors"][0]
            self.assertEqual((error["dev"], error["code"]), ("region0", "permission"))
            result = self.pmemctl("flush", "region0", user=NOBODY)
            self.assertEqual(result.status, 1)
            self.assertIn("deep_flush", result.stderr)
        region = self.pmemctl_json("status", "region0", user=NOBODY)["regions"][0]
        self.assertEqual(region["flush"]["state"], "active")
        self.assertNotIn("resource", region)
        self.assertEqual(self.pmemctl("list", user=NOBODY).status, 0)

    def test_a_region_that_vanishes(self) -> None:
        """U3: a region that goes while pmemctl flushes it again and again: status 3, and named."""
        host = self.host(1)
        before = host.count
        job = self.guest.start(["pmemctl", "flush", "--interval", "0.1", "region1", "--json"], 60)
        until(lambda: host.count > before + 1, "it has been flushed twice")
        device = self.unbind(1)
        result = job.wait(check=False)
        self.bind(device)
        self.assertEqual(result.status, 3, result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual([r["dev"] for r in answer["regions"]], ["region1"])
        self.assertGreater(answer["regions"][0]["flush"]["flushes"], 0)
        self.assertEqual([(e["dev"], e["code"]) for e in answer["errors"]], [("region1", "gone")])
        self.assertIn("region1: the region went away and was not flushed", result.stderr)

    def test_regions_that_come_and_go(self) -> None:
        """U3: regions come and go while pmemctl looks: complete JSON, and an honest status."""
        job = self.guest.start(
            "n=0; while [ ! -e /tmp/stop ]; do for c in 'status all' 'flush all' list; do "
            "pmemctl $c --json > /tmp/answer 2> /dev/null; echo \"STATUS $?\"; cat /tmp/answer; "
            "done; done", 300)
        device = self.virtio()
        for _ in range(12):
            self.guest.run(f"echo {device} > {DRIVER}/unbind; usleep 5000; "
                           f"echo {device} > {DRIVER}/bind; usleep 5000")
        self.guest.run("touch /tmp/stop")
        text = job.wait().stdout
        self.guest.run("rm /tmp/stop /tmp/answer")
        statuses: dict[int, int] = {}
        for part in text.split("STATUS ")[1:]:
            line, _, body = part.partition("\n")
            status = int(line)
            statuses[status] = statuses.get(status, 0) + 1
            answer = json.loads(body)
            self.assertEqual(answer["schema"], "pmemctl/1")
            self.assertEqual(bool(answer["errors"]), status != 0, answer)
            for error in answer["errors"]:
                self.assertIn(error["code"], ("gone", "no_such_region", "not_supported"), error)
        self.note(f"exit statuses and how often: {statuses}")
        self.assertLessEqual(set(statuses), {0, 3, 4})

    def test_output_that_cannot_be_written(self) -> None:
        """U4: a full or closed stdout is status 1."""
        for redirection in ("> /dev/full", ">&-"):
            for form in ("", "--json"):
                result = self.guest.run(f"pmemctl list {form} {redirection}", check=False)
                self.assertEqual(result.status, 1, redirection)

    def test_version_and_help(self) -> None:
        """version and help work, for people and as JSON."""
        self.assertRegex(self.pmemctl("version").stdout, r"^pmemctl \d+\.\d+")
        self.assertIn("flush", self.pmemctl("help").stdout)
        self.assertIn("--timeout", self.pmemctl("help", "flush").stdout)
        self.assertIn("version", self.pmemctl_json("version"))


class CliInTree(GuestCase):
    """On the in-tree driver pmemctl works as far as that can, and says what cannot be known."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"
    programs = ("/usr/bin/setpriv",)

    def test_flush_by_fsync(self) -> None:
        """U1: without deep_flush it is an fsync of the block device, and says so."""
        for n in (0, 1):
            with self.flushes(n, 1):
                answer = self.pmemctl_json("flush", f"region{n}")
            self.assertEqual(answer["regions"][0]["flush"]["method"], "block_device")

    def test_write_through(self) -> None:
        """U1: with write_cache 'write through' the kernel sends nothing: status 4, and why."""
        cache = "/sys/block/pmem0/queue/write_cache"
        self.guest.write(cache, "write through")
        self.addCleanup(self.guest.write, cache, "write back")
        with self.flushes(0, 0):
            error = self.pmemctl_json("flush", "region0", status=4)["errors"][0]
            self.assertEqual((error["dev"], error["code"]), ("region0", "not_supported"))
            self.assertIn("write through", error["message"])
            # What everybody else would take for a flush:
            self.assertEqual(self.many("/dev/pmem0", 1, 1), (1, 0, "0"))
        region = self.pmemctl_json("status", "region0")["regions"][0]
        self.assertEqual(region["flush"]["method"], "none")
        self.assertIn("write_through", [r["code"] for r in region["health"]["reasons"]])
        self.guest.write(cache, "write back")
        with self.flushes(0, 1):
            self.assertEqual(self.pmemctl("flush", "region0").status, 0)

    def test_status_says_what_is_unknown(self) -> None:
        """status names the driver, has no counters, and says why."""
        region = self.pmemctl_json("status", "region0")["regions"][0]
        self.assertEqual(region["flush"]["driver"], "in-tree")
        self.assertNotIn("requests", region["flush"])
        self.assertNotIn("state", region["flush"])
        self.assertEqual(region["health"]["health_state"], "unknown")
        self.assertIn("no_statistics", [r["code"] for r in region["health"]["reasons"]])

    def test_host_error(self) -> None:
        """A failed fsync is status 7 here too, and the next one succeeds."""
        self.host().set(fail_next=1)
        result = self.pmemctl("flush", "region0")
        self.assertEqual(result.status, 7)
        self.assertIn("the host failed the flush", result.stderr)
        self.assertEqual(self.pmemctl("flush", "region0").status, 0)

    def test_no_permission(self) -> None:
        """Who may not open the block device is told so."""
        with self.flushes(0, 0):
            error = self.pmemctl_json("flush", "region0", status=1, user=NOBODY)["errors"][0]
        self.assertEqual(error["code"], "permission")


class CliNoRegions(GuestCase):
    """Devices without a driver."""

    driver = "none"

    def test_lists_are_empty(self) -> None:
        """No regions: list and status are empty and succeed, as valid JSON too."""
        for command in ("list", "status"):
            result = self.pmemctl(command)
            self.assertEqual((result.status, result.stdout), (0, ""), result.stderr)
            self.assertEqual(self.pmemctl_json(command)["regions"], [])

    def test_flush_has_nothing_to_flush(self) -> None:
        """No regions: flush is status 3 and says how the devices get their driver."""
        for name in ("region0", "all"):
            error = self.pmemctl_json("flush", name, status=3)["errors"][0]
            self.assertEqual(error["code"], "no_such_region")
            self.assertIn("'pmemctl add pci-0000:00:04.0 pci-0000:00:05.0'", error["message"])
