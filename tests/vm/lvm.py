# SPDX-License-Identifier: GPL-2.0-or-later
"""LVM in a guest, which has neither its configuration nor udev."""

from __future__ import annotations

CONFIG = ('devices{use_devicesfile=0 scan="/dev"} '
          "activation{udev_sync=0 udev_rules=0 monitoring=0} "
          "backup{backup=0 archive=0} global{event_activation=0}")


def line(command: str) -> str:
    """The shell's line for a command of lvm(8), say "vgchange -an group"."""
    verb, rest = command.split(" ", 1)
    return f"lvm {verb} --config '{CONFIG}' {rest}"
