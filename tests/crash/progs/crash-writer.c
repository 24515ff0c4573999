// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that make records durable, each in one way, and tell the host of
 * every record that is. Runs in the guest until it is killed.
 *
 *	crash-writer [OPTION...] TARGET KIND=THREADS...
 *
 * TARGET is a block or DAX device, or a directory. The ways are the table of
 * kinds below. What each leaves on the medium, and what of it a power cut must
 * have left, is in records.py, which has a rule for each of them. A writer that
 * gets an error tells the host which, and stops, as a program does that takes
 * fsync's word seriously. With -a, fsync's word is not enough: a record is durable
 * once a deep_flush (-f) after it has succeeded, too.
 *
 * A thread has everything that it needs in its struct writer; the options are
 * constant when the threads start.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "record.h"

/* A device or a file of slots; record N is in slot N % SLOTS. */
#define SLOTS		32
#define SLOT_PAGES	4
#define SLOTS_SIZE	((size_t)SLOTS * SLOT_PAGES * PAGE)

#define FILE_RECORDS	16	/* that an appended file has before the next one begins */
#define DIRECTORIES	8	/* that are kept */

/* A DAX device can be mapped in these units only. */
#define MAP_UNIT	(2u << 20)

#define MAX_WRITERS	64

struct writer;

struct kind {
	const char *name;
	/* Each returns 0, or -1 with errno. What is null is not needed. */
	int (*prepare)(struct writer *w);
	int (*store)(struct writer *w, uint64_t seq);
	int (*flush)(struct writer *w, uint64_t seq);
	int open_flags;
	bool in_directory;
};

struct writer {
	const struct kind *kind;
	uint32_t number;
	pthread_t thread;
	int fd;			/* the device or file */
	int dir;		/* the directory that a new name must be made durable in */
	off_t at;		/* where on the device its slots begin */
	uint8_t *map;		/* of its slots */
	aio_context_t aio;
	struct record_page *record;
	uint64_t random;
};

static const char *target, *deep_flush, *command;
static uint32_t salt, first_writer;
static unsigned int gap_us, think_us;
static off_t offset;
static bool ask_region;

/* --- helpers ------------------------------------------------------------- */

/* rand_r() would give neighbouring writers nearly the same numbers. */
static void pause_up_to(struct writer *w, unsigned int us)
{
	if (!us)
		return;
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	usleep(w->random % us);
}

/* 0 if all of it was written; a short write is an error like any other. */
static int all(ssize_t done, size_t size)
{
	if (done >= 0 && (size_t)done < size)
		errno = EIO;
	return done >= 0 && (size_t)done == size ? 0 : -1;
}

__attribute__((format(printf, 2, 3)))
static const char *name(char text[64], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, 64, format, ap);
	va_end(ap);
	return text;
}

