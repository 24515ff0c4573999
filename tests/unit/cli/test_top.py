#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pmemctl top in a real terminal: tmux presses the keys and says what is on the screen.

What is on the screen at which size is test_top_model.c's; here is what only a terminal can tell:
keys, sizes, colours, and that the terminal is given back whatever happens.
"""
import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

from machine import PMEMCTL, Machine, need_programs, run_tests

TIMEOUT = 60

# What is run in the terminal, with job control. It outlives pmemctl, so that the terminal can be
# looked at.
SCRIPT = '''
set -m
echo before the screen
dir=$1
shift
stty -g >"$dir/before"
"$@" 2>"$dir/err"
status=$?
while [ $status -eq %d ] || [ $status -eq %d ]; do
	touch "$dir/stopped"
	while [ ! -e "$dir/go-on" ]; do sleep 0.1; done
	fg >/dev/null
	status=$?
done
stty -g >"$dir/after"
echo $status >"$dir/status"
exec sleep 600
''' % (128 + signal.SIGSTOP, 128 + signal.SIGTSTP)


def until(condition, what):
    """What condition() returns, as soon as that is true."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(what() if callable(what) else what)


def read(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read()
    except FileNotFoundError:
        return ''


class Terminal:
    """pmemctl top in a tmux of its own."""

    def __init__(self, machine, *argv, size=(80, 24), locale='C.UTF-8', term=None, command=(),
                 **env):
        self.machine = machine
        self.dir = os.path.join(machine.tmp, 'terminal')
        self.socket = os.path.join(self.dir, 'tmux')
        environment = machine.environment(LC_ALL=locale, **env)
        # tmux itself must not see the recorded machine, and says what the terminal is.
        setting = ['%s=%s' % item for item in environment.items()
                   if item[0] != 'TERM' and os.environ.get(item[0]) != item[1]]
        setting += ['TERM=' + term] if term is not None else []
        unset = ['-u', 'NO_COLOR'] if 'NO_COLOR' not in env else []
        command = ['sh', '-c', SCRIPT, 'sh', self.dir, 'env', *unset, *setting, *command, PMEMCTL,
                   'top', *argv]
        self.start(size, shlex.join(command))

    def start(self, size, command):
        for last in (False, False, True):
            os.makedirs(self.dir)
            try:
                self.tmux('-f', '/dev/null', 'new-session', '-d', '-x', str(size[0]),
                          '-y', str(size[1]), command)
                return
            except AssertionError as e:
                # On a busy machine it sometimes ends before anything is run.
                self.__exit__()
                if last or 'server exited unexpectedly' not in str(e):
                    raise

    def tmux(self, *argv):
        done = subprocess.run(
            ['tmux', '-u', '-S', self.socket, *argv], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT,
            check=False, env=dict(os.environ, LC_ALL='C.UTF-8', TERM='xterm-256color'))
        assert not done.returncode, 'tmux %s: %s' % (argv[0], done.stdout)
        return done.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(['tmux', '-S', self.socket, 'kill-server'], stderr=subprocess.DEVNULL,
                       check=False)
        self.machine._delete(self.dir)

    def screen(self, *argv):
        return self.tmux('capture-pane', '-p', *argv)

    def lines(self):
        return self.screen().split('\n')

    def keys(self, *keys):
        self.tmux('send-keys', *keys)

    def resize(self, columns, rows):
        self.tmux('resize-window', '-x', str(columns), '-y', str(rows))

    def wait_for(self, pattern):
        """A match of the screen, as soon as there is one."""
        return until(lambda: re.search(pattern, self.screen(), re.M),
                     lambda: 'not on the screen: %s\n%s\n%s' % (
                         pattern, self.screen(), read(self.dir + '/err')))

    def regions(self):
        """The regions of the list, from the top."""
        return re.findall(r'(?m)^(region\d+) .*$', self.screen())

    def pid(self):
        """pmemctl's: the child of the shell that is the terminal's."""
        shell = self.tmux('display-message', '-p', '#{pane_pid}').strip()
        children = read('/proc/%s/task/%s/children' % (shell, shell)).split()
        assert len(children) == 1, children
        return int(children[0])

    def on_screen(self):
        """Whether the terminal shows a screen, and not lines."""
        return self.tmux('display-message', '-p', '#{alternate_on}').strip() == '1'

    def wait_stopped(self):
        until(lambda: os.path.exists(self.dir + '/stopped'), 'it does not stop')

    def go_on(self):
        with open(self.dir + '/go-on', 'w', encoding='ascii'):
            pass

    def over(self):
        """(exit status, what was said), once it is over; the terminal is as it was before."""
        until(lambda: read(self.dir + '/status'), lambda: 'it does not end\n' + self.screen())
        assert read(self.dir + '/before') == read(self.dir + '/after'), 'stty tells a difference'
        # tmux reads what was written last when it comes to it.
        until(lambda: self.tmux('display-message', '-p',
                                '#{alternate_on} #{cursor_flag}').strip() == '0 1',
              'it ends with the alternate screen, or without a cursor')
        self.wait_for(r'\Abefore the screen\n')
        return int(read(self.dir + '/status')), read(self.dir + '/err')


class Load:
    """A region's counters, which can move: by hand, or all the time in a with statement."""

    FILES = ('flush_latency', 'flush_stats')

    def __init__(self, machine, region):
        self.paths = [machine.save('%s/virtio_pmem/%s' % (region, name)) for name in self.FILES]
        self.bins, self.stats = ([int(n) for n in read(path).split()] for path in self.paths)
        self.added = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def add(self, count, mean_ns):
        self.added += count
        self.bins[10] += count
        for index in (0, 2):            # requests and host flushes
            self.stats[index] += count
        self.stats[5] += count * mean_ns
        # Like sysfs, which never shows half of an update.
        for path, values in zip(self.paths, (self.bins, self.stats)):
            with open(path + '.new', 'w', encoding='ascii') as f:
                f.write(' '.join(map(str, values)) + '\n')
            os.replace(path + '.new', path)

    def _run(self):
        while not self.end.wait(0.05):
            self.add(100, 2500000)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def first_screen(machine):
    """title, headings, all regions, the pane of the first, and the keys, at 80 by 24"""
    with Terminal(machine, '--interval', '0.2') as t:
        t.wait_for(r'^pmemctl top  every 200 ms, by load +5 regions$')
        t.wait_for(r'^REGION +STATE +REQ/s +HOST/s +QUEUE +MEAN +P99<= RATE +LATENCY$')
        t.wait_for(r'^region0 active +0\.00 +0\.00 +0 +- +- ▁')
        t.wait_for(r'^region0 \(pci-0000:00:04\.0\): ok$')
        t.wait_for(r'^In use: no$')
        t.wait_for(r'^q end .*\? help$')
        assert len(t.lines()) == 25 and max(map(len, t.lines())) <= 80, t.screen()
        t.keys('q')
        assert t.over() == (0, '')


def moving_counters(machine):
    """the busiest region comes first, with its rates, latency and histogram"""
    load = Load(machine, 'region2')
    with Terminal(machine, '-i', '0.5', size=(200, 60)) as t:
        t.wait_for(r'^region0 .*\nregion1 .*\nregion2 .*\nregion3 .*\nregion4 ')
        with load:
            # How many a second that is depends on the moment of the look; host flushes are as many.
            t.wait_for(r'REQ/s.*\n'
                       r'region2 active +(?!0\.00)([\d.]+) +\1 +\d+ +2\.5 ms .*█.*█')
        t.keys('s', 's', 's')
        t.wait_for(r'^pmemctl top .*, by name')
        t.keys('Home', 'Down', 'Down')
        t.wait_for(r'^region2 \(')
        t.wait_for(r'Host latency, watched for \d+ s')
        t.wait_for(r'512 us to 1\.02 ms +%d █{24}' % load.added)
        t.wait_for(r'^region2 active +0\.00')
        t.keys('q')
        assert t.over() == (0, '')


def keys(machine):
    """keys choose, sort, change the interval, open and close, and show help"""
    with Terminal(machine, '-i', '0.2') as t:
        t.wait_for(r'^region0 \(')
        t.keys('Down')
        t.wait_for(r'^region1 \(')
        t.keys('j')
        t.wait_for(r'^region2 \(')
        t.keys('Up')
        t.wait_for(r'^region1 \(')
        t.keys('k')
        t.wait_for(r'^region0 \(')
        t.keys('End')
        t.wait_for(r'^region4 \(')
        t.keys('Home')
        t.wait_for(r'^region0 \(')
        t.keys('Enter')
        until(lambda: t.lines()[2].startswith('region0 (') and 'REQ/s' not in t.screen(), t.screen)
        t.keys('Escape')
        t.wait_for(r'REQ/s')
        for word in ('latency', 'queue', 'name', 'load'):
            t.keys('s')
            t.wait_for(r'^pmemctl top .*, by ' + word)
        t.keys('+')
        t.wait_for(r'^pmemctl top  every 500 ms')
        t.keys('-', '-')
        t.wait_for(r'^pmemctl top  every 100 ms')
        t.keys('?')
        t.wait_for(r'sort by load, latency, queue or name')
        t.keys('h')
        t.wait_for(r'^region0 \(')
        t.keys('q')
        assert t.over() == (0, '')


def hurried(machine):
    """keys are heard also where a look takes longer than the interval"""
    with Terminal(machine, '-i', '0.05', FAULT='open:flush_stats=slow') as t:
        t.wait_for(r'^region0 \(')
        t.keys('q')
        assert t.over() == (0, '')


def pause(machine):
    """paused, nothing moves; then it goes on, with all that was"""
    load = Load(machine, 'region0')
    with Terminal(machine, '-i', '0.1') as t:
        t.wait_for(r'^region0 active +0\.00')
        t.keys('Space')
        t.wait_for('PAUSED')
        load.add(1000, 1000000)
        time.sleep(1)
        assert 'PAUSED' in t.screen() and ' 1000 ' not in t.screen(), t.screen()
        t.keys('Space')
        t.wait_for(r'512 us to 1\.02 ms +1000 ')
        t.keys('q')
        assert t.over() == (0, '')


def sizes(machine):
    """each size is filled, and a change of it is followed, down to one where little fits"""
    with Terminal(machine, '-i', '0.2', size=(200, 60)) as t:
        for columns, rows in ((200, 60), (80, 24), (132, 43), (40, 8), (20, 4), (100, 30)):
            t.resize(columns, rows)
            until(lambda: len(t.lines()) == rows + 1 and
                  t.lines()[rows - 1].startswith('q end  Up/Down'[:columns]), t.screen)
            assert max(map(len, t.lines())) <= columns, t.screen()
            if rows > 4:
                t.wait_for('^region0 active')
        t.keys('q')
        assert t.over() == (0, '')


def size_of_the_environment(machine):
    """LINES and COLUMNS of another moment do not count, at the start and after a change"""
    for env in ({'LINES': '7', 'COLUMNS': '30'}, {'LINES': '99999999', 'COLUMNS': '99999999'}):
        with Terminal(machine, '-i', '0.2', size=(80, 24), **env) as t:
            for columns, rows in ((80, 24), (100, 30)):
                t.resize(columns, rows)
                until(lambda rows=rows: len(t.lines()) == rows + 1 and
                      t.lines()[rows - 1].startswith('q end  Up/Down'), t.screen)
                assert t.lines()[0].endswith('regions') and len(t.lines()[0]) > 70, t.screen()
            t.keys('q')
            assert t.over() == (0, '')


def too_large(machine):
    """a terminal of a size that cannot be meant is said to be one, and its type is not blamed"""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 65535, 65535, 0, 0))
    done = subprocess.run([PMEMCTL, 'top'], env=machine.environment(TERM='xterm'), stdin=slave,
                          stdout=slave, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT,
                          check=False)
    os.close(slave)
    os.close(master)
    assert done.returncode == 4, done
    assert done.stderr.startswith('pmemctl: the terminal says that it has 65535 lines of 65535 '
                                  'columns'), done.stderr


