// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that each make a little data durable, over and over: what a database
 * does at each commit, and nothing else. Runs in the guest.
 *
 * Every thread writes one 4 KiB block of its own on a block device that is
 * opened with O_DIRECT, so the page cache plays no part, and asks for it to be
 * durable in one of the ways of enum mode. The threads start together; what
 * ends between the end of the warm-up and the end of the run is counted.
 *
 * The result is one JSON object on stdout. All latencies are of one whole call
 * (write and flush), in ns, from a histogram whose bins are 1/64 wide (1.6 %).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK		4096
#define MAX_THREADS	1024
#define NS		1000000000ull

/*
 * A log-linear histogram: values below 64 have a bin each, and every further
 * power of two is divided into 64 bins.
 */
#define SUB_BITS	6
#define SUB		(1u << SUB_BITS)
#define BINS		((64 - SUB_BITS + 1) * SUB)

enum mode {
	FDATASYNC,	/* pwrite() and fdatasync() */
	DSYNC,		/* pwrite() to a device opened with O_DSYNC */
	FLUSH,		/* write "1" to the file: a region's deep_flush */
};

static const char *const mode_names[] = { "fdatasync", "dsync", "flush" };

struct thread {
	pthread_t id;
	unsigned int number;
	int fd;
	void *block;
	uint64_t calls;		/* of the whole run, warm-up and failures too */
	uint64_t ops;		/* that ended well in the measured part */
	uint64_t errors;	/* of the whole run */
	int first_errno;
	uint64_t total_ns;
	uint64_t max_ns;
	uint64_t bins[BINS];
};

/* Written before the threads start, constant from the barrier on. */
static enum mode mode;
static double warmup = 0.5, seconds = 3;
static pthread_barrier_t start_line;
static uint64_t measure_from, measure_until;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static unsigned int bin_of(uint64_t value)
{
	unsigned int top, shift;

	if (value < SUB)
		return (unsigned int)value;
	top = 63 - (unsigned int)__builtin_clzll(value);
	shift = top - SUB_BITS;
	return (shift + 1) * SUB + (unsigned int)(value >> shift) - SUB;
}

/* The highest value that falls into a bin. */
static uint64_t bin_end(unsigned int bin)
{
	unsigned int shift;

	if (bin < SUB)
		return bin;
	shift = bin / SUB - 1;
	return (((uint64_t)(bin % SUB) + SUB + 1) << shift) - 1;
}

/* The value that PERCENT of the counted ones do not exceed. */
static uint64_t percentile(const struct thread *sum, unsigned int percent)
{
	uint64_t rank = (sum->ops * percent + 99) / 100, seen = 0;

	for (unsigned int bin = 0; bin < BINS; bin++) {
		seen += sum->bins[bin];
		if (seen >= rank && seen)
			return bin_end(bin) < sum->max_ns ? bin_end(bin) : sum->max_ns;
	}
	return 0;
}

/* Make something durable once; 0 or an errno. */
static int call(const struct thread *t)
{
	off_t offset = (off_t)t->number * BLOCK;

	if (mode == FLUSH)
		return pwrite(t->fd, "1", 1, 0) == 1 ? 0 : errno;

	errno = EIO;	/* a short write sets none */
	if (pwrite(t->fd, t->block, BLOCK, offset) != BLOCK)
		return errno;
	if (mode == FDATASYNC && fdatasync(t->fd) < 0)
		return errno;
	return 0;
}

static void *work(void *arg)
{
	struct thread *t = arg;
	uint64_t begin, end;

	/* One thread of all sets the times, while the others wait for it. */
	if (pthread_barrier_wait(&start_line) == PTHREAD_BARRIER_SERIAL_THREAD) {
		measure_from = now_ns() + (uint64_t)(warmup * NS);
		measure_until = measure_from + (uint64_t)(seconds * NS);
	}
	pthread_barrier_wait(&start_line);

	begin = now_ns();
	do {
		int error;

		memcpy(t->block, &t->calls, sizeof(t->calls));
		error = call(t);
		end = now_ns();
		t->calls++;
		if (error) {
			t->errors++;
			if (!t->first_errno)
				t->first_errno = error;
		} else if (end >= measure_from && end <= measure_until) {
			uint64_t took = end - begin;

			t->ops++;
			t->total_ns += took;
			if (took > t->max_ns)
				t->max_ns = took;
			t->bins[bin_of(took)]++;
		}
		begin = end;
	} while (end < measure_until);
	return NULL;
}

