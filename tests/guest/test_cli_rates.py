# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl stat, export and bench on a real region: what they count is what the host saw."""

from __future__ import annotations

import hashlib
import json
import re

from guestcase import GuestCase, load_tests, until     # noqa: F401

THREADS, CALLS = 8, 5


class CliRates(GuestCase):
    """With our driver."""

    kernels = ("6.12",)

    def load(self) -> None:
        """Requests of several threads, of which some share a host flush."""
        self.host().set(delay_ms=5)
        self.assertEqual(self.many("/dev/pmem0", THREADS, CALLS)[1], 0)
        self.host().set(delay_ms=0)

    def test_stat(self) -> None:
        """The reports of stat have just the host flushes and requests of the time between."""
        stats = self.stats()
        job = self.guest.start("exec pmemctl stat --json region0 1", timeout=300)
        self.addCleanup(job.kill)

        def reports() -> list[dict[str, int]]:
            return [json.loads(line)["regions"][0]["stat"]
                    for line in job.output.decode().splitlines(True) if line.endswith("\n")]

        until(reports, "a first report")
        before = self.host().count
        self.load()
        until(lambda: sum(r["requests"] for r in reports()[1:]) >= THREADS * CALLS,
              "all requests are reported", timeout=120)
        first, *later = reports()
        self.assertEqual(first["host_flushes"], stats["host_flushes"])
        self.assertEqual(first["requests"], stats["requests"])
        self.assertEqual(sum(r["host_flushes"] for r in later), self.host().count - before)
        self.assertEqual(sum(r["requests"] for r in later), THREADS * CALLS)
        self.assertEqual(self.stats()["requests"] - stats["requests"], THREADS * CALLS)
        self.assertLess(self.host().count - before, THREADS * CALLS)
        for report in later:
            if report["host_flushes"]:
                # Each of them took the 5 ms that the host was told to take.
                self.assertGreaterEqual(report["host_mean_ns"], 5000000)
                # The histogram is read after the counters: with the answer between the two in the
                # report before, a report of one flush has none of it.
                self.assertGreaterEqual(report.get("host_p50_ns", 5000000), 5000000)
        self.assertTrue(any("host_p50_ns" in report for report in later))

    def exported(self) -> dict[str, float]:
        """The samples of region 0, by name and limit."""
        text = self.pmemctl("export", "region0").stdout
        self.assertTrue(text.endswith("# EOF\n"), text)
        samples = {}
        for name, labels, value in re.findall(r"(?m)^(\w+)\{(.*)\} (\S+)$", text):
            limit = re.search(r'le="([^"]*)"', labels)
            samples[name + (" " + limit[1] if limit else "")] = float(value)
        return samples

    def test_export(self) -> None:
        """The counters of export, and its histogram, move by the host's fsyncs."""
        before, fsyncs = self.exported(), self.host().count
        self.load()
        after, fsyncs = self.exported(), self.host().count - fsyncs
        name = "virtpmem_host_flush_duration_seconds"
        self.assertGreater(fsyncs, 0)
        self.assertEqual(after[name + "_count"] - before[name + "_count"], fsyncs)
        self.assertEqual(after[name + "_bucket +Inf"] - before[name + "_bucket +Inf"], fsyncs)
        # None was faster than the 5 ms that the host was told to take.
        self.assertEqual(after[name + "_bucket 0.004096"], before[name + "_bucket 0.004096"])
        self.assertGreaterEqual(after[name + "_sum"] - before[name + "_sum"], fsyncs * 0.005)
        self.assertEqual(after["virtpmem_flush_requests_total"] -
                         before["virtpmem_flush_requests_total"], THREADS * CALLS)

    def test_bench(self) -> None:
        """bench has the host's flushes and the driver's requests, and writes nothing."""
        def content() -> str:
            return hashlib.sha256(self.on_host(0, 0, 64 << 20)).hexdigest()

        before, stats, was = self.host().count, self.stats(), content()
        # Long enough for others to ask meanwhile.
        self.host().set(delay_ms=5)
        answer = self.pmemctl_json("bench", "--callers", "1,4,16", "--time", "1", "region0")
        runs = answer["regions"][0]["bench"]
        self.assertEqual([run["callers"] for run in runs], [1, 4, 16])
        self.assertEqual(sum(run["host_flushes"] for run in runs), self.host().count - before)
        self.assertEqual(sum(run["requests"] for run in runs),
                         self.stats()["requests"] - stats["requests"])
        self.assertEqual(runs[0]["host_flushes"], runs[0]["requests"])
        self.assertLess(runs[2]["host_flushes"], runs[2]["requests"])
        self.assertEqual(content(), was)
