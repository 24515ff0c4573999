// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that flush one region in many ways until they are told to stop, and
 * count how each call ended:
 *
 *	flush-load [-t THREADS] [-k KIND[,KIND...]] [-b BLOCK_DEVICE]
 *		   [-r DEEP_FLUSH_FILE] [-d DIRECTORY] [-w MS]
 *
 * The threads (64) are dealt to the kinds in turn:
 *
 *	preflush, fua, preflush_fua	bios of 4 KiB with these flags
 *	empty		bio with PREFLUSH and no data
 *	fsync		pwrite() of 4 KiB with O_DIRECT, then fdatasync()
 *	deep_flush	write "1" to DEEP_FLUSH_FILE
 *	file		pwrite() of 4 KiB to a file in DIRECTORY, then fsync()
 *
 * The first five need -b; without -k it is all those whose option is given. They
 * write each thread's own block among the first THREADS of BLOCK_DEVICE, save
 * "empty", the only one for a device that is in use. Bios are sent by threads of
 * the kernel, which nothing freezes: see kmod/vpmem_test_load.c, which must be
 * loaded. After an error a thread pauses, opens its file anew and goes on.
 *
 * Once each thread has opened its file, or has failed to, it prints "running".
 * Then, on standard input, "report" asks for a line of JSON, and end of file
 * stops: it sends nothing more, waits MS (10000) for answers, prints the last
 * line and exits. With the numbers of each kind under its name, a line is
 *
 *	{"calls": N, "again": N, "absent": N, "unanswered": N, "oldest_us": N,
 *	 "max_us": N, "ends": {"0": N, "EIO": N, ...}, "kinds": {"fua": {...}, ...}}
 *
 * calls: made, answered or not; again: bios that ended more than once; absent:
 * failed attempts to open the file; unanswered, and the oldest of these: calls
 * under way, or after the stop those that were never answered; max_us: the
 * longest call; ends: how many ended with each errno, "0" is success.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK		4096
#define LOAD		"/sys/kernel/debug/vpmem_test_load"
#define ERRNOS		134
#define PAUSE_US	200000
#define ABSENT_US	100000

enum { CALLS, AGAIN, ABSENT, UNANSWERED, OLDEST_US, MAX_US, NUMBERS };

static const char *const number_names[NUMBERS] = {
	"calls", "again", "absent", "unanswered", "oldest_us", "max_us",
};

struct counts {
	uint64_t numbers[NUMBERS];
	uint64_t ends[ERRNOS];
	unsigned int first;	/* threads that have got so far */
};

struct worker {
	const struct kind *kind;
	int number;
	bool first;
	bool ended;
	uint64_t since_us;	/* of the call under way, or 0 */
};

static int call_fsync(int fd, const struct worker *w);
static int call_deep_flush(int fd, const struct worker *w);

enum target { DEVICE, REGION, DIRECTORY, TARGETS };

static const struct kind {
	const char *name;
	enum target target;
	const char *bio;	/* FLAGS and LENGTH for the kernel's threads, or NULL: ours */
	int flags;
	int (*call)(int fd, const struct worker *w);
} kinds[] = {
	{ .name = "preflush", .bio = "P 4096" },
	{ .name = "fua", .bio = "F 4096" },
	{ .name = "preflush_fua", .bio = "PF 4096" },
	{ .name = "empty", .bio = "P 0" },
	{ .name = "fsync", .flags = O_RDWR | O_DIRECT, .call = call_fsync },
	{ .name = "deep_flush", .target = REGION, .flags = O_WRONLY, .call = call_deep_flush },
	{ .name = "file", .target = DIRECTORY, .flags = O_RDWR | O_CREAT, .call = call_fsync },
};

#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static const char *targets[TARGETS];
static int threads = 64, wait_ms = 10000;
static struct worker *workers;
static int share[KINDS];		/* threads of each kind */
static int loads[KINDS];		/* descriptors, of the kinds that are bios */
static atomic_bool stopping;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* counts, workers */
static struct counts own[KINDS];
static char block[BLOCK] __attribute__((aligned(BLOCK)));

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "flush-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --------------------------------------------------------- threads of ours */

static int call_fsync(int fd, const struct worker *w)
{
	off_t where = w->kind->target == DEVICE ? (off_t)w->number * BLOCK : 0;

	return pwrite(fd, block, BLOCK, where) == BLOCK ? fdatasync(fd) : -1;
}

static int call_deep_flush(int fd, const struct worker *w)
{
	(void)w;
	return write(fd, "1", 1) == 1 ? 0 : -1;
}

