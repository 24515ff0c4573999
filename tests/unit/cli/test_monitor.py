#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl monitor on a recorded machine: lines, targets, configuration, commands, signals.

A setting or a bad range that is written is an event there. For the others the files are made as the
driver would, and what the kernel would say of them is sent in its place: see HAPPENINGS.

That something is not told is judged by what is told after it: by a later event, or by the end,
before which everything is told that happened before the signal.
"""
import contextlib
import ctypes
import errno
import fcntl
import glob
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from machine import (PMEMCTL, SKIP, SOURCE_ROOT, Machine, check_schema, need_programs,
                     run_tests)

POLICY = 'region%d/virtio_pmem/error_policy'
PATHS = ('pci-0000:00:04.0', 'pci-0000:00:05.0')
SOCKETS = 'event[0-9]*'          # umockdev's, one for each that listens to the kernel
TIMEOUT = 60


class Monitor:
    """A monitor that runs, and has said to its service manager that it watches."""

    def __init__(self, machine, *argv, stdout=subprocess.PIPE, prefix=(), **env):
        self.machine = machine
        path = os.path.join(machine.tmp, 'notify')
        for old in glob.glob(path) + glob.glob(os.path.join(machine.root, SOCKETS)):
            os.unlink(old)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(path)
        self.process = subprocess.Popen(
            [*prefix, PMEMCTL, 'monitor', *argv], stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=subprocess.PIPE, env=machine.environment(NOTIFY_SOCKET=path, **env))
        if self.process.stdout:
            os.set_blocking(self.process.stdout.fileno(), False)
        self.output, self.errors = b'', b''
        self.told('READY=1')

    def told(self, *words):
        deadline = time.monotonic() + TIMEOUT
        for word in words:
            while not select.select([self.manager], [], [], 0.1)[0]:
                assert self.process.poll() is None, self.process.communicate()
                assert time.monotonic() < deadline, word + ' is not said'
            assert self.manager.recv(100).decode() == word

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        self.told('RELOADING=1', 'READY=1')

    def setting(self, value, region=0):
        # In place, as a write to sysfs is; a new file would be another one to the kernel.
        with open(self.machine.path(POLICY % region), 'w', encoding='ascii') as f:
            f.write(value + '\n')

    def uevent(self, region, action):
        """What the kernel says of a region, on each socket that umockdev shows as netlink's."""
        device = os.path.realpath(self.machine.path('region%d' % region))
        values = {'ACTION': action, 'DEVPATH': device[len(self.machine.root + '/sys'):],
                  'SUBSYSTEM': 'nd', 'SEQNUM': '1'}
        text = ''.join('%s=%s\0' % pair for pair in values.items()).encode()
        # As udevd sends it: the prefix, its magic number, where the text is, and no hashes.
        head = struct.pack('=8sI7I', b'libudev', socket.htonl(0xfeedcafe), 40, 40, len(text),
                           0, 0, 0, 0)
        places = glob.glob(os.path.join(self.machine.root, SOCKETS))
        assert places, 'the monitor does not listen'
        for place in places:
            with socket.socket(socket.AF_UNIX, socket.SOCK_RAW) as kernel:
                kernel.connect(place)
                kernel.send(head + text)

    @staticmethod
    def _more(stream, what):
        assert select.select([stream], [], [], TIMEOUT)[0], what
        more = os.read(stream.fileno(), 65536)
        assert more, what + ': it has ended'
        return more

    def line(self):
        """The next line on standard output."""
        while b'\n' not in self.output:
            self.output += self._more(self.process.stdout, 'no line')
        line, self.output = self.output.split(b'\n', 1)
        return line.decode()

    def said(self, text):
        """Waits until it has said that on standard error."""
        while text.encode() not in self.errors:
            self.errors += self._more(self.process.stderr, 'not said: ' + text)

    def wait(self, status):
        """Until it has ended by itself. Returns: standard error."""
        self.errors += self.process.communicate(timeout=TIMEOUT)[1]
        self.manager.close()
        assert self.process.returncode == status, (self.process.returncode, self.errors)
        return self.errors.decode()

    def end(self, number=signal.SIGTERM, status=0):
        self.process.send_signal(number)
        if self.process.stdout:
            os.set_blocking(self.process.stdout.fileno(), True)
        out, err = self.process.communicate(timeout=TIMEOUT)
        self.manager.close()
        assert self.process.returncode == status, (self.process.returncode, out, err)
        return (self.output + (out or b'')).decode(), (self.errors + err).decode()


