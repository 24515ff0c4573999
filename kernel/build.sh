#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Usage: build.sh SOURCE KDIR OUTPUT WORK
# Build virtio_pmem.ko of the source tree SOURCE for the kernel build directory
# KDIR, in a copy below WORK, and put it at OUTPUT. For meson.
set -eu
source=$1 kdir=$2 output=$3 work=$4

rm -rf "$work/kernel" "$work/include"
mkdir -p "$work/kernel" "$work/include/virtpmem"
for file in "$source"/kernel/*; do
	case $file in
	*.c | *.h | */Kbuild | */Makefile | */VERSION) cp "$file" "$work/kernel/" ;;
	esac
done
cp "$source/include/virtpmem/sysfs-abi.h" "$work/include/virtpmem/"
make -C "$work/kernel" KDIR="$kdir" modules
cp "$work/kernel/virtio_pmem.ko" "$output"