static int open_target(struct worker *w)
{
	char path[4096];
	int fd;

	if (w->kind->target == DIRECTORY)
		snprintf(path, sizeof(path), "%s/flush-load.%d", targets[DIRECTORY], w->number);
	else
		snprintf(path, sizeof(path), "%s", targets[w->kind->target]);
	fd = open(path, w->kind->flags | O_CLOEXEC, 0600);
	pthread_mutex_lock(&lock);
	w->first = true;
	own[w->kind - kinds].numbers[ABSENT] += fd < 0;
	pthread_mutex_unlock(&lock);
	if (fd < 0)
		usleep(ABSENT_US);
	return fd;
}

static int call(struct worker *w, int fd)
{
	struct counts *c = &own[w->kind - kinds];
	uint64_t took;
	int err;

	pthread_mutex_lock(&lock);
	c->numbers[CALLS]++;
	w->since_us = now_us();
	pthread_mutex_unlock(&lock);
	err = w->kind->call(fd, w) < 0 ? errno : 0;
	pthread_mutex_lock(&lock);
	took = now_us() - w->since_us;
	w->since_us = 0;
	c->ends[err < ERRNOS ? err : EIO]++;
	if (took > c->numbers[MAX_US])
		c->numbers[MAX_US] = took;
	pthread_mutex_unlock(&lock);
	return err;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	int fd = -1;

	while (!stopping) {
		if (fd < 0)
			fd = open_target(w);
		if (fd >= 0 && call(w, fd)) {
			close(fd);
			fd = -1;
			usleep(PAUSE_US);
		}
	}
	if (fd >= 0)
		close(fd);
	pthread_mutex_lock(&lock);
	w->ended = true;
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* ---------------------------------------------------- threads of the kernel */

static void start_bios(size_t kind, int first)
{
	char text[256];
	int n;

	loads[kind] = open(LOAD, O_RDWR | O_CLOEXEC);
	if (loads[kind] < 0)
		die(LOAD);
	n = snprintf(text, sizeof(text), "%s %s %d %d", targets[DEVICE], kinds[kind].bio, first,
		     share[kind]);
	if (write(loads[kind], text, n) != n)
		die("start of bios");
}

/* One word of the kernel's report. */
static void parse(struct counts *c, const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : 0;
	uint64_t n;
	int i;

	if (!value)
		return;
	n = strtoull(value + 1, NULL, 10);
	if (!strncmp(word, "first=", 6))
		c->first = n;
	for (i = 0; i < NUMBERS; i++)
		if (strlen(number_names[i]) == len && !strncmp(word, number_names[i], len))
			c->numbers[i] = n;
	if (*word >= '0' && *word <= '9' && atoi(word) < ERRNOS)
		c->ends[atoi(word)] = n;
}

static void read_bios(size_t kind, struct counts *c)
{
	char text[1024], *word;
	ssize_t n = pread(loads[kind], text, sizeof(text) - 1, 0);

	if (n <= 0)
		die(LOAD);
	text[n] = '\0';
	for (word = strtok(text, " \n"); word; word = strtok(NULL, " \n"))
		parse(c, word);
}

/* ------------------------------------------------------------------ reports */

static void read_own(size_t kind, struct counts *c)
{
	uint64_t now = now_us();
	int i;

	pthread_mutex_lock(&lock);
	*c = own[kind];
	for (i = 0; i < threads; i++) {
		const struct worker *w = &workers[i];

		if (w->kind != &kinds[kind])
			continue;
		c->first += w->first;
		if (!w->since_us)
			continue;
		c->numbers[UNANSWERED]++;
		if (now - w->since_us > c->numbers[OLDEST_US])
			c->numbers[OLDEST_US] = now - w->since_us;
	}
	pthread_mutex_unlock(&lock);
}

static void add(struct counts *sum, const struct counts *c)
{
	int i;

	sum->first += c->first;
	for (i = 0; i < NUMBERS; i++)
		if (i != OLDEST_US && i != MAX_US)
			sum->numbers[i] += c->numbers[i];
		else if (c->numbers[i] > sum->numbers[i])
			sum->numbers[i] = c->numbers[i];
	for (i = 0; i < ERRNOS; i++)
		sum->ends[i] += c->ends[i];
}

/* All kinds, each and together. */
static void read_all(struct counts each[KINDS], struct counts *sum)
{
	size_t i;

	memset(each, 0, KINDS * sizeof(*each));
	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < KINDS; i++) {
		if (!share[i])
			continue;
		if (kinds[i].bio)
			read_bios(i, &each[i]);
		else
			read_own(i, &each[i]);
		add(sum, &each[i]);
	}
}

static void print_counts(const struct counts *c)
{
	const char *comma = "";
	int i;

	for (i = 0; i < NUMBERS; i++)
		printf("\"%s\": %llu, ", number_names[i], (unsigned long long)c->numbers[i]);
	printf("\"ends\": {");
	for (i = 0; i < ERRNOS; i++) {
		if (!c->ends[i])
			continue;
		printf("%s\"%s\": %llu", comma, i ? strerrorname_np(i) : "0",
		       (unsigned long long)c->ends[i]);
		comma = ", ";
	}
	printf("}");
}