def until(what, message):
    deadline = time.monotonic() + TIMEOUT
    while not what():
        assert time.monotonic() < deadline, message
        time.sleep(0.05)


def read(path):
    try:
        with open(path, encoding='utf-8') as f:
            return f.read()
    except FileNotFoundError:
        return ''


# ------------------------------------------------------------------ what happens

def is_lost(monitor):
    """With FAULT=LOSE, of the first message there is nothing but that it is lost."""
    monitor.uevent(0, 'change')


def take_away(machine):
    where = os.path.realpath(machine.path('region1'))
    shutil.copytree(where, os.path.join(machine.tmp, 'away'), symlinks=True)
    shutil.rmtree(where)


def goes(monitor):
    take_away(monitor.machine)
    monitor.uevent(1, 'remove')


def comes(monitor):
    where = os.path.realpath(monitor.machine.path('region1'))
    shutil.move(os.path.join(monitor.machine.tmp, 'away'), where)
    monitor.uevent(1, 'add')


def engine(stats=(), **files):
    """The driver's files and counters are others, and it says so."""
    def change(monitor):
        for name, value in files.items():
            monitor.machine.write('region0/virtio_pmem/' + name, value + '\n')
        monitor.machine.write_stats('region0', **dict(stats))
        monitor.uevent(0, 'change')
    return change


def goes_bad(monitor):
    monitor.machine.write('region0/badblocks', '8 8\n')


def is_set(monitor):
    monitor.setting('report')


LOSE = 'recvmsg:uevents=%d' % errno.ENOBUFS
HAPPENINGS = (
    # What happens, the event, the message, its priority in syslog(3).
    (is_lost, 'resync', 'events were lost; what follows is how things are different now', 4),
    (goes, 'region-removed', 'the region is gone', 5),
    (comes, 'region-added', 'the region has come', 5),
    (engine({'failed_host_flushes': 2, 'last_failure_ns': 7}), 'host-error',
     'the host failed 2 flushes', 3),
    (engine({'last_change_ns': 8}, state='broken', broken_reason='host-error'), 'state',
     'the region is broken: host-error', 3),
    (engine({'last_change_ns': 9}, state='active', broken_reason='none'), 'state',
     'the region is active', 5),
    (engine({'stalls': 5}, stalled='1'), 'stalled', 'the host does not answer a flush in time', 3),
    (engine(stalled='0'), 'stalled', 'the host has answered the late flush', 5),
    (goes_bad, 'bad-ranges', 'the bad ranges of its memory are others than before', 4),
    (is_set, 'setting', 'error_policy is report now', 5),
)


def every_event(machine):
    """each kind of event is told once, and is as the JSON Schema says"""
    machine.save(os.path.relpath(os.path.realpath(machine.path('region1')), machine.root))
    machine.save('region0/badblocks')
    monitor = Monitor(machine, '--json', fault=LOSE)
    kinds = []
    for happens, kind, message, _ in HAPPENINGS:
        happens(monitor)
        line = json.loads(monitor.line())
        check_schema(line, 'event')
        event = line['event']
        assert kind in event and event['message'] == message, (kind, line)
        assert event[kind] == (message != 'the host has answered the late flush'), line
        assert ('region' in line) == (kind != 'resync'), line
        kinds.append(kind)
    assert monitor.end() == ('', '')
    with open(os.path.join(SOURCE_ROOT, 'Documentation/pmemctl.schema.json'),
              encoding='utf-8') as f:
        schema = json.load(f)['$defs']['event']['properties']['event']
    assert {name['required'][0] for name in schema['oneOf']} == set(kinds), schema


