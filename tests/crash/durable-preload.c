// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A library to preload into QEMU, in front of tests/vm/fsync-preload.c. It
 * keeps, for each backing file of a virtio-pmem device, the image that a power
 * cut would leave on the host's disk at the least: the file as it was when the
 * last successful fsync began. durable.h has the files that hold it.
 *
 * Why the image holds nothing that was stored after the fsync began
 *
 * The guest's processors go on while an fsync begins. A page copied late would
 * count as durable with a store that no fsync covered, and so hide the very
 * losses that this is here to find. Hence the memory is write-protected:
 *
 *  1. QEMU's mapping of the file is read-only to the processor. The first
 *     store to a page faults; on_fault() marks the page dirty, makes it
 *     writable, and the store is done again. So every page that differs from
 *     the last snapshot is marked, before it differs.
 *  2. fsync() first of all takes the lock, write-protects all of the mapping
 *     and copies the dirty pages aside, and only then drops the lock. From the
 *     moment at which a page is protected until the lock is dropped, a store
 *     to it faults and waits in on_fault(). So what is copied of a page is
 *     what it held at that moment, which comes before the end of step 2; and a
 *     processor that stored to a page too late stands still from then on,
 *     so the pages together are a state that the guest's own order of stores
 *     allows.
 *  3. Everything else that an fsync does (being held back, delayed, failed by
 *     fsync-preload.c, the real call) comes after, and what the guest stores
 *     meanwhile is marked dirty again. On success the copies go to the durable
 *     image; on failure they are dropped, and the pages count as clean, as a
 *     Linux host has it: their content is lost unless the guest stores to them
 *     again.
 *
 * The snapshot is taken when the call comes in from QEMU's thread pool, a
 * moment after the guest's request: what the guest stored in between counts as
 * durable, as it does on a real host.
 *
 * It works only for stores by QEMU itself: under KVM the kernel would store,
 * and so would a system call that reads into the memory (a disk's data, read
 * straight into DAX memory).
 *
 * A process that watches can stop this one at any point: the durable image plus
 * any choice of the pages that are dirty or begun is a state that a power cut
 * can leave, also half way through keep().
 *
 * One spinlock for all files, also taken by the fault handler: what holds it
 * touches no memory of the guest's but through a mapping of its own, and
 * allocates nothing. fsyncs of one file are served one after the other.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "durable.h"

#define EXPORT __attribute__((visibility("default")))

typedef int (*fsync_fn)(int fd);

/* Pointers are set by the constructor and by the one mmap() of the file. */
struct tracked {
	struct durable_file *shared;
	uint8_t *durable, *begun, *pages;
	uint8_t *guest;			/* where QEMU has mapped it */
	const uint8_t *view;		/* the same memory, for us */
	bool owed;			/* the last answer came early: still begun */
	pthread_mutex_t serving;	/* held by the fsync that is being served */
};

static struct durable_control *control;
static struct tracked tracked[DURABLE_MAX_FILES];
static fsync_fn next_fsync, next_fdatasync;
static int lock_word;

static void lock(void)
{
	const struct timespec pause = { .tv_nsec = 20000 };

	while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE))
		nanosleep(&pause, NULL);
}

static void unlock(void)
{
	__atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
}

/* Nothing that is measured here would be right any more. */
__attribute__((noreturn))
static void give_up(const char *what)
{
	static const char start[] = "durable-preload: ";

	if (write(2, start, sizeof(start) - 1) < 0 || write(2, what, strlen(what)) < 0 ||
	    write(2, "\n", 1) < 0)
		_exit(1);
	abort();
}

static void protect(uint8_t *at, size_t size, int prot)
{
	if (mprotect(at, size, prot) < 0)
		give_up("mprotect failed: too many mappings?");
}

static struct tracked *find_fd(int fd)
{
	struct stat st;

	if (!control || fstat(fd, &st) < 0)
		return NULL;
	for (uint64_t i = 0; i < control->files; i++)
		if (control->file[i].dev == st.st_dev && control->file[i].ino == st.st_ino)
			return &tracked[i];
	return NULL;
}

static struct tracked *find_address(const uint8_t *at)
{
	for (uint64_t i = 0; control && i < control->files; i++)
		if (tracked[i].guest && at >= tracked[i].guest &&
		    at < tracked[i].guest + tracked[i].shared->size)
			return &tracked[i];
	return NULL;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	struct tracked *t = find_address(info->si_addr);
	int saved = errno;
	size_t page;

	(void)context;
	if (!t) {
		signal(sig, SIG_DFL);	/* it faults again, and ends as it would without us */
		return;
	}
	page = ((uint8_t *)info->si_addr - t->guest) / DURABLE_PAGE;
	lock();
	t->pages[page] |= PAGE_DIRTY;
	protect(t->guest + page * DURABLE_PAGE, DURABLE_PAGE, PROT_READ | PROT_WRITE);
	unlock();
	errno = saved;
}

