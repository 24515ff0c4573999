#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check that the library's header, its symbol file and the library itself agree.

check-api.py declared HEADER SYM    every declared function is exported, and the other way round
check-api.py exported SYM LIBRARY   the library exports what the symbol file lists, and no more
check-api.py documented HEADER      every function has a comment that names each parameter, says
                                    what it returns and since when; and fits into 100 columns
check-api.py compared HEADER NOTES  the notes on other libraries' interfaces have every function
"""
import fnmatch
import re
import subprocess
import sys

COLUMNS = 100


def declarations(header):
    """Yield (name, parameters, returns a value, comment before it) for each function."""
    pattern = re.compile(r'(?:/\*\*((?:[^*]|\*(?!/))*)\*/\n)?'
                         r'^((?:const |struct |enum |void |int |unsigned |char |bool |uint64_t |'
                         r'dev_t |pid_t )[\w \t*]*?)'
                         r'(virtpmem_\w+)\(([^;{]*?)\);', re.M)
    with open(header) as f:
        text = f.read()
    for comment, kind, name, parameters in pattern.findall(text):
        names = [] if parameters == 'void' else re.findall(r'(\w+)\s*(?:,|$)', parameters)
        yield name, names, kind.strip() != 'void', comment


def symbols(path):
    with open(path) as f:
        return set(re.findall(r'^\s+(virtpmem_\w+);', f.read(), re.M))


def difference(what, a, b):
    return ['%s: %s' % (what, name) for name in sorted(a - b)]


def declared(header, sym):
    names = {name for name, _, _, _ in declarations(header)}
    listed = symbols(sym)
    if not names:
        return ['found no declaration at all']
    return (difference('declared, but not in the symbol file', names, listed) +
            difference('in the symbol file, but not declared', listed, names))


def exported(sym, library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], check=True,
                         stdout=subprocess.PIPE, universal_newlines=True).stdout
    names = {line.split()[-1] for line in out.splitlines() if line.split()[-2] in 'TDBRVW'}
    versioned = {name.split('@@')[0] for name in names if '@@LIBVIRTPMEM_' in name}
    return (difference('in the symbol file, but not exported', symbols(sym), versioned) +
            difference('exported, but not in the symbol file', versioned, symbols(sym)) +
            ['exported without a version: ' + name for name in sorted(names) if '@@' not in name])


def documented(header):
    with open(header) as f:
        problems = ['line %d has more than %d columns' % (number, COLUMNS)
                    for number, line in enumerate(f, 1) if len(line.expandtabs(8)) > COLUMNS + 1]
    for name, parameters, returns, comment in declarations(header):
        if not re.match(r'\n \* %s - \S' % name, comment):
            problems.append('%s: no comment that begins with its name' % name)
            continue
        problems += ['%s: @%s is not described' % (name, p) for p in parameters
                     if '* @%s:' % p not in comment]
        problems += ['%s: @%s is described, but is no parameter' % (name, p)
                     for p in re.findall(r'^ \* @(\w+):', comment, re.M) if p not in parameters]
        if returns and '\n * Returns: ' not in comment:
            problems.append('%s: does not say what it returns' % name)
        if not re.search(r'\n \* Since: \d+\.\d+\n', comment):
            problems.append('%s: does not say since when' % name)
    return problems


def compared(header, notes):
    names = {name for name, _, _, _ in declarations(header)}
    with open(notes) as f:
        patterns = set(re.findall(r'`(virtpmem_[\w*]+)(?:\(\))?`', f.read()))
    return (['not in the notes: ' + name for name in sorted(names)
             if not any(fnmatch.fnmatchcase(name, p) for p in patterns)] +
            ['in the notes, but there is no such function: ' + p for p in sorted(patterns)
             if not fnmatch.filter(names, p)])


def main():
    checks = {'declared': declared, 'exported': exported, 'documented': documented,
              'compared': compared}
    if len(sys.argv) < 3 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    problems = checks[sys.argv[1]](*sys.argv[2:])
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
