# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that fails a flush: who hears of it, and what works afterwards.

A Linux host reports lost pages to one fsync, and then drops them: whoever asks
next gets success for data that is gone. So our driver latches the error.
"""

from __future__ import annotations

import json

from guestcase import GuestCase, check_schema, load_tests, parse_many, until      # noqa: F401

EIO = "Input/output error"


class HostErrors(GuestCase):
    """Both policies, in sysfs, pmemctl and events."""

    programs = ("/usr/bin/setpriv",)

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.attr("state"), "active")
        self.set_attr("error_policy", "latch")

    def fail_once(self) -> None:
        self.host().set(fail_next=1)
        self.assertEqual(self.deep_flush(), EIO)

    def test_f14_writers_get_eio(self) -> None:
        """F14: a failed host flush is EIO for fsync, for O_DSYNC writes and for deep_flush."""
        self.set_attr("error_policy", "report")
        for mode in ("fsync", "fdatasync", "dsync"):
            self.host().set(fail_next=1)
            self.assertEqual(self.many("/dev/pmem0", 1, 1, mode), (1, 1, "EIO"))
        self.fail_once()

    def test_f14_everyone_who_waits_is_failed(self) -> None:
        """F14: one failed host flush fails those in flight and those gathering."""
        for policy in ("report", "latch"):
            with self.subTest(policy=policy):
                self.set_attr("error_policy", policy)
                host = self.host()
                host.set(hold=True, fail_next=1)
                jobs = [self.start_deep_flush()]
                host.wait_holding()
                jobs += [self.start_deep_flush() for _ in range(3)]
                jobs.append(self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 60))
                until(lambda: self.attr("queue_depth") == "5", "five wait")
                host.set(hold=False)
                for job in jobs:
                    self.assertEqual(parse_many(job.wait().stdout), (1, 1, "EIO"))
                self.assertEqual(self.attr("queue_depth"), "0")

    def test_f14_latch_keeps_the_error(self) -> None:
        """F14: with latch nothing succeeds any more, also on a host that is healthy again.

        In-tree the next flush succeeds, though data is gone."""
        self.fail_once()
        self.assertEqual(self.attr("state"), "broken")
        self.assertEqual(self.attr("broken"), "1")
        self.assertEqual(self.attr("broken_reason"), "host-error")
        with self.flushes(0, 0):
            self.assertEqual(self.deep_flush(), EIO)
            self.assertEqual(self.many("/dev/pmem0", 4, 2), (8, 8, "EIO"))
            self.assertEqual(self.pmemctl("flush", "region0").status, 7)
        # The other region has nothing to do with it.
        self.assertEqual(self.deep_flush(1), "")
        # And the way back: a new binding, after an administrator has looked.
        self.rebind()
        self.assertEqual(self.attr("state"), "active")
        self.assertEqual(self.deep_flush(), "")

    def test_f14_report_judges_each_flush(self) -> None:
        """With report a later flush succeeds, as it does in-tree."""
        self.set_attr("error_policy", "report")
        before = self.stats()
        self.fail_once()
        self.assertEqual(self.attr("state"), "active")
        self.assertEqual(self.attr("broken_reason"), "none")
        self.assertEqual(self.deep_flush(), "")
        after = self.stats()
        self.assertEqual(after["failed_host_flushes"] - before["failed_host_flushes"], 1)
        self.assertEqual(after["failed_requests"] - before["failed_requests"], 1)
        self.assertGreater(after["last_failure_ns"], before["last_failure_ns"])
        self.assertEqual(after["last_change_ns"], before["last_change_ns"])

    def test_error_policy_takes_its_two_words(self) -> None:
        """Bad input to error_policy is -EINVAL and changes nothing."""
        for policy in ("report", "latch"):
            self.assertEqual(self.store(self.file("error_policy"), f"{policy}\n"), "")
            for bad in ("", "\n", "latc", "latchx", "LATCH", "1", "report latch", "x" * 4000):
                with self.subTest(bad=bad[:10]):
                    if bad:     # a write of nothing does not reach the driver
                        self.assertEqual(self.store(self.file("error_policy"), bad),
                                         "Invalid argument")
                    self.assertEqual(self.attr("error_policy"), policy)

    def test_read_only_files_are_read_only(self) -> None:
        """Nobody writes to what only shows something."""
        for name in ("abi", "state", "broken", "broken_reason", "queue_depth", "queue_depth_max",
                     "in_flight_us", "flush_stats", "flush_latency"):
            with self.subTest(name=name):
                self.assertNotEqual(self.store(self.file(name), "1"), "")
                mode = self.guest.run(["stat", "-c", "%a", self.file(name)]).stdout.strip()
                self.assertEqual(mode, "444")

    def test_pmemctl_says_that_the_host_failed(self) -> None:
        """U2: pmemctl flush exits 7 and says who failed, text and JSON."""
        self.set_attr("error_policy", "report")
        self.host().set(fail_next=1)
        result = self.pmemctl("flush", "region0")
        self.assertEqual(result.status, 7)
        self.assertIn("region0: the host failed the flush", result.stderr)
        self.assertEqual(result.stdout, "")
        self.host().set(fail_next=1)
        answer = self.pmemctl_json("flush", "region0", status=7)
        self.assertEqual(answer["regions"], [])
        error = answer["errors"][0]
        self.assertEqual((error["dev"], error["code"], error["exit"]),
                         ("region0", "flush_failed", 7))

        self.set_attr("error_policy", "latch")
        self.host().set(fail_next=1)
        result = self.pmemctl("flush", "region0")
        self.assertEqual(result.status, 7)
        self.assertIn("the host failed the flush", result.stderr)
        error = self.pmemctl_json("flush", "region0", status=7)["errors"][0]
        self.assertEqual((error["code"], error["exit"]), ("broken", 7))
        self.assertIn("host-error", error["message"])

    def test_pmemctl_flushes_the_others(self) -> None:
        """Several regions: each is tried, and the first failure decides the status."""
        self.fail_once()
        before = self.host(1).count
        answer = self.pmemctl_json("flush", "all", status=7)
        self.assertEqual([r["dev"] for r in answer["regions"]], ["region1"])
        self.assertEqual([e["dev"] for e in answer["errors"]], ["region0"])
        self.assertEqual(self.host(1).count, before + 1)

    def test_pmemctl_status_shows_it(self) -> None:
        """status names the state, the reason and the failures; health is fatal."""
        self.fail_once()
        answer = self.pmemctl_json("status", "region0")
        region = answer["regions"][0]
        self.assertEqual(region["flush"]["state"], "broken")
        self.assertEqual(region["flush"]["broken_reason"], "host-error")
        self.assertEqual(region["flush"]["failed_host_flushes"], 1)
        self.assertEqual(region["health"]["health_state"], "fatal")
        text = self.pmemctl("status", "region0").stdout
        self.assertRegex(text, r"flush state +broken: host-error")

        self.rebind()
        self.set_attr("error_policy", "report")
        self.fail_once()
        region = self.pmemctl_json("status", "region0")["regions"][0]
        self.assertEqual(region["flush"]["state"], "active")
        self.assertEqual(region["health"]["health_state"], "critical")
        self.assertIn("host_flush_failed", [r["code"] for r in region["health"]["reasons"]])

    def reasons(self) -> list[str]:
        answer = json.loads(self.pmemctl("health", "region0", "--json").stdout)
        check_schema(answer)
        return [r["code"] for r in answer["regions"][0]["health"]["reasons"]]

    def acknowledge(self) -> str:
        """What became of it."""
        answer = self.pmemctl_json("health", "--acknowledge", "region0")
        return str(answer["regions"][0]["outcome"])

    def test_error_is_a_reason_until_it_is_acknowledged(self) -> None:
        """A failed flush is a reason until --acknowledge, and the next one is a reason again."""
        # As systemd mounts it: a guest's is anybody's to write to.
        self.guest.run("chmod 755 /run")
        self.set_attr("error_policy", "report")
        for _ in range(2):
            self.fail_once()
            self.assertEqual(self.deep_flush(), "")
            self.assertIn("host_flush_failed", self.reasons())
            refused = self.pmemctl("health", "--acknowledge", "region0", user=65534)
            self.assertEqual(refused.status, 1, refused.stdout + refused.stderr)
            self.assertIn("host_flush_failed", self.reasons())
            self.assertEqual(self.acknowledge(), "done")
            self.assertNotIn("host_flush_failed", self.reasons())
            self.assertEqual(self.acknowledge(), "not_needed")
        # Of a driver that is bound anew nothing is left to be acknowledged.
        self.rebind()
        self.assertEqual(self.acknowledge(), "not_needed")
        self.fail_once()
        self.assertEqual(self.acknowledge(), "done")
        # It was latched: acknowledging does not recover, nor recovering acknowledge.
        self.assertEqual(self.reasons(), ["broken"])
        self.rebind()
        self.fail_once()
        self.assertEqual(self.pmemctl("recover", "--accept-data-loss", "region0").status, 0)
        self.assertIn("host_flush_failed", self.reasons())
        self.assertEqual(self.acknowledge(), "done")
        self.assertNotIn("host_flush_failed", self.reasons())

    def test_uevent_and_poll_of_a_broken_region(self) -> None:
        """A region that breaks is one uevent with state, reason and event, and wakes poll()."""
        events = self.listen()
        poll = self.watch_state()
        self.fail_once()
        event = until(lambda: self.change_events(events), "a uevent")[0]
        self.assertIn("VIRTIO_PMEM_STATE=broken", event)
        self.assertIn("VIRTIO_PMEM_REASON=host-error", event)
        self.assertIn("VIRTIO_PMEM_EVENT=host-error", event)
        until(lambda: poll.output == b"active\nbroken\n", "poll() wakes")

    def test_uevent_of_a_reported_error(self) -> None:
        """With report a failed host flush is a uevent, and the state does not change."""
        self.set_attr("error_policy", "report")
        events = self.listen()
        poll = self.watch_state()
        self.fail_once()
        event = until(lambda: self.change_events(events), "a uevent")[0]
        self.assertIn("VIRTIO_PMEM_STATE=active", event)
        self.assertIn("VIRTIO_PMEM_EVENT=host-error", event)
        self.assertEqual(poll.output, b"active\n")

    def test_f19_many_errors_do_not_flood(self) -> None:
        """F19: events and messages about failed host flushes are rate-limited."""
        self.set_attr("error_policy", "report")
        events = self.listen()
        self.guest.run("dmesg -c > /dev/null")
        self.host().set(fail_errno=5)
        self.assertEqual(self.many("/dev/pmem0", 1, 300), (300, 300, "EIO"))
        self.host().reset()
        self.assertEqual(self.deep_flush(), "")
        messages = self.guest.dmesg().count("the host failed a flush")
        self.note(f"300 failures: {messages} messages, {len(self.change_events(events))} events")
        self.assertLess(messages, 150)
        self.assertLess(len(self.change_events(events)), 150)


class Report(GuestCase):
    """The module's parameter sets the policy of every device."""

    params = "error_policy=report"
    devices = 1

    def test_the_parameter_is_the_default(self) -> None:
        """Loaded with error_policy=report, a region has that policy."""
        self.assertEqual(self.attr("error_policy"), "report")
        parameter = "/sys/module/virtio_pmem/parameters/error_policy"
        self.assertEqual(self.guest.read(parameter), "report")
        self.assertEqual(self.store(parameter, "maybe"), "Invalid argument")
        self.assertEqual(self.store(parameter, "latch"), "")
        self.assertEqual(self.attr("error_policy"), "report")
        self.rebind()
        self.assertEqual(self.attr("error_policy"), "latch")


class HostErrorsInTree(GuestCase):
    """The in-tree driver, to show the difference."""

    kernels = ("6.1", "6.12")
    driver = "in-tree"

    def test_f14_the_next_flush_succeeds_in_tree(self) -> None:
        """F14: one fsync hears of the host's failure, the next succeeds though data is gone."""
        self.host().set(fail_next=1)
        self.assertEqual(self.many("/dev/pmem0", 1, 3), (3, 1, "EIO"))

    def test_f14_only_one_of_many_hears_of_it(self) -> None:
        """F14: of callers that wait together, one gets EIO and the others success."""
        host = self.host()
        host.set(hold=True, fail_next=1)
        jobs = [self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 60)]
        host.wait_holding()
        jobs += [self.guest.start(["fsync-many", "-m", "fsync", "/dev/pmem0"], 60)
                 for _ in range(3)]
        self.guest.run("until [ $(grep -l '^State:.*D' /proc/[0-9]*/task/*/status | wc -l) -ge 4 ]"
                       "; do :; done", timeout=30)
        host.set(hold=False)
        errors = [parse_many(job.wait().stdout)[1] for job in jobs]
        self.assertEqual(sum(errors), 1, errors)
