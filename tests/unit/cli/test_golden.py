#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What pmemctl prints on recorded machines, compared with golden/*.txt.

A case is a recorded machine, changes to it, and commands. All JSON is also checked against the
promises of pmemctl-json(5). --update writes the files anew; look at the difference before
committing it.
"""
import difflib
import errno
import os
import re
import sys

from machine import HERE, Machine, need_programs

GOLDEN = os.path.join(HERE, 'golden')

# What depends on the clock, in text and in JSON with and without -u.
CLOCK = (
    (r'(?m)^(  flush state .*, for ).*$', r'\1AGE'),
    (r'(?m)^(  last failure +).*( ago)$', r'\1AGE\2'),
    (r'(?m)( flushed by \w+ in ).*$', r'\1TIME'),
    (r'("(?:state_age_ns|last_failure_age_ns)":)("[^"]*"|\d+)', r'\1AGE'),
    (r'("latency_ns":)("[^"]*"|\d+)', r'\1TIME'),
)

# No number of the recording says how long ago something was on the machine that runs the test.
STATS = {'last_change_ns': 1}
EIO = 'write:deep_flush=%d' % errno.EIO


def broken(m, reason='host-error'):
    m.write('region0/virtio_pmem/state', 'broken\n')
    m.write('region0/virtio_pmem/broken', '1\n')
    m.write('region0/virtio_pmem/broken_reason', reason + '\n')
    m.write_stats('region0', failed_requests=3, failed_host_flushes=1, last_failure_ns=1, **STATS)


def stats(m, **values):
    m.write_stats('region0', **dict(STATS, **values))


def on(region, **files):
    """A change: these files of the region's virtio_pmem directory."""
    def change(m):
        for name, text in files.items():
            m.write('%s/virtio_pmem/%s' % (region, name), text)
    return change


def no_libnvdimm(m):
    m.remove('sys/bus')


def unbound(m):
    for region in m.regions():
        m.remove('sys/bus/nd/devices/' + region)
    m.remove('sys/bus/virtio/devices/virtio1/driver')


def no_driver(m):
    unbound(m)
    m.remove('sys/bus/virtio/drivers/virtio_pmem')


def no_regions(m):
    for region in m.regions():
        m.remove('sys/bus/nd/devices/' + region)


def write_through(m):
    m.write('sys/block/pmem0/queue/write_cache', 'write through\n')


def both(*changes):
    def change(m):
        for c in changes:
            c(m)
    return change