def real(machine, device):
    """A name for it by which umockdev leaves it alone."""
    link = os.path.join(machine.tmp, os.path.basename(device))
    os.symlink(device, link)
    return link


def envelope(machine):
    """--json is ndctl's envelope: timestamp, pid, event, and the region in place of the dimm"""
    monitor = Monitor(machine, '--json', '--human')
    monitor.setting('report')
    event = json.loads(monitor.line())
    assert list(event) == ['schema', 'timestamp', 'time', 'pid', 'event', 'region'], event
    check_schema(event, 'event')
    assert abs(float(event['timestamp']) - time.time()) < 600, event
    assert event['pid'] == monitor.process.pid, event
    assert event['event'].pop('boottime_ns') > 0
    assert event['event'] == {'setting': True, 'message': 'error_policy is report now',
                              'name': 'error_policy', 'value': 'report'}, event
    assert event['region'] == {'dev': 'region0', 'path': 'pci-0000:00:04.0',
                               'flush': {'state': 'active', 'stalled': False}}, event
    assert monitor.end() == ('', '')


def text(machine):
    """a line for people has the time, the region, its path, and what happened"""
    monitor = Monitor(machine)
    monitor.setting('report')
    line = monitor.line().split(' ', 1)
    assert line[1] == 'region0 pci-0000:00:04.0: error_policy is report now', line
    time.strptime(line[0], '%Y-%m-%dT%H:%M:%S.%f%z')
    out, err = monitor.end()
    assert not out and err == 'pmemctl: watching; there are 5 regions now\n', (out, err)


def only_some(machine):
    """other regions and other events are left out"""
    for argv in (('region1',), ('-E', 'setting', 'namespace1.0'), ('region9', PATHS[1])):
        monitor = Monitor(machine, *argv)
        for region in (0, 1):
            monitor.setting('report', region)
        assert 'region1 ' in monitor.line(), argv
        out, _ = monitor.end()
        assert not out, (argv, out)
        for region in (0, 1):
            monitor.setting('latch', region)
    for argv in (('--event', 'state,host-error'), ('-E', 'state', 'region0'), ('region9',)):
        monitor = Monitor(machine, *argv)
        monitor.setting('report')
        out, _ = monitor.end()
        assert not out, (argv, out)
        monitor.setting('latch')
    for argv in ((PATHS[0],), ('/dev/pmem0',), ('-E', 'state,setting', 'region0'),
                 ('region9', 'all'), ('--event=all', 'region1', 'namespace0.0')):
        monitor = Monitor(machine, *argv)
        monitor.setting('report')
        assert 'report' in monitor.line(), argv
        monitor.end()
        monitor.setting('latch')


def names_to_come(machine):
    """a region is recognised by any name that it gets later: also of a namespace, a block device"""
    machine.save(os.path.relpath(os.path.realpath(machine.path('region1')), machine.root))
    for name in ('region1', PATHS[1], 'namespace1.0', 'pmem1', '/dev/pmem1'):
        take_away(machine)
        monitor = Monitor(machine, name)
        monitor.said(name + ': no such region yet; it is watched when it comes')
        monitor.setting('report')
        comes(monitor)
        assert monitor.line().endswith('region1 %s: the region has come' % PATHS[1]), name
        monitor.said('%s: is watched from now on, as %s' % (name, PATHS[1]))
        monitor.setting('report', 1)
        assert 'region1 ' in monitor.line(), name
        assert not monitor.end()[0]
        for region in (0, 1):
            monitor.setting('latch', region)


def names_to_come_json(machine):
    """a name that may be spelled wrong is told on standard error with --json, too"""
    monitor = Monitor(machine, '--json', 'regin0')
    assert monitor.end() == ('', 'pmemctl: regin0: no such region yet; it is watched when it '
                                 'comes\n')


