#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl export against a strict parser of OpenMetrics, and its file against what can go wrong."""
import ctypes
import glob
import json
import os
import re
import resource
import signal
import stat
import struct
import subprocess
import sys

from machine import (PMEMCTL, SKIP, SOURCE_ROOT, Machine, kill, need_programs, run_tests,
                     wait_until)

# Debian's modules are for Debian's interpreter, but this one is plain Python.
sys.path.append('/usr/lib/python3/dist-packages')
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
    from prometheus_client.parser import text_string_to_metric_families as older
except ImportError:
    print('skipped: prometheus_client (python3-prometheus-client) is not installed')
    sys.exit(SKIP)


def families(text):
    found = {family.name: family for family in strict(text)}
    assert found, text
    return found


def samples(found, name):
    return {tuple(sorted(s.labels.items())): s.value for s in found[name].samples}


def status(machine, region):
    return machine.run('status', '--json', region).json()['regions'][0]


def strict_parser(machine):
    """the text is OpenMetrics: order, types, units, escapes, one EOF; on every recorded machine"""
    del machine
    for fixture in ('virtpmem-6.12', 'virtpmem-6.1', 'in-tree-6.12', 'in-tree-6.1', 'nfit-6.12',
                    None):
        other = Machine(fixture)
        try:
            result = other.run('export')
            assert result.status == 0 and result.out.endswith('\n# EOF\n'), result
            found = families(result.out)
            regions = found['virtpmem_regions'].samples[0].value
            assert regions == len(other.regions()), result
            if regions:
                assert len(found['virtpmem_region_info'].samples) == regions, result
        finally:
            other.close()


def values(machine):
    """each value is that of status, in base units"""
    machine.write_stats('region0', requests=17, async_requests=2, host_flushes=9,
                        failed_requests=3, failed_host_flushes=1, request_total_ns=1234567890123,
                        request_max_ns=987654321, host_total_ns=5000000001, host_max_ns=7,
                        recoveries=4, stalls=5)
    machine.write('region0/virtio_pmem/in_flight_us', '2500000\n')
    found = families(machine.run('export', 'region0').out)
    flush = status(machine, 'region0')['flush']
    for name, value in (('flush_requests', flush['requests']),
                        ('flush_async_requests', flush['async_requests']),
                        ('flush_failed_requests', flush['failed_requests']),
                        ('flush_request_duration_seconds', 1234.567890123),
                        ('flush_request_max_seconds', 0.987654321),
                        ('flush_queue_depth', flush['queue_depth']),
                        ('flush_queue_depth_max', flush['queue_depth_max']),
                        ('host_flush_failures', 1), ('host_flush_max_seconds', 7e-9),
                        ('host_flush_in_flight_seconds', 2.5),
                        ('region_stalls', 5), ('region_recoveries', 4),
                        ('region_size_bytes', status(machine, 'region0')['size'])):
        assert samples(found, 'virtpmem_' + name) == {(('path', 'pci-0000:00:04.0'),): value}, name


def histogram(machine):
    """buckets add up, agree with status, and are there for every bound"""
    result = machine.run('export', 'region0')
    latency = status(machine, 'region0')['flush']['latency']
    family = families(result.out)['virtpmem_host_flush_duration_seconds']
    assert (family.type, family.unit) == ('histogram', 'seconds'), family
    buckets = [(float(s.labels['le']), s.value) for s in family.samples if
               s.name.endswith('_bucket')]
    assert len(buckets) == 32 and buckets[-1][0] == float('inf'), buckets
    for bound, count in buckets:
        assert count == sum(b['count'] for b in latency
                            if b.get('upper_us', float('inf')) <= bound * 1e6 + 1e-6), bound
    total = [s.value for s in family.samples if s.name.endswith('_count')]
    assert total == [sum(b['count'] for b in latency)] and total[0] > 0, total


def states(machine):
    """exactly one state and one verdict is 1, and a reason is told by its code"""
    machine.write('region0/virtio_pmem/state', 'broken\n')
    machine.write('region0/virtio_pmem/broken', '1\n')
    machine.write('region0/virtio_pmem/broken_reason', 'host-error\n')
    found = families(machine.run('export', 'region0').out)
    for name, label, word in (('state', 'state', 'broken'),
                              ('health', 'health_state', 'fatal')):
        on = [s.labels[label] for s in found['virtpmem_region_' + name].samples if s.value]
        assert on == [word], (name, on)
    expected = {r['code'] for r in status(machine, 'region0')['health']['reasons']}
    assert expected, 'a broken region has no reason'
    assert {s.labels['code'] for s in found['virtpmem_region_health_reason'].samples} == expected


