// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several threads, each with a context of its own, at the same time: each sees what
 * one alone sees. With ThreadSanitizer it also shows that they share nothing; what
 * else a test has in threads (limit.c) is in test-limit.c.
 */
#include "testbed.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

#define THREADS		4
#define ROUNDS		3

struct reader {
	struct virtpmem_region *copy;	/* for this thread: of a region of the first one's */
	struct virtpmem_ctx *ctx;
	char *text;
	pthread_t thread;
};

/* Not with open_memstream(): ThreadSanitizer does not see what umockdev's fclose() closes. */
static void say(struct reader *reader, const char *format, ...)
	__attribute__((__format__(__printf__, 2, 3)));

static void say(struct reader *reader, const char *format, ...)
{
	char *words = NULL, *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&words, format, args) < 0 ||
	    asprintf(&text, "%s%s", reader->text ? reader->text : "", words) < 0)
		abort();
	va_end(args);
	free(words);
	free(reader->text);
	reader->text = text;
}

static void show_values(struct reader *reader, struct virtpmem_region *region)
{
	_cleanup_virtpmem_histogram_unref_ struct virtpmem_histogram *hist = NULL;
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	enum virtpmem_state state = VIRTPMEM_STATE_UNKNOWN;
	uint64_t size = 0, requests = 0;

	virtpmem_region_get_size(region, &size);
	virtpmem_region_get_state(region, &state);
	if (!virtpmem_region_get_stats(region, &stats))
		virtpmem_stats_get(stats, VIRTPMEM_STAT_REQUESTS, &requests);
	say(reader, "%s %s %" PRIu64 " %s %" PRIu64 " %d\n", virtpmem_region_get_devname(region),
	    virtpmem_region_get_path(region), size, virtpmem_state_name(state), requests,
	    virtpmem_region_get_latency_histogram(region, &hist));
}

static void show_devices(struct reader *reader, struct virtpmem_region *region)
{
	struct virtpmem_namespace *ns;
	struct virtpmem_dax *dax;
	bool has_dax;

	virtpmem_namespace_foreach(region, ns) {
		enum virtpmem_mode mode = VIRTPMEM_MODE_UNKNOWN;
		_cleanup_free_ char *reason = NULL;

		virtpmem_namespace_get_mode(ns, &mode);
		say(reader, "  %s %s %d\n", virtpmem_namespace_get_devname(ns),
		    virtpmem_mode_name(mode), virtpmem_namespace_get_dax(ns, &has_dax, &reason));
	}
	virtpmem_dax_foreach(region, dax)
		say(reader, "  %s\n", virtpmem_dax_get_devname(dax));
}

static void show_snapshots(struct reader *reader, struct virtpmem_region *region)
{
	_cleanup_virtpmem_bad_ranges_unref_ struct virtpmem_bad_ranges *ranges = NULL;
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	_cleanup_virtpmem_health_unref_ struct virtpmem_health *health = NULL;
	struct virtpmem_bad_range *range;
	struct virtpmem_holder *holder;

	if (!virtpmem_region_get_bad_ranges(region, &ranges))
		virtpmem_bad_range_foreach(ranges, range)
			say(reader, "  %s\n", virtpmem_bad_range_get_device(range));
	if (!virtpmem_region_get_holders(region, VIRTPMEM_HOLDERS_CLAIMED, &holders))
		virtpmem_holder_foreach(holders, holder)
			say(reader, "  %s\n", virtpmem_holder_get_name(holder));
	if (!virtpmem_region_get_health(region, holders, 1, &health))
		say(reader, "  %s\n",
		    virtpmem_health_level_name(virtpmem_health_get_level(health)));
}

static void show(struct reader *reader, struct virtpmem_region *region)
{
	show_values(reader, region);
	show_devices(reader, region);
	show_snapshots(reader, region);
}

/* In a thread; nothing is asserted here. */
static void *read_all(void *data)
{
	struct reader *reader = data;
	struct virtpmem_region *region;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		say(reader, "%d\n", virtpmem_scan(reader->ctx));
		virtpmem_snapshot_begin(reader->ctx);
		virtpmem_region_foreach(reader->ctx, region)
			show(reader, region);
		virtpmem_snapshot_end(reader->ctx);
		show(reader, reader->copy);
	}
	return NULL;
}

static void reader_init(struct reader *reader, const char *proc, struct virtpmem_region *region)
{
	*reader = (struct reader) { .copy = NULL };
	assert_int_equal(virtpmem_new(&reader->ctx), 0);
	reader->ctx->proc = proc;
	assert_int_equal(virtpmem_region_copy(region, reader->ctx, &reader->copy), 0);
}

static void reader_done(struct reader *reader)
{
	virtpmem_region_unref(reader->copy);
	virtpmem_unref(reader->ctx);
	free(reader->text);
}

static void threads_with_contexts_of_their_own_see_the_same(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct reader alone, readers[THREADS];
	char *proc;
	int i;

	testbed_add_proc(*state);
	testbed_set_mounts(*state, "27 1 259:1 / /data rw - ext4 /dev/pmem0 rw\n");
	testbed_write(*state, "region0/badblocks", "8 8\n");
	proc = testbed_path(*state, "proc");
	reader_init(&alone, proc, region);
	read_all(&alone);
	assert_non_null(strstr(alone.text, "namespace0.0"));
	for (i = 0; i < THREADS; i++)
		reader_init(&readers[i], proc, region);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
	for (i = 0; i < THREADS; i++) {
		assert_string_equal(readers[i].text, alone.text);
		reader_done(&readers[i]);
	}
	reader_done(&alone);
	free(proc);
}

#define t(fn_, fixture_)	testbed_test(#fn_ " on " fixture_, fn_, fixture_)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(threads_with_contexts_of_their_own_see_the_same, "virtpmem-6.12"),
		t(threads_with_contexts_of_their_own_see_the_same, "in-tree-6.1"),
	};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