def several_regions(machine):
    """a name that stands for several regions is said to be no name, until it stands for one"""
    machine.stack('dm-9', '253:9', 'pmem0')
    slaves = machine.path('sys/devices/virtual/block/dm-9/slaves')
    os.symlink(os.path.realpath(machine.path('sys/class/block/pmem1')),
               os.path.join(slaves, 'pmem1'))
    monitor = Monitor(machine, '--json', 'dm-9')
    monitor.said('dm-9: cannot be looked up: stands for several regions')
    monitor.setting('report')
    monitor.reload()
    os.unlink(os.path.join(slaves, 'pmem0'))
    monitor.setting('latch')
    monitor.setting('report', 1)
    assert json.loads(monitor.line())['region']['dev'] == 'region1'
    assert not monitor.end()[0]


def mounted_later(machine):
    """a mount point is a name from the mount on, though nobody tells of a mount"""
    place = os.path.join(machine.tmp, 'data')
    os.mkdir(place)
    monitor = Monitor(machine, place)
    monitor.setting('report')
    monitor.setting('report', 1)
    # Both are behind it before the mount.
    monitor.reload()
    with open(machine.path('sys/block/pmem1/dev'), encoding='ascii') as f:
        machine.mount('%s / %s rw - ext4 /dev/pmem1 rw' % (f.read().strip(), place))
    for region in (0, 1):
        monitor.setting('latch', region)
    assert monitor.line().endswith('region1 %s: error_policy is latch now' % PATHS[1])
    assert not monitor.end()[0]


def config(machine):
    """the file says what the command line leaves open, and the command line wins"""
    path = os.path.join(machine.tmp, 'monitor.conf')
    log, other = (os.path.join(machine.tmp, name) for name in ('one.log', 'other.log'))
    with open(path, 'w', encoding='utf-8') as f:
        f.write('# a comment\n[monitor]\nregion = region1 region0\nevent = setting, state\n'
                'log = %s\nexec = echo ran $PMEMCTL_VALUE >&2\n' % log)
    monitor = Monitor(machine, '--config-file', path)
    monitor.setting('report')
    until(lambda: 'report' in read(log), 'nothing in the log file')
    until(lambda: select.select([monitor.process.stderr], [], [], 0)[0], 'no command was run')
    out, err = monitor.end()
    assert not out and 'ran report\n' in err, (out, err)
    monitor = Monitor(machine, '-c', path, '--log', other, '--exec=')
    monitor.setting('latch')
    until(lambda: 'latch' in read(other), 'nothing in the other log file')
    assert 'latch' not in read(log)
    assert 'ran' not in monitor.end()[1]


def commands_as_written(machine):
    """a command of the file is run as it stands there, with what is special to iniparser if quoted"""
    path = os.path.join(machine.tmp, 'exec.conf')
    one, two = (os.path.join(machine.tmp, name) for name in ('one', 'two'))
    for command, first in (('echo 1 > {0} && echo 2 > {1}', '1\n'),
                           ('"echo 1 > {0}; echo 2 > {1}"', '1\n'),
                           ("'printf \"%s;\" \"x = y\" z > {0}; echo 2 > {1} # both'", 'x = y;z;')):
        with open(path, 'w', encoding='utf-8') as f:
            f.write('[monitor]\n exec = %s \n' % command.format(one, two))
        monitor = Monitor(machine, '-c', path)
        monitor.setting('report')
        until(lambda: read(two) == '2\n', command)
        assert read(one) == first, (command, read(one))
        assert 'the command of' not in monitor.end()[1]
        monitor.setting('latch')
        os.unlink(one)
        os.unlink(two)


def comments(machine):
    """a comment has a line of its own, or stands after a blank; names may be in capitals"""
    path = os.path.join(machine.tmp, 'comments.conf')
    with open(path, 'w', encoding='utf-8') as f:
        f.write('# one\n\n; two\n [Monitor]\n\tRegion=region1\t; three\n')
    monitor = Monitor(machine, '-c', path)
    monitor.setting('report')
    monitor.setting('report', 1)
    assert 'region1 ' in monitor.line()
    assert not monitor.end()[0]