def labels(machine):
    """series are told apart by path; by name as well only where regions share one"""
    found = families(machine.run('export').out)
    for sample in found['virtpmem_region_size_bytes'].samples:
        assert list(sample.labels) == ['path'], sample
    nfit = Machine('nfit-6.12')
    try:
        sizes = families(nfit.run('export').out)['virtpmem_region_size_bytes'].samples
    finally:
        nfit.close()
    assert sorted(s.labels['region'] for s in sizes) == ['region0', 'region1'], sizes


def hostile_label(machine):
    """a quote and a backslash in a value of the kernel's are escaped"""
    bus = os.path.dirname(os.path.realpath(machine.path('region0')))
    machine.write(os.path.relpath(bus, machine.root) + '/provider', 'a"b\\c\n')
    found = families(machine.run('export', 'region0').out)
    assert found['virtpmem_region_info'].samples[0].labels['provider'] == 'a"b\\c', \
        found['virtpmem_region_info']


def textfile_collector(machine):
    """nothing is in it that the older text format, and so node_exporter, would refuse"""
    text = machine.run('export').out
    types = set(re.findall(r'(?m)^# TYPE \S+ (\S+)$', text))
    assert types <= {'counter', 'gauge', 'histogram', 'summary', 'untyped'}, types
    assert sum(1 for _ in older(text)) > 10
    assert not re.search(r'(?m)^[^#].* \S+ \S+$', re.sub(r'\{.*\}', '', text)), 'a timestamp'


def documented(machine):
    """every metric is in the manual page, and no other"""
    machine.write('region0/virtio_pmem/state', 'broken\n')
    with open(os.path.join(SOURCE_ROOT, 'Documentation/pmemctl-export.1.adoc'),
              encoding='utf-8') as f:
        told = re.findall(r'(?m)^\*(virtpmem_\w+)\*:: (Gauge|Counter|Histogram)', f.read())
    found = families(machine.run('export').out)
    assert {name: kind.lower() for name, kind in told} == \
        {name: family.type for name, family in found.items()}


def unreadable(machine):
    """what cannot be read is counted and an error; the rest is there"""
    machine.write('region1/virtio_pmem/flush_stats', '1 2')
    result = machine.run('export')
    found = families(result.out)
    assert result.status == 1 and samples(found, 'virtpmem_export_errors') == {(): 1}, result
    assert len(found['virtpmem_flush_requests'].samples) == 3, result


def as_json(machine):
    """with --json it is what status prints, which looks for holders and rates besides"""
    def known(command):
        return json.loads(re.sub(r'"(state|last_failure)_age_ns":\d+,?', '',
                                 machine.run(command, '-j', 'region0').out))
    status, export = known('status'), known('export')
    for name in ('stat', 'dax_devices', 'holders', 'in_use', 'complete', 'missing', 'remedy'):
        status['regions'][0].pop(name, None)
    assert export == status, (export, status)


def output_file(machine):
    """the file is replaced as a whole, readable for others, and nothing is left beside it"""
    path = os.path.join(machine.tmp, 'metrics', 'pmem.prom')
    os.mkdir(os.path.dirname(path))
    old = os.umask(0o022)
    try:
        for _ in range(2):
            result = machine.run('export', '--output-file', path)
            assert result.status == 0 and not result.out and not result.err, result
    finally:
        os.umask(old)
    with open(path, encoding='utf-8') as f:
        assert f.read() == machine.run('export').out
    assert os.stat(path).st_mode & 0o777 == 0o644, oct(os.stat(path).st_mode)
    assert os.listdir(os.path.dirname(path)) == ['pmem.prom']


def no_file(machine):
    """what is no regular file is written to, and stays what it is"""
    path = os.path.join(machine.tmp, 'pipe')
    os.mkfifo(path)
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), encoding='utf-8') as f:
        result = machine.run('export', '-f', path)
        assert result.status == 0 and not result.out and not result.err, result
        assert f.read() == machine.run('export').out
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert not glob.glob(path + '.*')
    result = machine.run('export', '-f', machine.tmp)
    assert result.status == 1 and result.err == (
        'pmemctl: cannot write to %s: Is a directory\n' % machine.tmp), result


def a_link(machine):
    """a link stays one, as /dev/stdout has to: what it leads to is written in place, or made"""
    folder = os.path.join(machine.tmp, 'links')
    os.mkdir(folder)
    whole = machine.run('export').out
    path, out = os.path.join(folder, 'stdout'), os.path.join(folder, 'out')
    os.symlink('/proc/self/fd/1', path)
    with open(out, 'w', encoding='utf-8') as f:
        result = machine.run('export', '-f', path, stdout=f)
    assert result.status == 0 and not result.err, result
    for old in (2 * whole, None):
        target = os.path.join(folder, 'target')
        link = os.path.join(folder, 'link%d' % (old is None))
        if old is None:
            os.unlink(target)
        else:
            with open(target, 'w', encoding='utf-8') as f:
                f.write(old)
        os.symlink('target', link)
        assert machine.run('export', '-f', link).status == 0
        with open(target, encoding='utf-8') as f:
            assert f.read() == whole
        assert os.readlink(link) == 'target'
    with open(out, encoding='utf-8') as f:
        assert f.read() == whole
    assert os.readlink(path) == '/proc/self/fd/1'
    assert sorted(os.listdir(folder)) == ['link0', 'link1', 'out', 'stdout', 'target']


