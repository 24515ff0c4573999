#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""U4: whichever single allocation fails, the output is whole, or a message says why not and the
exit status is that of a failure. Never a crash, never a hang.

Each command runs once for each of its allocations; see alloc.c. Two are sampled: of "top" every
17th allocation fails, and of "monitor" every third, or each if it is named on the command line.
"""
import concurrent.futures
import difflib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading

from machine import FAULT_LIB, PMEMCTL, Machine, need_programs
from test_golden import CLOCK, bad, both, in_use, on, stats

ALLOC_LIB = os.environ['ALLOC_LIB']
PARTS = 16  # of a command's runs, beside each other: some sleep
HANGS = 60  # seconds, after which alloc.c ends a run

TEXT_AND_JSON = ('list', 'status region0', 'status --dax region2', 'health region0',
                 'health --system', 'health -an region0', 'holders region0', 'errors region0',
                 'stat region0', 'flush region0 region1', 'set region0', 'freeze -n region1',
                 'thaw -n region1', 'remove -n region0', 'recover -n region0',
                 'add -n pci-0000:00:04.0', 'version', 'help flush')
COMMANDS = [c + form for c in TEXT_AND_JSON for form in ('', ' --json')] + [
    'status -o dev,health,why region0', 'list -o dev,state region0', 'health region1 --nagios',
    'export region0', 'flush -c 2 region0', 'list region9', '__complete list --out',
    'freeze -n region1 -- true', 'export --output-file TMP/export.prom',
    'health --nagoi --nagios', 'freeze --forec region1 -- true', 'stat 0.01 2',
    'errors --files region0', 'bench -C 1 -t 0.001 region2']

# What really changes something, as far as a recorded machine lets it: one run after the other.
CHANGES = ['set region2 error_policy=report', 'freeze region2 -- true', 'thaw region2',
           'remove region2', 'recover region3', 'add pci-0000:00:06.0']

# These run until they are told to end: see Manager. The log is the standard output that they have.
MONITORS = ['monitor -c TMP/monitor.conf', 'monitor --json -E setting region0 region1']
MONITOR_CONFIG = '[monitor]\nregion = region0 region1\nlog = /proc/self/fd/1\nexec = true\n'
MONITOR_CLOCK = (
    (r'(?m)^\d{4}-\d\d-\d\dT\S+', 'TIME'),
    (r'("(?:timestamp|time|pid|boottime_ns)":)("[^"]*"|\d+)', r'\1TIME'),
    (r'\b[23]0000\b', 'VALUE'),
)
# All that may be said on standard error and is not said else.
MONITOR_SAYS = r'memory|events? (was|were) not told to|could not be told'

# How xterm enters and leaves the screen of a program.
ENTER, LEAVE = '\033[?1049h', '\033[?1049l'
SURVIVED = 'Cannot allocate memory'

# What these exit with, whatever fails.
EXITS = {'health region1 --nagios': 3, 'freeze -n region1 -- true': 125,
         'freeze region2 -- true': 125,
         'health --nagoi --nagios': 3, 'freeze --forec region1 -- true': 125}


class Run:
    def __init__(self, command, directory, line):
        number, status, reached = line.split()
        self.command, self.number = command, int(number)
        self.status, self.reached = os.waitstatus_to_exitcode(int(status)), reached == '1'
        self.out, self.err = (self._read(os.path.join(directory, number + end))
                              for end in ('.out', '.err'))

    def _read(self, path):
        with open(path, encoding='utf-8', errors='backslashreplace') as f:
            text = f.read()
        clock = MONITOR_CLOCK if self.command in MONITORS else CLOCK
        for pattern, replacement in clock:
            text = re.sub(pattern, replacement, text)
        text = re.sub(r'\b[0-9.]+ ?(ns|us|ms|s|min|h|d)\b', 'TIME', text)
        # Measured, or since the machine's boot, which becomes less while this test runs.
        if self.command.split()[0] in ('bench', 'stat'):
            text = re.sub(r'\b[0-9]+\.[0-9]{2}\b', 'RATE', text)
        return re.sub(' +', ' ', text)

    def _is_whole(self, whole):
        if self.status != whole.status:
            return False
        if self.out == whole.out:
            return True
        try:
            return json.loads(self.out) == json.loads(whole.out)
        except ValueError:
            return False

    def _has_only_lines(self, whole):
        """Of a stream: those of the whole output, or an answer that is one line."""
        lines = whole.out.splitlines(True)
        try:
            return all(line in lines or (line.endswith('\n') and json.loads(line)['errors'])
                       for line in self.out.splitlines(True))
        except (KeyError, ValueError):
            return False

    def _says_what_is_true(self, whole):
        lines = whole.err.splitlines()
        return all(line in lines or re.search(MONITOR_SAYS, line)
                   for line in self.err.splitlines())

    def is_right(self, whole):
        if self.command in MONITORS and \
                not (self._has_only_lines(whole) and self._says_what_is_true(whole)):
            return False
        if self._is_whole(whole):
            return True
        expected = EXITS.get(self.command, self.status)
        return self.status > 0 and self.status == expected and \
            re.search(r'^pmemctl: ', self.err, re.M) is not None

    def check(self, whole):
        assert self.is_right(whole), '%s: allocation %d fails: status %d\n%s-- stderr\n%s' % (
            self.command, self.number, self.status,
            ''.join(difflib.unified_diff(whole.out.splitlines(True), self.out.splitlines(True),
                                         'whole output', 'output')), self.err)


def environment(machine, **more):
    return machine.environment(
        LD_PRELOAD='%s %s libumockdev-preload.so.0' % (ALLOC_LIB, FAULT_LIB), **more)


def runs(machine, command, first, step, **more):
    """The last one is that which no allocation failed."""
    with tempfile.TemporaryDirectory(dir=machine.tmp) as directory:
        env = environment(machine, ALLOC_FIRST=str(first), ALLOC_STEP=str(step),
                          ALLOC_DIR=directory, **more)
        argv = [PMEMCTL, *command.replace('TMP', machine.tmp).split()]
        done = subprocess.run(argv, env=env, check=True, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE)
        return [Run(command, directory, line) for line in done.stdout.splitlines()]


def check_part(machine, command, whole, first, step=PARTS, **more):
    """How many allocations failed."""
    part = runs(machine, command, first, step, **more)
    for run in part:
        run.check(whole)
    assert not part[-1].reached
    return len(part) - 1


def check_screen(machine, number):
    """Whether there was one. The terminal is as before when 'top' got no memory: where that ended
    it, and where it said so and went on."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 200, 0, 0))
    before, text, told = termios.tcgetattr(slave), '', False
    # It looks again and again, and so comes to the allocation in the end.
    with subprocess.Popen([PMEMCTL, 'top', '-i', '0.02'], stdin=slave, stdout=slave, stderr=slave,
                          env=environment(machine, TERM='xterm', ALLOC_FIRST=str(number),
                                          ALLOC_STEP='0')):
        # The terminal shows the 'q' too, before or after the last line where 'top' has ended.
        while not re.search(r'(?<!\d)%d \d+ [01]\r?\n' % number, text):
            assert select.select([master], [], [], 2 * HANGS)[0], 'top hangs: ' + text
            text += os.read(master, 4096).decode('utf-8', 'replace')
            if SURVIVED in text and not told:
                os.write(master, b'q')
                told = True
    after = termios.tcgetattr(slave)
    os.close(slave)
    os.close(master)
    where = 'top: allocation %d fails: %r' % (number, text)
    assert told or text.endswith('pmemctl: out of memory\r\n%d %d 1\r\n' % (number, 1 << 8)), where
    assert before == after, where
    assert ENTER not in text or text.rindex(LEAVE) > text.index(ENTER), where
    return ENTER in text and not told