OURS, STOCK, NFIT = 'virtpmem-6.12', 'in-tree-6.12', 'nfit-6.12'
CASES = {
    # name: (fixture, change, commands, what else run() takes)
    'list': (OURS, None, ['list', 'list --json', 'list -ju region0']),
    'list-in-tree': (STOCK, None, ['list', 'list --json region3']),
    'list-in-tree-6.1': ('in-tree-6.1', None, ['list']),
    'list-nfit': (NFIT, None, ['list', 'list --json']),
    'list-names': (OURS, None, [
        'list region1 pci-0000:00:04.0', 'list namespace0.0', 'list pmem1', 'list /dev/pmem1',
        'list dax2.0', 'list region0 pmem0 namespace0.0', 'list region2 all',
        'list -- region0', 'list region0 --json']),
    'list-broken': (OURS, broken, ['list', 'list --json region0']),
    'status': (OURS, stats, ['status region0', 'status region2 region3', 'status --json region0',
                             'status --json --human region0']),
    'status-6.1': ('virtpmem-6.1', stats, ['status region0']),
    'status-in-tree': (STOCK, None, ['status', 'status --json region3']),
    'status-nfit': (NFIT, None, ['status', 'status --json region0']),
    'status-broken': (OURS, broken, ['status region0', 'status --json region0']),
    'status-broken-queue': (OURS, lambda m: broken(m, 'virtqueue'), ['status region0']),
    'status-quiesced': (OURS, both(stats, on('region0', state='quiesced\n')), ['status region0']),
    'status-later-state': (OURS, both(stats, on('region0', state='dreaming\n')),
                           ['status region0']),
    'status-stalled': (OURS, both(stats, on('region0', in_flight_us='31000000\n',
                                            queue_depth='5\n', queue_depth_max='9\n')),
                       ['status region0', 'status -u --json region0']),
    'status-host-failed-latch': (OURS, lambda m: stats(m, failed_host_flushes=1,
                                                       last_failure_ns=1), ['status region0']),
    'status-host-failed-report': (
        OURS, both(lambda m: stats(m, failed_host_flushes=2, last_failure_ns=1),
                   on('region0', error_policy='report\n')), ['status region0']),
    'status-write-through': (STOCK, write_through, ['status region0', 'status -j region0']),
    'flush': (OURS, None, [
        'flush region0', 'flush --json region0', 'flush -j -u pci-0000:00:04.0',
        'flush --timeout 5 region1 region2', 'flush -t 0.25 pmem0', 'flush region0 region0 pmem0',
        'flush --timeout=1 region3']),
    'flush-block-device': (STOCK, None, ['flush region0', 'flush --json region0']),
    'flush-not-needed': (NFIT, None, ['flush all', 'flush --json region0']),
    'flush-not-supported': (STOCK, write_through, [
        'flush region0', 'flush --json region0', 'flush region2', 'flush region3',
        'flush region5']),
    'flush-host-error': (OURS, None, ['flush region0', 'flush --json region0'], {'fault': EIO}),
    'flush-host-error-latched': (OURS, lambda m: m.save('region0/virtio_pmem'),
                                 ['flush region0', 'flush region0', 'flush --json region0'],
                                 {'fault': 'write:deep_flush=latch'}),
    'flush-host-error-in-tree': (STOCK, None, ['flush region0'],
                                 {'fault': 'fsync:pmem0=%d' % errno.EIO}),
    'flush-broken': (OURS, broken, ['flush region0', 'flush --json region0'], {'fault': EIO}),
    'flush-several': (OURS, broken, ['flush region9 region1', 'flush --json region1 nonsense'],),
    'flush-first-failure': (OURS, broken, ['flush region0 region9', 'flush region9 region0'],
                            {'fault': EIO}),
    'flush-timed-out': (OURS, None, ['flush --timeout 0.2 region0',
                                     'flush -jt 0.2 region0'],
                        {'fault': 'write:deep_flush=hang'}),
    'flush-busy': (OURS, None, ['flush region0', 'flush --json region0'],
                   {'fault': 'write:deep_flush=%d' % errno.EBUSY}),
    'flush-gone': (OURS, lambda m: m.save('region0/uevent'),
                   ['flush region0'], {'fault': 'write:deep_flush=vanish'}),
    'flush-all-empty': (None, None, ['flush all', 'flush --json all']),
    'flush-permission': (OURS, lambda m: m.chmod('region0/deep_flush', 0o444),
                         ['flush region0', 'flush --json region0'], {'nobody': True}),
    'version': (None, None, ['version', '--version', 'version --json', '--json --version']),
    'help': (None, None, ['help', '--help', 'help flush', 'flush --help', 'list -h', 'help help',
                          'help --json', 'version --help --json']),
    'no-libnvdimm': (None, no_libnvdimm, ['list', 'status', 'list --json', 'status --json',
                                          'list region0']),
    'no-driver': (OURS, no_driver, ['list', 'flush all']),
    'not-bound': (OURS, unbound, ['list', 'flush all']),
    'no-regions': (OURS, no_regions, ['list', 'flush all', 'status --json', 'list region0']),
    'bad-usage': (OURS, None, [
        '', 'lsit', 'flsh region0', 'xyzzy', 'list --jsn', 'list --nonsense', 'list -x',
        'list --json=yes', 'flush', 'flush --timeout', 'flush region0 -t', 'flush all --timeout x',
        'flush all --timeout 0', 'flush all --timeout -1', 'flush all --timeout 1.2345',
        'flush all --timeout 1.', 'flush all --timeout 99999999999', 'flush all --timeout=',
        'flush --timeuot 5 all', 'version now', 'help lsit', 'help list flush',
        'list --version', '--timeout 5 flush all', '--nonsense']),
    'bad-usage-json': (OURS, None, [
        '--json', 'lsit --json', '--json xyzzy', 'list --jsn --json', 'flush -j',
        'flush all --timeout x --json', 'list -uj --nonsense']),
    'bad-region': (OURS, None, [
        'list region9', 'list regoin0', 'status pci-0000:00:05.1', 'list /nonexistent',
        'list /dev/pmem9', 'list --json region9', 'flush region9', 'list region9 region0',
        'list /tmp', 'list --json nonsense region0']),
    'bad-region-ambiguous': (NFIT, None, ['list acpi-ACPI0012:00', 'flush -j acpi-ACPI0012:00']),
    'bad-sysfs-not-a-number': (OURS, both(stats, lambda m: m.write('region0/size', 'lots\n')),
                               ['list region0', 'status -j region0']),
    'bad-sysfs-huge': (OURS, lambda m: m.write('region0/size', '99999999999999999999999\n'),
                       ['list region0']),
    'bad-sysfs-negative': (OURS, lambda m: m.write('region0/size', '-1\n'), ['list region0']),
    'bad-sysfs-empty': (OURS, lambda m: m.write('region0/size', ''), ['list region0']),
    'bad-sysfs-missing': (OURS, lambda m: m.remove('region0/size'), ['list region0']),
    'bad-sysfs-truncated': (OURS, both(stats, on('region0', flush_stats='6 0 6 0\n')),
                            ['status region0', 'status -j region0']),
    'bad-sysfs-cut-off': (OURS, both(stats, on('region0', flush_stats='6 0 6 0 0 1170')),
                          ['status region0']),
    'bad-sysfs-binary': (OURS, on('region0', state='\x1b[31mactive\n'), ['list region0']),
    'bad-sysfs-permission': (OURS, lambda m: m.chmod('region0/virtio_pmem/state', 0),
                             ['list region0', 'list -j region0'], {'nobody': True}),
    'region-vanishes': (OURS, lambda m: m.save('region0/uevent'), ['list region0 region1'],
                        {'fault': 'open:size=vanish'}),
    'region-vanishes-json': (OURS, lambda m: m.save('region0/uevent'), ['status -j region0'],
                             {'fault': 'open:flush_stats=vanish'}),
    'library-log': (OURS, lambda m: m.write('region0/size', 'lots\n'), ['list region0'],
                    {'VIRTPMEM_LOG': 'err'}),
}