def shipped_config(machine):
    """contrib/monitor.conf is what it says: nothing else than without it"""
    monitor = Monitor(machine, '-c', os.path.join(SOURCE_ROOT, 'contrib/monitor.conf'))
    monitor.setting('report')
    assert 'report' in monitor.line()
    monitor.end()


def reload_and_reopen(machine):
    """SIGHUP reads the file again and opens the log anew; a wrong file changes nothing"""
    path, log = (os.path.join(machine.tmp, name) for name in ('hup.conf', 'hup.log'))

    def write(content):
        with open(path, 'w', encoding='utf-8') as f:
            f.write('[monitor]\nlog = %s\n%s\n' % (log, content))

    write('')
    monitor = Monitor(machine, '-c', path)
    monitor.setting('report')
    until(lambda: 'report' in read(log), 'nothing in the log file')
    os.rename(log, log + '.1')
    monitor.reload()
    monitor.setting('latch')
    until(lambda: 'latch' in read(log), 'nothing in the new log file')
    assert 'latch' not in read(log + '.1')
    write('colour = green')
    monitor.reload()
    monitor.setting('report')
    until(lambda: 'report' in read(log), 'it has stopped watching')
    write('event = state')
    monitor.reload()
    monitor.setting('latch')
    _, err = monitor.end()
    assert read(log).count('latch') == 1, read(log)
    assert "'monitor:colour' means nothing here" in err and 'as they were' in err, err


@contextlib.contextmanager
def nothing_to_look_at(machine):
    """Where the regions are is no directory meanwhile."""
    devices = machine.path('sys/bus/nd/devices')
    os.rename(devices, devices + '.away')
    try:
        with open(devices, 'w', encoding='ascii'):
            yield
    finally:
        os.unlink(devices)
        os.rename(devices + '.away', devices)


def reload_without_a_look(machine):
    """SIGHUP says it where regions cannot be looked for, and what was watched goes on being so"""
    monitor = Monitor(machine, '--json', 'region0')
    with nothing_to_look_at(machine):
        monitor.reload()
        monitor.said('cannot look for regions: /sys/bus/nd/devices: Not a directory; the same '
                     'ones are watched as before\n')
    monitor.setting('report')
    assert json.loads(monitor.line())['region']['dev'] == 'region0'
    assert not monitor.end()[0]


def end_without_a_look(machine):
    """what came before the end and cannot be looked at is no silent end: exit status 1, or 130"""
    for number, status, code in ((signal.SIGTERM, 1, 'failed'), (signal.SIGINT, 130, 'interrupted')):
        monitor = Monitor(machine, '--json')
        with nothing_to_look_at(machine):
            monitor.uevent(1, 'add')
            monitor.said('while watching: ')
            out, _ = monitor.end(number, status)
        errors = json.loads(out)['errors']
        assert errors[0]['code'] == code, out
        assert errors[-1]['message'] == 'what happened last could not be told', out


