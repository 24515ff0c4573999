#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that anybody may give (mount points, device mapper names, processes, operands) and words
of the kernel's, with characters that play tricks: on a terminal, in JSON, in the line of a Nagios
plugin, in OpenMetrics (U3)."""
import json
import os
import re
import sys

from machine import need_programs, run_tests
from schema import check_schema
from test_golden import bad, broken, stats

# What a line would begin with that a name has made.
MARK = b'INJECTED'

# No name has a zero byte, and a file's no slash.
NAMES = {
    'newline': b'a\n' + MARK,
    'return': b'a\r' + MARK,
    'tab and space': b'a\tb c',
    'escapes': b'\x1b[2J\x1b]0;title\x07\x7f\x08',
    'C1 controls': b'\xc2\x9b2J\xc2\x85' + MARK,
    'quotes': b'"\'`\\$(id)\\n\\',
    'not UTF-8': b'\xff\xfe\xc0\x80\xed\xa0\x80\xf5\x80\x80\x80',
    'UTF-8': 'M\u00fcller-\u65e5\u672c-\U0001f4be'.encode(),
    'another direction': '\u202egnp.exe'.encode(),
    'templates and formats': b'{dev}[ %s%n]{path=x}|{',
    'performance data': b"x | 'a'=1;2 #comment",
    'JSON': b'"}],"errors":[{"exit":0',
    'longest': 255 * b'n',
}


def output_of(machine, *argv, **env):
    """What is really written: bytes."""
    path = os.path.join(machine.tmp, 'stdout')
    with open(path, 'wb') as out:
        result = machine.run(*argv, stdout=out, **env)
    with open(path, 'rb') as f:
        return result, f.read()


def in_json(name):
    """A byte that belongs to no character is U+FFFD."""
    return re.sub('[\udc80-\udcff]', '\ufffd', name.decode('utf-8', 'surrogateescape'))


def check_harmless(raw, what):
    """Text is whole UTF-8, moves no cursor, and has no line that a name has made."""
    text = raw.decode('utf-8')
    odd = [c for c in text if c != '\n' and (ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0)]
    assert not odd, '%s: control characters %r in %r' % (what, odd, text)
    own = re.search(r'(?m)^\W*' + MARK.decode(), text)
    assert not own, '%s: a line of its own: %s' % (what, text)
    return text


def check_text(machine, what, *argv):
    result, raw = output_of(machine, *argv)
    assert 0 <= result.status <= 7, (what, result)
    text = check_harmless(raw, '%s, %s' % (what, argv))
    check_harmless(result.err.encode('utf-8', 'surrogateescape'), '%s, %s' % (what, argv))
    return text


def check_json(machine, what, *argv):
    """The object, whose bytes are UTF-8 and which has the promised form."""
    _, raw = output_of(machine, *argv, '--json')
    try:
        top = json.loads(raw.decode('utf-8'))
    except ValueError as e:
        raise AssertionError('%s, %s: %s in %r' % (what, argv, e, raw)) from e
    check_schema(top)
    return top


def check_nagios(machine, what, *argv):
    """One line, in which the performance data begins once, and has a quoted label each."""
    text = check_text(machine, what, 'health', '--nagios', *argv)
    assert re.fullmatch(r'PMEM (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+'
                        r"(\|( '([^'=|\n]|'')+'=\d+(us|c)?(;\d*;\d*;\d+)?)+)?\n", text), (
                            what, text)
    return text


def check_openmetrics(machine, what, *argv):
    text = check_text(machine, what, 'export', *argv)
    label = r'[a-z_]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
    line = re.compile(r'# .*|[a-z_0-9]+(\{%s(,%s)*\})? [0-9.e+-]+' % (label, label))
    for each in text.splitlines():
        assert line.fullmatch(each), (what, each)
    assert text.endswith('\n# EOF\n'), (what, text)


def check_all(machine, what, *commands):
    """These commands about region0, in each form, and what goes to monitoring systems."""
    for command in commands:
        check_text(machine, what, *command.split())
        check_json(machine, what, *command.split())
    check_nagios(machine, what)
    check_openmetrics(machine, what)


def put(machine, path, content):
    """As machine.write(), of bytes."""
    full = machine.save(path)
    with open(full, 'wb') as f:
        f.write(content)


def escaped(name):
    """As the kernel writes names in mountinfo."""
    return b''.join(b'\\%03o' % c if c in b' \t\n\\#' else bytes([c]) for c in name)


def names_below(holders):
    """Of each holder and what is on it: the strings of its record."""
    for holder in holders:
        yield {key: value for key, value in holder.items() if isinstance(value, str)}
        yield from names_below(holder.get('holders', []))


def mount_points(machine):
    """a mount point can have any name; JSON has it as it is"""
    for what, name in NAMES.items():
        stats(machine)
        bad(machine)
        # Without barriers it is also in the verdict.
        put(machine, 'proc/self/mountinfo', b'1 1 8:1 / / rw - ext4 /dev/sda1 rw\n'
            b'2 1 259:1 / /srv/' + escaped(name) + b' rw - ext4 /dev/pmem0 rw,nobarrier\n')
        check_all(machine, what, 'holders region0', 'status region0',
                  'status --long region0 region1', 'health region0',
                  'errors --files region0', 'remove -n region0')
        top = check_json(machine, what, 'holders', 'region0')
        paths = [h.get('path') for h in names_below(top['regions'][0]['holders'])]
        assert '/srv/' + in_json(name) in paths, (what, paths)
        machine.restore()


def device_mapper_names(machine):
    """a name of device mapper that cannot be shown makes the answer incomplete at most"""
    for what, name in NAMES.items():
        stats(machine)
        machine.stack('dm-0', '253:0', 'pmem1', **{'dm/name': 'x\n', 'dm/uuid': 'x\n'})
        for file in ('name', 'uuid'):
            with open(machine.path('sys/devices/virtual/block/dm-0/dm/' + file), 'wb') as f:
                f.write(name + b'\n')
        check_all(machine, what, 'holders region1', 'status region1', 'remove -n region1')
        region = check_json(machine, what, 'holders', 'region1')['regions'][0]
        found = list(names_below(region['holders']))
        # It is there, by one name or the other.
        assert any('dm-0' in h.values() for h in found), (what, region)
        if name.decode('latin-1').isprintable() and name.isascii():
            assert any('/dev/mapper/' + name.decode() in h.values() for h in found), (what, found)
        else:
            assert not region['complete'], (what, region)
        machine.restore()


def processes(machine):
    """a process can give itself any name"""
    for what, name in NAMES.items():
        stats(machine)
        machine.add_process('212', 'x', ['/dev/pmem4'])
        with open(os.path.join(machine.proc, '212', 'comm'), 'wb') as f:
            f.write(name[:15] + b'\n')
        check_all(machine, what, 'holders region4', 'status region4', 'remove -n region4')
        region = check_json(machine, what, 'holders', 'region4')['regions'][0]
        assert '212' in [str(h['pid']) for h in region['holders'] if 'pid' in h], (what, region)
        machine.restore()


def words_of_the_kernel(machine):
    """what the kernel says of a region is text, and neither a template nor a label's end"""
    for what, name in NAMES.items():
        broken(machine)
        put(machine, 'region0/virtio_pmem/broken_reason', name + b'\n')
        put(machine, 'region0/virtio_pmem/error_policy', name + b'\n')
        bus = os.path.dirname(os.path.realpath(machine.path('region0')))
        put(machine, os.path.relpath(bus, machine.root) + '/provider', name + b'\n')
        # Nobody shows it, and nobody is to stumble over it.
        put(machine, 'region0/namespace0.0/alt_name', name + b'\n')
        check_all(machine, what, 'list region0', 'list', 'status region0', 'health region0',
                  'set region0', 'recover -n region0')
        machine.restore()


