#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl stat on a recorded machine whose counters move, and whose regions come and go."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from machine import PMEMCTL, need_programs, run_tests

BINS = 32


def start(machine, *argv):
    return subprocess.Popen([PMEMCTL, 'stat', *argv], env=machine.environment(), text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def report(process):
    """The next report of --json, with its regions by name."""
    answer = json.loads(process.stdout.readline())
    return {region['dev']: region for region in answer['regions']}, answer


@contextlib.contextmanager
def meanwhile(process):
    """What the block changes is seen by one report as a whole. @process.changed is when that was."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    yield
    process.changed = time.time_ns()
    process.send_signal(signal.SIGCONT)


def report_after(process):
    """The first report since the change, though this test may have come late to it."""
    while True:
        regions, answer = report(process)
        if answer['time_ns'] > process.changed:
            return regions, answer


def stop(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def count_bins(machine, region, **bins):
    """Adds host flushes to bins of the histogram: _10=3 adds three of 512 to 1023 us."""
    path = machine.path(region + '/virtio_pmem/flush_latency')
    with open(path, encoding='ascii') as f:
        counts = [int(n) for n in f.read().split()]
    assert len(counts) == BINS
    for name, n in bins.items():
        counts[int(name[1:])] += n
    machine.write(region + '/virtio_pmem/flush_latency', ' '.join(map(str, counts)) + '\n')


def zero(machine, region='region0'):
    machine.write_stats(region, requests=0, async_requests=0, host_flushes=0, failed_requests=0,
                        failed_host_flushes=0, request_total_ns=0, host_total_ns=0,
                        host_max_ns=0)
    machine.write(region + '/virtio_pmem/flush_latency', ' '.join(['0'] * BINS) + '\n')


def differences(machine):
    """a later report counts what came since the one before; percentiles are of that time"""
    zero(machine)
    count_bins(machine, 'region0', _20=1000)    # the past is slow
    process = start(machine, 'region0', '--json', '2')
    first, _ = report(process)
    assert first['region0']['stat']['host_p50_ns'] == 2 ** 20 * 1000, first
    with meanwhile(process):
        machine.write_stats('region0', requests=400, host_flushes=100, failed_requests=3,
                            request_total_ns=400 * 5000000, host_total_ns=100 * 700000)
        count_bins(machine, 'region0', _10=89, _12=10, _14=1)
    stat = report_after(process)[0]['region0']['stat']
    interval = stat['interval_ns']
    assert 0 < interval < 600 * 10 ** 9, stat
    assert (stat['requests'], stat['host_flushes'], stat['failed_requests']) == (400, 100, 3), stat
    assert stat['host_flushes_per_request_milli'] == 250, stat
    assert (stat['request_mean_ns'], stat['host_mean_ns']) == (5000000, 700000), stat
    assert (stat['host_p50_ns'], stat['host_p90_ns'], stat['host_p99_ns']) == \
        (1024000, 4096000, 4096000), stat
    assert abs(stat['requests_per_s_milli'] - 400 * 10 ** 12 / interval) <= 1, stat
    assert abs(stat['host_flushes_per_s_milli'] - 100 * 10 ** 12 / interval) <= 1, stat
    assert abs(stat['queue_depth_mean_milli'] - 2 * 10 ** 12 / interval) <= 1, stat
    status, _, err = stop(process)
    assert status == 130, (status, err)


def maximum_bounds_percentiles(machine):
    """no percentile is above the longest host flush that the driver has seen"""
    zero(machine)
    machine.write_stats('region0', host_max_ns=600000)
    count_bins(machine, 'region0', _10=5)
    stat = machine.run('stat', '-j', 'region0').json_lines()[0]['regions'][0]['stat']
    assert stat['host_p50_ns'] == stat['host_p99_ns'] == 600000, stat


def last_bin(machine):
    """the bin without an upper bound has that of the longest host flush, or none is told"""
    zero(machine)
    count_bins(machine, 'region0', _31=1)
    stat = machine.run('stat', '-j', 'region0').json_lines()[0]['regions'][0]['stat']
    assert 'host_p50_ns' not in stat, stat
    machine.write_stats('region0', host_max_ns=5000 * 10 ** 9)
    stat = machine.run('stat', '-j', 'region0').json_lines()[0]['regions'][0]['stat']
    assert stat['host_p50_ns'] == 5000 * 10 ** 9, stat


def bound_anew(machine):
    """counters that went back count from 0"""
    process = start(machine, 'region0', '--json', '2')
    report(process)
    with meanwhile(process):
        zero(machine)
        machine.write_stats('region0', requests=2, host_flushes=1, request_total_ns=10)
        count_bins(machine, 'region0', _5=1)
    stat = report_after(process)[0]['region0']['stat']
    assert (stat['requests'], stat['host_flushes'], stat['host_p99_ns']) == (2, 1, 32000), stat
    stop(process)


def come_and_go(machine):
    """regions are in the reports while they are there; that one went is no failure"""
    link = machine.path('region1')
    target = os.readlink(link)
    process = start(machine, '--json', '2')
    assert 'region1' in report(process)[0]
    with meanwhile(process):
        os.unlink(link)
    assert 'region1' not in report_after(process)[0]
    with meanwhile(process):
        os.symlink(target, link)
    regions, answer = report_after(process)
    assert 'region1' in regions and not answer['errors'], answer
    # A region that is new counts from the last report on, not from boot.
    assert regions['region1']['stat']['interval_ns'] < 600 * 10 ** 9, regions
    status, out, err = stop(process)
    assert status == 130, (status, out, err)


def named_one_goes(machine):
    """the going of a region that was asked for is an error, once, and its coming back is seen"""
    link = machine.path('region1')
    target = os.readlink(link)
    process = start(machine, 'region1', 'region0', '--json', '1')
    assert list(report(process)[0]) == ['region0', 'region1']
    with meanwhile(process):
        os.unlink(link)
    regions, answer = report_after(process)
    assert list(regions) == ['region0'], answer
    assert [(e['dev'], e['code'], e['exit']) for e in answer['errors']] == \
        [('region1', 'gone', 3)], answer
    assert not report(process)[1]['errors']
    with meanwhile(process):
        os.symlink(target, link)
    assert 'region1' in report_after(process)[0]
    assert stop(process)[0] == 3


def text(machine):
    """the table has a line for each region and a heading for each report"""
    result = machine.run('stat', '0.05', '3')
    reports = result.out.split('\n\n')
    assert result.status == 0 and len(reports) == 3, result
    for lines in (r.strip('\n').split('\n') for r in reports):
        assert lines[0].split()[:4] == ['REGION', 'STATE', 'REQ/s', 'HOST/s'], result
        assert [line.split()[0] for line in lines[1:]] == machine.regions(), result


def closed_pipe(machine):
    """a reader that goes away ends an endless sequence"""
    process = start(machine, '0.05')
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and 'Broken pipe' in err, (process.returncode, err)


def main():
    need_programs('umockdev-run')
    tests = [differences, maximum_bounds_percentiles, last_bin, bound_anew, come_and_go,
             named_one_goes, text, closed_pipe]
    return run_tests(tests)


if __name__ == '__main__':
    sys.exit(main())