static void add(struct thread *sum, const struct thread *t)
{
	sum->calls += t->calls;
	sum->ops += t->ops;
	sum->errors += t->errors;
	if (!sum->first_errno)
		sum->first_errno = t->first_errno;
	sum->total_ns += t->total_ns;
	if (t->max_ns > sum->max_ns)
		sum->max_ns = t->max_ns;
	for (unsigned int bin = 0; bin < BINS; bin++)
		sum->bins[bin] += t->bins[bin];
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "fsync-load: %s: %s\n", what, strerror(error));
	exit(EXIT_FAILURE);
}

static struct thread *prepare(const char *path, unsigned int count)
{
	static const int flags[] = {
		[FDATASYNC] = O_RDWR | O_DIRECT,
		[DSYNC] = O_RDWR | O_DIRECT | O_DSYNC,
		[FLUSH] = O_WRONLY,
	};
	struct thread *threads = calloc(count, sizeof(*threads));

	if (!threads)
		fail("memory", ENOMEM);
	for (unsigned int n = 0; n < count; n++) {
		threads[n].number = n;
		threads[n].fd = open(path, flags[mode] | O_CLOEXEC);
		if (threads[n].fd < 0)
			fail(path, errno);
		threads[n].block = aligned_alloc(BLOCK, BLOCK);
		if (!threads[n].block)
			fail("memory", ENOMEM);
		memset(threads[n].block, (int)n, BLOCK);
	}
	return threads;
}

static void run(struct thread *threads, unsigned int count)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_barrier_init(&start_line, NULL, count);
	for (unsigned int n = 0; n < count; n++) {
		int error = pthread_create(&threads[n].id, &attr, work, &threads[n]);

		if (error)
			fail("cannot start a thread", error);
	}
	for (unsigned int n = 0; n < count; n++)
		pthread_join(threads[n].id, NULL);
	pthread_attr_destroy(&attr);
}

static void print(const struct thread *sum, unsigned int count)
{
	printf("{\"mode\":\"%s\",\"threads\":%u,\"seconds\":%g,\"calls\":%" PRIu64
	       ",\"ops\":%" PRIu64 ",\"rate\":%.1f,\"mean_ns\":%" PRIu64 ",\"p50_ns\":%" PRIu64
	       ",\"p99_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64 ",\"errors\":%" PRIu64 "}\n",
	       mode_names[mode], count, seconds, sum->calls, sum->ops,
	       (double)sum->ops / seconds, sum->ops ? sum->total_ns / sum->ops : 0,
	       percentile(sum, 50), percentile(sum, 99), sum->max_ns, sum->errors);
}

static void usage(FILE *out)
{
	fputs("usage: fsync-load [options] FILE\n\n"
	      "FILE is a block device, which is overwritten from its start on, or with -m flush\n"
	      "a region's deep_flush.\n\n"
	      "  -m MODE  fdatasync (default): pwrite and fdatasync; dsync: pwrite with O_DSYNC;\n"
	      "           flush: write 1 to FILE\n"
	      "  -t N     threads (default 1)\n"
	      "  -s S     seconds to measure (default 3)\n"
	      "  -w S     seconds of warm-up before that (default 0.5)\n"
	      "  -h       this text\n", out);
}

static bool parse_seconds(const char *text, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	return !errno && end != text && !*end && *value >= 0 && *value <= 3600;
}

int main(int argc, char **argv)
{
	unsigned long count = 1;
	struct thread *threads, *sum;
	bool good = true;
	char *end;
	int opt;

	while ((opt = getopt(argc, argv, "m:t:s:w:h")) != -1) {
		switch (opt) {
		case 'm':
			for (mode = FDATASYNC; mode <= FLUSH; mode++)
				if (!strcmp(optarg, mode_names[mode]))
					break;
			good = good && mode <= FLUSH;
			break;
		case 't':
			count = strtoul(optarg, &end, 10);
			good = good && !*end && count >= 1 && count <= MAX_THREADS;
			break;
		case 's':
			good = good && parse_seconds(optarg, &seconds) && seconds > 0;
			break;
		case 'w':
			good = good && parse_seconds(optarg, &warmup);
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			good = false;
		}
	}
	if (!good || optind != argc - 1) {
		usage(stderr);
		return 2;
	}

	threads = prepare(argv[optind], (unsigned int)count);
	run(threads, (unsigned int)count);
	sum = calloc(1, sizeof(*sum));
	if (!sum)
		fail("memory", ENOMEM);
	for (unsigned long n = 0; n < count; n++)
		add(sum, &threads[n]);
	if (sum->errors)
		fprintf(stderr, "fsync-load: %" PRIu64 " calls failed, the first with: %s\n",
			sum->errors, strerror(sum->first_errno));
	print(sum, (unsigned int)count);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
