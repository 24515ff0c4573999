# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl flush of several regions and again and again; the host's fsyncs are the judge."""

from __future__ import annotations

import json
import signal
from typing import Any

import vm
from guestcase import GuestCase, load_tests, until    # noqa: F401

FOREVER = 3600      # s between two flushes: there is no second one
OFTEN = 0.05        # s


class FlushCase(GuestCase):
    """What is so with each driver."""

    kernels: tuple[str, ...] = ()
    method = ""

    def counts(self) -> list[int]:
        return [host.count for host in self.guest.hosts]

    def more_than(self, before: list[int], count: int) -> list[bool]:
        return [now - old > count for now, old in zip(self.counts(), before)]

    def hold_all(self) -> None:
        for host in self.guest.hosts:
            host.set(hold=True)

    def start(self, *args: str) -> vm.Job:
        return self.guest.start(["pmemctl", "flush", "--json", *args], 200)

    def interrupted(self, job: vm.Job) -> dict[str, Any]:
        """Ctrl-C, and what it says then."""
        job.kill(signal.SIGINT)
        result = job.wait(timeout=60, check=False)
        self.assertEqual(result.status, 130, result.stdout + result.stderr)
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def test_regions_at_the_same_time(self) -> None:
        """Both regions' flushes are with the host at once; the answer is in the order of names."""
        before = self.counts()
        self.hold_all()
        job = self.start("region1", "region0")
        for host in self.guest.hosts:
            host.wait_holding()
        self.assertTrue(job.running)
        for host in self.guest.hosts:
            host.set(hold=False)
        answer = json.loads(job.wait().stdout)
        self.assertEqual([(r["dev"], r["flush"]["method"]) for r in answer["regions"]],
                         [("region1", self.method), ("region0", self.method)])
        self.assertEqual(self.counts(), [count + 1 for count in before])

    def test_count(self) -> None:
        """--count is how often the host is asked for each region, and no other."""
        with self.flushes(1, 7):
            flush = self.pmemctl_json("flush", "-c", "7", "region1")["regions"][0]["flush"]
        self.assertEqual((flush["method"], flush["flushes"]), (self.method, 7))
        self.assertLessEqual(flush["latency_min_ns"], flush["latency_p50_ns"])
        self.assertLessEqual(flush["latency_p50_ns"], flush["latency_max_ns"])
        before = self.counts()
        text = self.pmemctl("flush", "--count", "15", "all").stdout
        self.assertEqual(self.counts(), [count + 15 for count in before])
        for n, line in enumerate(text.splitlines()):
            self.assertRegex(line, rf"^region{n}: flushes by {self.method}: 15, latency min .* "
                                   r"p50 .* max ")

    def test_interval(self) -> None:
        """--interval goes on until Ctrl-C; what it says was flushed, the host has seen."""
        before = self.counts()
        job = self.start("--interval", str(OFTEN), "region0", "region1")
        until(lambda: all(self.more_than(before, 3)), "some flushes of both", 100)
        answer = self.interrupted(job)
        for n, region in enumerate(answer["regions"]):
            asked = self.counts()[n] - before[n]
            # The last one may have been under way.
            self.assertIn(asked - region["flush"]["flushes"], (0, 1), answer)
        self.assertEqual({e["code"] for e in answer["errors"]},
                         {"interrupted"})

    def test_interval_is_kept(self) -> None:
        """Between the beginnings of two flushes lies the interval, as the host sees them."""
        before = self.counts()
        job = self.start("--interval", str(FOREVER), "region0", "region1")
        until(lambda: all(self.more_than(before, 0)), "a flush of both")
        until(lambda: all(host.done == host.count for host in self.guest.hosts), "answers")
        self.guest.run("sleep 1")
        self.assertEqual(self.counts(), [count + 1 for count in before])
        self.interrupted(job)
        self.assertEqual(self.counts(), [count + 1 for count in before])

    def test_interrupted_while_the_host_does_not_answer(self) -> None:
        """Ctrl-C ends it though the host answers neither region; both are named."""
        self.hold_all()
        job = self.start("region0", "region1")
        for host in self.guest.hosts:
            host.wait_holding()
        answer = self.interrupted(job)
        self.assertEqual([host.holding for host in self.guest.hosts], [1, 1])
        self.assertEqual(answer["regions"], [])
        self.assertEqual([(e["dev"], e["code"]) for e in answer["errors"]],
                         [("region0", "interrupted"), ("region1", "interrupted")])

    def test_timeout(self) -> None:
        """--timeout gives up on the region that is not answered, and on no other."""
        self.host(0).set(hold=True)
        before = self.counts()
        answer = self.pmemctl_json("flush", "-t", "10", "-c", "3", "region0", "region1", status=6)
        self.assertEqual(self.host(0).holding, 1)
        self.assertEqual([(r["dev"], r["flush"]["flushes"]) for r in answer["regions"]],
                         [("region1", 3)])
        self.assertEqual([(e["dev"], e["code"]) for e in answer["errors"]],
                         [("region0", "timed_out")])
        self.assertEqual(self.counts(), [before[0] + 1, before[1] + 3])

    def test_a_host_that_fails(self) -> None:
        """The first flush that fails ends it for its region, and for no other."""
        self.host(0).set(fail_next=1)
        answer = self.pmemctl_json("flush", "-c", "3", "region0", "region1", status=7)
        self.assertEqual([(r["dev"], r["flush"]["flushes"]) for r in answer["regions"]],
                         [("region1", 3)])
        self.assertEqual([(e["dev"], e["code"]) for e in answer["errors"]],
                         [("region0", "flush_failed")])

    def tearDown(self) -> None:
        super().tearDown()
        if not self._skip:
            until(lambda: all(host.done == host.count for host in self.guest.hosts),
                  "the host has answered")


class CliFlush(FlushCase):
    """Our driver."""

    kernels = ("6.1", "6.12", "7.3")
    method = "deep_flush"


class CliFlushInTree(FlushCase):
    """The in-tree driver, whose wait for the host no signal ends."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"
    method = "block_device"

    def test_processes_are_left_behind(self) -> None:
        """Who is given up on by Ctrl-C leaves a process that ends with the answer, and says so."""
        self.hold_all()
        job = self.start("region0", "region1")
        for host in self.guest.hosts:
            host.wait_holding()
        answer = self.interrupted(job)
        for error in answer["errors"]:
            self.assertIn("a process still waits for it", error["message"])
        self.assertEqual(len(self.left_behind()), 2)
        for host in self.guest.hosts:
            host.set(hold=False)
        until(lambda: not self.left_behind(), "they end")

    def left_behind(self) -> list[str]:
        return self.guest.run("pidof virtpmem-flush", check=False).stdout.split()
