# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the real pmemctl on a recorded machine, and puts right afterwards what a test changed.

The recordings are those of ../fixtures. umockdev-run lays one out and answers for its devices as
long as it lives; pmemctl is run beside it with the same tree in place of /sys and /dev.

meson passes the paths in the environment: PMEMCTL, FAULT_LIB, SOURCE_ROOT.
"""
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, '..', '..'))

# pylint: disable=wrong-import-position
from schema import check_schema     # noqa: E402
FIXTURES = os.path.join(HERE, '..', 'fixtures')
PMEMCTL = os.environ['PMEMCTL']
FAULT_LIB = os.environ['FAULT_LIB']
SOURCE_ROOT = os.environ['SOURCE_ROOT']
NOBODY = 65534
TIMEOUT = 60  # seconds, for what takes a moment
SKIP = 77  # the exit status by which meson knows a skipped test

# What is run gets signals as in a terminal, also where nohup(1) or a shell's "&" ignores them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# What the recordings lack; see ../fixtures/README.md.
MODULES = {
    'virtio/drivers/virtio_pmem': 'virtio_pmem',
    'platform/drivers/e820_pmem': 'nd_e820',
    'acpi/drivers/nfit': 'nfit',
}
ROOT_MOUNT = '1 1 8:1 / / rw - ext4 /dev/sda1 rw\n'


def need_programs(*programs):
    for program in programs:
        if not shutil.which(program):
            print('skipped: %s is not installed' % program)
            sys.exit(SKIP)


class Result:
    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __str__(self):
        return '$ pmemctl %s\n-- stdout\n%s-- stderr\n%s-- status %d\n' % (
            ' '.join(self.argv), self.out, self.err, self.status)

    def json_lines(self):
        """The objects of a stream, one a line."""
        answers = []
        assert self.out.endswith('\n'), self
        for line in self.out.splitlines():
            status = [e['exit'] for e in json.loads(line)['errors']] or [0]
            answers.append(Result(self.argv, status[0], line, '').json())
        status = [e['exit'] for answer in answers for e in answer['errors']] or [0]
        assert self.status == status[0], self
        return answers

    def json(self):
        """The one object on stdout, checked against the promises of pmemctl-json(5)."""
        def unique(pairs):
            keys = [k for k, _ in pairs]
            assert len(keys) == len(set(keys)), 'a name comes twice: %s' % keys
            return dict(pairs)

        try:
            top = json.loads(self.out, object_pairs_hook=unique)
        except ValueError as e:
            raise AssertionError('stdout is not one JSON object: %s\n%s' % (e, self)) from e
        assert top['schema'] == 'pmemctl/1', self
        assert isinstance(top['regions'], list) and isinstance(top['errors'], list), self
        check_schema(top)
        expected = top['errors'][0]['exit'] if top['errors'] else 0
        assert self.status == expected, 'exit status %d, first error says %d\n%s' % (
            self.status, expected, self)
        return top


class Machine:
    """A recorded machine; fixture None is one without persistent memory."""

    def __init__(self, fixture=None):
        self.undo, self.holder = [], None
        self.tmp = tempfile.mkdtemp(prefix='pmemctl-test.')
        if fixture:
            self._lay_out(fixture)
        else:
            self.root = os.path.join(self.tmp, 'root')
            os.makedirs(os.path.join(self.root, 'sys', 'devices'))
        self._add_proc()
        self.undo = []

    def _lay_out(self, fixture):
        # The holder tells where the tree is, and lives until its input is closed.
        self.holder = subprocess.Popen(
            ['umockdev-run', '-d', os.path.join(FIXTURES, fixture + '.umockdev'), '--',
             'sh', '-c', 'echo "$UMOCKDEV_DIR"; read -r _ || true'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.root = self.holder.stdout.readline().strip()
        assert self.root, 'umockdev-run did not lay out ' + fixture
        os.chmod(self.root, 0o755)
        for driver, module in MODULES.items():
            path = os.path.join(self.root, 'sys', 'bus', driver)
            os.makedirs(path, exist_ok=True)
            os.makedirs(os.path.join(self.root, 'sys', 'module', module), exist_ok=True)
            os.symlink('../../../../module/' + module, os.path.join(path, 'module'))
        if fixture.startswith('virtpmem'):
            self._put(self.path('sys/module/virtio_pmem/version'), '0.1.0\n')
        # Devices are for root. The sticky bit is how umockdev knows a block device.
        for name in os.listdir(os.path.join(self.root, 'dev')):
            full = os.path.join(self.root, 'dev', name)
            if os.path.isfile(full):
                os.chmod(full, os.stat(full).st_mode & stat.S_ISVTX | 0o600)
        # A device that is opened wants to talk to umockdev, also without the rights of root.
        os.chmod(os.path.join(self.root, 'ioctl/_default'), 0o777)
        self._add_bus_node()
        # No recording has these: what is stacked on each block device and each partition.
        for where, _, names in os.walk(os.path.join(self.root, 'sys', 'devices')):
            if 'partition' in names or os.path.basename(os.path.dirname(where)) == 'block':
                os.makedirs(os.path.join(where, 'holders'), exist_ok=True)

    def _add_proc(self):
        """A procfs of a machine that has only its root mounted, and nothing open."""
        self.proc = os.path.join(self.root, 'proc')
        for pid in ('self', '1'):
            self.add_process(pid)
        self._put(os.path.join(self.proc, 'swaps'), 'Filename\tType\tSize\tUsed\tPriority\n')
        self._put(os.path.join(self.proc, 'self', 'mountinfo'), ROOT_MOUNT)

    def add_process(self, pid, comm='postgres', opened=()):
        where = os.path.join(self.proc, pid)
        for name in ('ns', 'fd', 'map_files'):
            os.makedirs(os.path.join(where, name))
        self._put(os.path.join(where, 'comm'), comm + '\n')
        self._put(os.path.join(where, 'maps'), '')
        os.symlink('mnt:[1]', os.path.join(where, 'ns/mnt'))
        os.symlink('pid:[4026531836]', os.path.join(where, 'ns/pid'))
        os.symlink('/', os.path.join(where, 'root'))
        os.mkdir(os.path.join(where, 'task'))
        os.symlink('..', os.path.join(where, 'task', pid))
        for n, device in enumerate(opened):
            os.symlink(device, os.path.join(where, 'fd', str(n)))
        self.undo.append((where, os.path.join(self.tmp, 'nothing')))

    def stack(self, name, devno, below, **files):
        """A block device on top of another."""
        where = 'sys/devices/virtual/block/' + name
        full = self.save(where)
        os.makedirs(os.path.join(full, 'holders'))
        os.makedirs(os.path.join(full, 'slaves'))
        os.symlink('../../../../../class/block/' + below, os.path.join(full, 'slaves', below))
        for path, text in dict(files, dev=devno + '\n', uevent='').items():
            path = os.path.join(full, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._put(path, text)
        for link in ('sys/class/block/' + name, 'sys/block/%s/holders/%s' % (below, name)):
            link = self.save(link)
            os.symlink(full, link)

    def mount(self, *lines):
        """Lines of mountinfo from "major:minor" on."""
        self.write('proc/self/mountinfo', ROOT_MOUNT + ''.join(
            '%d 1 %s\n' % (n + 2, line) for n, line in enumerate(lines)))

    def _add_bus_node(self):
        """What a change of a region needs, and is not recorded: the node that is its lock."""
        # From these links umockdev knows the numbers of what it shows as devices.
        numbers = os.path.join(self.root, 'dev', '.node')
        os.makedirs(numbers, exist_ok=True)
        buses = [directory for directory, _, _ in os.walk(os.path.join(self.root, 'sys/devices'))
                 if re.fullmatch(r'ndbus\d+', os.path.basename(directory))]
        for bus in buses:
            name = 'ndctl' + os.path.basename(bus)[len('ndbus'):]
            os.makedirs(os.path.join(bus, 'nd', name))
            number = '245:' + name[len('ndctl'):]
            self._put(os.path.join(bus, 'nd', name, 'dev'), number + '\n')
            self._put(os.path.join(self.root, 'dev', name), '')
            os.symlink(number, os.path.join(numbers, name))

    def close(self):
        if self.holder:
            self.holder.stdin.close()
            self.holder.stdout.close()
            # It removes a thousand files, which a disk may take its time for.
            self.holder.wait(timeout=120)
        shutil.rmtree(self.tmp, ignore_errors=True)

    # ------------------------------------------------------------ changing it

    def path(self, path):
        """'region0/size', or a path from the root such as 'sys/block/pmem0/dev'."""
        if path.startswith('region'):
            path = 'sys/bus/nd/devices/' + path
        full = os.path.join(self.root, path)
        # The directory may be behind a link; the last part is meant as it is.
        return os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))

    @staticmethod
    def _put(full, text):
        with open(full, 'w', encoding='utf-8') as f:
            f.write(text)

    def save(self, path):
        """What is there now comes back with restore()."""
        full = self.path(path)
        kept = tempfile.mkdtemp(dir=self.tmp) + '/kept'
        if os.path.lexists(full):
            if os.path.isdir(full) and not os.path.islink(full):
                shutil.copytree(full, kept, symlinks=True)
            else:
                shutil.copy2(full, kept, follow_symlinks=False)
        self.undo.append((full, kept))
        return full

    def restore(self):
        for full, kept in reversed(self.undo):
            self._delete(full)
            if os.path.lexists(kept):
                shutil.move(kept, full)
        self.undo = []

    @staticmethod
    def _delete(full):
        if os.path.isdir(full) and not os.path.islink(full):
            shutil.rmtree(full)
        elif os.path.lexists(full):
            os.unlink(full)

    def write(self, path, text):
        full = self.save(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        self._put(full, text)

    def remove(self, path):
        self._delete(self.save(path))

    def chmod(self, path, mode):
        os.chmod(self.save(path), mode)

    def write_stats(self, region, **values):
        """Some of the counters, by name; the others as they are."""
        names = ('requests', 'async_requests', 'host_flushes', 'failed_requests',
                 'failed_host_flushes', 'request_total_ns', 'request_max_ns', 'host_total_ns',
                 'host_max_ns', 'recoveries', 'stalls', 'last_failure_ns', 'last_change_ns')
        path = region + '/virtio_pmem/flush_stats'
        with open(self.path(path), encoding='ascii') as f:
            stats = dict(zip(names, f.read().split()))
        stats.update({k: str(v) for k, v in values.items()})
        self.write(path, ' '.join(stats.values()) + '\n')

    def regions(self):
        try:
            names = os.listdir(os.path.join(self.root, 'sys/bus/nd/devices'))
        except FileNotFoundError:
            return []
        return sorted(n for n in names if n.startswith('region'))

    # ---------------------------------------------------------------- running

    def environment(self, fault=None, **more):
        env = dict(os.environ, LC_ALL='C.UTF-8', UMOCKDEV_DIR=self.root,
                   LD_PRELOAD='%s libumockdev-preload.so.0' % FAULT_LIB,
                   ASAN_OPTIONS='verify_asan_link_order=0:' + os.environ.get('ASAN_OPTIONS', ''),
                   FAULT_MARK=os.path.join(self.tmp, 'mark'), FAULT_ROOT=self.root)
        for name in ('VIRTPMEM_LOG', 'COLUMNS', 'NO_COLOR'):
            env.pop(name, None)
        if fault:
            env['FAULT'] = fault
        env.update(more)
        return env

    def run(self, *argv, fault=None, nobody=False, stdout=subprocess.PIPE, prefix=(), **env):
        command = [PMEMCTL]
        if nobody and os.geteuid() == 0:
            command = self._without_root()
            env.setdefault('LD_PRELOAD', '%s libumockdev-preload.so.0' % (
                os.path.join(self.tmp, 'copy', os.path.basename(FAULT_LIB))))
        done = subprocess.run([*prefix, *command, *argv], env=self.environment(fault, **env),
                              stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                              timeout=60, check=False)
        out = done.stdout.decode('utf-8', 'backslashreplace') if done.stdout is not None else ''
        return Result(argv, done.returncode, out, done.stderr.decode('utf-8', 'backslashreplace'))

    def _without_root(self):
        # The build may lie where only root can look.
        os.chmod(self.tmp, 0o755)
        copy = os.path.join(self.tmp, 'copy')
        if not os.path.exists(copy):
            os.makedirs(os.path.join(copy, 'cli'))
            os.makedirs(os.path.join(copy, 'lib'))
            shutil.copy(PMEMCTL, os.path.join(copy, 'cli'))
            shutil.copy(FAULT_LIB, copy)
            lib = os.path.join(os.path.dirname(PMEMCTL), '..', 'lib')
            for name in os.listdir(lib):
                if '.so' in name and stat.S_ISREG(os.stat(os.path.join(lib, name)).st_mode):
                    shutil.copy(os.path.join(lib, name), os.path.join(copy, 'lib'))
        return ['setpriv', '--reuid=%d' % NOBODY, '--regid=%d' % NOBODY, '--clear-groups',
                os.path.join(copy, 'cli', 'pmemctl')]


def wait_until(process, what, message):
    """Until @what() is true, before which the process is not to end."""
    deadline = time.monotonic() + TIMEOUT
    while not what():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError('%s; its status: %s' % (message, process.wait()))
        time.sleep(0.01)


def kill(process, number):
    """Sends that signal until the process has ended: the first SIGINT only asks, and two that come
    at once are one. Returns its status: that of SIGKILL if the signal does not end it."""
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None:
        process.send_signal(number if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(0.01)
    return process.returncode


def run_tests(tests, name='virtpmem-6.12', prepare=None):
    """Run functions of one machine, which is made anew by restore() after each; only those that are
    named on the command line, if any are. @prepare is called with the machine before each. Returns an
    exit status."""
    failed = 0
    machine = Machine(name)
    try:
        for test in tests:
            if len(sys.argv) > 1 and test.__name__ not in sys.argv:
                continue
            if prepare:
                prepare(machine)
            try:
                test(machine)
                print('ok   %s: %s' % (test.__name__, test.__doc__), flush=True)
            except Exception as e:      # pylint: disable=broad-exception-caught
                failed += 1
                print('FAIL %s: %s\n%s: %s' % (test.__name__, test.__doc__, type(e).__name__, e),
                      flush=True)
            machine.restore()
    finally:
        machine.close()
    return 1 if failed else 0
