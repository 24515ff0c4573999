// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A library to preload into QEMU, which serves a virtio-pmem flush with
 * fsync() of the backing file from its thread pool. It counts, delays, fails
 * and holds back these calls, for each backing file apart, as a control file
 * says (struct fsync_control; its path is in $VM_FSYNC_CONTROL). Calls on any
 * other file, and all calls when there is no control file, go straight on.
 *
 * A call is counted as begun when it comes in and as ended just before it
 * returns, so a test can tell what was under way. A call that is to fail does
 * not reach the file: what it should have made durable is not.
 *
 * Calls come from several threads; the shared words are only ever accessed
 * with atomic operations, and there is no lock.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fsync-preload.h"

#define POLL_US	500

typedef int (*fsync_fn)(int fd);

static struct fsync_control *control;
static fsync_fn real_fsync, real_fdatasync;

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void add(uint64_t *word, uint64_t n)
{
	__atomic_fetch_add(word, n, __ATOMIC_SEQ_CST);
}

static void sleep_us(uint64_t us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

__attribute__((constructor))
static void attach(void)
{
	const char *path = getenv("VM_FSYNC_CONTROL");
	struct fsync_control *c;
	int fd;

	real_fsync = (fsync_fn)dlsym(RTLD_NEXT, "fsync");
	real_fdatasync = (fsync_fn)dlsym(RTLD_NEXT, "fdatasync");
	if (!path)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (c == MAP_FAILED)
		return;
	if (c->magic != FSYNC_MAGIC || c->version != FSYNC_VERSION ||
	    c->files > FSYNC_MAX_FILES) {
		munmap(c, sizeof(*c));
		return;
	}
	control = c;
	__atomic_store_n(&c->attached, getpid(), __ATOMIC_SEQ_CST);
}

static struct fsync_file *find(int fd)
{
	struct stat st;

	if (!control || fstat(fd, &st) < 0)
		return NULL;
	for (uint64_t i = 0; i < control->files; i++)
		if (control->file[i].dev == st.st_dev && control->file[i].ino == st.st_ino)
			return &control->file[i];
	return NULL;
}

/* Does this call count among those that are to fail? */
static int must_fail(struct fsync_file *f)
{
	uint64_t left = load(&f->fail_left);

	while (left && left != FSYNC_FOREVER)
		if (__atomic_compare_exchange_n(&f->fail_left, &left, left - 1, 0,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			break;
	return left ? (int)load(&f->fail_errno) : 0;
}

static int serve(int fd, fsync_fn next)
{
	struct fsync_file *f = find(fd);
	uint64_t delay, ticket;
	int error, result;

	if (!f)
		return next(fd);

	add(&f->begun, 1);
	if (load(&f->hold)) {
		ticket = __atomic_fetch_add(&f->held, 1, __ATOMIC_SEQ_CST);
		add(&f->holding, 1);
		while (load(&f->hold) && load(&f->released) <= ticket)
			sleep_us(POLL_US);
		add(&f->holding, -1);
	}
	delay = load(&f->delay_us);
	if (delay)
		sleep_us(delay);

	error = must_fail(f);
	if (error) {
		result = -1;
	} else {
		result = next(fd);
		error = errno;
	}
	if (result < 0)
		add(&f->failed, 1);
	add(&f->ended, 1);
	errno = error;
	return result;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	return serve(fd, real_fsync);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	return serve(fd, real_fdatasync);
}
