#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What pmemctl prints on recorded machines, compared with golden/*.txt.

A case is a recorded machine, changes to it, and commands. All JSON is also checked against the
promises of pmemctl-json(5). --update writes the files anew; look at the difference before
committing it. "2of4" runs the second of four parts of the cases.
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
    (r'(?m)(, latency min ).*$', r'\1TIME'),
    (r'(?m)(process |"guard_pid":)\d+', r'\1PID'),
    (r'("(?:state_age_ns|last_failure_age_ns)":)("[^"]*"|\d+)', r'\1AGE'),
    (r'("time_ns":)\d+', r'\1TIME'),
    (r'("(?:interval_ns|requests_per_s_milli|host_flushes_per_s_milli|'
     r'queue_depth_mean_milli)":)("[^"]*"|\d+)', r'\1TIME'),
    (r'("latency_(?:\w+_)?ns":)("[^"]*"|\d+)', r'\1TIME'),
)

STREAMS = ('stat', 'monitor')

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


def host_failed(m):
    """A flush, which was not acknowledged yet; /run is there, and empty."""
    stats(m, failed_host_flushes=1, last_failure_ns=1)
    os.makedirs(m.save('run'))


def acknowledged(m, text):
    host_failed(m)
    m.write('run/virtpmem/acknowledged-pci-0000:00:04.0', text)


def no_libnvdimm(m):
    m.remove('sys/bus')


def unbound(m):
    for region in m.regions():
        m.remove('sys/bus/nd/devices/' + region)
    m.remove('sys/bus/virtio/devices/virtio1/driver')


def unbound_no_path(m):
    unbound(m)
    m.remove('sys/devices/pci0000:00/0000:00:05.0/subsystem')


def unbound_not_known(m):
    """Also as root: what is there is no directory."""
    no_regions(m)
    m.remove('sys/bus/virtio/devices')
    m.write('sys/bus/virtio/devices', '')


def unbound_first(m):
    m.remove('sys/bus/nd/devices/region0')
    m.remove('sys/bus/virtio/devices/virtio0/driver')


def not_virtio(m):
    """Of a device that is not virtio's."""
    os.makedirs(m.save('sys/bus/pci/devices/0000:00:00.0'))


def no_driver(m):
    unbound(m)
    m.remove('sys/bus/virtio/drivers/virtio_pmem')


def no_regions(m):
    for region in m.regions():
        m.remove('sys/bus/nd/devices/' + region)


def write_through(m):
    m.write('sys/block/pmem0/queue/write_cache', 'write through\n')


def in_use(m):
    """A mount and a bind mount without barriers, a logical volume, and a process."""
    m.stack('dm-0', '253:0', 'pmem1', **{'dm/name': 'vg-lv\n', 'dm/uuid': 'LVM-abc\n'})
    m.mount('259:1 / /srv/data rw - ext4 /dev/pmem0 rw,nobarrier',
            '259:1 /a /srv/a\\040b rw - ext4 /dev/pmem0 rw,nobarrier',
            '253:0 / /srv/lv rw - xfs /dev/mapper/vg-lv rw')
    # Below 300: the kernel gives such a number once, so that no pmemctl that is run here has it.
    m.add_process('212', 'fio', ['/dev/pmem4'])


def not_set_up(m):
    """Built in; only signed modules; and two devices without a driver."""
    release = os.uname().release
    m.write('lib/modules/%s/modules.builtin' % release, 'kernel/drivers/nvdimm/virtio_pmem.ko\n')
    m.write('sys/module/module/parameters/sig_enforce', 'Y\n')
    m.remove('sys/bus/virtio/devices/virtio1/driver')
    m.remove('sys/bus/virtio/devices/virtio3/driver')


def bad(m):
    """Two pages, and a sector beside the second: of the region, and of its block device."""
    m.write('region0/badblocks', '4096 8\n12288 8\n12296 1\n')
    m.write('sys/block/pmem0/badblocks', '4096 8\n12288 9\n')


def bad_data(m):
    """The first page of a block device that has its metadata before that."""
    m.write('region1/badblocks', '8192 8\n')
    m.write('sys/block/pmem1/badblocks', '0 8\n')


def bad_whole(m):
    broken(m, 'gone')


def hidden_processes(m):
    in_use(m)
    m.chmod('proc/212/fd', 0)


def both(*changes):
    def change(m):
        for c in changes:
            c(m)
    return change