def bad_settings(machine):
    """what is wrong with options or file is named, with status 2, before anything is watched"""
    path = os.path.join(machine.tmp, 'bad.conf')
    for content, word in (
            ('events = all\n', "'monitor:events' means nothing here; there are region, event, log "
             'and exec in the section [monitor]'),
            ('event = stat\n', "did you mean 'state'?"),
            ('event = ,\n', 'no event is named'),
            ('\nevent\n', 'is not a configuration file'),
            ('[other]\nlog = syslog\n', "'other' means nothing here"),
            ('[monitor\n', 'is not a configuration file'),
            ('log = syslog\nlog = standard\n', "line 2: of 'log' only 'standard' would be read; "
             'it cannot be there twice'),
            ('log =\n', "'log' has no value; leave the line out"),
            ('log = # none\n', "'log' has no value"),
            ('log = syslog;\n', "line 2: of 'log' only 'syslog' would be read"),
            ('exec =\n', "'exec' has no value"),
            ('exec = echo one; echo two\n', "line 2: of 'exec' only 'echo one' would be read; put "
             'all of it between quotes'),
            ('exec = echo one # two\n', "line 2: of 'exec' only 'echo one' would be read"),
            ('exec = "/bin/echo" one\n', "line 2: of 'exec' only '/bin/echo' would be read"),
            ('exec = echo \\\n two\n', "line 2: it ends with a '\\'"),
            ('exec\\ \n= echo one; echo two\n', "line 2: it ends with a '\\'"),
            ('# a comment\\\nlog = syslog\n', "line 2: it ends with a '\\'"),
            ('log = standard\0\n', 'is not a configuration file'),
            ('exec = echo one\0; echo two', 'line 2: it has a zero byte')):
        with open(path, 'w', encoding='utf-8') as f:
            f.write('[monitor]\n' + content)
        result = machine.run('monitor', '--config-file', path)
        assert result.status == 2 and word in result.err and path in result.err, result
    with open(path, 'w', encoding='utf-8') as f:
        f.write('log = syslog\n')
    result = machine.run('monitor', '-c', path)
    assert result.status == 2 and "':log' means nothing here" in result.err, result
    for argv, word in ((('--log=',), '--log: no target is named'),
                       (('-E', ''), '--event: no event is named'),
                       (('region0', ''), "a region's name cannot be empty")):
        result = machine.run('monitor', *argv)
        assert result.status == 2 and word in result.err, result
    result = machine.run('monitor', '--event=sttae')
    assert result.status == 2 and "'state'" in result.err, result
    result = machine.run('monitor', '--json', '-c', '/nonexistent')
    assert result.status == 1, result
    assert json.loads(result.out)['errors'][0]['message'].startswith('cannot read /nonexistent')
    result = machine.run('monitor', '--log=/nonexistent/file')
    assert result.status == 1 and 'cannot open /nonexistent/file' in result.err, result


def no_config(machine):
    """a directory or a pipe is no configuration file; /dev/null is one without lines"""
    pipe = os.path.join(machine.tmp, 'pipe.conf')
    os.mkfifo(pipe)
    for path, words in ((machine.tmp, 'Is a directory'), (pipe, 'it is not a file')):
        result = machine.run('monitor', '-c', path)
        assert result.status == 1 and 'cannot read %s: %s' % (path, words) in result.err, result
    monitor = Monitor(machine, '-c', real(machine, '/dev/null'))
    monitor.setting('report')
    assert 'report' in monitor.line()
    monitor.end()


def pipes(machine):
    """a pipe is a log if somebody reads it; else that is said, at the start and at SIGHUP"""
    path, pipe = (os.path.join(machine.tmp, name) for name in ('pipes.conf', 'pipe'))
    os.mkfifo(pipe)
    result = machine.run('monitor', '--log', pipe)
    assert result.status == 1 and 'cannot open %s: nobody reads this pipe' % pipe in result.err, \
        result
    with open(path, 'w', encoding='utf-8') as f:
        f.write('[monitor]\n')
    monitor = Monitor(machine, '-c', path)
    with open(path, 'a', encoding='utf-8') as f:
        f.write('log = %s\n' % pipe)
    monitor.reload()
    monitor.said('cannot open %s: nobody reads this pipe' % pipe)
    monitor.setting('report')
    assert 'report' in monitor.line()
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), encoding='ascii') as reader:
        monitor.reload()
        monitor.setting('latch')
        select.select([reader], [], [], TIMEOUT)
        assert 'latch' in reader.readline()
    monitor.setting('report')
    assert 'cannot write to %s: Broken pipe' % pipe in monitor.wait(1)


def full_pipe():
    """Both ends of a pipe that takes nothing more, and what is in it."""
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    os.write(writer, b'x' * size)
    return reader, writer, size


