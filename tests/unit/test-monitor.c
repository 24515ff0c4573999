// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The monitor on a recorded tree: what is an event and what is none. poll() on
 * "state" cannot be had there; the tests in guests show it.
 */
#include "testbed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libudev.h>

#define STATE		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STATE)
#define REASON		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON)
#define STATS		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS)
#define STALLED		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STALLED)
#define POLICY		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY)
#define BLOCK_BAD	"region0/namespace0.0/block/pmem0/badblocks"

/* What the next call that asks for a uevent is told instead. */
static int receive_errno;

struct udev_device *__real_udev_monitor_receive_device(struct udev_monitor *monitor);
struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor);

struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor)
{
	if (!receive_errno)
		return __real_udev_monitor_receive_device(monitor);
	errno = receive_errno;
	receive_errno = 0;
	return NULL;
}

/* What inotify_init1() fails with. */
static int inotify_errno;

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);

int __wrap_inotify_init1(int flags)
{
	if (!inotify_errno)
		return __real_inotify_init1(flags);
	errno = inotify_errno;
	inotify_errno = 0;
	return -1;
}

static struct virtpmem_monitor *monitor_of(struct testbed *tb)
{
	struct virtpmem_monitor *monitor = NULL;

	assert_int_equal(virtpmem_monitor_new(testbed_ctx(tb), &monitor), 0);
	assert_non_null(monitor);
	return monitor;
}

static bool ready(struct virtpmem_monitor *monitor)
{
	struct pollfd p = {
		.fd = virtpmem_monitor_get_fd(monitor),
		.events = (short)virtpmem_monitor_get_events(monitor),
	};

	return poll(&p, 1, 0) == 1;
}

static struct virtpmem_event *next(struct virtpmem_monitor *monitor,
				   enum virtpmem_event_type expected)
{
	struct virtpmem_event *event = NULL;
	int r = virtpmem_monitor_process(monitor, &event);

	if (r != 1)
		fail_msg("no event but %d, instead of %s", r, virtpmem_event_type_name(expected));
	if (virtpmem_event_get_type(event) != expected)
		fail_msg("%s, not %s", virtpmem_event_type_name(virtpmem_event_get_type(event)),
			 virtpmem_event_type_name(expected));
	return event;
}

static void expect_nothing(struct virtpmem_monitor *monitor)
{
	struct virtpmem_event *event = NULL;
	uint64_t until;

	if (virtpmem_monitor_process(monitor, &event))
		fail_msg("%s", virtpmem_event_type_name(virtpmem_event_get_type(event)));
	assert_null(event);
	assert_int_equal(virtpmem_monitor_get_timeout(monitor, &until), 0);
	assert_true(until == UINT64_MAX);
	assert_false(ready(monitor));
}

/* The driver's files as they are after a failed host flush, and its message. */
static void break_region(struct testbed *tb, unsigned int failures, unsigned int changed_ns)
{
	char line[128];

	snprintf(line, sizeof(line), "0 0 0 %u %u 0 0 0 0 0 0 77 %u\n", failures, failures,
		 changed_ns);
	testbed_write(tb, STATS, line);
	testbed_write(tb, STATE, "broken\n");
	testbed_write(tb, REASON, "host-error\n");
	testbed_uevent(tb, "region0", "change");
}

static void heal_region(struct testbed *tb, unsigned int changed_ns)
{
	char line[128];

	snprintf(line, sizeof(line), "0 0 0 0 0 0 0 0 0 0 0 0 %u\n", changed_ns);
	testbed_write(tb, STATS, line);
	testbed_write(tb, STATE, "active\n");
	testbed_write(tb, REASON, "none\n");
}

/* --------------------------------------------------------------- tests */

static void empty_machine_can_be_watched(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = monitor_of(*state);

	expect_nothing(monitor);
	assert_ptr_equal(virtpmem_monitor_ref(monitor), monitor);
	assert_null(virtpmem_monitor_unref(monitor));
	assert_null(virtpmem_monitor_unref(NULL));
	assert_null(virtpmem_event_unref(NULL));
}

static void what_is_there_is_not_announced(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = monitor_of(*state);

	expect_nothing(monitor);
	testbed_uevent(*state, "region0", "change");
	assert_true(ready(monitor));
	expect_nothing(monitor);
}

static void monitor_leaves_the_scan_alone(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = monitor_of(*state);

	testbed_uevent(*state, "region0", "add");
	expect_nothing(monitor);
	assert_ptr_equal(virtpmem_region_get_first(testbed_ctx(*state)), region);
	assert_string_equal(virtpmem_region_get_devname(virtpmem_region_get_next(region)),
			    "region1");
}

