#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes a region, on a recorded machine: signals at each phase, plans, progress."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

from machine import PMEMCTL, need_programs, run_tests
from test_golden import THAWABLE, both, broken_queue, host_failed, on, unbound_first

FIRST = 'pci-0000:00:04.0'
LOCK = 'flock:ndctl0=busy'
STUCK = 'write:deep_flush=hang'
FLUSH = 'write:deep_flush=gate'


def interrupt(machine, fault, *argv):
    """Its JSON, with SIGINT sent when the fault has begun."""
    mark = os.path.join(machine.tmp, 'mark')
    if os.path.exists(mark):
        os.unlink(mark)
    with subprocess.Popen([PMEMCTL, *argv, '--json'], env=machine.environment(fault), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not os.path.exists(mark):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError('it does not come to %s: %s' % (fault, process.stdout.read()))
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, (argv, fault, process.returncode, out)
    return json.loads(out)


def steps(region):
    return ['%s %s' % (s['step'], s['result']) for s in region['steps']]


def expect(top, devices, *expected):
    """An error for each of these, and these steps of the one region that was begun, if it has any."""
    assert [(e['dev'], e['code'], e['exit']) for e in top['errors']] == \
        [(dev, 'interrupted', 130) for dev in devices], top
    for e in top['errors'][1:]:
        assert 'nothing was done to it' in e['message'], top
    found = [steps(region) for region in top['regions']]
    assert found == ([list(expected)] if expected else []), (found, expected)


def sigint_recover(machine):
    """Ctrl-C ends recover's wait for the lock, the device and the flush; no region comes after that"""
    broken_queue(machine)
    two = ('recover', 'region0', 'region1')
    expect(interrupt(machine, LOCK, *two), ['region0', 'region1'])
    expect(interrupt(machine, 'write:recover=wait', *two), ['region0', 'region1'],
           'recover failed', 'flush not_done', 'verify not_done')
    expect(interrupt(machine, 'write:recover=heal ' + STUCK, *two), ['region0', 'region1'],
           'recover done', 'flush failed', 'verify not_done')


def sigint_remove(machine):
    """Ctrl-C ends remove's wait for the lock and the flush, and nothing is taken down after it"""
    two = ('remove', 'region0', 'region1')
    expect(interrupt(machine, LOCK, *two), ['region0', 'region1'])
    expect(interrupt(machine, STUCK, *two), ['region0', 'region1'],
           'flush failed', 'disable not_done', 'unbind not_done', 'verify not_done')


def sigint_add(machine):
    """Ctrl-C ends add's wait for the lock and the driver"""
    unbound_first(machine)
    machine.write('sys/bus/virtio/drivers/virtio_pmem/bind', '')
    two = ('add', FIRST, 'pci-0000:00:05.0')
    expect(interrupt(machine, 'flock:virtio0=busy', *two), two[1:])
    expect(interrupt(machine, 'write:bind=wait', *two), two[1:],
           'load not_needed', 'bind failed', 'enable not_done', 'verify not_done')


def sigint_freeze(machine):
    """Ctrl-C ends freeze's wait for the lock and the flush: all is thawed; thaw's for the lock"""
    both(THAWABLE, on('region1', quiesce='0\n', quiesce_timeout_ms='60000\n'))(machine)
    expect(interrupt(machine, LOCK, 'freeze', 'region0', 'region1'), ['region0'])
    expect(interrupt(machine, STUCK, 'freeze', 'region0', 'region1'), ['region0'],
           'guard undone', 'flush failed', 'verify not_done')
    expect(interrupt(machine, LOCK, 'thaw', 'region0', 'region1'), ['region0', 'region1'])


def sigint_set(machine):
    """Ctrl-C ends set's wait for the driver"""
    top = interrupt(machine, 'write:error_policy=wait', 'set', 'all', 'error_policy=report')
    assert [steps(region) for region in top['regions']] == [['set failed']], top
    assert [e['dev'] for e in top['errors'] if e['code'] == 'interrupted'] == machine.regions(), top


def sigint_acknowledge(machine):
    """Ctrl-C ends acknowledge's wait for another that writes there; no region comes after that"""
    host_failed(machine)
    expect(interrupt(machine, 'flock:virtpmem=busy', 'health', '-a', 'region0', 'region1'),
           ['region0', 'region1'], 'acknowledge failed')
    assert not os.listdir(machine.path('run/virtpmem')), 'it has written there'


def guards(machine):
    """Processes that are a guard of a region of this machine."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/comm' % pid, encoding='ascii', errors='replace') as f:
                if f.read() != 'virtpmem-guard\n':
                    continue
            opened = [os.readlink('/proc/%s/fd/%s' % (pid, fd))
                      for fd in os.listdir('/proc/%s/fd' % pid)]
        except OSError:  # it has ended meanwhile
            continue
        if any(path.startswith(machine.root + '/') for path in opened):
            found.append(int(pid))
    return found


def until(what, why):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.01)


class Held:
    """pmemctl that waits at a gate, and what is to be done there."""

    def __init__(self, machine, fault, *argv):
        self.mark = os.path.join(machine.tmp, 'mark')
        if os.path.exists(self.mark):
            os.unlink(self.mark)
        self.process = subprocess.Popen([PMEMCTL, *argv], text=True, env=machine.environment(fault),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        until(lambda: os.path.exists(self.mark), 'it does not come to ' + fault)

    def stop_behind(self):
        """What it waits for is done, but it does not get to know."""
        self.process.send_signal(signal.SIGSTOP)
        os.unlink(self.mark)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate(timeout=60)
        if os.path.exists(self.mark):
            os.unlink(self.mark)


def freeze_deadline(machine):
    """whose time it was that was over is said: that of --timeout, at the flush and after it"""
    result = machine.run('freeze', '-t', '0.2', 'region0', fault=STUCK)
    assert result.status == 6 and result.err == (
        'pmemctl: region0: was not frozen: the time for it, 0.2 s, was over (flush region0: no '
        'answer in time); nothing is frozen; give it more with --timeout, or look at the host\'s '
        'storage\n'), result
    with Held(machine, FLUSH, 'freeze', '-t', '6', 'region0') as held:
        held.stop_behind()
        until(lambda: not guards(machine), 'the guard does not end')
        held.process.send_signal(signal.SIGCONT)
        out, err = held.process.communicate(timeout=60)
    assert '\n  failed region0 is frozen: not any more, its time was over\n' in out, out
    assert held.process.returncode == 6 and err == (
        'pmemctl: region0: was not frozen: the time for it, 6 s, was over (region0 is frozen: not '
        'any more, its time was over); nothing is frozen; give it more with --timeout\n'), err


def freeze_killed(machine):
    """U5: SIGKILL at the lock, in the flush and after it: the guard, if there is one, ends"""
    with Held(machine, 'flock:ndctl0=gate', 'freeze', 'region0'):
        assert not guards(machine)
    with Held(machine, FLUSH, 'freeze', '-t', '4294967', 'region0'):
        assert len(guards(machine)) == 1
    until(lambda: not guards(machine), 'killed in the flush: a guard is left')
    with Held(machine, FLUSH, 'freeze', '-t', '4294967', 'region0', 'region1') as held:
        held.stop_behind()
        assert len(guards(machine)) == 1
    until(lambda: not guards(machine), 'killed after the flush: a guard is left')
    result = machine.run('freeze', '-j', 'region0')
    assert result.json()['regions'][0]['outcome'] == 'done', result
    assert machine.run('thaw', 'region0').status == 0
    until(lambda: not guards(machine), 'thawed: a guard is left')


def freeze_plan(machine):
    """a file system that lies on two regions is planned once, and warned of unless both are named"""
    root = os.path.join(machine.tmp, 'mnt')
    os.makedirs(root, exist_ok=True)
    devno = os.stat(root).st_dev
    # Data and log; its root is a directory that can be opened, on whatever that lies.
    machine.mount('%d:%d / %s rw - xfs /dev/sda3 rw,rtdev=/dev/pmem0,logdev=/dev/pmem1' % (
        os.major(devno), os.minor(devno), root))
    alone, = machine.run('freeze', '-nfj', 'region0').json()['regions']
    assert 'region1' in [w['object'] for w in alone['warnings']], alone
    first, second = machine.run('freeze', '-nfj', 'region0', 'region1').json()['regions']
    assert steps(first) == ['sync planned', 'guard planned', 'freeze planned', 'flush planned',
                            'verify planned'], first
    assert steps(second) == ['sync not_needed', 'guard planned', 'freeze not_needed',
                             'flush planned', 'verify planned'], second
    for region in first, second:
        assert not {'region0', 'region1'} & {w['object'] for w in region['warnings']}, region


def freeze_plan_tells_all(machine):
    """a plan says of each region what is in the way, not only of the first"""
    for region in 'region0', 'region1':
        on(region, state='broken\n')(machine)
    top = machine.run('freeze', '-nj', 'region0', 'region1', 'region3').json()
    assert [r['outcome'] for r in top['regions']] == ['refused', 'refused', 'planned'], top
    assert [e['dev'] for e in top['errors']] == ['region0', 'region1'], top


def mounted(machine):
    """What is bad of region0 may belong to a file below a directory that can be looked at."""
    root = os.path.join(machine.tmp, 'searched')
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, 'file'), 'w', encoding='ascii') as f:
        f.write('data\n')
    devno = os.stat(root).st_dev
    number = '%d:%d' % (os.major(devno), os.minor(devno))
    # So far behind the end of what that really lies on that nothing is known of it.
    machine.write('sys/block/pmem0/badblocks', '%d 8\n' % (1 << 46))
    machine.write('sys/block/pmem0/size', '%d\n' % (1 << 47))
    machine.write('sys/block/pmem0/dev', number + '\n')
    machine.mount('%s / %s rw - ext4 /dev/pmem0 rw' % (number, root))


def readable(machine):
    machine.write('sys/bus/virtio/drivers/virtio_pmem/bind', '')
    unbound_first(machine)


# The command, how the machine is prepared, where it waits, and what is said of it.
WAITS = [
    ('add ' + FIRST, readable, 'write:bind=gate', FIRST + ' is being added'),
    ('bench -C 1 -t 0.001 region0', None, FLUSH, 'region0 is being measured'),
    ('errors --files region0', mounted, 'open:file=gate', 'searched is being searched'),
    ('flush region0', None, FLUSH, 'region0 is being flushed'),
    ('freeze region0', THAWABLE, FLUSH, 'region0 is being frozen'),
    ('recover region0', broken_queue, 'write:recover=gate', 'region0 is being recovered'),
    ('remove region0', None, FLUSH, 'region0 is being removed'),
    ('set region0 error_policy=report', None, 'write:error_policy=gate', 'region0 is being set'),
    ('thaw region0', THAWABLE, 'flock:ndctl0=gate', 'region0 is being thawed'),
]


def read_until(master, text, pattern, process):
    """What came from the terminal, until it matches; without a pattern until it ends."""
    while not pattern or not re.search(pattern, text):
        assert select.select([master], [], [], 60)[0], 'nothing comes after %r' % text
        try:
            more = os.read(master, 4096)
        except OSError:  # what Linux says at the end of a terminal
            more = b''
        if not more:
            assert not pattern, '%s ended with %r' % (process.args, text)
            return text
        text += more.decode()
    return text


def check_progress(machine, command, fault, words):
    mark = os.path.join(machine.tmp, 'mark')
    if os.path.exists(mark):
        os.unlink(mark)
    master, slave = pty.openpty()
    with subprocess.Popen([PMEMCTL, *command.split()], env=machine.environment(fault),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=slave) as process:
        os.close(slave)
        try:
            # It goes on only when that has been seen, however long it takes.
            text = read_until(master, '', re.escape(words) + r', for [2-9]\d* s \Z', process)
            os.unlink(mark)
            text = read_until(master, text, None, process)
        finally:
            process.kill()
            os.close(master)
    shown, wiped, rest = re.fullmatch(
        r'((?:\r[^\r]* is being [^\r]*, for \d+ s )+)\r( *)\r(.*)', text, re.S).groups()
    assert len(wiped) >= max(map(len, shown.split('\r'))), text
    assert 'is being' not in rest, text


def progress(machine):
    """on a terminal each that waits says what for and how long, and wipes it before it goes on"""
    for command, prepare, fault, words in WAITS:
        if prepare:
            prepare(machine)
        check_progress(machine, command, fault, words)
        machine.run('thaw', 'all')
        machine.restore()


def main():
    need_programs('umockdev-run')
    return run_tests([sigint_recover, sigint_remove, sigint_add, sigint_freeze, sigint_set,
                      sigint_acknowledge, freeze_deadline, freeze_killed, freeze_plan,
                      freeze_plan_tells_all, progress])


if __name__ == '__main__':
    sys.exit(main())
