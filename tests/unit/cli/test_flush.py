#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl flush of several regions, again and again: what depends on the order of events."""
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

LIMIT = 60  # seconds, after which something hangs


def start(machine, *argv, fault=None, **popen):
    popen = dict({'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE}, **popen)
    return subprocess.Popen([PMEMCTL, 'flush', *argv], env=machine.environment(fault), text=True,
                            stdin=subprocess.DEVNULL, **popen)


def until(what, true):
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end, 'not within %d s: %s' % (LIMIT, what)
        time.sleep(0.01)


def children(process):
    found = []
    for task in os.listdir('/proc/%d/task' % process.pid):
        try:
            with open('/proc/%d/task/%s/children' % (process.pid, task), encoding='ascii') as f:
                found += f.read().split()
        except FileNotFoundError:
            pass
    return found


def written(machine, region):
    return os.stat(machine.path(region + '/deep_flush')).st_mtime_ns


def at_the_same_time(machine):
    """the flushes of all regions wait for the host at once, and Ctrl-C ends them all: 130"""
    process = start(machine, '--json', 'region1', 'region0', 'pci-0000:00:05.0', 'all',
                    fault='write:deep_flush=hang')
    regions = ['region1', 'region0'] + [r for r in machine.regions() if r not in (
        'region0', 'region1')]
    with_deep_flush = [r for r in regions if os.path.exists(machine.path(r + '/deep_flush'))]
    assert len(with_deep_flush) > 2, with_deep_flush
    until('a process for each region', lambda: len(children(process)) == len(with_deep_flush))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, (process.returncode, out, err)
    top = json.loads(out)
    assert not top['regions'], out
    assert [(e['dev'], e['exit']) for e in top['errors'] if e['code'] == 'interrupted'] == \
        [(r, 130) for r in with_deep_flush], out


def interrupted_between(machine):
    """Ctrl-C between two flushes ends it at once, and what was made is told"""
    before = {r: written(machine, r) for r in ('region0', 'region1')}
    process = start(machine, '-j', '--interval', '1000', *before)
    until('a flush of both', lambda: all(written(machine, r) != t for r, t in before.items()))
    until('no flush under way', lambda: not children(process))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    top = json.loads(out)
    assert process.returncode == 130, (process.returncode, out, err)
    assert [r['dev'] for r in top['regions']] == list(before), out
    assert all(r['flush']['flushes'] == 1 for r in top['regions']), out
    assert [(e['code'], e['exit']) for e in top['errors']] == [('interrupted', 130)], out


def interrupted_any_time(machine):
    """Ctrl-C at any moment of flushes that follow each other: never a hang, always 130"""
    for n in range(20):
        process = start(machine, '-j', '-c', '4294967295', 'region0', 'region1', 'region2')
        # Before it has a handler, SIGINT is not ours.
        with open('/proc/%d/status' % process.pid, encoding='ascii') as status:
            def handled():
                status.seek(0)
                return int(re.search(r'SigCgt:\s*(\w+)', status.read())[1], 16) & 2
            until('a handler', handled)
        time.sleep(n * 0.004)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 130, (n, process.returncode, out, err)
        top = json.loads(out)
        assert {e['code'] for e in top['errors']} == {'interrupted'}, out
        assert all(r['flush']['flushes'] > 0 for r in top['regions']), out


def fails_later(machine):
    """a region that fails ends; what was made of it is told; the others go on"""
    before = {r: written(machine, r) for r in ('region0', 'region1')}
    machine.save('region0/uevent')
    machine.save('region0/deep_flush')
    process = start(machine, '-j', '-i', '0.02', 'region0', 'region1')
    until('a flush of both', lambda: all(written(machine, r) != t for r, t in before.items()))
    # One for each region, the first, and those that a sanitizer has.
    threads = len(os.listdir('/proc/%d/task' % process.pid))
    os.unlink(machine.path('region0/uevent'))
    os.unlink(machine.path('region0/deep_flush'))
    until('a thread less', lambda: len(os.listdir('/proc/%d/task' % process.pid)) < threads)
    before = written(machine, 'region1')
    until('a flush of the other', lambda: written(machine, 'region1') != before)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    top = json.loads(out)
    assert process.returncode == 3, (process.returncode, out, err)
    assert (top['errors'][0]['dev'], top['errors'][0]['code']) == ('region0', 'gone'), out
    assert [r['dev'] for r in top['regions']] == ['region0', 'region1'], out
    assert all(r['flush']['flushes'] > 0 for r in top['regions']), out


def summary(machine):
    """the figures agree with each other; p99 only if there are 100"""
    for count in (1, 2, 99, 100):
        flush = machine.run('flush', '-j', '-c', str(count), 'region0').json()[
            'regions'][0]['flush']
        if count == 1:
            assert set(flush) == {'method', 'latency_ns'}, flush
            continue
        assert flush['flushes'] == count, flush
        assert ('latency_p99_ns' in flush) == (count >= 100), flush
        names = [n for n in ('min', 'p50', 'p99', 'max') if 'latency_%s_ns' % n in flush]
        values = [flush['latency_%s_ns' % n] for n in names]
        assert values == sorted(values) and values[0] > 0, flush
        assert values[0] <= flush['latency_mean_ns'] <= values[-1], flush


def at_an_interval(machine):
    """between the beginnings of two flushes lies at least the interval"""
    begin = time.monotonic()
    result = machine.run('flush', '-c', '4', '-i', '0.1', 'region0', 'region1')
    assert result.status == 0 and time.monotonic() - begin >= 0.3, result


def progress(machine):
    """on a terminal what takes over 2 seconds is told on standard error, and wiped out"""
    master, slave = pty.openpty()
    process = start(machine, 'region0', fault='write:deep_flush=hang', stderr=slave)
    os.close(slave)
    text, interrupted = b'', False
    while select.select([master], [], [], LIMIT)[0]:
        try:
            text += os.read(master, 4096)
        except OSError:  # what Linux says at the end of a terminal
            break
        # The second one would kill it.
        if b'for 2 s' in text and not interrupted:
            process.send_signal(signal.SIGINT)
            interrupted = True
    os.close(master)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 130, (process.returncode, text)
    lines = [line.strip() for line in text.decode().split('\r')]
    assert 'region0 is being flushed, for 2 s' in lines, text
    said = [line.startswith('pmemctl: region0: ') for line in lines]
    assert lines.index('') < said.index(True), text


if __name__ == '__main__':
    need_programs('umockdev-run')
    sys.exit(run_tests([at_the_same_time, interrupted_between, interrupted_any_time, fails_later,
                        summary, at_an_interval, progress]))
