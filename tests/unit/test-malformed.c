// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * U3: every file of sysfs that the library reads, with everything that can be
 * wrong with a file. Each pair is a test: the getter fails with the errno that
 * the case has, writes nothing to its output, and the log names the file.
 */
#include "testbed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------- what is read */

/* Where a getter writes; preset, so that a write on failure shows. */
union output {
	uint64_t u64;
	unsigned int uint;
	int num;
	bool yes;
	char *text;
	void *object;
	unsigned char bytes[16];
};

typedef int (*get_fn)(struct virtpmem_region *region, union output *out);

#define GETTER(name_, field_) \
	static int get_##name_(struct virtpmem_region *region, union output *out) \
	{ \
		return virtpmem_region_get_##name_(region, &out->field_); \
	}

GETTER(size, u64)
GETTER(available_size, u64)
GETTER(resource, u64)
GETTER(numa_node, num)
GETTER(read_only, yes)
GETTER(persistence_domain, text)
GETTER(provider, text)
GETTER(module_version, text)
GETTER(abi, uint)
GETTER(broken_reason, text)
GETTER(error_policy, text)
GETTER(queue_depth, u64)
GETTER(queue_depth_max, u64)
GETTER(in_flight_us, u64)

static int get_type(struct virtpmem_region *region, union output *out)
{
	return virtpmem_region_get_type(region, (enum virtpmem_region_type *)out);
}

static int get_state(struct virtpmem_region *region, union output *out)
{
	return virtpmem_region_get_state(region, (enum virtpmem_state *)out);
}

static int get_stats(struct virtpmem_region *region, union output *out)
{
	return virtpmem_region_get_stats(region, (struct virtpmem_stats **)out);
}

static int get_histogram(struct virtpmem_region *region, union output *out)
{
	return virtpmem_region_get_latency_histogram(region, (struct virtpmem_histogram **)out);
}

static int get_flush_method(struct virtpmem_region *region, union output *out)
{
	return virtpmem_region_get_flush_method(region, (enum virtpmem_flush_method *)out, NULL);
}

static int flush(struct virtpmem_region *region, union output *out)
{
	(void)out;
	return virtpmem_region_flush(region, 0, NULL);
}

#define NS_GETTER(name_, type_) \
	static int get_ns_##name_(struct virtpmem_region *region, union output *out) \
	{ \
		return virtpmem_namespace_get_##name_(virtpmem_namespace_get_first(region), \
						      (type_ *)out); \
	}

NS_GETTER(size, uint64_t)
NS_GETTER(mode, enum virtpmem_mode)
NS_GETTER(write_cache, enum virtpmem_write_cache)

#define DEEP_FLUSH	VIRTIO_PMEM_ATTR_DEEP_FLUSH
#define VERSION		"../../driver/module/version"

enum kind {
	WORD = 1,	/* any line of text that is not empty */
	CHOICE = 2,	/* one of a few words or digits */
	NUMBER = 4,
};

static void drop_nothing(union output *out)
{
	(void)out;
}

static void drop_text(union output *out)
{
	free(out->text);
}

static void drop_stats(union output *out)
{
	virtpmem_stats_unref(out->object);
}

static void drop_histogram(union output *out)
{
	virtpmem_histogram_unref(out->object);
}

/* @file as the log names it too, after the region's name. */
static const struct subject {
	const char *fixture;
	const char *file;
	enum kind kind;
	get_fn get;
	void (*drop)(union output *out);
} subjects[] = {
	{ "nfit-6.12", "size", NUMBER, get_size, drop_nothing },
	{ "nfit-6.12", "available_size", NUMBER, get_available_size, drop_nothing },
	{ "nfit-6.12", "resource", NUMBER, get_resource, drop_nothing },
	{ "nfit-6.12", "numa_node", NUMBER, get_numa_node, drop_nothing },
	{ "nfit-6.12", "read_only", CHOICE, get_read_only, drop_nothing },
	{ "nfit-6.12", "devtype", WORD, get_type, drop_nothing },
	{ "nfit-6.12", "persistence_domain", WORD, get_persistence_domain, drop_text },
	{ "nfit-6.12", "../provider", WORD, get_provider, drop_text },
	{ "nfit-6.12", DEEP_FLUSH, CHOICE, get_flush_method, drop_nothing },
	{ "virtpmem-6.12", DEEP_FLUSH, CHOICE, flush, drop_nothing },
	{ "virtpmem-6.12", VERSION, WORD, get_module_version, drop_text },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_ABI), NUMBER, get_abi, drop_nothing },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_STATE), WORD, get_state, drop_nothing },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON), WORD, get_broken_reason,
	  drop_text },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY), WORD, get_error_policy,
	  drop_text },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_QUEUE_DEPTH), NUMBER, get_queue_depth,
	  drop_nothing },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_QUEUE_DEPTH_MAX), NUMBER,
	  get_queue_depth_max, drop_nothing },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_IN_FLIGHT_US), NUMBER, get_in_flight_us,
	  drop_nothing },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS), NUMBER, get_stats, drop_stats },
	{ "virtpmem-6.12", GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_LATENCY), NUMBER, get_histogram,
	  drop_histogram },
	{ "in-tree-6.12", "namespace0.0/size", NUMBER, get_ns_size, drop_nothing },
	{ "in-tree-6.12", "namespace0.0/mode", WORD, get_ns_mode, drop_nothing },
	{ "in-tree-6.12", "namespace0.0/mode", WORD, flush, drop_nothing },
	{ "in-tree-6.12", "namespace0.0/block/pmem0/queue/write_cache", CHOICE, get_ns_write_cache,
	  drop_nothing },
	{ "in-tree-6.12", "namespace0.0/block/pmem0/queue/write_cache", CHOICE, flush,
	  drop_nothing },
	{ "in-tree-6.12", "namespace0.0/block/pmem0/dev", CHOICE, flush, drop_nothing },
};

