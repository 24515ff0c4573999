#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to pmemctl's exit status when its output cannot be written, or it is interrupted.

U4: output is complete, or the exit status is not zero.
"""
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

from machine import PMEMCTL, need_programs, run_tests
from test_golden import THAWABLE, both, broken, in_use, on, stats

FULL = 'pmemctl: cannot write to standard output: No space left on device\n'
CLOSED = 'pmemctl: cannot write to standard output: Bad file descriptor\n'
PIPE = 'pmemctl: cannot write to standard output: Broken pipe\n'
CLOSE = ('sh', '-c', 'exec "$@" >&-', 'sh')
# Those that end by themselves; monitor's output is in test_monitor.py, nowhere_to_write.
COMMANDS = ('list', 'list --json', 'holders', 'holders --json', 'health',
            'health --json', 'status', 'status --json', 'flush region0',
            'flush --json region0', 'flush -c 2 region0 region1', 'flush -jc 2 region0',
            'version', 'version --json', 'help', 'help --json', 'stat', 'stat --json',
            'errors', 'errors --json', 'recover region0', 'recover --json region0', 'export',
            'set region0 error_policy', 'set -j region0 error_policy=latch',
            'freeze -n region0', 'freeze -nj region0', 'thaw -n region0', 'thaw -nj region0',
            'remove -n region0', 'remove -nj region0', 'add -n pci-0000:00:04.0',
            'add -nj pci-0000:00:04.0', 'health --nagios', 'health --system', 'health -j --system',
            'status --dax', 'status -j --dax', 'thaw region0', 'thaw -j region0',
            'freeze -j region0 -- true', 'bench -C 1 -t 0.001 region0',
            'bench -jC 1 -t 0.001 region0')
# What exits with a number of its own when something failed.
FAILED = {'health --nagios': 3, 'freeze -j region0 -- true': 125}


def expect(result, status, err):
    assert result.status == status, 'exit status should be %d\n%s' % (status, result)
    assert result.err == err, 'stderr should be %r\n%s' % (err, result)


def full(machine):
    """a full file system behind stdout is exit status 1"""
    with open('/dev/full', 'w', encoding='ascii') as out:
        for command in COMMANDS:
            expect(machine.run(*command.split(), stdout=out), FAILED.get(command, 1), FULL)


def closed(machine):
    """a closed stdout is exit status 1"""
    for command in COMMANDS:
        expect(machine.run(*command.split(), prefix=CLOSE), FAILED.get(command, 1), CLOSED)
    with open(machine.path('region0/deep_flush'), encoding='ascii') as f:
        assert f.read() == '1\n', 'deep_flush took what was for stdout'


def closed_pipe(machine):
    """a pipe that nobody reads is exit status 1 and not a death by SIGPIPE"""
    for command in COMMANDS:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            expect(machine.run(*command.split(), stdout=writer), FAILED.get(command, 1), PIPE)
        finally:
            os.close(writer)


def of_the_command(machine):
    """what freeze runs has standard output for itself: its failure is its own, and all is thawed"""
    command = ('freeze', 'region0', '--', 'echo', 'hello')
    reader, writer = os.pipe()
    os.close(reader)
    with open('/dev/full', 'w', encoding='ascii') as out, os.fdopen(writer, 'w') as pipe:
        for status, how in ((1, {'stdout': out}), (1, {'prefix': CLOSE}),
                            (128 + signal.SIGPIPE, {'stdout': pipe})):
            result = machine.run(*command, **how)
            assert result.status == status and 'pmemctl: ' not in result.err, result
            thawed, = machine.run('thaw', '-j', 'region0').json()['regions']
            assert thawed['outcome'] == 'not_needed', thawed


def first_failure_stays(machine):
    """an earlier failure keeps its exit status when stdout is full, too"""
    with open('/dev/full', 'w', encoding='ascii') as out:
        result = machine.run('flush', '--json', 'region9', stdout=out)
    assert result.status == 3, result
    assert result.err.endswith(FULL), result


def nothing_to_write(machine):
    """a closed stdout is no error where nothing was to be written"""
    result = machine.run('nonsense', prefix=CLOSE)
    assert result.status == 2, result


def closed_descriptors(_):
    """with all standard descriptors closed, writing is still an error"""
    # Without umockdev: its preload opens descriptors of its own.
    done = subprocess.run(['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh', PMEMCTL, 'version'],
                          check=False)
    assert done.returncode == 1, done.returncode


def start_hanging(machine, *argv, **popen):
    mark = os.path.join(machine.tmp, 'mark')
    if os.path.exists(mark):
        os.unlink(mark)
    process = subprocess.Popen(
        [PMEMCTL, *argv], env=machine.environment('write:deep_flush=hang'), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if os.path.exists(mark):
            return process
        time.sleep(0.01)
    process.kill()
    raise AssertionError('the flush did not begin within 60 s')


def sigint(machine):
    """Ctrl-C ends flushes that wait: 130, said of each"""
    process = start_hanging(machine, 'flush', 'region0', 'region1')
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (process.returncode, out, err)
    assert out == '' and err.startswith('pmemctl: region0: interrupted'), (out, err)
    assert '\npmemctl: region1: interrupted' in err, err


def sigint_json(machine):
    """and the JSON is whole"""
    process = start_hanging(machine, 'flush', '--json', 'region0')
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    errors = json.loads(out)['errors']
    assert process.returncode == 130, (process.returncode, out, err)
    assert [(e['dev'], e['code'], e['exit']) for e in errors] == \
        [('region0', 'interrupted', 130)], out


def sigint_ignored(machine):
    """whoever starts pmemctl with SIGINT ignored, as nohup-like shells do, is obeyed"""
    process = start_hanging(machine, 'flush', '--timeout', '1', 'region0',
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 6, (process.returncode, err)


def invalid_utf8(machine):
    """a name with bytes that are not UTF-8, or that move the cursor, is made harmless"""
    name = b'\xff\xc0\x80\x1b[2J\xc3\xa4'
    result = machine.run('list', '--json', name)
    error = result.json()['errors'][0]
    assert error['dev'] == '\ufffd\ufffd\ufffd\x1b[2J\u00e4', error
    assert '\\xff\\xc0\\x80\\x1b[2J\u00e4' in result.err, result.err


def long_names(machine):
    """a name that is longer than any can be is one that nothing has"""
    for length in (255, 256, 300, 5000):
        for argv in (('list',), ('list', '-j'), ('status',), ('flush',), ('add', '-n')):
            name = ('pci-' if argv[0] == 'add' else '') + length * 'x'
            result = machine.run(*argv, name)
            assert result.status == 3 and name in result.err, result
        result = machine.run('list', '/dev/%s/y' % (length * 'x'))
        assert result.status == 3, result


def narrow_terminal(_):
    """on a terminal long sentences are wrapped between words, and nothing is lost"""
    def words(width):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, width, 0, 0))
        done = subprocess.run([PMEMCTL, 'help', 'flush'], stdout=slave, check=True)
        os.close(slave)
        text = b''
        try:
            while chunk := os.read(master, 4096):
                text += chunk
        except OSError:  # what Linux says at the end of a terminal
            pass
        os.close(master)
        assert done.returncode == 0
        return text.decode().split('\r\n'), text.decode().split()

    lines, narrow = words(50)
    assert max(map(len, lines)) <= 50, lines
    assert narrow == words(200)[1], narrow


def widths(machine):
    """the text of every command fits into 40 columns, but for what is not to be broken"""
    both(stats, in_use, broken)(machine)
    commands = json.loads(machine.run('help', '--json').out)['commands']
    shown = [c for c in COMMANDS if c not in ('export', 'health --nagios') and 'j' not in c]
    shown += ['stat 0.01 2', 'health --system', 'status region0', 'status --dax', 'thaw region1',
              'freeze -n all', 'set region0', 'bench -C 1,2 -t 0.001 region1']
    for command in shown + ['help ' + c['name'] for c in commands]:
        for width in 40, 60:
            result = machine.run(*command.split(), COLUMNS=str(width))
            wide = [line for line in result.out.splitlines()
                    if len(line) > width and len(line.split()) > 1 and
                    not line.startswith('  pmemctl ')]
            assert not wide and (result.out or result.status), (width, wide, result)


def color_on_a_terminal(machine):
    """colour is on by itself only on a terminal, and NO_COLOR turns it off"""
    def colored(*argv, **env):
        master, slave = pty.openpty()
        result = machine.run('health', *argv, stdout=slave, **dict({'TERM': 'xterm'}, **env))
        os.close(slave)
        text = os.read(master, 65536)
        os.close(master)
        assert b'region0' in text, result
        return b'\x1b[3' in text

    assert colored('region0')
    assert not colored('region0', NO_COLOR='1')
    assert colored('--color=always', 'region0', NO_COLOR='1')
    assert not colored('--color=never', 'region0')
    assert not colored('region0', TERM='dumb')
    assert '\x1b' not in machine.run('health', 'region0', TERM='xterm').out


def main():
    need_programs('umockdev-run')
    tests = [full, closed, closed_pipe, of_the_command, first_failure_stays, nothing_to_write,
             closed_descriptors, sigint, sigint_json, sigint_ignored, invalid_utf8, long_names,
             narrow_terminal, widths, color_on_a_terminal]
    return run_tests(tests, prepare=both(THAWABLE, on('region0', recover='')))


if __name__ == '__main__':
    sys.exit(main())