def check_screens(machine):
    if 'built without ncurses' in machine.run('top').err:
        return 0
    total = sum(check_screen(machine, number) for number in range(1, 1200, 17))
    assert total, 'top: it always went on'
    return total


class Manager:
    """The service manager of one monitor after the other. It makes two events, has the settings
    read anew between them, and ends it: each when the monitor says that it watches, so that
    nothing depends on time."""

    def __init__(self, machine):
        self.path = os.path.join(machine.tmp, 'notify')
        self.settings = [machine.path('region%d/virtio_pmem/stall_timeout_ms' % n) for n in (0, 1)]
        self.pid, self.ready = None, 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.path)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            what, control, _, _ = self.socket.recvmsg(100, 100)
            pid = struct.unpack('3i', control[0][2])[0]
            if pid == os.getpid():
                return
            if what == b'READY=1':
                self._watches(pid)

    def _watches(self, pid):
        self.ready = self.ready + 1 if pid == self.pid else 1
        self.pid = pid
        self._change(self.settings[self.ready - 1])
        try:
            os.kill(pid, signal.SIGHUP if self.ready == 1 else signal.SIGTERM)
        except ProcessLookupError:
            pass    # no memory

    @staticmethod
    def _change(setting):
        """With one write of the same length, so that no value in between is seen."""
        fd = os.open(setting, os.O_RDWR)
        os.pwrite(fd, {b'3': b'2', b'2': b'3'}[os.pread(fd, 1, 0)], 0)
        os.close(fd)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b'', self.path)
        self.thread.join()
        self.socket.close()