# A file that cannot be read is not recorded.
RECOVERABLE = on('region0', recover='')


def broken_queue(m):
    broken(m, 'virtqueue')
    RECOVERABLE(m)


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
    'list-columns': (OURS, None, [
        'list -o dev,state', 'list --output=path', 'list -n -o +node region0',
        'list --si region4', 'list -o helth', 'list -o health', 'list -o dev,,size', 'list -o',
        'list -o=', 'list --json -o nonsense', 'list --help']),
    'status-table': (OURS, both(stats, in_use, broken), [
        'status', 'status -n -o dev,health,why', 'status -o +waiting,max region0',
        'status -o dev,helth', 'status --color=always -o dev,state,health region0 region1']),
    'status-page': (OURS, both(stats, in_use), [
        'status region1', 'status --long region2 region3', 'status --help']),
    'status-page-ascii': (OURS, both(stats, in_use), ['status region1'], {'LC_ALL': 'C'}),
    'status-page-narrow': (OURS, both(in_use, broken), ['status region0'], {'COLUMNS': '60'}),
    'tables-40': (OURS, in_use, ['holders region0'], {'COLUMNS': '40'}),
    'tables-60': (OURS, both(stats, in_use, broken), [
        'status', 'status -n region0', 'list', 'holders'], {'COLUMNS': '60'}),
    'tables-80': (OURS, both(stats, in_use, broken), ['status', 'holders'], {'COLUMNS': '80'}),
    'tables-200': (OURS, both(stats, in_use, broken), ['status', 'status region0'],
                   {'COLUMNS': '200'}),
    'status-dax': (OURS, None, [
        'status --dax', 'status --dax --offset 2M region2', 'status --dax --address 0x110600000',
        'status --dax --json --offset 4096 --address 0x110400000 region2',
        'status --dax --address 1', 'status --dax --offset 4G region2', 'status --dax --offset x',
        'status --dax --offset -1', 'status --dax --offset 99999999999T',
        'status --address 1', 'status --json --dax --address=1',
        'status --dax --offset 2M --address 0x140200000 region2',
        'status --dax --offset 4G --address 0x110400000 region2',
        'status --dax --offset 4G --address 1 region2']),
    'status-dax-not-root': (OURS, lambda m: m.chmod('region2/dax2.0/dax2.0/resource', 0o400), [
        'status --dax region2'], {'nobody': True}),
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
    'status-stalled': (OURS, both(stats, on('region0', stalled='1\n', in_flight_us='31000000\n',
                                            queue_depth='5\n', queue_depth_max='9\n')),
                       ['status region0', 'status -u --json region0']),
    'status-host-failed-latch': (OURS, lambda m: stats(m, failed_host_flushes=1,
                                                       last_failure_ns=1), ['status region0']),
    'status-host-failed-report': (
        OURS, both(lambda m: stats(m, failed_host_flushes=2, last_failure_ns=1),
                   on('region0', error_policy='report\n')), ['status region0']),
    'status-write-through': (STOCK, write_through, ['status region0', 'status -j region0']),
    'health': (OURS, stats, [
        'health', 'health --json region0', 'health -w 0.01 -c 999 region0',
        'health -w 0.01 -c 0.1 region0', 'health --json --critical=0.1 region0',
        'health -w 9999 region0', 'health --help']),
    'health-color': (OURS, broken, ['health --color=always region0 region1',
                                    'health --color=never region0']),
    'health-fatal': (OURS, both(in_use, broken), [
        'health', 'health -j region0', 'health --nagios', 'health --nagios region1']),
    'health-in-tree': (STOCK, write_through, ['health region0', 'health --nagios region0']),
    'health-system': (OURS, not_set_up, [
        'health --system', 'health --system --json', 'health --system --nagios']),
    'health-system-no-path': (OURS, unbound_no_path, [
        'health --system', 'add -n virtio-virtio1']),
    'health-system-not-known': (OURS, unbound_not_known, [
        'health --system', 'health --system --nagios']),
    'health-system-well': (OURS, None, ['health --system', 'health --system --nagios']),
    'health-nagios': (OURS, stats, [
        'health --nagios region0 region1', 'health --nagios -w 1 region0',
        'health --nagios -w 0.5 -c 1 region0', 'health --nagios', 'health --nagios region9',
        'health --nagios -w', 'health --nagios -w x', 'health --nagios -w 5 -c 1',
        'health --nagios --nonsense', 'health --nagios --json region0',
        'health --json --nagios --nonsense']),
    'health-nagios-worst-first': (
        OURS, both(stats, on('region0', state='quiesced\n'), on('region1', state='dreaming\n'),
                   on('region2', state='broken\n', broken='1\n', broken_reason='host-error\n')),
        ['health --nagios', 'health --nagios region0 region9 region1']),
    'health-nagios-empty': (None, None, ['health --nagios', 'health']),
    'health-nagios-vanishes': (OURS, lambda m: m.save('region0/uevent'),
                               ['health --nagios region0'],
                               {'fault': 'open:flush_stats=vanish'}),
    'health-bad-usage': (OURS, None, [
        'health -w', 'health -w x', 'health -w 0', 'health -c 1.2345', 'health -w 5 -c 1',
        'health --system region0', 'health region9', 'health -j -w x']),
    'health-acknowledge': (OURS, host_failed, [
        'health --acknowledge --dry-run region0', 'health region0', 'health -a region0',
        'health region0', 'health --acknowledge --json pci-0000:00:04.0', 'health -an region0',
        'health -a region1 region4 region9']),
    'health-acknowledge-json': (OURS, host_failed, [
        'health --json -an region0', 'health --json -a region0']),
    'health-acknowledged-before': (OURS, lambda m: acknowledged(m, '2\n'), ['health region0']),
    'health-acknowledged-malformed': (OURS, lambda m: acknowledged(m, 'yes\n'), [
        'health region0', 'health -a region0', 'health region0']),
    'health-acknowledge-permission': (
        OURS, both(host_failed, lambda m: m.chmod('run', 0o555)), ['health -a region0'],
        {'nobody': True}),
    'health-acknowledge-read-only': (
        OURS, host_failed, ['health -a region0', 'health --json -a region0'],
        {'fault': 'open:.acknowledged-new=%d' % errno.EROFS}),
    'health-acknowledge-no-run': (OURS, lambda m: stats(m, failed_host_flushes=1,
                                                        last_failure_ns=1), ['health -a region0']),
    'health-acknowledge-usage': (OURS, None, [
        'health --acknowledge', 'health -a --system', 'health -a -w 5 region0', 'health -n region0',
        'health --dry-run --system', 'health -a --nagios region0', 'health -a --json']),
    'errors': (OURS, bad, ['errors', 'errors -j region0', 'errors -n region1', 'errors --help',
                           'errors region9', 'errors --json --nonsense']),
    'errors-usage': (OURS, bad, [
        'errors --limit 5 region0', 'errors -f --limit 0', 'errors -f -l 1e6', 'errors -fl',
        'errors --files --json --limit=-1', 'errors -f -l 4294967295 region1']),
    'errors-none': (OURS, None, ['errors', 'errors --json region0', 'errors --files region0']),
    'errors-whole': (OURS, bad_whole, ['errors region0', 'errors --json region0']),
    'errors-files-not-mounted': (OURS, bad, ['errors --files region0',
                                             'errors --files --json region0']),
    'errors-files-not-reached': (OURS, both(bad, in_use), ['errors --files region0']),
    'errors-files-part': (OURS, both(bad, lambda m: m.mount(
        '259:1 /a /srv/a rw - ext4 /dev/pmem0 rw')), ['errors -f region0']),
    'errors-files-btrfs': (OURS, both(bad, lambda m: m.mount(
        '0:99 / /srv/b rw - btrfs /dev/pmem0 rw')), ['errors -f region0']),
    'errors-files-stacked': (OURS, both(bad_data, in_use),
        ['errors -f region1', 'errors -jf region1']),
    'errors-not-root': (OURS, bad, ['errors region0', 'errors --json region0'], {'nobody': True}),
    'errors-malformed': (OURS, lambda m: m.write('region0/badblocks', 'lots\n'),
                         ['errors region0', 'errors --json region0']),
    'errors-empty': (None, None, ['errors', 'errors --json']),
    'holders': (OURS, in_use, [
        'holders', 'holders --json region0 region1', 'holders -n region1', 'holders --help',
        'holders region9', 'holders --json region9', 'holders -x']),
    'holders-none': (OURS, None, ['holders region0', 'holders --json region0']),
    'holders-ascii': (OURS, in_use, ['holders region0 region1'], {'LC_ALL': 'C'}),
    'holders-incomplete': (OURS, hidden_processes, ['holders', 'holders --json region4'],
                           {'nobody': True}),
    'holders-empty': (None, None, ['holders', 'holders --json']),
    'flush': (OURS, None, [
        'flush region0', 'flush --json region0', 'flush -j -u pci-0000:00:04.0',
        'flush --timeout 60 region1 region2', 'flush -t 60.25 pmem0',
        'flush region0 region0 pmem0', 'flush --timeout=60 region3']),
    'flush-repeated': (OURS, None, [
        'flush --count 3 region0 region1', 'flush -j --count=100 region0',
        'flush -ju -c 2 -i 0.01 region0', 'flush --interval 5 --count 1 region0']),
    'flush-repeated-in-tree': (STOCK, None, ['flush -c 2 region0', 'flush -c 2 region2 region0']),
    'flush-repeated-not-needed': (NFIT, None, ['flush -i 5 region0', 'flush -j -c 2 region0']),
    'flush-repeated-fails': (OURS, None, ['flush -c 2 region0', 'flush -jc 2 region0'],
                             {'fault': EIO}),
    'flush-usage': (OURS, None, [
        'flush', 'flush --count 0 region0', 'flush -c 1e3 region0', 'flush -c',
        'flush -i 0 region0',
        'flush --interval x --json region0', 'flush --timeout 0 region0', 'flush --help']),
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
    'flush-quiesced': (OURS, on('region0', state='quiesced\n'), [
        'flush --timeout 0.2 region0', 'flush -jt 0.2 region0'],
                       {'fault': 'write:deep_flush=hang'}),
    'flush-busy': (OURS, None, ['flush region0', 'flush --json region0'],
                   {'fault': 'write:deep_flush=%d' % errno.EBUSY}),
    'flush-gone': (OURS, lambda m: m.save('region0/uevent'),
                   ['flush region0'], {'fault': 'write:deep_flush=vanish'}),
    'flush-all-empty': (None, None, ['flush all', 'flush --json all']),
    'flush-permission': (OURS, lambda m: m.chmod('region0/deep_flush', 0o444),
                         ['flush region0', 'flush --json region0'], {'nobody': True}),
    'stat': (OURS, None, ['stat -j region0', 'stat --json region1 0.01 2', 'stat -ju region0']),
    'stat-in-tree': (STOCK, None, ['stat', 'stat region0', 'stat --json region0 0.01 2']),
    'stat-bad-counters': (OURS, on('region0', flush_stats='6 0 6 0 0 1170', flush_latency='1 2\n'),
                          ['stat region0', 'stat -j region0 0.01 2']),
    'stat-usage': (OURS, None, ['stat --help', 'stat 0', 'stat 1 0', 'stat 1 2x', 'stat 1x',
                                'stat 1 2 3', 'stat 0.5 2 region0', 'stat region9 1', 'stat -j 1.', 'stat all 1 -1']),
    'top-usage': (OURS, None, ['top --help', 'top --json', 'top --interval 0', 'top -i 1x']),
    'monitor-usage': (OURS, None, [
        'monitor --help', 'monitor --event=sttae', 'monitor --log', 'monitor -E state,,nonsense',
        'monitor -j --event xyzzy', 'monitor --config-file=/nonexistent']),
    'bench-usage': (OURS, None, [
        'bench --help', 'bench', 'bench region9', 'bench region0 --callers 0',
        'bench region0 --callers 4,2', 'bench region0 -C 1,,2', 'bench region0 --callers 1025',
        'bench region0 --time 0', 'bench all --svg x', 'bench region0 region1 --svg=x']),
    'bench-not-supported': (STOCK, None, ['bench region0', 'bench --json region0']),
    'bench-not-needed': (NFIT, None, ['bench region0']),
    'stat-empty': (None, None, ['stat', 'stat --json 0.01 2', 'stat region0']),
    'version-drivers': (OURS, None, ['version', '--version', 'version --json']),
    'version-in-tree': (STOCK, None, ['version']),
    'version': (None, None, ['version', '--version', 'version --json', '--json --version']),
    'help': (None, None, ['help', '--help', 'help flush', 'flush --help', 'list -h', 'help help',
                          'help recover', 'help --json', 'version --help --json']),
    'no-libnvdimm': (None, no_libnvdimm, ['list', 'status', 'list --json', 'status --json',
                                          'list region0']),
    'no-driver': (OURS, no_driver, ['list', 'flush all']),
    'not-bound': (OURS, unbound, ['list', 'flush all']),
    'not-bound-one': (OURS, unbound_first, ['list region0', 'flush pci-0000:00:04.0']),
    'not-bound-no-path': (OURS, unbound_no_path, ['list', 'flush all']),
    'not-bound-not-known': (OURS, unbound_not_known, ['list', 'flush all', 'list region0',
                                                      'list --json']),
    'no-regions': (OURS, no_regions, ['list', 'flush all', 'status --json', 'list region0']),
    'bad-usage': (OURS, None, [
        '', 'lsit', 'flsh region0', 'xyzzy', 'list --jsn', 'list --nonsense', 'list -x',
        'list --json=yes', 'flush', 'flush --timeout', 'flush region0 -t', 'flush all --timeout x',
        'flush all --timeout 0', 'flush all --timeout -1', 'flush all --timeout 1.2345',
        'flush all --timeout 1.', 'flush all --timeout 99999999999', 'flush all --timeout=',
        'flush --timeuot 5 all', 'list --color=red', 'list --color', 'version now', 'help lsit', 'help list flush',
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

# What a thaw looks at, and is not recorded.
THAWABLE = on('region0', quiesce='0\n', quiesce_timeout_ms='60000\n')

# Nor are the settings that the driver of the recordings did not have yet.
SETTABLE = on('region0', stall_timeout_ms='30000\n', quiesce_timeout_ms='60000\n')

# What changes something.
CASES.update({
    'freeze': (OURS, both(THAWABLE, in_use), [
        'freeze -n region0', 'freeze -n --json region1', 'freeze -n --force --quiesce region0',
        'freeze --help', 'thaw --help']),
    'freeze-nothing-mounted': (OURS, THAWABLE, [
        'freeze region0', 'freeze --json region0', 'thaw region0', 'thaw --json region0',
        'thaw -n region0']),
    'freeze-command': (OURS, THAWABLE, [
        'freeze region0 -- echo hello', 'freeze region0 -- false', 'freeze region0 -- /nonexistent',
        'freeze region0 -- /', 'freeze --json region0 -- echo hello',
        'freeze -t 5 region0 -- sleep 60', 'freeze region0 region9 -- echo hello',
        'freeze --json region9 -- echo hello', 'freeze -n region0 -- echo hello']),
    'freeze-broken': (OURS, both(broken, THAWABLE), [
        'freeze region0', 'freeze -j region0', 'freeze region1 region0',
        'freeze region1 region0 -- echo hello']),
    'freeze-stalled': (OURS, both(THAWABLE, on('region0', stalled='1\n')), ['freeze region0']),
    'freeze-flush-fails': (OURS, THAWABLE, ['freeze region0', 'freeze region0 -- echo hello'],
                           {'fault': EIO}),
    'freeze-permission': (OURS, lambda m: m.chmod('dev/ndctl0', 0o400), [
        'freeze region0', 'thaw region0', 'remove region0'], {'nobody': True}),
    'freeze-usage': (OURS, None, [
        'freeze', 'freeze -- echo', 'freeze region0 --', 'freeze -t x region0',
        'freeze -t 0 region0 -- echo', 'freeze --quiesce=yes region0', 'thaw', 'thaw region0 -- x']),
    'freeze-not-supported': (STOCK, None, ['freeze --quiesce region0', 'thaw region0']),
    'set': (OURS, SETTABLE, [
        'set region0', 'set --json region0', 'set region0 error_policy',
        'set region0 error_policy=report stall_timeout_ms=5000', 'set pmem0 -j error_policy=latch',
        'set -n --persist region0 stall_timeout_ms=7000', 'set -np region0 stall_timeout_ms',
        'set -np region0 error_policy=', 'set --help']),
    'set-usage': (OURS, SETTABLE, [
        'set', 'set region9 error_policy', 'set region0 eror_policy=latch', 'set all xyzzy',
        'set all error_policy=x', 'set region0 error_policy=report stall_timeout_ms=5',
        'set region0 error_policy', 'set region0 error_policy=', 'set -p region0',
        'set -j region0 stall_timeout_ms=1e4',
        'set region0 error_policy=latch error_policy=report']),
    'set-fails': (OURS, SETTABLE,
                  ['set region0 stall_timeout_ms=5000 error_policy=report',
                   'set -j region0 stall_timeout_ms=5000'],
                  {'fault': 'write:stall_timeout_ms=%d' % errno.EACCES}),
    'set-not-supported': (STOCK, None, ['set region0', 'set -j region0 error_policy=report',
                                        'set all']),
    'remove': (OURS, None, ['remove -n region0', 'remove --dry-run --json pmem0',
                            'remove --help', 'remove', 'remove -t x region0', 'remove region9']),
    'remove-in-use': (OURS, in_use, ['remove region0', 'remove -n --json region0',
                                     'remove -n --force region0']),
    'remove-frozen': (OURS, THAWABLE, [
        'freeze region0', 'remove region0', 'remove --json region0', 'thaw region0']),
    'remove-quiesced': (OURS, both(in_use, on('region0', state='quiesced\n')), ['remove region0']),
    'remove-broken': (OURS, broken, ['remove region0', 'remove --dry-run --json region0',
                                     'remove -n --force region0']),
    'remove-flush-fails': (OURS, None, ['remove region0'], {'fault': EIO}),
    'add': (OURS, None, ['add -n pci-0000:00:04.0', 'add -n --json pci-0000:00:04.0',
                         'add --help', 'add', 'add region0', 'add pci-0000:00:1e.0 pci-../..']),
    'add-not-pmem': (OURS, not_virtio, [
        'add pci-0000:00:00.0', 'add -n pci-0000:00:00.0', 'add --json pci-0000:00:00.0']),
    'recover': (OURS, broken_queue, ['recover -n region0', 'recover region0'],
                {'fault': 'write:recover=heal'}),
    'recover-json': (OURS, broken_queue, ['recover --json --dry-run region0',
                                          'recover --json region0', 'recover --json region1'],
                     {'fault': 'write:recover=heal'}),
    'recover-host-error': (OURS, both(in_use, broken, RECOVERABLE), [
        'recover region0', 'recover --json --dry-run region0',
        'recover -n --accept-data-loss region0']),
    'recover-not-broken': (OURS, RECOVERABLE, ['recover region0', 'recover -n region0']),
    'recover-broken-again': (OURS, broken_queue, ['recover region0', 'recover --json region0']),
    'recover-timed-out': (OURS, broken_queue, ['recover region0', 'recover --json region0'],
                          {'fault': 'write:recover=%d' % errno.ETIMEDOUT}),
    'recover-no-answer': (OURS, broken_queue, ['recover region0'], {
        'fault': 'write:recover=heal write:deep_flush=%d' % errno.ETIMEDOUT}),
    'recover-busy': (OURS, broken_queue, ['recover region0'],
                     {'fault': 'write:recover=%d' % errno.EBUSY}),
    'recover-gone': (OURS, both(broken_queue, lambda m: m.save('region0/uevent')),
                     ['recover region0'], {'fault': 'write:recover=vanish'}),
    'recover-permission': (OURS, both(broken_queue, lambda m: m.chmod('dev/ndctl0', 0o400)),
                           ['recover region0'], {'nobody': True}),
    'recover-not-supported': (STOCK, None, ['recover region0', 'recover --json region9 region0']),
})


def session(machine, commands, options):
    text = ''
    for command in commands:
        result = machine.run(*command.split(), **options)
        if re.search(r'(^| )(--json|-[uj]*j[ujf]*t?)( |$)', command) and '--nagios' not in command:
            (result.json_lines if command.split()[0] in STREAMS else result.json)()
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


def chosen_cases():
    """All, or those of the part that the command line names."""
    for word in sys.argv[1:]:
        part = re.fullmatch(r'(\d+)of(\d+)', word)
        if part:
            return list(CASES)[int(part[1]) - 1::int(part[2])]
    return list(CASES)


def main():
    need_programs('umockdev-run', 'setpriv')
    failed = []
    cases = chosen_cases()
    for fixture in dict.fromkeys(CASES[name][0] for name in cases):
        machine = Machine(fixture)
        try:
            for name in cases:
                if CASES[name][0] == fixture and not run_case(machine, name):
                    failed.append(name)
        finally:
            machine.close()
    stray = set(os.listdir(GOLDEN)) - {name + '.txt' for name in CASES}
    if stray:
        print('FAIL: no case has %s' % ', '.join(sorted(stray)))
    print('%d cases, %d failed' % (len(cases), len(failed)))
    return 1 if failed or stray else 0


if __name__ == '__main__':
    sys.exit(main())