/* Call do_page() on each page that has BIT set; under the lock. */
static void for_each_page(struct tracked *t, uint8_t bit,
			  void (*do_page)(struct tracked *t, size_t page))
{
	size_t pages = t->shared->size / DURABLE_PAGE;
	uint64_t eight;

	for (size_t p = 0; p < pages; p++) {
		if (p % 8 == 0 && p + 8 <= pages) {
			memcpy(&eight, t->pages + p, 8);
			if (!eight) {
				p += 7;
				continue;
			}
		}
		if (t->pages[p] & bit)
			do_page(t, p);
	}
}

static void begin_page(struct tracked *t, size_t page)
{
	memcpy(t->begun + page * DURABLE_PAGE, t->view + page * DURABLE_PAGE, DURABLE_PAGE);
	t->pages[page] = PAGE_BEGUN;
}

static void keep_page(struct tracked *t, size_t page)
{
	memcpy(t->durable + page * DURABLE_PAGE, t->begun + page * DURABLE_PAGE, DURABLE_PAGE);
	t->pages[page] &= ~PAGE_BEGUN;
}

static void drop_page(struct tracked *t, size_t page)
{
	t->shared->dropped++;
	t->pages[page] &= ~PAGE_BEGUN;
}

static void keep(struct tracked *t)
{
	for_each_page(t, PAGE_BEGUN, keep_page);
	t->shared->kept++;
}

static int serve(int fd, fsync_fn next)
{
	struct tracked *t = find_fd(fd);
	int result, saved;
	bool owed;

	if (!t || !t->guest)
		return next(fd);

	pthread_mutex_lock(&t->serving);
	lock();
	owed = t->owed;
	if (!owed) {
		protect(t->guest, t->shared->size, PROT_READ);
		for_each_page(t, PAGE_DIRTY, begin_page);
	}
	unlock();

	result = next(fd);
	saved = errno;

	lock();
	t->owed = !owed && result == 0 &&
		  __atomic_load_n(&t->shared->early, __ATOMIC_SEQ_CST);
	if (result < 0)
		for_each_page(t, PAGE_BEGUN, drop_page);
	else if (!t->owed)
		keep(t);
	unlock();
	pthread_mutex_unlock(&t->serving);
	errno = saved;
	return result;
}

EXPORT int fsync(int fd)
{
	return serve(fd, next_fsync);
}

EXPORT int fdatasync(int fd)
{
	return serve(fd, next_fdatasync);
}

/* The names are given to the assembler: headers may redirect the one to the other. */
EXPORT void *map_memory(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
	__asm__("mmap64");
EXPORT void *map_memory_too(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
	__asm__("mmap") __attribute__((alias("mmap64")));

/* QEMU maps a device's memory. A private mapping stays as it is: nothing of it is durable. */
void *map_memory(void *at, size_t size, int prot, int flags, int fd, off64_t offset)
{
	struct tracked *t = NULL;
	uint8_t *map;

	if (fd >= 0 && (prot & PROT_WRITE) && (flags & MAP_TYPE) != MAP_PRIVATE)
		t = find_fd(fd);
	if (t)
		prot &= ~PROT_WRITE;
	map = (uint8_t *)syscall(SYS_mmap, at, size, prot, flags, fd, offset);
	if (!t || map == MAP_FAILED)
		return map;

	if (t->guest || offset || size != t->shared->size)
		give_up("a backing file is not mapped once and as a whole");
	t->view = (uint8_t *)syscall(SYS_mmap, NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (t->view == MAP_FAILED)
		give_up("mmap failed");
	__atomic_store_n(&t->guest, map, __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->shared->mapped, 1, __ATOMIC_SEQ_CST);
	return map;
}

static void *map_file(const char *directory, const char *name, int number, size_t size)
{
	char path[4096];
	void *map;
	int fd;

	if (number < 0)
		snprintf(path, sizeof(path), "%s/%s", directory, name);
	else
		snprintf(path, sizeof(path), "%s/%s.%d", directory, name, number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		give_up(path);
	map = (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		give_up(path);
	return map;
}

__attribute__((constructor))
static void attach(void)
{
	const char *directory = getenv("VM_DURABLE");
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct durable_control *c;

	next_fsync = (fsync_fn)dlsym(RTLD_NEXT, "fsync");
	next_fdatasync = (fsync_fn)dlsym(RTLD_NEXT, "fdatasync");
	if (!directory)
		return;
	c = map_file(directory, "control", -1, sizeof(*c));
	if (c->magic != DURABLE_MAGIC || c->version != DURABLE_VERSION ||
	    c->files > DURABLE_MAX_FILES)
		give_up("control is of another version");
	for (uint64_t i = 0; i < c->files; i++) {
		struct tracked *t = &tracked[i];
		size_t size = c->file[i].size;

		t->shared = &c->file[i];
		t->durable = map_file(directory, "durable", (int)i, size);
		t->begun = map_file(directory, "begun", (int)i, size);
		t->pages = map_file(directory, "pages", (int)i, size / DURABLE_PAGE);
		pthread_mutex_init(&t->serving, NULL);
	}
	if (sigaction(SIGSEGV, &action, NULL) < 0)
		give_up("sigaction");
	control = c;
	__atomic_store_n(&c->attached, getpid(), __ATOMIC_SEQ_CST);
}