def come_and_go(machine):
    """a region that vanishes is said and taken away; so are all; and they come back"""
    devices = {r: os.readlink(machine.path('sys/bus/nd/devices/' + r)) for r in machine.regions()}
    # Long enough for what is said about a few looks to be seen.
    with Terminal(machine, '-i', '2') as t:
        t.wait_for(r'^region0 \(')
        machine.remove('sys/bus/nd/devices/region0')
        t.wait_for(r'^region0: the region pci-0000:00:04\.0 went away$')
        t.wait_for(r'^region1 \(')
        until(lambda: t.regions()[:1] == ['region1'], t.screen)
        for region in devices:
            if region != 'region0':
                machine.remove('sys/bus/nd/devices/' + region)
        t.wait_for(r'^no region is here')
        t.wait_for(r' 0 regions$')
        for region, target in devices.items():
            os.symlink(target, machine.path('sys/bus/nd/devices/' + region))
        t.wait_for(r' 5 regions$')
        t.wait_for(r'^region0 \(')
        t.keys('q')
        assert t.over() == (0, '')


def empty_machine(_):
    """without any region it waits for one"""
    machine = Machine()
    try:
        with Terminal(machine) as t:
            t.wait_for(r'^no region is here; one that comes is shown$')
            t.wait_for(r'^pmemctl top  every 2 s, by load +0 regions$')
            t.keys('Enter', 'Down', 's', 'q')
            assert t.over() == (0, '')
    finally:
        machine.close()


