#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages and the binary say the same.

Each command and option of the binary's tables is in its page and none else is; each name that
JSON can have is in pmemctl-json(5); each exit status is in pmemctl(1).
"""
import glob
import json
import os
import re
import sys

from machine import HERE, SOURCE_ROOT, Machine
from schema import SCHEMA

DOC = os.path.join(SOURCE_ROOT, 'Documentation')
failures = []


def check(ok, message):
    if not ok:
        failures.append(message)


def page(name):
    """The text of a page with its includes, or '' if there is none."""
    path = os.path.join(DOC, name)
    if not os.path.exists(path):
        check(False, 'there is no Documentation/%s' % name)
        return ''
    with open(path, encoding='utf-8') as f:
        text = f.read()
    return re.sub(r'(?m)^include::(\S+)\[\]$', lambda m: page(m[1]), text)


def check_placeholders():
    """No text is to come still: an example is what a run has printed."""
    for path in glob.glob(os.path.join(DOC, '*.adoc')):
        with open(path, encoding='utf-8') as f:
            for found in re.findall(r'@[A-Z_]+@', f.read()):
                check(False, '%s has the placeholder %s' % (os.path.basename(path), found))


def check_references(name):
    """Pages that a page names are there; others' are others' business."""
    for other, section in re.findall(r'\*(pmemctl(?:-[a-z]+)?)\*\((\d)\)', page(name)):
        check(os.path.exists(os.path.join(DOC, '%s.%s.adoc' % (other, section))),
              '%s names %s(%s), which is not there' % (name, other, section))


def documented_options(text):
    """{'--timeout': 'SECONDS', '--json': None} from the terms of the list under OPTIONS."""
    options = {}
    section = re.search(r'(?ms)^OPTIONS\n-+\n(.*?)^[A-Z ]+\n-+$', text)
    for term in re.findall(r'(?m)^(\*-.*)::$', section[1] if section else ''):
        long = re.search(r'\*(--[a-z-]+)\*(?:=_([A-Z]+)_)?', term)
        if long:
            options[long[1]] = long[2]
    return options


def check_command(command, overview):
    name = command['name']
    text = page('pmemctl-%s.1.adoc' % name)
    check('*pmemctl-%s*(1)::' % name in overview, 'pmemctl.1 does not list %s' % name)
    check(re.search(r'(?m)^\*pmemctl %s\*' % name, text), 'pmemctl-%s.1: no synopsis' % name)
    check('\nEXAMPLES\n' in text, 'pmemctl-%s.1 has no EXAMPLES' % name)
    actual = {o['option']: o.get('argument') for o in command['options']}
    check(documented_options(text) == actual, 'pmemctl-%s.1 has the options %s, the binary %s' % (
        name, documented_options(text), actual))
    for option in command['options']:
        if 'short' in option:
            check(re.search(r'\*%s\*, \*%s\*' % (option['short'], option['option']), text),
                  'pmemctl-%s.1: %s is not beside %s' % (name, option['short'],
                                                       option['option']))


def names_in(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)


def golden_json():
    """Every JSON object in the golden files, which have one of everything."""
    for path in glob.glob(os.path.join(HERE, 'golden', '*.txt')):
        with open(path, encoding='utf-8') as f:
            text = f.read()
        for block in re.findall(r'(?ms)^-- stdout\n(\{\n.*?^\}\n)-- stderr', text):
            yield json.loads(re.sub(r'":(AGE|TIME|PID)', r'":0', block))
        for line in re.findall(r'(?m)^\{".*\}$', text):
            yield json.loads(re.sub(r'":(AGE|TIME|PID)', r'":0', line))


def reason_ids():
    """The identifiers that the library's verdicts give to what is wrong."""
    with open(os.path.join(DOC, '..', 'lib', 'health.c'), encoding='utf-8') as f:
        return re.findall(r'\badd\(h, "(\w+)"', f.read())


def error_codes():
    """{'no_such_region': 3} from the table in error.c."""
    with open(os.path.join(SOURCE_ROOT, 'cli', 'error.c'), encoding='utf-8') as f:
        return {name: int(number) for name, number in re.findall(
            r'\[ERROR_\w+\] = \{ "(\w+)", (\d+) \}', f.read())}