def devices(machine):
    """a block device, too: no kernel names one so, but the library reads names from a directory"""
    for what, name in NAMES.items():
        stats(machine)
        block = os.fsencode(machine.save('region0/namespace0.0/block'))
        os.rename(os.path.join(block, b'pmem0'), os.path.join(block, name))
        check_all(machine, what, 'list region0', 'status region0', 'holders region0',
                  'health region0', 'remove -n region0')
        machine.restore()


def paths(machine):
    """the name of the device that carries a region is told as it is, also in performance data"""
    link = machine.path('sys/bus/nd/devices/region0')
    target = os.readlink(link)
    carrier = os.path.join(os.path.dirname(link), *target.split('/')[:-3])
    assert os.path.basename(carrier) == '0000:00:04.0', carrier
    for what, name in NAMES.items():
        if what == 'longest':
            name = name[:100]
        stats(machine, failed_host_flushes=1, last_failure_ns=1)
        odd = os.path.join(os.fsencode(os.path.dirname(carrier)), name)
        os.rename(carrier, odd)
        os.unlink(link)
        try:
            os.symlink(os.fsencode(target).replace(b'0000:00:04.0', name), os.fsencode(link))
            check_all(machine, what, 'list region0', 'status region0', 'health region0')
            text = check_nagios(machine, what, 'region0')
            assert 'the host has failed 1 flush' in text, (what, text)
        finally:
            os.unlink(link)
            os.symlink(target, link)
            os.rename(odd, carrier)
        machine.restore()


def operands(machine):
    """what was typed is told again without its tricks"""
    for what, name in NAMES.items():
        for command in ('list', 'status', 'holders', 'errors', 'health', 'flush', 'set', 'add -n'):
            argv = [os.fsdecode(part) for part in (*command.encode().split(), name)]
            check_text(machine, what, *argv)
            top = check_json(machine, what, *argv)
            assert top['errors'], (what, command, top)
        top = check_json(machine, what, 'list', os.fsdecode(name))
        assert top['errors'][0]['dev'] == in_json(name), (what, top)
        text = check_nagios(machine, what, os.fsdecode(name))
        assert text.startswith('PMEM UNKNOWN - '), (what, text)


def main():
    need_programs('umockdev-run')
    return run_tests((mount_points, device_mapper_names, processes, words_of_the_kernel, devices,
                      paths, operands))


if __name__ == '__main__':
    sys.exit(main())