def named(machine):
    """only what was named is shown; a name that is wrong is said, before or after"""
    with Terminal(machine, '-i', '0.2', 'region1', 'region3') as t:
        t.wait_for(r' 2 regions$')
        until(lambda: t.regions()[:2] == ['region1', 'region3'], t.screen)
        assert 'region0' not in t.screen() and 'region2' not in t.screen(), t.screen()
        t.keys('q')
        assert t.over() == (0, '')
    with Terminal(machine, 'region7') as t:
        status, err = t.over()
        assert status == 3 and err.startswith("pmemctl: region7: "), (status, err)
    with Terminal(machine, 'region0', 'region7') as t:
        t.wait_for(r' 1 region$')
        t.keys('q')
        status, err = t.over()
        assert status == 3 and err.startswith("pmemctl: region7: "), (status, err)


def broken(machine):
    """what is wrong with the chosen region is said, with the remedy, and what cannot be read"""
    machine.write('region0/virtio_pmem/state', 'broken\n')
    machine.write('region0/virtio_pmem/broken', '1\n')
    machine.write('region0/virtio_pmem/broken_reason', 'host-error\n')
    machine.write('region1/virtio_pmem/flush_stats', 'nonsense\n')
    with Terminal(machine, '-i', '0.2') as t:
        t.wait_for(r'^region0 broken ')
        t.wait_for(r'^region0 \(pci-0000:00:04\.0\): fatal$')
        t.wait_for(r'^  broken \(fatal\): the region is broken \(host-error: the host failed')
        t.wait_for(r'^ +-> .*recover')
        t.wait_for(r'^region1: cannot read its statistics: ')
        assert '\x1b[1m\x1b[31mregion0 (' in t.screen('-e'), repr(t.screen('-e'))
        t.keys('q')
        assert t.over() == (0, '')