/* --------------------------------------------------- what can be wrong */

struct testcase {
	const struct subject *subject;
	const struct flaw *flaw;
};

typedef void (*spoil_fn)(struct testbed *tb, const char *path, const struct flaw *flaw);

static void spoil_text(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_binary(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_huge(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_long_line(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_directory(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_fifo(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_mode(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_missing(struct testbed *tb, const char *path, const struct flaw *flaw);
static void spoil_cut(struct testbed *tb, const char *path, const struct flaw *flaw);

#define ALL	(WORD | CHOICE | NUMBER)
static const struct flaw {
	const char *name;
	unsigned int kinds;
	spoil_fn spoil;
	int error;
	const char *text;
} flaws[] = {
	{ "missing", ALL, spoil_missing, -EOPNOTSUPP, NULL },
	{ "not permitted", ALL, spoil_mode, -EACCES, NULL },
	{ "empty", ALL, spoil_text, -EBADMSG, "" },
	{ "an empty line", CHOICE | NUMBER, spoil_text, -EBADMSG, "\n" },
	{ "1 MiB long", ALL, spoil_huge, -EBADMSG, NULL },
	{ "a line that ends behind the limit", ALL, spoil_long_line, -EBADMSG, NULL },
	{ "binary", ALL, spoil_binary, -EBADMSG, NULL },
	{ "cut off", ALL, spoil_cut, -EBADMSG, NULL },
	{ "two lines", ALL, spoil_text, -EBADMSG, "1\n1\n" },
	{ "an escape sequence", ALL, spoil_text, -EBADMSG, "\033[2J1\n" },
	{ "not ASCII", ALL, spoil_text, -EBADMSG, "\303\251\n" },
	{ "a directory", ALL, spoil_directory, -EISDIR, NULL },
	{ "a FIFO", ALL, spoil_fifo, -EBADMSG, NULL },
	{ "a word", CHOICE | NUMBER, spoil_text, -EBADMSG, "banana\n" },
	{ "a number and more", CHOICE | NUMBER, spoil_text, -EBADMSG, "1x\n" },
	{ "a space before", CHOICE | NUMBER, spoil_text, -EBADMSG, " 1\n" },
	{ "a space behind", CHOICE | NUMBER, spoil_text, -EBADMSG, "1 \n" },
	{ "a plus sign", CHOICE | NUMBER, spoil_text, -EBADMSG, "+1\n" },
	{ "negative", CHOICE | NUMBER, spoil_text, -EBADMSG, "-2\n" },
	{ "an overflow", CHOICE | NUMBER, spoil_text, -EBADMSG, "18446744073709551616\n" },
	{ "a hexadecimal overflow", CHOICE | NUMBER, spoil_text, -EBADMSG,
	  "0x10000000000000000\n" },
	{ "a fraction", CHOICE | NUMBER, spoil_text, -EBADMSG, "1.5\n" },
};

static void spoil_text(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	testbed_write(tb, path, flaw->text);
}

static void spoil_binary(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	(void)flaw;
	testbed_write_data(tb, path, "1\0\1\377\n", 5);
}

static void spoil_huge(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	static char data[1 << 20];

	(void)flaw;
	memset(data, '1', sizeof(data));
	data[sizeof(data) - 1] = '\n';
	testbed_write_data(tb, path, data, sizeof(data));
}

static void spoil_long_line(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	static char data[4097];

	(void)flaw;
	memset(data, '1', sizeof(data));
	data[sizeof(data) - 1] = '\n';
	testbed_write_data(tb, path, data, sizeof(data));
}

static void spoil_directory(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	(void)flaw;
	testbed_remove(tb, path);
	testbed_mkdir(tb, path);
}

static void spoil_fifo(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	char *full = testbed_path(tb, path);

	(void)flaw;
	testbed_remove(tb, path);
	assert_int_equal(mkfifo(full, 0644), 0);
	free(full);
}

static void spoil_mode(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	(void)flaw;
	testbed_chmod(tb, path, 0);
	testbed_drop_root();
}

static void spoil_missing(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	(void)flaw;
	testbed_remove(tb, path);
}

static void spoil_cut(struct testbed *tb, const char *path, const struct flaw *flaw)
{
	char *text = testbed_read(tb, path);

	(void)flaw;
	assert_true(strlen(text) > 1);
	text[strlen(text) - 1] = '\0';
	testbed_write(tb, path, text);
	free(text);
}

/* -------------------------------------------------------------- tests */

/* Building a tree takes long: one for each fixture, and every case puts its file back. */
static struct {
	const char *fixture;
	struct testbed *tb;
	struct virtpmem_region *region;
} shared[3];

static struct testbed *shared_testbed(const char *fixture, struct virtpmem_region **region)
{
	size_t i;

	for (i = 0; shared[i].fixture && strcmp(shared[i].fixture, fixture) != 0; i++)
		assert_true(i + 1 < ARRAY_SIZE(shared));
	if (!shared[i].fixture) {
		shared[i].fixture = fixture;
		shared[i].tb = testbed_new(fixture);
		shared[i].region = testbed_region(shared[i].tb, "region0");
		assert_non_null(virtpmem_namespace_get_first(shared[i].region));
	}
	*region = shared[i].region;
	return shared[i].tb;
}

static int free_shared(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(shared); i++)
		testbed_free(shared[i].tb);
	return 0;
}

static char *path_of(const struct subject *subject)
{
	char *path;

	if (!strcmp(subject->file, VERSION))
		return strdup("sys/module/virtio_pmem/version");
	assert_true(asprintf(&path, "region0/%s", subject->file) > 0);
	return path;
}

static void check(void **state)
{
	const struct testcase *testcase = *state;
	const struct subject *subject = testcase->subject;
	const struct flaw *flaw = testcase->flaw;
	struct virtpmem_region *region;
	struct testbed *tb = shared_testbed(subject->fixture, &region);
	char *path = path_of(subject), *content = testbed_read(tb, path);
	union output preset, out;
	bool logged, untouched;
	int before, r;

	before = subject->get(region, &out);
	if (!before)
		subject->drop(&out);

	testbed_clear_log(tb);
	flaw->spoil(tb, path, flaw);
	memset(&preset, 0xa5, sizeof(preset));
	out = preset;
	r = subject->get(region, &out);
	testbed_regain_root();
	logged = testbed_logged(tb, subject->file);
	untouched = !memcmp(&out, &preset, sizeof(out));

	if (flaw->spoil != spoil_missing)
		testbed_remove(tb, path);
	testbed_write(tb, path, content);
	free(content);
	free(path);

	if (before)
		fail_msg("returned %s while nothing was wrong", strerror(-before));
	if (r != flaw->error)
		fail_msg("returned %s, not %s", strerror(-r), strerror(-flaw->error));
	if (!untouched)
		fail_msg("failed, and wrote to its output");
	if (!logged)
		fail_msg("the log does not name the file");
}

/* cmocka passes over the entries at the end that stay empty. */
static struct testcase cases[ARRAY_SIZE(subjects) * ARRAY_SIZE(flaws)];
static struct CMUnitTest tests[ARRAY_SIZE(cases)];
static char names[ARRAY_SIZE(cases)][128];

int main(void)
{
	size_t i, j, n = 0;

	for (i = 0; i < ARRAY_SIZE(subjects); i++) {
		for (j = 0; j < ARRAY_SIZE(flaws); j++) {
			if (!(subjects[i].kind & flaws[j].kinds))
				continue;
			/* Without deep_flush there is another way: test-flush. */
			if (flaws[j].spoil == spoil_missing && !strcmp(subjects[i].file, DEEP_FLUSH))
				continue;
			cases[n].subject = &subjects[i];
			cases[n].flaw = &flaws[j];
			snprintf(names[n], sizeof(names[n]), "U3 %s%s is %s", subjects[i].file,
				 subjects[i].get == flush ? ", for a flush," : "", flaws[j].name);
			tests[n].name = names[n];
			tests[n].test_func = check;
			tests[n].initial_state = &cases[n];
			n++;
		}
	}
	return cmocka_run_group_tests_name("U3 malformed", tests, NULL, free_shared);
}
