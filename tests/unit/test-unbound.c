// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio-pmem devices that no driver has.
 */
#include "testbed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#define DEVICE(pci_, n_)	"sys/devices/pci0000:00/0000:00:" pci_ "/virtio" n_

/* "DEVNAME=PATH DEVNAME=PATH ", as the list says now. */
static void expect(struct virtpmem_ctx *ctx, const char *expected)
{
	struct virtpmem_unbound *device;
	unsigned int count = 0, listed = 0;
	char text[256] = "";
	int n = 0;

	virtpmem_unbound_foreach(ctx, device) {
		const char *path = virtpmem_unbound_get_path(device);

		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s=%s ",
			      virtpmem_unbound_get_devname(device), path ? path : "-");
		listed++;
	}
	assert_string_equal(text, expected);
	assert_int_equal(virtpmem_get_unbound_count(ctx, &count), 0);
	assert_int_equal(count, listed);
}

static void devices_with_a_driver_are_none(void **state)
{
	expect(testbed_ctx(*state), "");
}

static void machine_without_virtio_has_none(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	expect(ctx, "");
	assert_false(testbed_logged(*state, "virtio"));
}

static void sorted_with_their_paths(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	testbed_remove(*state, DEVICE("07.0", "3") "/driver");
	testbed_remove(*state, DEVICE("04.0", "0") "/driver");
	testbed_remove(*state, DEVICE("05.0", "1") "/driver");
	expect(ctx, "virtio0=pci-0000:00:04.0 virtio1=pci-0000:00:05.0 virtio3=pci-0000:00:07.0 ");
}

/* As the list of regions, and read anew at the scan. */
static void list_is_that_of_the_last_scan(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	expect(ctx, "");
	testbed_remove(*state, DEVICE("04.0", "0") "/driver");
	expect(ctx, "");
	assert_true(virtpmem_scan(ctx) > 0);
	expect(ctx, "virtio0=pci-0000:00:04.0 ");
}

static void other_virtio_devices_are_left_out(void **state)
{
	testbed_remove(*state, DEVICE("04.0", "0") "/driver");
	testbed_write(*state, DEVICE("04.0", "0") "/device", "0x0002\n");
	expect(testbed_ctx(*state), "");
}

/* The log says why, and the others are there. */
static void device_that_cannot_be_read_is_left_out(void **state)
{
	static const char *const contents[] = { "", "\n", "27\n", "0x1b\n0x1b\n", "0x1b" };
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	size_t i;

	virtpmem_set_log_priority(ctx, LOG_INFO);
	testbed_remove(*state, DEVICE("04.0", "0") "/driver");
	testbed_remove(*state, DEVICE("05.0", "1") "/driver");
	for (i = 0; i < ARRAY_SIZE(contents); i++) {
		testbed_write(*state, DEVICE("04.0", "0") "/device", contents[i]);
		testbed_clear_log(*state);
		assert_true(virtpmem_scan(ctx) > 0);
		expect(ctx, "virtio1=pci-0000:00:05.0 ");
		assert_true(testbed_logged(*state, "virtio0/device"));
	}
}

static void path_that_cannot_be_told_is_null(void **state)
{
	testbed_remove(*state, DEVICE("04.0", "0") "/driver");
	testbed_remove(*state, "sys/devices/pci0000:00/0000:00:04.0/subsystem");
	expect(testbed_ctx(*state), "virtio0=- ");
}

static void link_that_leads_nowhere_is_no_device(void **state)
{
	testbed_remove(*state, DEVICE("05.0", "1") "/driver");
	testbed_symlink(*state, "../../../devices/gone", "sys/bus/virtio/devices/virtio9");
	testbed_symlink(*state, "virtio8", "sys/bus/virtio/devices/virtio8");
	expect(testbed_ctx(*state), "virtio1=pci-0000:00:05.0 ");
}

static void without_rights_it_is_an_error(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	unsigned int count = 7;

	testbed_chmod(*state, "sys/bus/virtio/devices", 0);
	testbed_drop_root();
	assert_int_equal(virtpmem_get_unbound_count(ctx, &count), -EACCES);
	assert_null(virtpmem_unbound_get_first(ctx));
	testbed_regain_root();
	assert_int_equal(count, 7);
	assert_true(testbed_logged(*state, "/sys/bus/virtio/devices"));
	testbed_chmod(*state, "sys/bus/virtio/devices", 0755);
	expect(ctx, "");
}

#define t(fn_, fixture_)	testbed_test(#fn_, fn_, fixture_)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(devices_with_a_driver_are_none, "virtpmem-6.12"),
		t(machine_without_virtio_has_none, NULL),
		t(sorted_with_their_paths, "virtpmem-6.12"),
		t(list_is_that_of_the_last_scan, "in-tree-6.12"),
		t(other_virtio_devices_are_left_out, "virtpmem-6.12"),
		t(device_that_cannot_be_read_is_left_out, "virtpmem-6.12"),
		t(path_that_cannot_be_told_is_null, "virtpmem-6.12"),
		t(link_that_leads_nowhere_is_no_device, "in-tree-6.1"),
		t(without_rights_it_is_an_error, "virtpmem-6.12"),
	};

	return cmocka_run_group_tests_name("unbound", tests, NULL, NULL);
}
