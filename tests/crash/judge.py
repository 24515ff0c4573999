# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether crash states keep what was promised.

A state is a directory that says everything about itself: the regions' images,
and state.json with

    salt, writers   what records are there: number, kind and place of each writer
    acked           the last acknowledged record of each writer
    filesystem      null (slots on the device itself), "ext4" or "xfs"
    frozen          the file system must be sound without a replay of its log (ext4; a
                    frozen xfs keeps its log dirty on purpose)
    parts           what device-mapper made of the regions (images.Extent)
    fill            instead of writers: the first bytes must all have this value

so that a state that was kept can be judged again, alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import images
import records

FILL_SIZE = 2 << 20     # that pmem2-deep-flush stores


class _Case:
    """One state while it is judged."""

    def __init__(self, state: Path, scratch: Path) -> None:
        self.state = state
        self.facts: dict[str, Any] = json.loads((state / "state.json").read_text())
        self.image = scratch / f"{state.name}.image"
        self.tree = scratch / f"{state.name}.tree"
        self.problems: list[str] = []

    def compose(self) -> None:
        images.compose(self.state, [tuple(part) for part in self.facts.get("parts", ())],
                       self.image)

    def rules(self) -> Iterator[str]:
        """Apply the rule of each writer."""
        facts = self.facts
        applied = 0
        for number, kind, index in facts["writers"]:
            acked = facts["acked"].get(str(number), -1)
            applied += acked >= 0
            if kind in records.DEVICE_KINDS:
                found = records.device_slots(self.image, index, facts["salt"], number, acked)
            else:
                found = records.TREE_RULES[kind](self.tree, facts["salt"], number, acked)
            yield from (f"writer {number} ({kind}): {problem}" for problem in found)
        if not applied:
            raise images.CheckError(f"{self.state}: nothing was acknowledged, so nothing is shown")

    def fill(self) -> Iterator[str]:
        with open(self.image, "rb") as file:
            data = file.read(FILL_SIZE)
        kept = data.count(self.facts["fill"])
        if kept != FILL_SIZE:
            yield f"{FILL_SIZE - kept} of {FILL_SIZE} bytes are not {self.facts['fill']:#x}"

    def judge_files(self) -> None:
        if self.tree.exists():
            self.problems += self.rules()

    def judge_device(self) -> None:
        self.problems += self.fill() if "fill" in self.facts else self.rules()

    def judge_ext4(self) -> None:
        problem = images.ext4_problem(self.image, self.facts.get("frozen", False))
        if problem:
            self.problems.append(problem)
        images.ext4_tree(self.image, self.tree)
        self.judge_files()

    def clean(self) -> None:
        self.image.unlink(missing_ok=True)
        shutil.rmtree(self.tree, ignore_errors=True)


def _judge_xfs(cases: Sequence[_Case], scratch: Path) -> None:
    for case in cases:
        case.compose()
    found = images.xfs_trees([case.image for case in cases], [case.tree for case in cases],
                             scratch)
    for case, problem in zip(cases, found, strict=True):
        case.problems += [problem] if problem else []
        case.judge_files()


def judge(states: Sequence[Path], directory: Path) -> dict[Path, list[str]]:
    """What is wrong with each state; scratch files go below DIRECTORY."""
    with tempfile.TemporaryDirectory(prefix="judge.", dir=directory) as name:
        scratch = Path(name)
        cases = [_Case(state, scratch) for state in states]
        for case in cases:
            if case.facts["filesystem"] == "xfs":
                continue
            case.compose()
            if case.facts["filesystem"] == "ext4":
                case.judge_ext4()
            else:
                case.judge_device()
            case.clean()
        xfs = [case for case in cases if case.facts["filesystem"] == "xfs"]
        if xfs:
            _judge_xfs(xfs, scratch)
        return {case.state: case.problems for case in cases}
