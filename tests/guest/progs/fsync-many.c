// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that each ask for so many flushes, and count which ones failed:
 *
 *	fsync-many [-t THREADS] [-n CALLS] [-m MODE] [-a] PATH
 *
 * MODE fdatasync (default): pwrite() of 4 KiB with O_DIRECT, then fdatasync();
 * fsync: fsync() alone; dsync: pwrite() with O_DIRECT|O_DSYNC; deep: write "1"
 * to PATH, which is a region's deep_flush. Each thread opens PATH itself and
 * writes a block of its own. With -a the kernel's failslab may fail every
 * allocation of the calls. Prints one line: "calls=N errors=N errno=NAME",
 * where NAME is that of the first error, or 0; the status is 0 also when calls
 * failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096

enum mode { FDATASYNC, FSYNC, DSYNC, DEEP, MODES };

static const char *const mode_names[MODES] = { "fdatasync", "fsync", "dsync", "deep" };

static const char *path;
static enum mode mode;
static int threads = 1, calls = 1, fail_allocations;
static pthread_barrier_t start;
static atomic_int made, errors, first_errno;

static int call(int fd, int number, const void *block)
{
	switch (mode) {
	case FDATASYNC:
		if (pwrite(fd, block, BLOCK, (off_t)number * BLOCK) != BLOCK)
			return -1;
		return fdatasync(fd);
	case FSYNC:
		return fsync(fd);
	case DSYNC:
		return pwrite(fd, block, BLOCK, (off_t)number * BLOCK) == BLOCK ? 0 : -1;
	default:
		return write(fd, "1", 1) == 1 ? 0 : -1;
	}
}

static void make_it_fail(void)
{
	int fd = open("/proc/thread-self/make-it-fail", O_WRONLY);

	if (fd < 0 || write(fd, "1", 1) != 1) {
		perror("make-it-fail");
		exit(1);
	}
	close(fd);
}

static void *work(void *arg)
{
	static const int flags[MODES] = {
		[FDATASYNC] = O_RDWR | O_DIRECT,
		[FSYNC] = O_RDWR,
		[DSYNC] = O_RDWR | O_DIRECT | O_DSYNC,
		[DEEP] = O_WRONLY,
	};
	int number = *(int *)arg, fd, i, none = 0;
	void *block;

	fd = open(path, flags[mode]);
	if (fd < 0 || posix_memalign(&block, BLOCK, BLOCK)) {
		perror(path);
		exit(1);
	}
	memset(block, number + 1, BLOCK);
	pthread_barrier_wait(&start);
	if (fail_allocations)
		make_it_fail();
	for (i = 0; i < calls; i++) {
		if (call(fd, number, block) < 0) {
			atomic_compare_exchange_strong(&first_errno, &none, errno);
			atomic_fetch_add(&errors, 1);
		}
		atomic_fetch_add(&made, 1);
	}
	free(block);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t *ids;
	int *numbers;
	int opt, i;

	while ((opt = getopt(argc, argv, "at:n:m:")) != -1) {
		switch (opt) {
		case 'a':
			fail_allocations = 1;
			break;
		case 't':
			threads = atoi(optarg);
			break;
		case 'n':
			calls = atoi(optarg);
			break;
		case 'm':
			for (mode = 0; mode < MODES && strcmp(optarg, mode_names[mode]); mode++)
				;
			break;
		default:
			return 2;
		}
	}
	if (optind != argc - 1 || threads < 1 || calls < 1 || mode == MODES) {
		fprintf(stderr, "usage: fsync-many [-t THREADS] [-n CALLS] [-m MODE] [-a] PATH\n");
		return 2;
	}
	path = argv[optind];
	ids = calloc(threads, sizeof(*ids));
	numbers = calloc(threads, sizeof(*numbers));
	if (!ids || !numbers)
		return 1;
	pthread_barrier_init(&start, NULL, threads);
	for (i = 0; i < threads; i++) {
		numbers[i] = i;
		if (pthread_create(&ids[i], NULL, work, &numbers[i])) {
			fprintf(stderr, "fsync-many: no thread\n");
			return 1;
		}
	}
	for (i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("calls=%d errors=%d errno=%s\n", made, errors,
	       first_errno ? strerrorname_np(first_errno) : "0");
	free(ids);
	free(numbers);
	return 0;
}
