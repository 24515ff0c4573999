#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl bench on a recorded machine, whose deep_flush is a plain file."""
import errno
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree

from machine import PMEMCTL, kill, need_programs, run_tests, wait_until

SVG = '{http://www.w3.org/2000/svg}'


def steps(result):
    return result.json()['regions'][0]['bench']


def figures(machine):
    """a row for each number of callers, whose figures agree with each other"""
    found = steps(machine.run('bench', '-j', '--callers', '1,3,8', '--time', '0.2', 'region0'))
    assert [s['callers'] for s in found] == [1, 3, 8], found
    for s in found:
        assert s['requests'] > 0 and 2 * 10 ** 8 <= s['interval_ns'] < 60 * 10 ** 9, s
        rate = s['requests'] * 10 ** 12 // s['interval_ns']
        assert s['requests_per_s_milli'] == rate, s
        assert 0 < s['request_p50_ns'] <= s['request_p90_ns'] <= s['request_p99_ns'] \
            <= s['request_max_ns'], s
        assert s['request_mean_ns'] <= s['request_max_ns'], s
        # All callers together had no more time than there was for each.
        assert s['requests'] * s['request_mean_ns'] <= s['callers'] * s['interval_ns'], s


def percentiles(machine):
    """no latency is told shorter than it was: a host that takes 100 ms"""
    found = steps(machine.run('bench', '-j', '-C', '1', '-t', '1', 'region0',
                              fault='write:deep_flush=slow'))
    assert found[0]['request_p50_ns'] >= 100 * 10 ** 6, found
    assert found[0]['request_p50_ns'] <= found[0]['request_max_ns'], found
    assert found[0]['requests'] * 10 ** 8 <= found[0]['interval_ns'], found


def short(machine):
    """in a time that no flush fits into, each caller flushes all the same"""
    found = steps(machine.run('bench', '-j', '-C', '1,8', '-t', '0.001', 'region0',
                              fault='write:deep_flush=slow'))
    assert [s['callers'] for s in found] == [1, 8], found
    for s in found:
        assert s['requests'] >= s['callers'] and s['interval_ns'] >= 10 ** 8, s


def text(machine):
    """as text it is a table below the region's name"""
    lines = machine.run('bench', '-C', '1,2', '-t', '1', 'region0').out.splitlines()
    assert lines[0] == 'region0 pci-0000:00:04.0' and len(lines) == 4, lines
    assert lines[1].split()[:3] == ['CALLERS', 'FLUSHES/s', 'HOST/FLUSH'], lines
    assert [line.split()[0] for line in lines[2:]] == ['1', '2'], lines


def writes_nothing(machine):
    """nothing but deep_flush is written: no device, no other file of the machine"""
    def state():
        found = {}
        for folder, _, names in os.walk(machine.root):
            for name in names:
                s = os.lstat(os.path.join(folder, name))
                found[os.path.join(folder, name)] = (s.st_mtime_ns, s.st_size, s.st_mode)
        return found

    before = state()
    assert machine.run('bench', '-C', '4', '-t', '1', 'region0').status == 0
    changed = {os.path.basename(path) for path, s in state().items() if before.get(path) != s}
    assert changed <= {'deep_flush'}, changed


def plot(machine):
    """--svg draws two plots with a curve each for what was measured, and marks for the callers"""
    path = os.path.join(machine.tmp, 'bench.svg')
    result = machine.run('bench', '-C', '1,2,4', '-t', '1', '--svg', path, 'region0')
    assert result.status == 0, result
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag == SVG + 'svg', root
    curves = [len(line.get('points').split()) for line in root.iter(SVG + 'polyline')]
    # The recorded machine counts no host flush, and 0 has no place on a logarithmic axis.
    assert curves == [3, 0, 3, 3], curves
    labels = [t.text for t in root.iter(SVG + 'text')]
    assert 'pci-0000:00:04.0: latency' in labels and labels.count('4') == 2, labels
    for circle in root.iter(SVG + 'circle'):
        assert 0 < float(circle.get('cx')) < float(root.get('width')), circle.attrib
        assert 0 < float(circle.get('cy')) < float(root.get('height')), circle.attrib


def plot_of_one_value(machine):
    """a single step is a plot, too"""
    path = os.path.join(machine.tmp, 'one.svg')
    assert machine.run('bench', '-C', '1', '-t', '1', '--svg', path, 'region0').status == 0
    root = xml.etree.ElementTree.parse(path).getroot()
    assert 'nan' not in xml.etree.ElementTree.tostring(root, 'unicode').lower()


def flushes(machine):
    return os.stat(machine.path('region0/deep_flush')).st_mtime_ns