def no_name(machine):
    """the name of a file cannot be empty: a usage error, and nothing is made"""
    before = sorted(os.listdir(machine.tmp))
    for argv in (('--output-file=',), ('-f', '')):
        result = machine.run('export', *argv, prefix=('env', '-C', machine.tmp))
        assert result.status == 2 and not result.out and 'the name of a file' in result.err, result
    assert sorted(os.listdir(machine.tmp)) == before


class Watch:
    """What happens to the names in a folder, as the kernel tells it."""
    MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        wanted = (self.MODIFY | self.CLOSE_WRITE | self.MOVED_FROM | self.MOVED_TO | self.CREATE |
                  self.DELETE)
        assert self.fd >= 0, os.strerror(ctypes.get_errno())
        assert libc.inotify_add_watch(self.fd, folder.encode(), wanted) >= 0, folder

    def events(self):
        """Pairs of a name and what happened to it, since the last time."""
        data, found = os.read(self.fd, 1 << 16), []
        while data:
            _, what, _, size = struct.unpack_from('iIII', data)
            found.append((data[16:16 + size].rstrip(b'\0').decode(), what))
            data = data[16 + size:]
        return found


def never_a_part(machine):
    """whoever reads meanwhile sees a whole text: a file that is closed takes the old one's name"""
    folder = os.path.join(machine.tmp, 'whole')
    path = os.path.join(folder, 'pmem.prom')
    os.mkdir(folder)
    assert machine.run('export', '-f', path, 'region0').status == 0
    watch = Watch(folder)
    with open(path, encoding='utf-8') as f:
        assert machine.run('export', '-f', path).status == 0
        assert f.read() == machine.run('export', 'region0').out
    events = watch.events()
    os.close(watch.fd)
    assert [what for name, what in events if name == 'pmem.prom'] == [watch.MOVED_TO], events
    new = [what for name, what in events if name != 'pmem.prom']
    assert new[0] == watch.CREATE and watch.MODIFY in new, events
    assert new[-2:] == [watch.CLOSE_WRITE, watch.MOVED_FROM], events
    with open(path, encoding='utf-8') as f:
        assert f.read() == machine.run('export').out


def full_disk(machine):
    """what cannot be written whole leaves the old file, and nothing else, behind"""
    folder = os.path.join(machine.tmp, 'full')
    path = os.path.join(folder, 'pmem.prom')
    os.mkdir(folder)
    with open(path, 'w', encoding='utf-8') as f:
        f.write('old\n')

    # Its signal, which kills, is as in a shell.
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = subprocess.run([PMEMCTL, 'export', '-f', path], env=machine.environment(),
                          preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == \
        'pmemctl: cannot write to %s: File too large\n' % path, done
    assert os.listdir(folder) == ['pmem.prom']
    with open(path, encoding='utf-8') as f:
        assert f.read() == 'old\n'


def killed(machine):
    """what kills it while it looks leaves the old file, and nothing beside it"""
    folder = os.path.join(machine.tmp, 'killed')
    path, mark = os.path.join(folder, 'pmem.prom'), os.path.join(machine.tmp, 'mark')
    os.mkdir(folder)
    assert machine.run('export', '-f', path).status == 0
    before = os.stat(path)
    with subprocess.Popen([PMEMCTL, 'export', '-f', path],
                          env=machine.environment('open:flush_stats=hang')) as process:
        wait_until(process, lambda: os.path.exists(mark), 'it does not look')
        assert kill(process, signal.SIGTERM) == -signal.SIGTERM, process.returncode
    assert os.stat(path) == before
    assert os.listdir(folder) == ['pmem.prom'], os.listdir(folder)


def no_such_folder(machine):
    """a file that cannot be made is an error that names it, also in JSON; nothing is printed"""
    path = os.path.join(machine.tmp, 'nowhere', 'pmem.prom')
    result = machine.run('export', '-f', path)
    assert result.status == 1 and not result.out and path in result.err, result
    result = machine.run('export', '-j', '-f', path)
    assert json.loads(result.out)['errors'][0]['code'] == 'failed', result


def main():
    need_programs('umockdev-run')
    tests = [strict_parser, values, histogram, states, labels, hostile_label, textfile_collector,
             documented, unreadable, as_json, output_file, no_file, a_link, no_name, never_a_part,
             full_disk, killed, no_such_folder]
    return run_tests(tests)


if __name__ == '__main__':
    sys.exit(main())