def slow_reader(machine):
    """who reads slowly is waited for, and a signal ends the wait"""
    for argv, number, status in (((), signal.SIGTERM, 1), (('--json',), signal.SIGTERM, 1),
                                 (('--json',), signal.SIGINT, 130)):
        reader, writer, _ = full_pipe()
        monitor = Monitor(machine, *argv, stdout=writer)
        os.close(writer)
        monitor.setting('report')
        _, err = monitor.end(number, status)
        assert 'cannot write to standard output: Resource temporarily unavailable' in err, err
        os.close(reader)
        monitor.setting('latch')
    reader, writer, size = full_pipe()
    monitor = Monitor(machine, stdout=writer)
    os.close(writer)
    monitor.setting('report')
    with open(reader, 'rb', buffering=0) as f:
        while size:
            size -= len(f.read(size))
        assert b'report' in f.read(4096)
        monitor.end()


def nowhere_to_write(machine):
    """where lines cannot be written it ends with 1, and says what could not be written"""
    log = real(machine, '/dev/full')
    with open(log, 'w', encoding='ascii') as full:
        for argv, options, words in (
                (('--log', log), {}, log + ': No space left on device'),
                ((), {'stdout': full}, 'standard output: No space left on device'),
                (('--json',), {'stdout': full}, 'standard output: No space left on device'),
                ((), {'prefix': ('sh', '-c', 'exec "$@" >&-', 'sh')},
                 'standard output: Bad file descriptor')):
            monitor = Monitor(machine, *argv, **options)
            monitor.setting('report')
            assert 'pmemctl: cannot write to %s\n' % words in monitor.wait(1), argv
            monitor.setting('latch')


def log_refused(machine):
    """a log that is refused is a matter of rights, and so is a read-only file system; no other is"""
    log = os.path.join(machine.tmp, 'refused.log')
    for number, code in ((errno.EACCES, 'permission'), (errno.EPERM, 'permission'),
                         (errno.EROFS, 'permission'), (errno.ENOSPC, 'failed'),
                         (errno.EBUSY, 'failed'), (errno.EIO, 'failed')):
        result = machine.run('monitor', '--json', '--log', log,
                             fault='open:refused.log=%d' % number)
        error, = result.json()['errors']
        assert (error['code'], error['exit']) == (code, 1), result
        assert error['message'] == 'cannot open %s: %s' % (log, os.strerror(number)), result
    assert not os.path.exists(log)


def log_mode(machine):
    """a log that is made is readable for its owner and group only"""
    log = os.path.join(machine.tmp, 'mode.log')
    monitor = Monitor(machine, '--log', log, prefix=('sh', '-c', 'umask 0; exec "$@"', 'sh'))
    assert os.stat(log).st_mode & 0o777 == 0o640, oct(os.stat(log).st_mode)
    monitor.end()


def hang(machine, values):
    """What is on standard error, with a command that hangs at the first of these events."""
    pipe = os.path.join(machine.tmp, 'hang')
    if not os.path.exists(pipe):
        os.mkfifo(pipe)
    monitor = Monitor(machine, '--exec', 'echo ran >&2; exec cat %s' % pipe)
    for value in values:
        monitor.setting(value)
        assert value in monitor.line()
    monitor.said('ran\n')
    # The command lives on, and standard error with it.
    monitor.process.send_signal(signal.SIGTERM)
    assert monitor.process.wait(TIMEOUT) == 0
    with open(pipe, 'w', encoding='ascii'):
        pass
    err = monitor.wait(0)
    assert err.count('ran\n') == 1, err
    return err


def hung_command(machine):
    """a command that hangs holds up the others, but not the events and not the end"""
    err = hang(machine, ('report', 'latch', 'report'))
    assert '2 events were not told to the command of --exec' in err, err
    err = hang(machine, ('latch', 'report'))
    assert '1 event was not told to the command of --exec' in err, err


def commands_in_order(machine):
    """commands run one after the other, in order, and failures are said"""
    out = os.path.join(machine.tmp, 'ran')
    monitor = Monitor(machine, '--exec', 'sleep 0.3; echo "$PMEMCTL_EVENT $PMEMCTL_REGION '
                      '$PMEMCTL_PATH $PMEMCTL_STATE $PMEMCTL_VALUE" >> %s; exit 3' % out)
    values = ['report', 'latch'] * 3
    for value in values:
        monitor.setting(value)
        assert value in monitor.line()
    until(lambda: read(out).count('\n') == len(values), 'not all commands have run')
    assert read(out) == ''.join('setting region0 pci-0000:00:04.0 active %s\n' % v
                                for v in values), read(out)
    _, err = monitor.end()
    assert 'the command of --exec ended with 3' in err, err


