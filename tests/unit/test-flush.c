// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * U1: a flush is reported as done only if it was done. Each test runs without
 * and with a limit, so in this process and in a child.
 *
 * fsync() and write() are this file's own: umockdev's files would take
 * anything.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK_QUEUE	"region0/namespace0.0/block/pmem0/queue/write_cache"
#define LIMIT_MS	20000

/* What the kernel was asked for, and what it answers; shared with the child. */
static struct kernel {
	int fsyncs;
	int writes;
	int access_mode;		/* of the descriptor that was fsynced */
	char written[8];
	int answer;			/* 0 or an errno */
	bool nothing;			/* writes take nothing, and say so */
	char meanwhile[256];		/* path of a write_cache that turns to "write through" */
} *kernel;

static unsigned int limit;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

int __wrap_fsync(int fd)
{
	kernel->fsyncs++;
	kernel->access_mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	if (kernel->meanwhile[0]) {
		int other = open(kernel->meanwhile, O_WRONLY | O_TRUNC);

		if (other < 0 || __real_write(other, "write through\n", 14) != 14)
			abort();
		close(other);
	}
	errno = kernel->answer;
	return kernel->answer ? -1 : 0;
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	(void)fd;
	kernel->writes++;
	memcpy(kernel->written, data, size < sizeof(kernel->written) ? size : 1);
	errno = kernel->answer;
	if (kernel->nothing)
		return 0;
	return kernel->answer ? -1 : (ssize_t)size;
}

static struct virtpmem_flush_result untouched(void)
{
	struct virtpmem_flush_result result;

	memset(&result, 0xa5, sizeof(result));
	return result;
}

/* The flush was tried by this method and ended like that. */
static void check(void **state, int expected, enum virtpmem_flush_method method)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_flush_result result = untouched();
	int r;

	r = virtpmem_region_flush(region, limit, &result);
	if (r != expected)
		fail_msg("returned %s, not %s", strerror(-r), strerror(-expected));
	assert_int_equal(result.method, method);
	assert_false(result.abandoned);
	if (method == VIRTPMEM_FLUSH_NOT_NEEDED)
		assert_int_equal(result.latency_ns, 0);
	else
		assert_true(result.latency_ns > 0 && result.latency_ns < UINT64_C(60000000000));
}

/* Nothing was tried, and the kernel was asked for nothing. */
static void check_not_tried(void **state, const char *name, int expected)
{
	struct virtpmem_region *region = testbed_region(*state, name);
	struct virtpmem_flush_result result = untouched(), preset = untouched();
	int r;

	testbed_clear_log(*state);
	r = virtpmem_region_flush(region, limit, &result);
	if (r != expected)
		fail_msg("returned %s, not %s", strerror(-r), strerror(-expected));
	assert_memory_equal(&result, &preset, sizeof(result));
	assert_int_equal(kernel->fsyncs, 0);
	assert_int_equal(kernel->writes, 0);
}

/* There is no way, and this is part of the sentence that says why. */
static void check_no_way(void **state, const char *name, const char *reason)
{
	struct virtpmem_region *region = testbed_region(*state, name);
	enum virtpmem_flush_method method;
	char *text = NULL;

	assert_int_equal(virtpmem_region_get_flush_method(region, &method, &text), 0);
	assert_int_equal(method, VIRTPMEM_FLUSH_NONE);
	assert_non_null(text);
	if (!strstr(text, reason))
		fail_msg("\"%s\" does not say \"%s\"", text, reason);
	free(text);
	check_not_tried(state, name, -EOPNOTSUPP);
	assert_true(testbed_logged(*state, reason));
}

static void check_method(void **state, enum virtpmem_flush_method expected)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	enum virtpmem_flush_method method;
	char *reason = (char *)1;

	assert_int_equal(virtpmem_region_get_flush_method(region, &method, &reason), 0);
	assert_int_equal(method, expected);
	assert_null(reason);
	assert_int_equal(virtpmem_region_get_flush_method(region, &method, NULL), 0);
	assert_int_equal(kernel->fsyncs, 0);
	assert_int_equal(kernel->writes, 0);
}

/* --------------------------------------------------------- deep_flush */

static void deep_flush_is_written(void **state)
{
	check_method(state, VIRTPMEM_FLUSH_DEEP);
	check(state, 0, VIRTPMEM_FLUSH_DEEP);
	assert_int_equal(kernel->writes, 1);
	assert_int_equal(kernel->fsyncs, 0);
	assert_string_equal(kernel->written, "1");
}

