// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The threads start together; what ends between the end of the warm-up and the
 * end of the run is counted. Meanwhile the first thread of the process, which
 * calls nothing, looks at the machine's processors and interrupts at both ends
 * of that time.
 *
 * All latencies are of one whole call, in ns, from a histogram whose bins are
 * 1/64 wide (1.6 %).
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define NS		1000000000ull
#define STACK		(256 * 1024)

/*
 * A log-linear histogram: values below 64 have a bin each, and every further
 * power of two is divided into 64 bins.
 */
#define SUB_BITS	6
#define SUB		(1u << SUB_BITS)
#define BINS		((64 - SUB_BITS + 1) * SUB)

struct figures {
	uint64_t calls;		/* of the whole run, warm-up and failures too */
	uint64_t ops;		/* that ended well in the measured part */
	uint64_t errors;	/* of the whole run */
	int first_errno;
	uint64_t total_ns;
	uint64_t max_ns;
	uint64_t bins[BINS];
};

struct thread {
	pthread_t id;
	void *own;
	bool rests;
	struct figures figures;
};

/* What the machine has done since it booted. */
struct machine {
	uint64_t busy_ns;	/* of all processors */
	uint64_t interrupts;	/* of virtio devices */
	uint64_t switches;	/* from one task to another */
};

/* Written before the threads start or at the barrier, constant from there on. */
static const struct load *load;
static pthread_barrier_t start_line;
static uint64_t measure_from, measure_until;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / NS), (long)(ns % NS) };
}

/* ----------------------------------------------------------- histogram */

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
static uint64_t percentile(const struct figures *f, unsigned int percent)
{
	uint64_t rank = (f->ops * percent + 99) / 100, seen = 0;

	for (unsigned int bin = 0; bin < BINS; bin++) {
		seen += f->bins[bin];
		if (seen >= rank && seen)
			return bin_end(bin) < f->max_ns ? bin_end(bin) : f->max_ns;
	}
	return 0;
}

static void count(struct figures *f, int error, uint64_t begin, uint64_t end)
{
	uint64_t took = end - begin;

	f->calls++;
	if (error) {
		f->errors++;
		if (!f->first_errno)
			f->first_errno = error;
	} else if (end >= measure_from && end <= measure_until) {
		f->ops++;
		f->total_ns += took;
		if (took > f->max_ns)
			f->max_ns = took;
		f->bins[bin_of(took)]++;
	}
}

static void add(struct figures *sum, const struct figures *f, bool measured)
{
	sum->calls += f->calls;
	sum->errors += f->errors;
	if (!sum->first_errno)
		sum->first_errno = f->first_errno;
	if (!measured)
		return;
	sum->ops += f->ops;
	sum->total_ns += f->total_ns;
	if (f->max_ns > sum->max_ns)
		sum->max_ns = f->max_ns;
	for (unsigned int bin = 0; bin < BINS; bin++)
		sum->bins[bin] += f->bins[bin];
}

/* ------------------------------------------------------------- machine */

/* The first line of /proc/stat has the ticks of all processors, by what they did. */
static void read_stat(struct machine *m)
{
	uint64_t user, nice, system, idle, iowait, irq, softirq;
	FILE *file = fopen("/proc/stat", "re");
	char line[4096];

	if (!file || !fgets(line, sizeof(line), file) ||
	    sscanf(line, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64, &user, &nice, &system, &idle, &iowait, &irq,
		   &softirq) != 7)
		load_fail("/proc/stat", EINVAL);
	m->busy_ns = (user + nice + system + irq + softirq) * NS /
		     (uint64_t)sysconf(_SC_CLK_TCK);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "ctxt %" SCNu64, &m->switches) == 1)
			break;
	fclose(file);
}

/* "NUMBER: COUNT... CHIP NAME", a count for each processor. */
static void read_interrupts(struct machine *m)
{
	FILE *file = fopen("/proc/interrupts", "re");
	char line[4096];

	if (!file)
		load_fail("/proc/interrupts", errno);
	m->interrupts = 0;
	while (fgets(line, sizeof(line), file)) {
		char *p = strchr(line, ':'), *end;

		if (!p || !strstr(line, "virtio"))
			continue;
		for (p++; ; p = end) {
			uint64_t number = strtoull(p, &end, 10);

			if (end == p || *end != ' ')
				break;
			m->interrupts += number;
		}
	}
	fclose(file);
}