static void failed_host_flush_is_told_before_the_state(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;
	struct virtpmem_event *event;
	enum virtpmem_state engine;
	uint64_t until;

	heal_region(*state, 1);
	monitor = monitor_of(*state);
	break_region(*state, 3, 78);

	event = next(monitor, VIRTPMEM_EVENT_HOST_ERROR);
	assert_true(virtpmem_event_get_count(event) == 3);
	assert_true(virtpmem_event_get_time_ns(event) == 77);
	assert_string_equal(virtpmem_region_get_devname(virtpmem_event_get_region(event)),
			    "region0");
	assert_ptr_equal(virtpmem_event_ref(event), event);
	virtpmem_event_unref(event);
	virtpmem_event_unref(event);
	assert_int_equal(virtpmem_monitor_get_timeout(monitor, &until), 0);
	assert_true(until == 0);

	event = next(monitor, VIRTPMEM_EVENT_STATE);
	assert_int_equal(virtpmem_event_get_state(event, &engine), 0);
	assert_int_equal(engine, VIRTPMEM_STATE_BROKEN);
	assert_string_equal(virtpmem_event_get_reason(event), "host-error");
	assert_true(virtpmem_event_get_time_ns(event) == 78);
	assert_true(virtpmem_event_get_count(event) == 1);
	assert_null(virtpmem_event_get_setting(event));
	assert_null(virtpmem_event_get_value(event));
	virtpmem_event_unref(event);
	expect_nothing(monitor);
}

static void stall_is_told_when_it_comes_and_when_it_goes(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;
	struct virtpmem_event *event;
	unsigned int i;

	testbed_write(*state, STALLED, "0\n");
	testbed_write(*state, STATS, "0 0 0 0 0 0 0 0 0 0 4 0 1\n");
	monitor = monitor_of(*state);
	for (i = 0; i < 2; i++) {
		bool stalled = i;

		testbed_write(*state, STALLED, i ? "0\n" : "1\n");
		testbed_write(*state, STATS, "0 0 0 0 0 0 0 0 0 0 6 0 1\n");
		testbed_uevent(*state, "region0", "change");
		event = next(monitor, VIRTPMEM_EVENT_STALLED);
		assert_int_equal(virtpmem_event_get_stalled(event, &stalled), 0);
		assert_true(stalled == !i);
		assert_true(virtpmem_event_get_count(event) == (i ? 0 : 2));
		virtpmem_event_unref(event);
		expect_nothing(monitor);
	}
}

static void late_message_is_not_told_twice(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;

	heal_region(*state, 1);
	monitor = monitor_of(*state);
	break_region(*state, 0, 5);
	virtpmem_event_unref(next(monitor, VIRTPMEM_EVENT_STATE));
	testbed_uevent(*state, "region0", "change");
	expect_nothing(monitor);
}

static void change_there_and_back_is_told(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;
	struct virtpmem_event *event;
	enum virtpmem_state engine;

	heal_region(*state, 1);
	monitor = monitor_of(*state);
	heal_region(*state, 9);
	testbed_uevent(*state, "region0", "change");
	event = next(monitor, VIRTPMEM_EVENT_STATE);
	assert_int_equal(virtpmem_event_get_state(event, &engine), 0);
	assert_int_equal(engine, VIRTPMEM_STATE_ACTIVE);
	virtpmem_event_unref(event);
	expect_nothing(monitor);
}

static void flush_that_a_broken_queue_swallowed_is_no_host_error(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;

	heal_region(*state, 1);
	monitor = monitor_of(*state);
	break_region(*state, 1, 2);
	testbed_write(*state, REASON, "needs-reset\n");
	virtpmem_event_unref(next(monitor, VIRTPMEM_EVENT_STATE));
	expect_nothing(monitor);
}

static void setting_that_is_written_is_told_without_a_uevent(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = monitor_of(*state);
	struct virtpmem_event *event;

	testbed_write(*state, POLICY, "report\n");
	assert_true(ready(monitor));
	event = next(monitor, VIRTPMEM_EVENT_SETTING);
	assert_string_equal(virtpmem_event_get_setting(event), VIRTIO_PMEM_ATTR_ERROR_POLICY);
	assert_string_equal(virtpmem_event_get_value(event), "report");
	virtpmem_event_unref(event);
	testbed_write(*state, POLICY, "report\n");
	expect_nothing(monitor);
}

static void without_inotify_a_setting_is_told_with_the_next_event(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;

	inotify_errno = EMFILE;
	monitor = monitor_of(*state);
	assert_true(testbed_logged(*state, "inotify"));
	testbed_write(*state, POLICY, "report\n");
	expect_nothing(monitor);
	testbed_uevent(*state, "region0", "change");
	virtpmem_event_unref(next(monitor, VIRTPMEM_EVENT_SETTING));
	expect_nothing(monitor);
}