def check_monitor(command, first, step):
    """How many allocations failed, on a machine of its own, whose events are nobody else's."""
    machine = Machine('virtpmem-6.12')
    manager = Manager(machine)
    try:
        with open(os.path.join(machine.tmp, 'monitor.conf'), 'w', encoding='ascii') as f:
            f.write(MONITOR_CONFIG)
        whole, = runs(machine, command, 0, 1, NOTIFY_SOCKET=manager.path)
        assert whole.status == 0 and whole.out.count('now') == 2, (whole.out, whole.err)
        return check_part(machine, command, whole, first, step, NOTIFY_SOCKET=manager.path)
    finally:
        manager.close()
        machine.close()


def prepare(machine):
    both(stats, in_use, bad, on('region2', quiesce='0\n', quiesce_timeout_ms='60000\n'),
         on('region3', state='broken\n', broken='1\n', broken_reason='virtqueue\n',
            recover=''))(machine)


def told(command, totals):
    """Whether all of the command's runs were right, which is printed."""
    try:
        total = sum(totals())
        assert total, '%s: no allocation failed' % command
        print('ok   %s: %d allocations failed in turn' % (command, total), flush=True)
        return True
    except AssertionError as e:
        print('FAIL %s' % e, flush=True)
        return False


def main():
    need_programs('umockdev-run')
    machine, failed = Machine('virtpmem-6.12'), 0
    pool = concurrent.futures.ThreadPoolExecutor(PARTS)
    prepare(machine)
    wanted = sys.argv[1:] or COMMANDS + MONITORS + CHANGES
    try:
        parts = {}
        for command in [c for c in wanted if c not in CHANGES + MONITORS]:
            whole, = runs(machine, command, 0, 1)
            parts[command] = [pool.submit(check_part, machine, command, whole, first)
                              for first in range(1, PARTS + 1)]
        for command in [c for c in wanted if c in MONITORS]:
            # Not the same ones of both: most are the library's, and so in both.
            parts[command] = [pool.submit(check_monitor, command, 1 + MONITORS.index(command),
                                          1 if sys.argv[1:] else 3)]
        for command, part in parts.items():
            failed += not told(command, lambda part=part: [p.result() for p in part])
        for command in [c for c in wanted if c in CHANGES]:
            whole, = runs(machine, command, 0, 1)
            failed += not told(command, lambda c=command, w=whole: [check_part(machine, c, w, 1, 1)])
        left = [name for name in os.listdir(machine.tmp) if name.startswith('export.prom.')]
        if left:
            failed += 1
            print('FAIL half files stayed behind: %s' % left)
        if not sys.argv[1:]:
            print('ok   top: %d screens went away' % check_screens(machine))
    finally:
        pool.shutdown(cancel_futures=True)
        machine.close()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