static void deep_flush_that_reads_0_is_not_needed(void **state)
{
	check_method(state, VIRTPMEM_FLUSH_NOT_NEEDED);
	check(state, 0, VIRTPMEM_FLUSH_NOT_NEEDED);
	assert_int_equal(kernel->writes, 0);
	assert_int_equal(kernel->fsyncs, 0);
}

static void deep_flush_is_read_at_the_call(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");

	assert_int_equal(virtpmem_region_flush(region, limit, NULL), 0);
	assert_int_equal(kernel->writes, 0);
	testbed_write(*state, "region0/" VIRTIO_PMEM_ATTR_DEEP_FLUSH, "1\n");
	assert_int_equal(virtpmem_region_flush(region, limit, NULL), 0);
	assert_int_equal(kernel->writes, 1);
}

static void deep_flush_serves_sector_mode_and_devdax(void **state)
{
	assert_int_equal(virtpmem_region_flush(testbed_region(*state, "region2"), limit, NULL), 0);
	assert_int_equal(virtpmem_region_flush(testbed_region(*state, "region3"), limit, NULL), 0);
	assert_int_equal(kernel->writes, 2);
}

static void deep_flush_that_the_host_failed_is_eio(void **state)
{
	kernel->answer = EIO;
	check(state, -EIO, VIRTPMEM_FLUSH_DEEP);
	assert_int_equal(kernel->writes, 1);
	assert_true(testbed_logged(*state, "region0: flush by deep_flush failed"));
}

static void deep_flush_that_took_nothing_is_eio(void **state)
{
	kernel->nothing = true;
	check(state, -EIO, VIRTPMEM_FLUSH_DEEP);
}

static void deep_flush_of_a_region_that_is_removed_is_enodev(void **state)
{
	kernel->answer = ENODEV;
	check(state, -ENODEV, VIRTPMEM_FLUSH_DEEP);
}

static void deep_flush_that_the_kernel_ends_with_another_error_keeps_it(void **state)
{
	kernel->answer = ENOMEM;
	check(state, -ENOMEM, VIRTPMEM_FLUSH_DEEP);
}

static void deep_flush_without_the_right_to_write_is_eacces(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_flush_result result = untouched(), preset = untouched();
	int r;

	testbed_chmod(*state, "region0/" VIRTIO_PMEM_ATTR_DEEP_FLUSH, 0444);
	testbed_drop_root();
	r = virtpmem_region_flush(region, limit, &result);
	testbed_regain_root();
	assert_int_equal(r, -EACCES);
	assert_memory_equal(&result, &preset, sizeof(result));
	assert_true(testbed_logged(*state, "region0/deep_flush: cannot open for writing"));
}

static void u3_deep_flush_that_is_neither_0_nor_1_is_malformed(void **state)
{
	testbed_write(*state, "region0/" VIRTIO_PMEM_ATTR_DEEP_FLUSH, "2\n");
	check_not_tried(state, "region0", -EBADMSG);
}

/* ------------------------------------------------------- block device */

static void in_tree_driver_is_flushed_by_a_block_device_opened_read_only(void **state)
{
	check_method(state, VIRTPMEM_FLUSH_BLOCK);
	check(state, 0, VIRTPMEM_FLUSH_BLOCK);
	assert_int_equal(kernel->fsyncs, 1);
	assert_int_equal(kernel->access_mode, O_RDONLY);
	assert_int_equal(kernel->writes, 0);
}

static void fsync_that_the_host_failed_is_eio(void **state)
{
	kernel->answer = EIO;
	check(state, -EIO, VIRTPMEM_FLUSH_BLOCK);
	assert_true(testbed_logged(*state, "region0: flush by block_device failed"));
}

static void fsync_of_a_device_that_has_gone_is_enodev(void **state)
{
	kernel->answer = ENODEV;
	check(state, -ENODEV, VIRTPMEM_FLUSH_BLOCK);
}

static void write_through_is_no_flush(void **state)
{
	testbed_write(*state, BLOCK_QUEUE, "write through\n");
	check_no_way(state, "region0", "queue/write_cache of pmem0 reads \"write through\"");
}

static void write_cache_is_read_at_the_call(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");

	assert_int_equal(virtpmem_region_flush(region, limit, NULL), 0);
	testbed_write(*state, BLOCK_QUEUE, "write through\n");
	assert_int_equal(virtpmem_region_flush(region, limit, NULL), -EOPNOTSUPP);
	testbed_write(*state, BLOCK_QUEUE, "write back\n");
	assert_int_equal(virtpmem_region_flush(region, limit, NULL), 0);
	assert_int_equal(kernel->fsyncs, 2);
}