static void print_report(void)
{
	struct counts each[KINDS], sum;
	const char *comma = "";
	size_t i;

	read_all(each, &sum);
	printf("{");
	print_counts(&sum);
	printf(", \"kinds\": {");
	for (i = 0; i < KINDS; i++) {
		if (!share[i])
			continue;
		printf("%s\"%s\": {", comma, kinds[i].name);
		print_counts(&each[i]);
		printf("}");
		comma = ", ";
	}
	printf("}}\n");
	fflush(stdout);
}

/* --------------------------------------------------------------------- life */

/* Which kinds there are threads of: LIST, or NULL for all that have a target. */
static bool choose(const char *list)
{
	bool chosen[KINDS] = { false };
	int left = threads, any = 0;
	size_t i, len;

	while (list && *list) {
		len = strcspn(list, ",");
		for (i = 0; i < KINDS; i++)
			if (strlen(kinds[i].name) == len && !strncmp(kinds[i].name, list, len))
				break;
		if (i == KINDS || !targets[kinds[i].target])
			return false;
		chosen[i] = true;
		any++;
		list += len + (list[len] == ',');
	}
	for (i = 0; !any && i < KINDS; i++)
		chosen[i] = targets[kinds[i].target];
	for (i = 0, any = 0; i < KINDS; i++)
		any += chosen[i];
	while (any && left)
		for (i = 0; i < KINDS && left; i++)
			if (chosen[i]) {
				share[i]++;
				left--;
			}
	return any;
}

static void start(void)
{
	pthread_t id;
	int next = 0, i;
	size_t kind;

	workers = calloc(threads, sizeof(*workers));
	if (!workers)
		die("memory");
	memset(block, 0xa5, sizeof(block));
	for (kind = 0; kind < KINDS; next += share[kind++]) {
		if (!share[kind])
			continue;
		if (kinds[kind].bio) {
			start_bios(kind, next);
			continue;
		}
		for (i = next; i < next + share[kind]; i++) {
			workers[i].kind = &kinds[kind];
			workers[i].number = i;
			errno = pthread_create(&id, NULL, work, &workers[i]);
			if (errno)
				die("thread");
			pthread_detach(id);
		}
	}
}

/* Send nothing more, and wait for answers; who has none shows in the report. */
static void stop(void)
{
	uint64_t end = now_us() + (uint64_t)wait_ms * 1000, now;
	char text[32];
	int running, i, n;
	size_t kind;

	stopping = true;
	for (kind = 0; kind < KINDS; kind++)
		if (kinds[kind].bio && share[kind] &&
		    write(loads[kind], "stop 0", 6) < 0 && errno != ETIMEDOUT)
			die("stop");
	for (kind = 0; kind < KINDS; kind++) {
		now = now_us();
		n = snprintf(text, sizeof(text), "stop %d", now < end ? (int)((end - now) / 1000) : 0);
		if (kinds[kind].bio && share[kind] &&
		    write(loads[kind], text, n) < 0 && errno != ETIMEDOUT)
			die("stop");
	}
	do {
		pthread_mutex_lock(&lock);
		for (i = 0, running = 0; i < threads; i++)
			running += workers[i].kind && !workers[i].ended;
		pthread_mutex_unlock(&lock);
	} while (running && now_us() < end && !usleep(5000));
}

static void wait_until_running(void)
{
	struct counts each[KINDS], sum;

	do {
		usleep(5000);
		read_all(each, &sum);
	} while (sum.first < (unsigned int)threads);
	printf("running\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *list = NULL;
	char line[64];
	int opt;

	while ((opt = getopt(argc, argv, "t:k:b:r:d:w:")) != -1) {
		switch (opt) {
		case 't':
			threads = atoi(optarg);
			break;
		case 'k':
			list = optarg;
			break;
		case 'b':
			targets[DEVICE] = optarg;
			break;
		case 'r':
			targets[REGION] = optarg;
			break;
		case 'd':
			targets[DIRECTORY] = optarg;
			break;
		case 'w':
			wait_ms = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (optind != argc || threads < 1 || !choose(list)) {
		fprintf(stderr, "usage: flush-load [-t THREADS] [-k KIND[,KIND...]] "
				"[-b BLOCK_DEVICE] [-r DEEP_FLUSH_FILE] [-d DIRECTORY] [-w MS]\n");
		return 2;
	}
	start();
	wait_until_running();
	while (fgets(line, sizeof(line), stdin))
		if (!strcmp(line, "report\n"))
			print_report();
	stop();
	print_report();
	_exit(0);
}
