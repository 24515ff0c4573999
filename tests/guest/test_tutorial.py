# SPDX-License-Identifier: GPL-2.0-or-later
"""The tutorial is a session that happened: replay it, and compare each line.

Documentation/pmemctl-tutorial.adoc holds commands and their output in blocks
between lines of "----". "# COMMAND" is run in the guest, in the background if it
ends with "&"; "$ scripts/demo --host ..." on the host. Nothing else is done: who
follows the text in "scripts/demo --shell" has done all of it. With
TUTORIAL_UPDATE=1 the output is written into the text instead.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess

from guestcase import TOP, GuestCase, load_tests       # noqa: F401

TUTORIAL = TOP / "Documentation/pmemctl-tutorial.adoc"
DEMO = TOP / "scripts/demo"
STEER = "scripts/demo --host "

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
    # As scripts/demo has it, see below.
    programs = ("mkfs.ext4", "e2fsck", "fsync-load")
    size = "128M"

    def on_the_host(self, command: str) -> str:
        self.assertTrue(command.startswith(STEER), command)
        done = subprocess.run(
            [TOP / "tests/vm/host", self.guest.control_path, *shlex.split(command[len(STEER):])],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout

    def in_the_guest(self, command: str) -> str:
        if command.endswith("&"):
            self.guest.start(command.rstrip("& "))
            return ""
        return self.guest.run(f"{{ {command}\n}} 2>&1", check=False, timeout=60).stdout

    def output(self, line: str) -> str:
        """What a line of the text prints, which must be something that can be read."""
        text = self.on_the_host(line[2:]) if line[0] == "$" else self.in_the_guest(line[2:])
        self.assertNotRegex(text, r"[\x00-\x08\x0b-\x1f\x7f]", f"control characters from {line}")
        return text

    def replay(self) -> tuple[str, list[tuple[str, str, str]]]:
        """The text with today's output; and each command with what it said then and now."""
        written: list[str] = []
        compared: list[tuple[str, str, str]] = []
        inside = False
        for line in TUTORIAL.read_text(encoding="utf-8").splitlines():
            if line == "----":
                inside = not inside
            if not inside or line == "----":
                written.append(line)
            elif line.startswith(("# ", "$ ")):
                now = self.output(line)
                compared.append((line, "", now))
                written += [line, *now.rstrip("\n").splitlines()]
            else:
                command, then, now = compared[-1]
                compared[-1] = (command, f"{then}{line}\n", now)
        return "\n".join(written) + "\n", compared

    def test_the_demo_gives_this_machine(self) -> None:
        """Whoever follows the tutorial in "scripts/demo --shell" has its programs and devices."""
        demo = DEMO.read_text(encoding="utf-8")
        self.assertEqual(tuple(re.findall(r"--program (\S+)", demo)), self.programs)
        self.assertEqual(re.findall(r"--size (\S+)", demo), [self.size])
        pages = re.findall(r"\S+/fsync\.control", demo)    # of --shell and of --host
        self.assertEqual(pages, pages[:1] * 2)

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
