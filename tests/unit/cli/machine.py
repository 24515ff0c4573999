# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the real pmemctl on a recorded machine, and puts right afterwards what a test changed.

The recordings are those of ../fixtures. umockdev-run lays one out and answers for its devices as
long as it lives; pmemctl is run beside it with the same tree in place of /sys and /dev.

meson passes the paths in the environment: PMEMCTL, FAULT_LIB, SOURCE_ROOT.
"""
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, '..', 'fixtures')
PMEMCTL = os.environ['PMEMCTL']
FAULT_LIB = os.environ['FAULT_LIB']
SOURCE_ROOT = os.environ['SOURCE_ROOT']
NOBODY = 65534
SKIP = 77  # the exit status by which meson knows a skipped test

# What the recordings lack; see ../fixtures/README.md.
MODULES = {
    'virtio/drivers/virtio_pmem': 'virtio_pmem',
    'platform/drivers/e820_pmem': 'nd_e820',
    'acpi/drivers/nfit': 'nfit',
}


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

    def close(self):
        if self.holder:
            self.holder.stdin.close()
            self.holder.stdout.close()
            self.holder.wait(timeout=30)
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
        self._put(self.save(path), text)

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
                   FAULT_MARK=os.path.join(self.tmp, 'mark'))
        env.pop('VIRTPMEM_LOG', None)
        if fault:
            env['FAULT'] = fault
        env.update(more)
        return env

    def run(self, *argv, fault=None, nobody=False, stdout=subprocess.PIPE, prefix=(), **env):
        command = [PMEMCTL]
        if nobody and os.geteuid() == 0:
            command = self._without_root()
            env.setdefault('LD_PRELOAD', 'libumockdev-preload.so.0')
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
            lib = os.path.join(os.path.dirname(PMEMCTL), '..', 'lib')
            for name in os.listdir(lib):
                if '.so' in name and stat.S_ISREG(os.stat(os.path.join(lib, name)).st_mode):
                    shutil.copy(os.path.join(lib, name), os.path.join(copy, 'lib'))
        return ['setpriv', '--reuid=%d' % NOBODY, '--regid=%d' % NOBODY, '--clear-groups',
                os.path.join(copy, 'cli', 'pmemctl')]
