#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""List the regions, from Python and without a binding: name, path, size and verdict.

An object is a c_void_p, an output is a pointer to a variable, a negative result is an errno.
"""
import ctypes
import os
import sys

lib = ctypes.CDLL(os.environ.get('LIBVIRTPMEM', 'libvirtpmem.so.1'))
for name in ('get_first', 'get_next'):
    getattr(lib, 'virtpmem_region_' + name).restype = ctypes.c_void_p
for name in ('virtpmem_region_get_devname', 'virtpmem_region_get_path',
             'virtpmem_health_level_name'):
    getattr(lib, name).restype = ctypes.c_char_p


def check(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def verdict(region):
    health = ctypes.c_void_p()
    check(lib.virtpmem_region_get_health(region, None, ctypes.c_uint64(0), ctypes.byref(health)))
    level = lib.virtpmem_health_get_level(health)
    lib.virtpmem_health_unref(health)
    return lib.virtpmem_health_level_name(level).decode()


def main():
    ctx = ctypes.c_void_p()
    check(lib.virtpmem_new(ctypes.byref(ctx)))
    check(lib.virtpmem_scan(ctx))
    region = lib.virtpmem_region_get_first(ctx)
    while region:
        region = ctypes.c_void_p(region)
        size = ctypes.c_uint64()
        check(lib.virtpmem_region_get_size(region, ctypes.byref(size)))
        path = lib.virtpmem_region_get_path(region) or b'-'
        print(lib.virtpmem_region_get_devname(region).decode(), path.decode(), size.value,
              verdict(region))
        region = lib.virtpmem_region_get_next(region)
    lib.virtpmem_unref(ctx)


if __name__ == '__main__':
    sys.exit(main())