def session(machine, commands, options):
    text = ''
    for command in commands:
        result = machine.run(*command.split(), **options)
        if re.search(r'(^| )(--json|-[uj]*j[uj]*t?)( |$)', command):
            result.json()
        text += str(result) + '\n'
        machine_undo_faults(machine, options)
    for pattern, replacement in CLOCK:
        text = re.sub(pattern, replacement, text)
    return text.replace(machine.tmp, 'TMP').replace(machine.root, 'ROOT')


def machine_undo_faults(machine, options):
    """The next command of the case finds the region as the first one did."""
    if 'vanish' in str(options.get('fault')):
        path = machine.path('region0/uevent')
        if not os.path.exists(path):
            with open(path, 'w', encoding='ascii'):
                pass


def compare(name, text):
    path = os.path.join(GOLDEN, name + '.txt')
    expected = ''
    if os.path.exists(path):
        with open(path, encoding='utf-8') as f:
            expected = f.read()
    if text == expected:
        return True
    if '--update' in sys.argv:
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        print('updated %s' % name)
        return True
    print('FAIL %s: output differs from golden/%s.txt' % (name, name))
    sys.stdout.writelines(difflib.unified_diff(
        expected.splitlines(True), text.splitlines(True), 'golden/%s.txt' % name, 'pmemctl'))
    return False


def run_case(machine, name):
    _, change, commands, *options = CASES[name]
    try:
        if change:
            change(machine)
        return compare(name, session(machine, commands, options[0] if options else {}))
    except AssertionError as e:
        print('FAIL %s: %s' % (name, e))
        return False
    finally:
        machine.restore()


def main():
    need_programs('umockdev-run', 'setpriv')
    failed = []
    for fixture in dict.fromkeys(case[0] for case in CASES.values()):
        machine = Machine(fixture)
        try:
            for name in CASES:
                if CASES[name][0] == fixture and not run_case(machine, name):
                    failed.append(name)
        finally:
            machine.close()
    stray = set(os.listdir(GOLDEN)) - {name + '.txt' for name in CASES}
    if stray:
        print('FAIL: no case has %s' % ', '.join(sorted(stray)))
    print('%d cases, %d failed' % (len(CASES), len(failed)))
    return 1 if failed or stray else 0


if __name__ == '__main__':
    sys.exit(main())