static int create(int dir, const char *path)
{
	return openat(dir, path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static int put_record(struct writer *w, uint64_t seq, off_t at)
{
	size_t size = record_fill(w->record, salt, w->number, seq);

	return all(pwrite(w->fd, w->record, size, at), size);
}

/* Close a file that was flushed; its errors were seen. */
static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- slots: on a device, or in a file of that size -------------------------- */

static off_t slot(const struct writer *w, uint64_t seq)
{
	return w->at + (off_t)(seq % SLOTS) * SLOT_PAGES * PAGE;
}

static int device_prepare(struct writer *w)
{
	w->fd = open(target, O_RDWR | O_CLOEXEC | w->kind->open_flags);
	w->at = offset + (off_t)(w->number - first_writer) * SLOTS_SIZE;
	return w->fd < 0 ? -1 : 0;
}

/* The slots' place in a mapping, which begins at a multiple of MAP_UNIT. */
static int map_slots(struct writer *w)
{
	off_t begin = w->at / MAP_UNIT * MAP_UNIT;
	uint8_t *map = mmap(NULL, MAP_UNIT, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, begin);

	if (map == MAP_FAILED)
		return -1;
	w->map = map + (w->at - begin);
	return 0;
}

static int device_map(struct writer *w)
{
	return device_prepare(w) < 0 ? -1 : map_slots(w);
}

static int slots_file(struct writer *w)
{
	static const uint8_t zeros[SLOTS_SIZE];
	char text[64];

	w->fd = create(w->dir, name(text, "s%u", w->number));
	if (w->fd < 0 || all(pwrite(w->fd, zeros, SLOTS_SIZE, 0), SLOTS_SIZE) < 0 ||
	    fsync(w->fd) < 0 || fsync(w->dir) < 0)
		return -1;
	return 0;
}

static int slots_file_map(struct writer *w)
{
	return slots_file(w) < 0 ? -1 : map_slots(w);
}

static int slot_write(struct writer *w, uint64_t seq)
{
	return put_record(w, seq, slot(w, seq));
}

static int slot_write_rwf(struct writer *w, uint64_t seq)
{
	size_t size = record_fill(w->record, salt, w->number, seq);
	struct iovec part = { w->record, size };

	return all(pwritev2(w->fd, &part, 1, slot(w, seq), RWF_DSYNC), size);
}

static int aio_prepare(struct writer *w)
{
	return device_prepare(w) < 0 ? -1 : (int)syscall(SYS_io_setup, 1, &w->aio);
}

/*
 * After the other two ways the kernel sends a flush of its own. Here the write's
 * FUA is all there is.
 */
static int slot_write_aio(struct writer *w, uint64_t seq)
{
	size_t size = record_fill(w->record, salt, w->number, seq);
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = w->fd,
		.aio_rw_flags = RWF_DSYNC,
		.aio_buf = (uintptr_t)w->record,
		.aio_nbytes = size,
		.aio_offset = slot(w, seq),
	}, *requests[] = { &request };
	struct io_event event;

	if (syscall(SYS_io_submit, w->aio, 1, requests) != 1 ||
	    syscall(SYS_io_getevents, w->aio, 1, 1, &event, NULL) != 1)
		return -1;
	if (event.res < 0)
		errno = (int)-event.res;
	return event.res < 0 ? -1 : all(event.res, size);
}

/*
 * Plain stores: what the host's fsync of the file then finds. (The processor's
 * caches are not what is tested here.)
 */
static int slot_store(struct writer *w, uint64_t seq)
{
	size_t size = record_fill(w->record, salt, w->number, seq);

	memcpy(w->map + (slot(w, seq) - w->at), w->record, size);
	return 0;
}

static int flush_data(struct writer *w, uint64_t seq)
{
	(void)seq;
	return fdatasync(w->fd);
}

static int flush_file(struct writer *w, uint64_t seq)
{
	(void)seq;
	return fsync(w->fd);
}

static int flush_map(struct writer *w, uint64_t seq)
{
	size_t size = record_pages(seq) * PAGE;

	return msync(w->map + (slot(w, seq) - w->at), size, MS_SYNC);
}

/* A region's deep_flush, as libndctl and PMDK write to it. */
static int flush_deep(struct writer *w, uint64_t seq)
{
	int fd = open(deep_flush, O_WRONLY | O_CLOEXEC);
	int result;

	(void)w;
	(void)seq;
	if (fd < 0)
		return -1;
	result = all(write(fd, "1", 1), 1);
	close(fd);
	return result;
}

static int flush_command(struct writer *w, uint64_t seq)
{
	int status = system(command);

	(void)w;
	(void)seq;
	if (status == 0)
		return 0;
	errno = status > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 7 ? EIO : ECHILD;
	return -1;
}

/* --- appended files -------------------------------------------------------- */

/* The file of a record; the one before is kept, the ones before that are not. */
static int append_file(struct writer *w, uint64_t seq)
{
	uint64_t file = seq / FILE_RECORDS;
	char text[64];

	if (w->fd >= 0 && seq % FILE_RECORDS)
		return 0;
	close_fd(&w->fd);
	if (file >= 2 && unlinkat(w->dir, name(text, "a%u.%ju", w->number, file - 2), 0) < 0)
		return -1;
	w->fd = create(w->dir, name(text, "a%u.%ju", w->number, file));
	return w->fd < 0 ? -1 : 0;
}

static int append_write(struct writer *w, uint64_t seq)
{
	uint64_t first = seq / FILE_RECORDS * FILE_RECORDS;
	uint64_t at = record_pages_before(seq) - record_pages_before(first);

	return append_file(w, seq) < 0 ? -1 : put_record(w, seq, (off_t)at * PAGE);
}

static int append_flush(struct writer *w, uint64_t seq)
{
	if (fsync(w->fd) < 0)
		return -1;
	return seq % FILE_RECORDS ? 0 : fsync(w->dir);
}

/* --- a file that is replaced by rename --------------------------------------- */

static int rename_write(struct writer *w, uint64_t seq)
{
	char text[64];

	close_fd(&w->fd);
	w->fd = create(w->dir, name(text, "r%u.new", w->number));
	return w->fd < 0 ? -1 : put_record(w, seq, 0);
}

static int rename_flush(struct writer *w, uint64_t seq)
{
	char from[64], to[64];

	(void)seq;
	if (fsync(w->fd) < 0)
		return -1;
	name(from, "r%u.new", w->number);
	name(to, "r%u", w->number);
	return renameat(w->dir, from, w->dir, to) < 0 ? -1 : fsync(w->dir);
}

/* --- directories that come and go ---------------------------------------------- */

static int directories_prepare(struct writer *w)
{
	char text[64];
	int top = w->dir;

	name(text, "d%u", w->number);
	if (mkdirat(top, text, 0755) < 0 || fsync(top) < 0)
		return -1;
	w->dir = openat(top, text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->dir < 0 ? -1 : 0;
}

static int directories_write(struct writer *w, uint64_t seq)
{
	char text[64];

	close_fd(&w->fd);
	if (mkdirat(w->dir, name(text, "%ju", seq), 0755) < 0)
		return -1;
	w->fd = create(w->dir, name(text, "%ju/f", seq));
	return w->fd < 0 ? -1 : put_record(w, seq, 0);
}

static int directories_flush(struct writer *w, uint64_t seq)
{
	char text[64];
	int made = openat(w->dir, name(text, "%ju", seq), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = made < 0 || fsync(w->fd) < 0 || fsync(made) < 0 || fsync(w->dir) < 0 ? -1 : 0;

	close_fd(&made);
	if (result < 0 || seq < DIRECTORIES)
		return result;
	if (unlinkat(w->dir, name(text, "%ju/f", seq - DIRECTORIES), 0) < 0 ||
	    unlinkat(w->dir, name(text, "%ju", seq - DIRECTORIES), AT_REMOVEDIR) < 0)
		return -1;
	return fsync(w->dir);
}

/* --- the program ------------------------------------------------------------------ */

static const struct kind kinds[] = {
	{ "direct", device_prepare, slot_write, flush_data, O_DIRECT, false },
	{ "buffered", device_prepare, slot_write, flush_file, 0, false },
	{ "dsync", device_prepare, slot_write, NULL, O_DIRECT | O_DSYNC, false },
	{ "rwf-dsync", device_prepare, slot_write_rwf, NULL, O_DIRECT, false },
	{ "aio-dsync", aio_prepare, slot_write_aio, NULL, O_DIRECT, false },
	{ "deep", device_map, slot_store, flush_deep, 0, false },
	{ "command", device_map, slot_store, flush_command, 0, false },
	{ "slots", slots_file, slot_write, flush_data, 0, true },
	{ "msync", slots_file_map, slot_store, flush_map, 0, true },
	{ "append", NULL, append_write, append_flush, 0, true },
	{ "lazy", NULL, append_write, NULL, 0, true },
	{ "rename", NULL, rename_write, rename_flush, 0, true },
	{ "directories", directories_prepare, directories_write, directories_flush, 0, true },
};

static struct writer writers[MAX_WRITERS];
static unsigned int writer_count;

static void *work(void *arg)
{
	struct writer *w = arg;

	for (uint64_t seq = 0;; seq++) {
		if (w->kind->store(w, seq) < 0)
			break;
		pause_up_to(w, gap_us);
		if (w->kind->flush && w->kind->flush(w, seq) < 0)
			break;
		if (ask_region && flush_deep(w, seq) < 0)
			break;
		port_send(w->number, DURABLE, seq);
		pause_up_to(w, think_us);
	}
	port_send(w->number, FAILED, (uint64_t)errno);
	return NULL;
}

__attribute__((noreturn))
static void usage(const char *problem)
{
	fprintf(stderr, "crash-writer: %s\n"
		"usage: crash-writer [-s SALT] [-w FIRST] [-o OFFSET] [-g GAP_US] [-t THINK_US]\n"
		"                    [-f DEEP_FLUSH [-a]] [-c COMMAND] TARGET KIND=THREADS...\n",
		problem);
	exit(2);
}

static void add_writers(char *argument)
{
	char *count = strchr(argument, '=');

	if (!count)
		usage(argument);
	*count++ = '\0';
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strcmp(kinds[k].name, argument))
			continue;
		for (int n = atoi(count); n > 0 && writer_count < MAX_WRITERS; n--)
			writers[writer_count++].kind = &kinds[k];
		return;
	}
	usage(argument);
}

static int prepare(struct writer *w, unsigned int index)
{
	w->number = first_writer + index;
	w->random = (salt + w->number + 1) * 0x9e3779b97f4a7c15ull;
	w->fd = w->dir = -1;
	w->record = aligned_alloc(PAGE, MAX_PAGES * sizeof(*w->record));
	if (!w->record)
		return -1;
	if (w->kind->in_directory) {
		w->dir = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (w->dir < 0)
			return -1;
	}
	return w->kind->prepare ? w->kind->prepare(w) : 0;
}

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "as:w:o:g:t:f:c:")) != -1) {
		switch (option) {
		case 'a': ask_region = true; break;
		case 's': salt = strtoul(optarg, NULL, 0); break;
		case 'w': first_writer = strtoul(optarg, NULL, 0); break;
		case 'o': offset = strtoll(optarg, NULL, 0); break;
		case 'g': gap_us = strtoul(optarg, NULL, 0); break;
		case 't': think_us = strtoul(optarg, NULL, 0); break;
		case 'f': deep_flush = optarg; break;
		case 'c': command = optarg; break;
		default: usage("bad option");
		}
	}
	if (argc - optind < 2)
		usage("TARGET and KIND=THREADS are needed");
	target = argv[optind];
	for (int n = optind + 1; n < argc; n++)
		add_writers(argv[n]);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	port_open();
	for (unsigned int n = 0; n < writer_count; n++) {
		if (prepare(&writers[n], n) < 0) {
			perror(writers[n].kind->name);
			return 1;
		}
	}
	for (unsigned int n = 0; n < writer_count; n++) {
		if (pthread_create(&writers[n].thread, NULL, work, &writers[n])) {
			fprintf(stderr, "crash-writer: no thread\n");
			return 1;
		}
	}
	for (unsigned int n = 0; n < writer_count; n++)
		pthread_join(writers[n].thread, NULL);
	return 0;
}
