// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that each make a little data durable, over and over: what a database
 * does at each commit, and nothing else. Runs in the guest.
 *
 * A block device is opened with O_DIRECT, so the page cache plays no part, and
 * each thread writes a block of its own; several devices are shared out among
 * the threads. In a directory each thread has a file of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define BLOCK		4096
#define FILE_BLOCKS	16		/* of a file that is overwritten */
#define APPEND_BYTES	(64l << 20)	/* all threads together, then anew */
#define WATCH_MS	10

struct mode {
	const char *name;
	int flags;
	bool own_file;		/* in the directory that is given */
	bool preallocated;
	bool append;
	bool sync;		/* with fdatasync() after the write */
};

static const struct mode modes[] = {
	{ .name = "fdatasync", .flags = O_RDWR | O_DIRECT, .sync = true },
	{ .name = "dsync", .flags = O_RDWR | O_DIRECT | O_DSYNC },
	{ .name = "overwrite", .flags = O_RDWR | O_CREAT | O_TRUNC, .own_file = true,
	  .preallocated = true, .sync = true },
	{ .name = "append", .flags = O_RDWR | O_CREAT | O_TRUNC, .own_file = true,
	  .append = true, .sync = true },
	{ .name = "flush", .flags = O_WRONLY },
	{ .name = "read", .flags = O_RDONLY },
};

#define MODES	(sizeof(modes) / sizeof(modes[0]))

struct own {
	int fd;
	unsigned int seed;
	char *block;
	off_t offset, limit;	/* limit: of a file, after which it begins again */
	off_t first;		/* block of a device that this thread writes */
	off_t blocks;		/* of the device, to read from */
};

static const struct mode *mode = &modes[0];
static unsigned long reads;	/* before each call */
static const char *watched;

static int write_and_sync(struct own *o)
{
	(*(uint64_t *)o->block)++;
	if (mode->append && o->offset >= o->limit) {
		if (ftruncate(o->fd, 0) < 0)
			return errno;
		o->offset = 0;
	}
	errno = EIO;	/* a short write sets none */
	if (pwrite(o->fd, o->block, BLOCK, o->first + o->offset) != BLOCK)
		return errno;
	if (mode->own_file)
		o->offset += BLOCK;
	if (!mode->append && o->offset >= o->limit)
		o->offset = 0;
	return mode->sync && fdatasync(o->fd) < 0 ? errno : 0;
}

static int call(void *own)
{
	struct own *o = own;

	if (mode->flags == O_WRONLY)
		return pwrite(o->fd, "1", 1, 0) == 1 ? 0 : errno;
	if (mode->flags == O_RDONLY)
		return pread(o->fd, o->block, BLOCK, 0) > 0 ? 0 : errno;
	return write_and_sync(o);
}

/* What mixes with the calls: reads of random blocks. */
static void read_blocks(void *own)
{
	struct own *o = own;

	for (unsigned long n = 0; n < reads; n++) {
		off_t block = rand_r(&o->seed) % o->blocks;

		if (pread(o->fd, o->block, BLOCK, block * BLOCK) != BLOCK)
			load_fail("read", errno);
	}
}

static void make_file(struct own *o, const char *directory, unsigned int number,
		      unsigned long threads)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%u", directory, number);
	o->fd = open(path, mode->flags | O_CLOEXEC, 0600);
	if (o->fd < 0)
		load_fail(path, errno);
	o->limit = mode->append ? APPEND_BYTES / (off_t)threads : FILE_BLOCKS * BLOCK;
	if (!mode->preallocated)
		return;
	for (off_t at = 0; at < o->limit; at += BLOCK)
		if (pwrite(o->fd, o->block, BLOCK, at) != BLOCK)
			load_fail(path, errno);
}

static void open_device(struct own *o, const char *path, unsigned int number)
{
	o->fd = open(path, mode->flags | O_CLOEXEC);
	if (o->fd < 0)
		load_fail(path, errno);
	o->first = (off_t)number * BLOCK;
	o->blocks = reads ? lseek(o->fd, 0, SEEK_END) / BLOCK : 1;
	if (o->blocks < 1)
		load_fail(path, EINVAL);
}

static void **prepare(char *const *paths, unsigned int count, unsigned long threads)
{
	void **all = load_alloc(threads * sizeof(*all));

	for (unsigned int n = 0; n < threads; n++) {
		struct own *o = load_alloc(sizeof(*o));

		o->seed = n + 1;
		o->block = aligned_alloc(BLOCK, BLOCK);
		if (!o->block)
			load_fail("memory", ENOMEM);
		memset(o->block, (int)n, BLOCK);
		if (mode->own_file)
			make_file(o, paths[n % count], n, threads);
		else
			open_device(o, paths[n % count], n / count);
		all[n] = o;
	}
	/* What was prepared is not to be flushed by the first who is measured. */
	if (mode->own_file)
		sync();
	return all;
}

/* Reads what another process reads of a driver, as a monitoring daemon does. */
static void watch(void)
{
	static const struct timespec pause = { 0, WATCH_MS * 1000000l };
	pid_t parent = getpid();
	char text[BLOCK];
	int fd;

	if (fork())
		return;
	fd = open(watched, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		load_fail(watched, errno);
	while (getppid() == parent && pread(fd, text, sizeof(text), 0) > 0)
		nanosleep(&pause, NULL);
	_exit(EXIT_SUCCESS);
}

static bool find_mode(const char *name)
{
	for (mode = modes; mode < modes + MODES; mode++)
		if (!strcmp(name, mode->name))
			return true;
	return false;
}

static void usage(FILE *out)
{
	fputs("usage: fsync-load [options] FILE...\n\n"
	      "  -m MODE  fdatasync (default): pwrite and fdatasync to block devices; dsync: pwrite\n"
	      "           with O_DSYNC; overwrite, append: pwrite and fdatasync to a file for each\n"
	      "           thread, FILE is a directory; flush: write 1 to FILE; read: read FILE\n"
	      "  -r N     read N random blocks before each call, which is not measured\n"
	      "  -f FILE  another process reads FILE a hundred times a second\n"
	      LOAD_USAGE "\nBlock devices are overwritten from their start on.\n", out);
}

int main(int argc, char **argv)
{
	struct load load = { LOAD_DEFAULTS, .call = call };
	bool good = true;
	int opt;

	while ((opt = getopt(argc, argv, "m:r:f:h" LOAD_OPTIONS)) != -1) {
		switch (opt) {
		case 'm':
			good = good && find_mode(optarg);
			break;
		case 'r':
			good = good && load_number(optarg, 0, 1000, &reads);
			break;
		case 'f':
			watched = optarg;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			good = good && load_option(&load, opt, optarg);
		}
	}
	if (!good || optind == argc) {
		usage(stderr);
		return 2;
	}

	load.name = mode->name;
	load.before = reads ? read_blocks : NULL;
	load.own = prepare(argv + optind, (unsigned int)(argc - optind), load.threads);
	if (watched)
		watch();
	return load_run(&load);
}