def colors(machine):
    """colours only where they are wanted"""
    def colored(*argv, **env):
        with Terminal(machine, *argv, **env) as t:
            t.wait_for(r'^region0 \(')
            screen = t.screen('-e')
            t.keys('q')
            assert t.over() == (0, '')
        return bool(re.search('\x1b\\[[0-9;]*3[1-3]m', screen))

    assert colored()
    assert not colored(NO_COLOR='1')
    assert not colored('--color=never')
    assert colored('--color=always', NO_COLOR='1')


def ascii_only(machine):
    """without UTF-8 nothing but ASCII is drawn"""
    with Terminal(machine, '-i', '0.2', locale='C') as t:
        t.wait_for(r'^region0 active .*__')
        assert t.screen().isascii(), t.screen()
        t.keys('q')
        assert t.over() == (0, '')


def no_terminal(machine):
    """without a terminal on both sides it says what to use instead"""
    result = machine.run('top')
    assert result.status == 2 and "'pmemctl stat 2'" in result.err, result
    with Terminal(machine, command=('sh', '-c', '"$@" | cat; exit 5', 'sh')) as t:
        status, err = t.over()
        assert status == 5 and 'needs a terminal' in err, (status, err)


def bad_terminal(machine):
    """a type of terminal that is not known is said"""
    # What ncurses keeps of a terminal that it does not know is not for us to free.
    known = os.path.join(machine.tmp, 'leaks')
    with open(known, 'w', encoding='ascii') as f:
        f.write('leak:new_prescr\n')
    for term in ('nonsense', ''):
        with Terminal(machine, term=term, LSAN_OPTIONS='suppressions=' + known) as t:
            status, err = t.over()
            assert status == 4 and "type '%s'" % term in err, (status, err)