def plot_full(machine):
    """a plot that cannot be written is an error, and the old one stays; the table is there"""
    folder = os.path.join(machine.tmp, 'plots')
    path = os.path.join(folder, 'x.svg')
    os.mkdir(folder)
    with open(path, 'w', encoding='utf-8') as f:
        f.write('old\n')
    small = ('prlimit', '--fsize=100', '--')
    for path, prefix in (('/dev/full', ()), (path, small)):
        # What umockdev's and the driver's files take is less than the limit.
        result = machine.run('bench', '-C', '1', '-t', '0.1', '--svg', path, 'region0',
                             prefix=prefix)
        assert result.status == 1 and 'cannot write %s: ' % path in result.err, result
        assert result.out.startswith('region0'), result
    assert os.listdir(folder) == ['x.svg']
    with open(path, encoding='utf-8') as f:
        assert f.read() == 'old\n'


def plot_nowhere(machine):
    """a plot that cannot be made is an error before anything is measured"""
    before = flushes(machine)
    for path, status in (('/nonexistent/x.svg', 1), ('', 2)):
        result = machine.run('bench', '-t', '60', '--svg', path, 'region0')
        assert result.status == status and not result.out, result
        assert 'cannot make a new file to replace %s: ' % path in result.err or not path, result
    assert flushes(machine) == before


def plot_of_nothing(machine):
    """without a measurement the old plot stays, and nothing is left beside it"""
    folder = os.path.join(machine.tmp, 'old')
    path = os.path.join(folder, 'x.svg')
    os.mkdir(folder)
    with open(path, 'w', encoding='utf-8') as f:
        f.write('old\n')
    assert machine.run('bench', '--svg', path, 'region9').status == 3
    with open(path, encoding='utf-8') as f:
        assert f.read() == 'old\n'
    assert os.listdir(folder) == ['x.svg']


def plot_killed(machine):
    """what kills it while it measures leaves the old plot, and nothing beside it"""
    folder = os.path.join(machine.tmp, 'killed')
    path, mark = os.path.join(folder, 'x.svg'), os.path.join(machine.tmp, 'mark')
    os.mkdir(folder)
    with open(path, 'w', encoding='utf-8') as f:
        f.write('old\n')
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        with subprocess.Popen([PMEMCTL, 'bench', '-C', '1', '--svg', path, 'region0'],
                              env=machine.environment('write:deep_flush=hang'),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            wait_until(process, lambda: os.path.exists(mark), 'it does not flush')
            assert kill(process, number) == -number, (process.returncode, process.stderr.read())
        with open(path, encoding='utf-8') as f:
            assert f.read() == 'old\n'
        assert os.listdir(folder) == ['x.svg'], (number, os.listdir(folder))
        os.unlink(mark)


def nobody_reads(machine):
    """a full disk and a closed pipe behind stdout are exit status 1"""
    reader, writer = os.pipe()
    os.close(reader)
    with open('/dev/full', 'wb') as full, os.fdopen(writer, 'wb') as pipe:
        for out, why in ((full, 'No space left on device'), (pipe, 'Broken pipe')):
            for argv in ((), ('--json',)):
                result = machine.run('bench', '-C', '1', '-t', '1', 'region0', *argv, stdout=out)
                assert result.status == 1 and result.err.endswith(why + '\n'), result


def failing_host(machine):
    """a flush that fails ends it with 7; nothing is reported of that step"""
    result = machine.run('bench', '-j', '-t', '5', 'region0',
                         fault='write:deep_flush=%d' % errno.EIO)
    top = result.json()
    assert result.status == 7 and not top['regions'], result
    assert [(e['dev'], e['code']) for e in top['errors']] == [('region0', 'flush_failed')], top


def permission(machine):
    """who may not flush is told so"""
    machine.chmod('region0/deep_flush', 0o444)
    result = machine.run('bench', '-t', '1', 'region0', nobody=True)
    assert result.status == 1 and 'as root' in result.err, result


def interrupted(machine):
    """Ctrl-C ends it, and what was measured is shown"""
    before = flushes(machine)
    process = subprocess.Popen([PMEMCTL, 'bench', '--json', '-C', '1,2', '-t', '100', 'region0'],
                               env=machine.environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    # With the second flush the first is over, and counts.
    for _ in range(2):
        wait_until(process, lambda old=before: flushes(machine) != old, 'it does not flush')
        before = flushes(machine)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    top = json.loads(out)
    assert process.returncode == 130, out
    assert [s['callers'] for s in top['regions'][0]['bench']] == [1], out
    assert [e['code'] for e in top['errors']] == ['interrupted'], out


def main():
    need_programs('umockdev-run')
    tests = [figures, percentiles, short, text, writes_nothing, plot, plot_of_one_value, plot_full,
             plot_nowhere, plot_of_nothing, plot_killed, nobody_reads, failing_host, permission,
             interrupted]
    return run_tests(tests)


if __name__ == '__main__':
    sys.exit(main())
