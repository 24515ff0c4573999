# SPDX-License-Identifier: GPL-2.0-or-later
"""The tutorial is a session that happened: replay it, and compare each line.

Documentation/pmemctl-tutorial.adoc holds commands ("# ...") and their output in
blocks between lines of "----", and says in comments what the reader does not
see: "// setup: COMMAND", "// host: regionN NAME=VALUE" (what the host does from
now on, see hostfsync.py), "// load: COMMAND" (in the background) and "// end of
load". With TUTORIAL_UPDATE=1 the output is written into the text instead.
"""

from __future__ import annotations

import itertools
import os
import re

import vm
from guestcase import TOP, GuestCase, load_tests       # noqa: F401

TUTORIAL = TOP / "Documentation/pmemctl-tutorial.adoc"

# Times, counts and process numbers differ, and with them the widths of columns and bars.
# Two numbers are one figure only in "2 h 5 min": in "3.84 75 ms" they are two columns.
FIGURE = re.compile(r"\d+ (d \d+ h|h \d+ min|min \d+ s)\b|\d+(\.\d+)?( ?(ns|us|ms|s)\b)?")
BAR = re.compile(r"(?<=^N to N N) .*")


def alike(text: str) -> list[str]:
    """What must be the same in two sessions, of each line that is not empty. A histogram has
    as many lines as it has, which are alike."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    plain = (FIGURE.sub("N", line.replace("in flight nothing", "in flight 1 ms"))
             for line in lines if line)
    return [line for line, _ in itertools.groupby(BAR.sub("", line) for line in plain)]


class Tutorial(GuestCase):
    """On two regions that nobody else uses."""

    kernels = ("6.12",)
    programs = ("mkfs.ext4", "e2fsck")
    size = "128M"

    def setUp(self) -> None:
        super().setUp()
        self.job: vm.Job | None = None

    def told(self, what: str, rest: str) -> None:
        """Follow a comment of the text."""
        if what == "setup":
            self.guest.run(rest)
        elif what == "host":
            region, name, value = re.fullmatch(r"region(\d) (\w+)=(\d+)", rest).groups()
            self.guest.host(int(region)).set(**{name: int(value)})
        elif what == "load":
            self.job = self.guest.start(rest)
        else:
            assert self.job
            self.job.kill()
            self.job = None

    def output(self, command: str) -> str:
        result = self.guest.run(command, check=False, timeout=60)
        return result.stdout + result.stderr

    def replay(self) -> tuple[str, list[tuple[str, str, str]]]:
        """The text with today's output; and each command with what it said then and now."""
        written: list[str] = []
        compared: list[tuple[str, str, str]] = []
        inside = False
        for line in TUTORIAL.read_text(encoding="utf-8").splitlines():
            comment = re.fullmatch(r"// (setup|host|load|end of load):? ?(.*)", line)
            if comment:
                self.told(comment[1], comment[2])
            if line == "----":
                inside = not inside
            if not inside or line == "----":
                written.append(line)
            elif line.startswith("# "):
                now = self.output(line[2:])
                compared.append((line[2:], "", now))
                written += [line, *now.rstrip("\n").splitlines()]
            else:
                command, then, now = compared[-1]
                compared[-1] = (command, f"{then}{line}\n", now)
        return "\n".join(written) + "\n", compared

    def test_the_tutorial_is_what_happens(self) -> None:
        """Each command of pmemctl-tutorial.adoc prints what the text shows, figures aside."""
        written, compared = self.replay()
        if os.environ.get("TUTORIAL_UPDATE"):
            TUTORIAL.write_text(written, encoding="utf-8")
            self.skipTest("the tutorial was written anew")
        self.assertGreater(len(compared), 15)
        for command, then, now in compared:
            with self.subTest(command=command):
                self.assertEqual(alike(now), alike(then))