def syslog(machine):
    """--log=syslog hands each line to the system's log, with its priority, and prints nothing"""
    if os.path.lexists('/dev/log') or os.geteuid():
        print('skipped: there is a syslog here, or this is not root')
        sys.exit(SKIP)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.settimeout(TIMEOUT)
    receiver.bind('/dev/log')
    try:
        machine.save(os.path.relpath(os.path.realpath(machine.path('region1')), machine.root))
        machine.save('region0/badblocks')
        monitor = Monitor(machine, '--log', 'syslog', '--json', fault=LOSE)
        for happens, kind, words, priority in HAPPENINGS:
            happens(monitor)
            message = ''
            while 'pmemctl[' not in message:        # others may write to it too
                message = receiver.recv(10000).decode('utf-8', 'replace')
            # The facility is LOG_DAEMON, 3.
            assert message.startswith('<%d>' % (3 << 3 | priority)), (kind, message)
            line = json.loads(message[message.index('{'):])
            check_schema(line, 'event')
            assert line['event']['message'] == words, message
        assert monitor.end() == ('', '')
    finally:
        receiver.close()
        os.unlink('/dev/log')


def empty_machine(machine):
    """without regions, and without libnvdimm, it waits"""
    del machine
    empty = Machine()
    try:
        monitor = Monitor(empty)
        # Whoever can be told to reload has not ended.
        monitor.reload()
        out, err = monitor.end()
        assert not out and err == 'pmemctl: watching; there are 0 regions now\n', (out, err)
    finally:
        empty.close()


def signals(machine):
    """SIGINT ends with 130, said also in JSON"""
    monitor = Monitor(machine, '--json')
    out, _ = monitor.end(signal.SIGINT, 130)
    assert [e['code'] for e in json.loads(out)['errors']] == ['interrupted'], out


def written_before_the_end(machine):
    """what happened before SIGTERM is told before the end"""
    monitor = Monitor(machine)
    monitor.process.send_signal(signal.SIGSTOP)
    monitor.setting('report')
    monitor.process.send_signal(signal.SIGTERM)
    monitor.process.send_signal(signal.SIGCONT)
    out, _ = monitor.end(signal.SIGCONT)
    assert 'error_policy is report now' in out, out


def reader_goes(machine):
    """where nobody reads any more it ends, with 1"""
    monitor = Monitor(machine)
    monitor.process.stdout.close()
    monitor.process.stdout = None
    monitor.setting('report')
    err = monitor.wait(1)
    assert 'Broken pipe' in err, err


def sleeps(machine):
    """an idle monitor does nothing: no switch of context"""
    monitor = Monitor(machine)

    def switches():
        status = read('/proc/%d/status' % monitor.process.pid)
        return [line for line in status.split('\n') if 'voluntary_ctxt' in line]

    def idle():
        before = switches()
        time.sleep(1)
        return before and switches() == before

    # What it does when it starts may take a while.
    until(idle, 'it never rests')
    monitor.end()


def main():
    need_programs('umockdev-run')
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG: nothing outlives the test
    tests = [every_event, envelope, text, only_some, names_to_come, names_to_come_json,
             several_regions, mounted_later, config, commands_as_written, comments, shipped_config,
             reload_and_reopen, reload_without_a_look, end_without_a_look, bad_settings, no_config,
             pipes, slow_reader, nowhere_to_write, log_refused, log_mode, hung_command,
             commands_in_order, empty_machine, signals, written_before_the_end, reader_goes,
             sleeps]
    # It needs a machine that has no syslog, and so is a test by itself.
    if 'syslog' in sys.argv:
        tests = [syslog]
    return run_tests(tests, prepare=lambda machine: [machine.save(POLICY % n) for n in (0, 1)])


if __name__ == '__main__':
    sys.exit(main())