static void d3_other_bad_ranges_are_told(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;
	struct virtpmem_event *event;
	enum virtpmem_state engine;

	testbed_write(*state, BLOCK_BAD, "");
	monitor = monitor_of(*state);
	testbed_write(*state, BLOCK_BAD, "8 1\n");
	event = next(monitor, VIRTPMEM_EVENT_BAD_RANGES);
	assert_int_equal(virtpmem_event_get_state(event, &engine), -EOPNOTSUPP);
	assert_null(virtpmem_event_get_reason(event));
	virtpmem_event_unref(event);
	expect_nothing(monitor);
}

/* What somebody was handed before stays what it was. */
static void u6_later_event_has_the_devices_of_then(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = monitor_of(*state);
	_cleanup_virtpmem_event_unref_ struct virtpmem_event *before = NULL, *after = NULL;
	struct virtpmem_namespace *then, *now;
	struct virtpmem_region *region;

	testbed_write(*state, POLICY, "report\n");
	before = next(monitor, VIRTPMEM_EVENT_SETTING);
	then = virtpmem_namespace_get_first(virtpmem_event_get_region(before));
	assert_string_equal(virtpmem_namespace_get_blockdev(then), "pmem0");

	testbed_uevent(*state, "region0/namespace0.0/block/pmem0", "remove");
	testbed_remove(*state, "region0/namespace0.0/block");
	testbed_write(*state, POLICY, "latch\n");
	after = next(monitor, VIRTPMEM_EVENT_SETTING);
	region = virtpmem_event_get_region(after);
	now = virtpmem_namespace_get_first(region);
	assert_null(virtpmem_namespace_get_blockdev(now));
	assert_string_equal(virtpmem_region_get_path(region), "pci-0000:00:04.0");
	assert_string_equal(virtpmem_namespace_get_blockdev(then), "pmem0");
	expect_nothing(monitor);
}

static void region_that_comes_and_goes_is_told(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;
	_cleanup_virtpmem_event_unref_ struct virtpmem_event *added = NULL, *removed = NULL;
	char *link = testbed_path(*state, "region0");
	char target[512];
	ssize_t n = readlink(link, target, sizeof(target) - 1);

	assert_true(n > 0);
	target[n] = '\0';
	assert_int_equal(unlink(link), 0);
	monitor = monitor_of(*state);
	assert_int_equal(symlink(target, link), 0);
	testbed_uevent(*state, "region0", "add");
	added = next(monitor, VIRTPMEM_EVENT_REGION_ADDED);
	assert_string_equal(virtpmem_region_get_path(virtpmem_event_get_region(added)),
			    "pci-0000:00:04.0");
	assert_null(virtpmem_region_get_next(virtpmem_event_get_region(added)));
	expect_nothing(monitor);

	testbed_uevent(*state, "region0", "remove");
	testbed_remove_region(*state, "region0");
	removed = next(monitor, VIRTPMEM_EVENT_REGION_REMOVED);
	assert_ptr_equal(virtpmem_event_get_region(removed), virtpmem_event_get_region(added));
	expect_nothing(monitor);
	free(link);
}

/* Two devices, bound in the other order: the name is the same, the device is not. */
static void u6_other_device_with_the_same_name_is_another_region(void **state)
{
	static const char parent[] = "sys/devices/pci0000:00/0000:00:05.0/virtio1/ndbus1";
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;
	struct virtpmem_event *event;
	char from[64], to[64], *old, *new;

	testbed_remove(*state, "region1");
	monitor = monitor_of(*state);
	testbed_uevent(*state, "region0", "remove");
	testbed_remove_region(*state, "region0");
	snprintf(from, sizeof(from), "%s/region1", parent);
	snprintf(to, sizeof(to), "%s/region0", parent);
	old = testbed_path(*state, from);
	new = testbed_path(*state, to);
	assert_int_equal(rename(old, new), 0);
	testbed_symlink(*state, "../../../devices/pci0000:00/0000:00:05.0/virtio1/ndbus1/region0",
			"region0");

	event = next(monitor, VIRTPMEM_EVENT_REGION_REMOVED);
	assert_string_equal(virtpmem_region_get_path(virtpmem_event_get_region(event)),
			    "pci-0000:00:04.0");
	virtpmem_event_unref(event);
	event = next(monitor, VIRTPMEM_EVENT_REGION_ADDED);
	assert_string_equal(virtpmem_region_get_devname(virtpmem_event_get_region(event)),
			    "region0");
	assert_string_equal(virtpmem_region_get_path(virtpmem_event_get_region(event)),
			    "pci-0000:00:05.0");
	virtpmem_event_unref(event);
	expect_nothing(monitor);
	free(old);
	free(new);
}

