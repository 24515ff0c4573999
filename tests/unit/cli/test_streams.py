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

from machine import PMEMCTL, Machine, need_programs

FULL = 'pmemctl: cannot write to standard output: No space left on device\n'
CLOSED = 'pmemctl: cannot write to standard output: Bad file descriptor\n'
PIPE = 'pmemctl: cannot write to standard output: Broken pipe\n'
COMMANDS = ('list', 'list --json', 'status', 'status --json', 'flush region0',
            'flush --json region0', 'version', 'version --json', 'help', 'help --json')


def expect(result, status, err):
    assert result.status == status, 'exit status should be %d\n%s' % (status, result)
    assert result.err == err, 'stderr should be %r\n%s' % (err, result)


def full(machine):
    """a full file system behind stdout is exit status 1"""
    with open('/dev/full', 'w', encoding='ascii') as out:
        for command in COMMANDS:
            expect(machine.run(*command.split(), stdout=out), 1, FULL)


def closed(machine):
    """a closed stdout is exit status 1"""
    for command in COMMANDS:
        expect(machine.run(*command.split(), prefix=('sh', '-c', 'exec "$@" >&-', 'sh')), 1, CLOSED)
    with open(machine.path('region0/deep_flush'), encoding='ascii') as f:
        assert f.read() == '1\n', 'deep_flush took what was for stdout'


def closed_pipe(machine):
    """a pipe that nobody reads is exit status 1 and not a death by SIGPIPE"""
    for command in COMMANDS:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            expect(machine.run(*command.split(), stdout=writer), 1, PIPE)
        finally:
            os.close(writer)


def first_failure_stays(machine):
    """an earlier failure keeps its exit status when stdout is full, too"""
    with open('/dev/full', 'w', encoding='ascii') as out:
        result = machine.run('flush', '--json', 'region9', stdout=out)
    assert result.status == 3, result
    assert result.err.endswith(FULL), result


def nothing_to_write(machine):
    """a closed stdout is no error where nothing was to be written"""
    result = machine.run('nonsense', prefix=('sh', '-c', 'exec "$@" >&-', 'sh'))
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
    for _ in range(1000):
        if os.path.exists(mark):
            return process
        time.sleep(0.01)
    process.kill()
    raise AssertionError('the flush did not begin within 10 s')


def sigint(machine):
    """Ctrl-C ends a flush that waits: 130, said, and what follows is not tried"""
    process = start_hanging(machine, 'flush', 'region0', 'region1')
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (process.returncode, out, err)
    assert out == '' and err.startswith('pmemctl: region0: interrupted'), (out, err)
    assert 'region1' not in err, err


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


def main():
    need_programs('umockdev-run')
    tests = [full, closed, closed_pipe, first_failure_stays, nothing_to_write, closed_descriptors,
             sigint, sigint_json, sigint_ignored, invalid_utf8, narrow_terminal]
    failed = 0
    machine = Machine('virtpmem-6.12')
    try:
        for test in tests:
            try:
                test(machine)
                print('ok   %s: %s' % (test.__name__, test.__doc__))
            except AssertionError as e:
                failed += 1
                print('FAIL %s: %s\n%s' % (test.__name__, test.__doc__, e))
    finally:
        machine.close()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