static void write_cache_that_changes_during_the_flush_is_no_flush(void **state)
{
	char *path = testbed_path(*state, BLOCK_QUEUE);

	snprintf(kernel->meanwhile, sizeof(kernel->meanwhile), "%s", path);
	free(path);
	check(state, -EOPNOTSUPP, VIRTPMEM_FLUSH_BLOCK);
	assert_int_equal(kernel->fsyncs, 1);
	assert_true(testbed_logged(*state, "may not have been sent"));
}

static void sector_mode_is_no_flush(void **state)
{
	check_no_way(state, "region3", "namespace3.0 is in sector mode");
}

static void sector_mode_is_no_flush_even_if_its_queue_says_write_back(void **state)
{
	testbed_write(*state, "region3/btt3.0/block/pmem3s/queue/write_cache", "write back\n");
	check_no_way(state, "region3", "namespace3.0 is in sector mode");
}

static void devdax_is_no_flush(void **state)
{
	check_no_way(state, "region2", "namespace2.0 is in devdax mode");
}

static void disabled_namespace_is_no_flush(void **state)
{
	testbed_remove(*state, "region0/namespace0.0/block");
	check_no_way(state, "region0", "namespace0.0 is disabled");
}

static void region_without_namespaces_is_no_flush(void **state)
{
	testbed_remove(*state, "region0/namespace0.0");
	check_no_way(state, "region0", "neither deep_flush nor a namespace");
}

/* Its block device would answer 0: the kernel knows of nothing to flush it with. */
static void e820_without_deep_flush_is_no_flush(void **state)
{
	check_no_way(state, "region5", "the kernel does not know how to flush region5");
}

static void namespaces_are_listed_at_the_call(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");

	assert_non_null(virtpmem_namespace_get_first(region));
	testbed_remove(*state, "region0/namespace0.0");
	assert_int_equal(virtpmem_region_flush(region, limit, NULL), -EOPNOTSUPP);
}

static void second_namespace_serves_where_the_first_cannot(void **state)
{
	testbed_write(*state, "region0/namespace0.0/mode", "safe\n");
	testbed_mkdir(*state, "region0/namespace0.1");
	testbed_write(*state, "region0/namespace0.1/size", "4096\n");
	testbed_write(*state, "region0/namespace0.1/holder", "\n");
	testbed_write(*state, "region0/namespace0.1/mode", "raw\n");
	testbed_symlink(*state, "../namespace0.0/block", "region0/namespace0.1/block");
	check(state, 0, VIRTPMEM_FLUSH_BLOCK);
	assert_int_equal(kernel->fsyncs, 1);
}

static void u6_node_of_another_device_is_not_flushed(void **state)
{
	testbed_write(*state, "region0/namespace0.0/block/pmem0/dev", "259:77\n");
	check_not_tried(state, "region0", -ESTALE);
	assert_true(testbed_logged(*state, "/dev/pmem0 is not the block device of namespace0.0"));
}

static void node_that_is_no_block_device_is_not_flushed(void **state)
{
	testbed_remove(*state, "dev/pmem0");
	testbed_write(*state, "dev/pmem0", "a file\n");
	check_not_tried(state, "region0", -ESTALE);
}

static void missing_node_is_enoent(void **state)
{
	testbed_remove(*state, "dev/pmem0");
	check_not_tried(state, "region0", -ENOENT);
	assert_true(testbed_logged(*state, "/dev/pmem0"));
}

static void node_without_the_right_to_read_is_eacces(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	int r;

	testbed_chmod(*state, "dev/pmem0", 01000);
	testbed_drop_root();
	r = virtpmem_region_flush(region, limit, NULL);
	testbed_regain_root();
	assert_int_equal(r, -EACCES);
	assert_int_equal(kernel->fsyncs, 0);
}

/* ---------------------------------------------------------- our driver */

static void our_driver_without_deep_flush_is_flushed_by_its_block_device(void **state)
{
	testbed_remove(*state, "region0/" VIRTIO_PMEM_ATTR_DEEP_FLUSH);
	check(state, 0, VIRTPMEM_FLUSH_BLOCK);
	assert_int_equal(kernel->fsyncs, 1);
}