static void look(struct machine *m)
{
	read_stat(m);
	read_interrupts(m);
}

static void look_at(uint64_t when, struct machine *m)
{
	struct timespec ts = time_of(when);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	look(m);
}

/* ------------------------------------------------------------- threads */

/* One of all sets the times, while the others wait for it. */
static void start_together(void)
{
	if (pthread_barrier_wait(&start_line) == PTHREAD_BARRIER_SERIAL_THREAD) {
		measure_from = now_ns() + (uint64_t)(load->warmup * NS);
		measure_until = measure_from + (uint64_t)(load->seconds * NS);
	}
	pthread_barrier_wait(&start_line);
}

static void rest(void)
{
	struct timespec ts = time_of((uint64_t)(load->rest_ms * 1e6));

	nanosleep(&ts, NULL);
}

static void *work(void *arg)
{
	struct thread *t = arg;
	uint64_t begin, end;

	start_together();
	end = now_ns();
	do {
		int error;

		begin = end;
		if (load->before) {
			load->before(t->own);
			begin = now_ns();
		}
		error = load->call(t->own);
		end = now_ns();
		count(&t->figures, error, begin, end);
		if (t->rests) {
			rest();
			end = now_ns();
		}
	} while (end < measure_until);
	return NULL;
}

static struct thread *start(void)
{
	struct thread *threads = load_alloc(load->threads * sizeof(*threads));
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_barrier_init(&start_line, NULL, (unsigned int)load->threads + 1);
	for (unsigned long n = 0; n < load->threads; n++) {
		int error;

		threads[n].own = load->own[n];
		threads[n].rests = load->lone && n == 0;
		error = pthread_create(&threads[n].id, &attr, work, &threads[n]);
		if (error)
			load_fail("cannot start a thread", error);
	}
	pthread_attr_destroy(&attr);
	return threads;
}

static void print(const struct figures *sum, const struct machine *from,
		  const struct machine *until)
{
	printf("{\"mode\":\"%s\",\"threads\":%lu,\"seconds\":%g,\"calls\":%" PRIu64
	       ",\"ops\":%" PRIu64 ",\"rate\":%.1f,\"mean_ns\":%" PRIu64 ",\"p50_ns\":%" PRIu64
	       ",\"p99_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64 ",\"errors\":%" PRIu64
	       ",\"busy_ns\":%" PRIu64 ",\"interrupts\":%" PRIu64 ",\"switches\":%" PRIu64 "}\n",
	       load->name, load->threads, load->seconds, sum->calls, sum->ops,
	       (double)sum->ops / load->seconds, sum->ops ? sum->total_ns / sum->ops : 0,
	       percentile(sum, 50), percentile(sum, 99), sum->max_ns, sum->errors,
	       until->busy_ns - from->busy_ns, until->interrupts - from->interrupts,
	       until->switches - from->switches);
}

int load_run(const struct load *what)
{
	struct figures *sum = load_alloc(sizeof(*sum));
	struct machine from, until;
	struct thread *threads;

	load = what;
	threads = start();
	start_together();
	look_at(measure_from, &from);
	look_at(measure_until, &until);
	for (unsigned long n = 0; n < load->threads; n++) {
		pthread_join(threads[n].id, NULL);
		add(sum, &threads[n].figures, !load->lone || n == 0);
	}
	if (sum->errors)
		fprintf(stderr, "%" PRIu64 " calls failed, the first with: %s\n",
			sum->errors, strerror(sum->first_errno));
	print(sum, &from, &until);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ------------------------------------------------------------- options */

void load_fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(EXIT_FAILURE);
}

void *load_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		load_fail("memory", ENOMEM);
	return memory;
}

bool load_number(const char *text, unsigned long low, unsigned long high, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && end != text && !*end && *value >= low && *value <= high;
}

static bool parse_real(const char *text, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	return !errno && end != text && !*end && *value >= 0 && *value <= 3600;
}

bool load_option(struct load *what, int opt, const char *value)
{
	switch (opt) {
	case 't':
		return load_number(value, 1, LOAD_MAX_THREADS, &what->threads);
	case 's':
		return parse_real(value, &what->seconds) && what->seconds > 0;
	case 'w':
		return parse_real(value, &what->warmup);
	case 'l':
		what->lone = true;
		return parse_real(value, &what->rest_ms);
	default:
		return false;
	}
}
