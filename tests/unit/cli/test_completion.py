#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion in bash: that of bash-completion/pmemctl, driven as bash drives it.

Each command, option and region of the binary must be offered; and in an interactive bash on a
terminal the TAB key must do it, also across the colons of a path.
"""
import os
import pty
import re
import select
import subprocess
import sys
import time

from machine import PMEMCTL, SOURCE_ROOT, Machine, need_programs

SCRIPT = os.path.join(SOURCE_ROOT, 'bash-completion', 'pmemctl')
failures = []


def check(ok, message):
    if not ok:
        failures.append(message)


def wrapper(machine):
    """A pmemctl in a directory of its own, that sees the recorded machine where bash does not."""
    path = os.path.join(machine.tmp, 'bin')
    os.mkdir(path)
    env = machine.environment()
    with open(os.path.join(path, 'pmemctl'), 'w', encoding='utf-8') as f:
        f.write('#!/bin/sh\nexport UMOCKDEV_DIR="%s" LD_PRELOAD="%s" ASAN_OPTIONS="%s"\n'
                'exec "%s" "$@"\n' % (env['UMOCKDEV_DIR'], env['LD_PRELOAD'],
                                      env['ASAN_OPTIONS'], PMEMCTL))
    os.chmod(os.path.join(path, 'pmemctl'), 0o755)
    return dict(os.environ, PATH=path + ':' + os.environ['PATH'], LC_ALL='C.UTF-8',
                HISTFILE='/dev/null', INPUTRC='/dev/null')


def complete(env, line):
    """What bash would offer for the line, with the cursor at its end."""
    script = ('source "$1"; COMP_LINE=$2; COMP_POINT=${#COMP_LINE}; _pmemctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(['bash', '--norc', '-c', script, 'bash', SCRIPT, line], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    check(not done.stderr, '%r: bash says %s' % (line, done.stderr))
    return [word for word in done.stdout.split('\n') if word]


def offers(env, line, *words, exactly=False):
    got = complete(env, line)
    for word in words:
        check(word in got, '%r does not offer %s, but %s' % (line, word, got))
    if exactly:
        check(sorted(got) == sorted(words), '%r offers %s, not %s' % (line, got, list(words)))


def spelled(option):
    return option['option'] + ('=' if 'argument' in option else '')


def check_tables(machine, env):
    top = machine.run('help', '--json').json()
    offers(env, 'pmemctl ', *[c['name'] for c in top['commands']], exactly=True)
    offers(env, 'pmemctl -', *map(spelled, top['options']), exactly=True)
    for command in top['commands']:
        name = command['name']
        offers(env, 'pmemctl %s -' % name, *map(spelled, command['options']), exactly=True)
        offers(env, 'pmemctl help %s' % name, *[c['name'] for c in top['commands']
                                                if c['name'].startswith(name)], exactly=True)


def check_regions(machine, env):
    regions = machine.run('list', '--json').json()['regions']
    names = ['all']
    for region in regions:
        names += [region['dev'], region['path']]
        for ns in region['namespaces']:
            names.append(ns['dev'])
            names += [ns[key] for key in ('blockdev', 'chardev') if key in ns]
    for command in ('list', 'status', 'holders', 'flush', 'flush --timeout 5',
                    'list --json region1', 'list --color never', 'stat', 'export', 'monitor', 'bench'):
        offers(env, 'pmemctl %s ' % command, *names, exactly=True)
    offers(env, 'pmemctl list region', *[r['dev'] for r in regions], exactly=True)
    offers(env, 'pmemctl list /dev/pmem', '/dev/pmem0', '/dev/pmem3s')
    offers(env, 'pmemctl list /us', '/usr')
    # Only what follows the last colon is replaced by bash.
    offers(env, 'pmemctl list pci-0000:00:04', '04.0', exactly=True)
    offers(env, 'pmemctl flush --timeout ', exactly=True)
    offers(env, 'pmemctl version ', exactly=True)
    # Here it is what follows the equals sign.
    offers(env, 'pmemctl list --color=', 'always', 'auto', 'never', exactly=True)
    offers(env, 'pmemctl list --color a', 'always', 'auto', exactly=True)
    offers(env, 'pmemctl --color=n', 'never', exactly=True)
    offers(env, 'pmemctl list -o dev,st', 'dev,state', exactly=True)
    offers(env, 'pmemctl list --output=dev,st', 'dev,state', exactly=True)
    offers(env, 'pmemctl status -o +hea', '+health', exactly=True)
    offers(env, 'pmemctl list -o hea', exactly=True)
    offers(env, 'pmemctl nonsense ', exactly=True)
    offers(env, 'pmemctl list -- -', exactly=True)
    offers(env, 'pmemctl __', exactly=True)
    offers(env, 'pmemctl set region', *[r['dev'] for r in regions], exactly=True)
    offers(env, 'pmemctl set region0 s', 'stall_timeout_ms=', exactly=True)
    offers(env, 'pmemctl freeze region0 -- ', exactly=True)
    # Only a device that has no driver can be given one.
    offers(env, 'pmemctl add ', exactly=True)
    machine.remove('sys/bus/virtio/devices/virtio1/driver')
    offers(env, 'pmemctl add ', 'pci-0000:00:05.0', exactly=True)
    machine.restore()


def read_until(fd, text, wanted):
    deadline = time.monotonic() + 60
    while not re.search(wanted, text) and time.monotonic() < deadline:
        if select.select([fd], [], [], 0.2)[0]:
            text += os.read(fd, 4096).decode('utf-8', 'replace')
    return text


def press_tab(env, typed, wanted):
    """An interactive bash: type, press TAB twice, and see what stands in the line."""
    pid, fd = pty.fork()
    if not pid:
        env = dict(env, PS1='PROMPT ', TERM='dumb')
        os.execvpe('bash', ['bash', '--norc', '--noprofile', '-i'], env)
    try:
        read_until(fd, '', 'PROMPT $')
        os.write(fd, ('bind "set enable-bracketed-paste off"; source %s; echo re"ady"\n'
                      % SCRIPT).encode())
        read_until(fd, '', 'ready\r?\n.*PROMPT $')
        os.write(fd, (typed + '\t').encode())
        text = read_until(fd, '', wanted)
        check(re.search(wanted, text), 'TAB after %r gave %r' % (typed, text))
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


def main():
    need_programs('umockdev-run', 'bash')
    machine = Machine('virtpmem-6.12')
    try:
        env = wrapper(machine)
        check_tables(machine, env)
        check_regions(machine, env)
        press_tab(env, 'pmemctl fl', r'pmemctl flush ')
        press_tab(env, 'pmemctl list pci-0000:00:04', r'pmemctl list pci-0000:00:04\.0 ')
        press_tab(env, 'pmemctl flush --ti', r'pmemctl flush --timeout=$')
        empty = Machine()
        try:
            done = empty.run('__complete', 'list', '')
            check(done.out == 'all\n' and not done.err and not done.status,
                  'without regions: %s' % done)
        finally:
            empty.close()
    finally:
        machine.close()
    for failure in failures:
        print('FAIL %s' % failure)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