def check_exit_statuses(overview, reference):
    """The tables in pmemctl(1), pmemctl-json(5) and the schema are those of the code."""
    codes = error_codes()
    check(len(codes) > 10, 'found no codes in cli/error.c')
    section = re.search(r'(?ms)^EXIT STATUS\n-+\n(.*?)^[A-Z ]+\n-+$', overview)[1]
    documented = set(map(int, re.findall(r'(?m)^\*(\d+)\*::', section)))
    with open(os.path.join(SOURCE_ROOT, 'cli', 'error.c'), encoding='utf-8') as f:
        not_ours = int(re.search(r'\[ERROR_EXITS_COMMAND_LINE\] = (\d+),', f.read())[1])
    actual = set(codes.values()) | {0, not_ours}
    check(documented == actual, 'pmemctl.1 has the exit statuses %s, the code %s' % (
        documented, actual))
    words = {name: int(n) for name, n in re.findall(r'(?m)^\*(\w+)\* \((\d+)\)::$', reference)}
    check(words == codes, 'pmemctl-json.5 has the codes %s, error.c %s' % (words, codes))
    known = set(SCHEMA['$defs']['error']['properties']['code']['enum'])
    check(known == set(codes), 'the schema has the codes %s, error.c %s' % (known, set(codes)))


def main():
    machine = Machine()
    try:
        top = machine.run('help', '--json').json()
        text_help = machine.run('help').out
    finally:
        machine.close()
    overview = page('pmemctl.1.adoc')
    pages = {os.path.basename(p) for p in glob.glob(os.path.join(DOC, 'pmemctl-*.1.adoc'))}
    for command in top['commands']:
        check_command(command, overview)
        pages.discard('pmemctl-%s.1.adoc' % command['name'])
        check(command['summary'] in text_help, 'help does not list %s' % command['name'])
    check(not pages, 'there is no command for %s' % ', '.join(sorted(pages)))
    for option in top['options']:
        check('*%s*' % option['option'] in overview, 'pmemctl.1 lacks %s' % option['option'])
    with open(os.path.join(DOC, 'meson.build'), encoding='utf-8') as f:
        built = f.read()
    for path in glob.glob(os.path.join(DOC, 'pmemctl*.[0-9].adoc')):
        name = os.path.basename(path)[:-len('.adoc')]
        check("'%s'" % name in built, 'Documentation/meson.build does not build %s' % name)
        check_references(name + '.adoc')

    check_placeholders()

    reference = page('pmemctl-json.5.adoc')
    check_exit_statuses(overview, reference)
    names = {name for value in golden_json() for name in names_in(value)}
    check('regions' in names, 'no JSON was found in the golden files')
    for name in sorted(names):
        check('*%s*' % name in reference, 'pmemctl-json.5 does not describe "%s"' % name)
    health = page('pmemctl-health.1.adoc')
    reasons = reason_ids()
    check(len(reasons) > 10, 'found no reasons in lib/health.c')
    for reason in reasons:
        check('*%s* (' % reason in health, 'pmemctl-health.1 lacks the reason %s' % reason)
    for value in golden_json():
        for error in value['errors']:
            # Of a command line that runs through us our failures are 125, whatever they are.
            check(error['exit'] == 125 or
                  '*%s* (%d)::' % (error['code'], error['exit']) in reference,
                  'pmemctl-json.5 lacks the error %(code)s (%(exit)d)' % error)
            check('*%d*::' % error['exit'] in overview,
                  'pmemctl.1 lacks the exit status %d' % error['exit'])
        for region in value['regions']:
            for reason in region.get('health', {}).get('reasons', []):
                check('*%s* (' % reason['code'] in health,
                      'pmemctl-health.1 lacks the reason %s' % reason['code'])
    for failure in failures:
        print('FAIL %s' % failure)
    print('%d commands, %d names in JSON, %d failures' % (len(top['commands']), len(names),
                                                        len(failures)))
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