static void lost_messages_are_said_and_made_good(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = monitor_of(*state);
	struct virtpmem_event *event;

	testbed_uevent(*state, "region0", "change");
	testbed_remove_region(*state, "region1");
	testbed_write(*state, POLICY, "report\n");
	receive_errno = ENOBUFS;
	event = next(monitor, VIRTPMEM_EVENT_RESYNC);
	assert_null(virtpmem_event_get_region(event));
	virtpmem_event_unref(event);
	virtpmem_event_unref(next(monitor, VIRTPMEM_EVENT_SETTING));
	event = next(monitor, VIRTPMEM_EVENT_REGION_REMOVED);
	assert_string_equal(virtpmem_region_get_devname(virtpmem_event_get_region(event)),
			    "region1");
	virtpmem_event_unref(event);
	expect_nothing(monitor);
}

static void lack_of_memory_is_tried_again(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = monitor_of(*state);
	struct virtpmem_event *event = NULL;
	uint64_t until;

	testbed_uevent(*state, "region0", "change");
	receive_errno = ENOMEM;
	assert_int_equal(virtpmem_monitor_process(monitor, &event), -ENOMEM);
	assert_null(event);
	assert_int_equal(virtpmem_monitor_get_timeout(monitor, &until), 0);
	assert_true(until > 0 && until < UINT64_MAX);
	expect_nothing(monitor);
}

static void u3_malformed_file_is_no_event(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;

	heal_region(*state, 1);
	monitor = monitor_of(*state);
	testbed_write(*state, STATE, "");
	testbed_uevent(*state, "region0", "change");
	expect_nothing(monitor);
	assert_true(testbed_logged(*state, VIRTIO_PMEM_ATTR_STATE));
	break_region(*state, 0, 2);
	virtpmem_event_unref(next(monitor, VIRTPMEM_EVENT_STATE));
	expect_nothing(monitor);
}

static void u3_malformed_region_is_watched_until_it_is_well(void **state)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;

	testbed_write(*state, STATS, "garbage\n");
	monitor = monitor_of(*state);
	heal_region(*state, 1);
	testbed_uevent(*state, "region0", "change");
	expect_nothing(monitor);
	break_region(*state, 0, 2);
	virtpmem_event_unref(next(monitor, VIRTPMEM_EVENT_STATE));
}

static void every_event_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_event_type_name(VIRTPMEM_EVENT_RESYNC), "resync");
	assert_string_equal(virtpmem_event_type_name(VIRTPMEM_EVENT_SETTING), "setting");
	assert_null(virtpmem_event_type_name((enum virtpmem_event_type)99));
}

#define t(fn_, fixture_)	testbed_test(#fn_ " on " fixture_, fn_, fixture_)

int main(void)
{
	const struct CMUnitTest tests[] = {
		testbed_test("empty machine can be watched", empty_machine_can_be_watched, NULL),
		t(what_is_there_is_not_announced, "virtpmem-6.12"),
		t(what_is_there_is_not_announced, "in-tree-6.1"),
		t(monitor_leaves_the_scan_alone, "virtpmem-6.12"),
		t(failed_host_flush_is_told_before_the_state, "virtpmem-6.12"),
		t(stall_is_told_when_it_comes_and_when_it_goes, "virtpmem-6.12"),
		t(late_message_is_not_told_twice, "virtpmem-6.12"),
		t(change_there_and_back_is_told, "virtpmem-6.12"),
		t(flush_that_a_broken_queue_swallowed_is_no_host_error, "virtpmem-6.12"),
		t(setting_that_is_written_is_told_without_a_uevent, "virtpmem-6.12"),
		t(without_inotify_a_setting_is_told_with_the_next_event, "virtpmem-6.12"),
		t(d3_other_bad_ranges_are_told, "in-tree-6.12"),
		t(u6_later_event_has_the_devices_of_then, "virtpmem-6.12"),
		t(region_that_comes_and_goes_is_told, "virtpmem-6.12"),
		t(region_that_comes_and_goes_is_told, "in-tree-6.12"),
		t(u6_other_device_with_the_same_name_is_another_region, "virtpmem-6.12"),
		t(lost_messages_are_said_and_made_good, "virtpmem-6.12"),
		t(lack_of_memory_is_tried_again, "virtpmem-6.12"),
		t(u3_malformed_file_is_no_event, "virtpmem-6.12"),
		t(u3_malformed_region_is_watched_until_it_is_well, "virtpmem-6.12"),
		cmocka_unit_test(every_event_has_a_name),
	};

	return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