def ends(machine):
    """Ctrl-C and signals give the terminal back, and the exit status tells"""
    with Terminal(machine) as t:
        t.wait_for(r'^region0 \(')
        t.keys('C-c')
        assert t.over() == (130, 'pmemctl: interrupted\n')
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        with Terminal(machine) as t:
            t.wait_for(r'^region0 \(')
            os.kill(t.pid(), number)
            status, err = t.over()
            assert status == 128 + number, (number, status, err)


def crash(machine):
    """also a crash gives the terminal back"""
    with Terminal(machine) as t:
        t.wait_for(r'^region0 \(')
        os.kill(t.pid(), signal.SIGSEGV)
        # A sanitizer that catches it has an exit status of its own.
        status, _ = t.over()
        assert status in (128 + signal.SIGSEGV, 1), status


def stopped(machine):
    """Ctrl-Z gives the terminal back until it goes on"""
    with Terminal(machine, '-i', '0.2') as t:
        t.wait_for(r'^region0 \(')
        t.keys('C-z')
        t.wait_stopped()
        until(lambda: not t.on_screen(), t.screen)
        t.go_on()
        until(t.on_screen, 'it does not go on')
        t.wait_for(r'^region0 \(')
        t.keys('q')
        assert t.over() == (0, '')


def impatient(machine):
    """a second signal does not wait for what keeps the first, and still gives the terminal back"""
    with Terminal(machine) as t:
        t.wait_for(r'^region0 \(')
        pid = t.pid()
        os.kill(pid, signal.SIGSTOP)
        t.wait_stopped()
        # Both are there before anything else happens.
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        t.go_on()
        status, err = t.over()
        assert status in (128 + signal.SIGINT, 128 + signal.SIGTERM) and not err, (status, err)


def terminal_goes(machine):
    """without its terminal it ends"""
    with Terminal(machine) as t:
        t.wait_for(r'^region0 \(')
        pid = t.pid()
        t.tmux('kill-server')
        until(lambda: not os.path.exists('/proc/%d' % pid) or
              ') Z ' in read('/proc/%d/stat' % pid), 'it goes on without a terminal')


def main():
    need_programs('umockdev-run', 'tmux')
    tests = [first_screen, moving_counters, keys, hurried, pause, sizes,
             size_of_the_environment, too_large, come_and_go,
             empty_machine, named, broken, colors, ascii_only, no_terminal, bad_terminal, ends, crash, stopped,
             impatient, terminal_goes]
    return run_tests(tests)


if __name__ == '__main__':
    sys.exit(main())
