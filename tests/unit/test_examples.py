#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run an example of Documentation/examples on a recorded machine, and look at what it says.

test_examples.py NAME PROGRAM LIBRARY FIXTURES
"""
import os
import re
import subprocess
import sys

REGIONS = 5
COUNTERS = 13


def run(program, fixture, *arguments):
    return subprocess.run(['umockdev-run', '-d', fixture, '--', program, *arguments], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def flush_region(program, fixture):
    done = run(program, fixture, 'region0')
    assert done.returncode == 0, done
    assert re.fullmatch(r'region0: deep_flush, \d+ us\n', done.stdout), done
    assert run(program, fixture, 'region77').returncode == 1
    # An e820 region, which the kernel cannot flush.
    failed = run(program, fixture, 'region4')
    assert failed.returncode == 1 and 'Operation not supported' in failed.stderr, failed


def metrics(program, fixture):
    done = run(program, fixture)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert len(lines) == (REGIONS - 1) * COUNTERS, done
    for line in lines:
        assert re.fullmatch(r'virtpmem_\w+\{path="pci-[0-9a-f:.]+"\} \d+', line), line


def list_regions(program, fixture):
    done = run(program, fixture)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert len(lines) == REGIONS, done
    assert lines[0] == 'region0 pci-0000:00:04.0 134217728 ok', lines
    assert lines[4].endswith(' unknown'), lines


def main():
    name, program, library, fixtures = sys.argv[1:]
    os.environ['LIBVIRTPMEM'] = library
    test = {'flush-region': flush_region, 'metrics': metrics, 'list-regions': list_regions}[name]
    test(program, os.path.join(fixtures, 'virtpmem-6.12.umockdev'))


if __name__ == '__main__':
    main()