static void no_descriptor_is_left_open(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	int before, after;

	/* umockdev opens some of its own at the first time. */
	assert_int_equal(virtpmem_region_flush(region, limit, NULL), 0);
	before = dup(0);
	close(before);
	assert_int_equal(virtpmem_region_flush(region, limit, NULL), 0);
	kernel->answer = EIO;
	assert_int_equal(virtpmem_region_flush(region, limit, NULL), -EIO);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void names_of_methods_are_those_of_json(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_flush_method_name(VIRTPMEM_FLUSH_NONE), "none");
	assert_string_equal(virtpmem_flush_method_name(VIRTPMEM_FLUSH_NOT_NEEDED), "not_needed");
	assert_string_equal(virtpmem_flush_method_name(VIRTPMEM_FLUSH_DEEP), "deep_flush");
	assert_string_equal(virtpmem_flush_method_name(VIRTPMEM_FLUSH_BLOCK), "block_device");
	assert_string_equal(virtpmem_flush_method_name((enum virtpmem_flush_method)99), "none");
}

static int setup(void **state)
{
	memset(kernel, 0, sizeof(*kernel));
	return testbed_setup(state);
}

#define t(fn_, fixture_) \
	{ \
		.name = "U1 " #fn_ " on " fixture_, \
		.test_func = fn_, \
		.setup_func = setup, \
		.teardown_func = testbed_teardown, \
		.initial_state = (void *)(uintptr_t)fixture_, \
	}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		t(deep_flush_is_written, "virtpmem-6.1"),
		t(deep_flush_is_written, "virtpmem-6.12"),
		t(deep_flush_that_reads_0_is_not_needed, "nfit-6.12"),
		t(deep_flush_is_read_at_the_call, "nfit-6.12"),
		t(deep_flush_serves_sector_mode_and_devdax, "virtpmem-6.12"),
		t(deep_flush_that_the_host_failed_is_eio, "virtpmem-6.12"),
		t(deep_flush_that_took_nothing_is_eio, "virtpmem-6.12"),
		t(deep_flush_of_a_region_that_is_removed_is_enodev, "virtpmem-6.12"),
		t(deep_flush_that_the_kernel_ends_with_another_error_keeps_it, "virtpmem-6.12"),
		t(deep_flush_without_the_right_to_write_is_eacces, "virtpmem-6.12"),
		t(u3_deep_flush_that_is_neither_0_nor_1_is_malformed, "virtpmem-6.12"),
		t(in_tree_driver_is_flushed_by_a_block_device_opened_read_only, "in-tree-6.1"),
		t(in_tree_driver_is_flushed_by_a_block_device_opened_read_only, "in-tree-6.12"),
		t(fsync_that_the_host_failed_is_eio, "in-tree-6.12"),
		t(fsync_of_a_device_that_has_gone_is_enodev, "in-tree-6.12"),
		t(write_through_is_no_flush, "in-tree-6.12"),
		t(write_cache_is_read_at_the_call, "in-tree-6.12"),
		t(write_cache_that_changes_during_the_flush_is_no_flush, "in-tree-6.12"),
		t(sector_mode_is_no_flush, "in-tree-6.1"),
		t(sector_mode_is_no_flush, "in-tree-6.12"),
		t(sector_mode_is_no_flush_even_if_its_queue_says_write_back, "in-tree-6.12"),
		t(devdax_is_no_flush, "in-tree-6.12"),
		t(disabled_namespace_is_no_flush, "in-tree-6.12"),
		t(region_without_namespaces_is_no_flush, "in-tree-6.12"),
		t(e820_without_deep_flush_is_no_flush, "in-tree-6.12"),
		t(namespaces_are_listed_at_the_call, "in-tree-6.12"),
		t(second_namespace_serves_where_the_first_cannot, "in-tree-6.12"),
		t(u6_node_of_another_device_is_not_flushed, "in-tree-6.12"),
		t(node_that_is_no_block_device_is_not_flushed, "in-tree-6.12"),
		t(missing_node_is_enoent, "in-tree-6.12"),
		t(node_without_the_right_to_read_is_eacces, "in-tree-6.12"),
		t(our_driver_without_deep_flush_is_flushed_by_its_block_device, "virtpmem-6.12"),
		t(no_descriptor_is_left_open, "in-tree-6.12"),
		t(no_descriptor_is_left_open, "virtpmem-6.12"),
		cmocka_unit_test(names_of_methods_are_those_of_json),
	};

	kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (kernel == MAP_FAILED)
		return 1;
	limit = argc > 1 && !strcmp(argv[1], "limited") ? LIMIT_MS : 0;
	return cmocka_run_group_tests_name(limit ? "U1 flush with a limit" : "U1 flush", tests, NULL,
					   NULL);
}
