// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who serves a region's flushes, and what our driver says of its state.
 *
 * Our driver is known by its directory on the region, not by its name or
 * version: the in-tree driver has the same name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "private.h"

static bool look_for_group(const struct virtpmem_region *region)
{
	struct stat st;

	if (!fstatat(region->dirfd, VIRTIO_PMEM_GROUP, &st, AT_SYMLINK_NOFOLLOW))
		return S_ISDIR(st.st_mode);
	if (errno == ENOENT || errno == ENOTDIR || errno == ENODEV)
		return false;
	/* It may be there: reading from it says what is wrong. */
	vp_info(region->ctx, "%s/%s: %s", region->devname, VIRTIO_PMEM_GROUP, strerror(errno));
	return true;
}

bool vp_region_has_group(const struct virtpmem_region *region)
{
	return vp_snapshot_has_group(region, look_for_group);
}

/* Of another driver no error is logged for each file that only ours has. */
int vp_group_missing(const struct virtpmem_region *region, const char *file)
{
	if (vp_region_has_group(region))
		return 0;
	return vp_file_error(region, file, "cannot open", ENOENT, VP_OPTIONAL);
}

static const struct {
	const char *provider;
	const char *driver;
	const char *name;
} kinds[] = {
	[VIRTPMEM_KIND_OTHER] = { NULL, NULL, "other" },
	[VIRTPMEM_KIND_VIRTIO] = { "virtio-pmem", NULL, "virtio-pmem" },
	[VIRTPMEM_KIND_NFIT] = { "ACPI.NFIT", NULL, "nfit" },
	[VIRTPMEM_KIND_E820] = { "e820", NULL, "e820" },
	[VIRTPMEM_KIND_CXL] = { "CXL", NULL, "cxl" },
	/* Their provider is the name of a platform device, which can be anything. */
	[VIRTPMEM_KIND_OF] = { NULL, "of_pmem", "of_pmem" },
	[VIRTPMEM_KIND_PAPR] = { NULL, "papr_scm", "papr_scm" },
};

static bool matches(const char *word, const char *wanted)
{
	return word && wanted && !strcmp(word, wanted);
}

VP_EXPORT int virtpmem_region_get_kind(struct virtpmem_region *region,
				       enum virtpmem_region_kind *ret)
{
	_cleanup_free_ char *provider = NULL, *driver = NULL;
	enum virtpmem_region_kind kind = VIRTPMEM_KIND_OTHER;
	unsigned int i;
	int r;

	r = virtpmem_region_get_provider(region, &provider);
	if (r < 0)
		return r;
	r = vp_read_link_name(region, "../../driver", VP_OPTIONAL, &driver);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (matches(provider, kinds[i].provider) || matches(driver, kinds[i].driver))
			kind = (enum virtpmem_region_kind)i;
	*ret = kind;
	return 0;
}

VP_EXPORT const char *virtpmem_region_kind_name(enum virtpmem_region_kind kind)
{
	if ((unsigned int)kind >= ARRAY_SIZE(kinds))
		kind = VIRTPMEM_KIND_OTHER;
	return kinds[kind].name;
}

VP_EXPORT int virtpmem_region_get_driver(struct virtpmem_region *region, enum virtpmem_driver *ret)
{
	_cleanup_free_ char *provider = NULL;
	int r;

	if (vp_region_has_group(region)) {
		*ret = VIRTPMEM_DRIVER_VIRTPMEM;
		return 0;
	}
	r = virtpmem_region_get_provider(region, &provider);
	if (r < 0)
		return r;
	*ret = strcmp(provider, "virtio-pmem") ? VIRTPMEM_DRIVER_OTHER : VIRTPMEM_DRIVER_IN_TREE;
	return 0;
}

VP_EXPORT const char *virtpmem_driver_name(enum virtpmem_driver driver)
{
	static const char *const names[] = {
		[VIRTPMEM_DRIVER_OTHER] = "other",
		[VIRTPMEM_DRIVER_IN_TREE] = "in-tree",
		[VIRTPMEM_DRIVER_VIRTPMEM] = "virtpmem",
	};

	if ((unsigned int)driver >= ARRAY_SIZE(names))
		driver = VIRTPMEM_DRIVER_OTHER;
	return names[driver];
}

VP_EXPORT int virtpmem_region_get_module(struct virtpmem_region *region, char **ret)
{
	return vp_read_link_name(region, "../../driver/module", VP_OPTIONAL, ret);
}

VP_EXPORT int virtpmem_region_get_module_version(struct virtpmem_region *region, char **ret)
{
	return vp_read_word(region, "../../driver/module/version", VP_OPTIONAL, ret);
}

VP_EXPORT int virtpmem_region_get_abi(struct virtpmem_region *region, unsigned int *ret)
{
	static const char file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_ABI);
	uint64_t value;
	int r;

	r = vp_group_missing(region, file);
	if (r < 0)
		return r;
	r = vp_read_u64(region, file, VP_REQUIRED, &value);
	if (r < 0)
		return r;
	if (value < 1 || value > UINT_MAX)
		return vp_malformed(region, file, "not a revision");
	*ret = (unsigned int)value;
	return 0;
}

static const char *const states[] = {
	[VIRTPMEM_STATE_UNKNOWN] = "unknown",
	[VIRTPMEM_STATE_ACTIVE] = VIRTIO_PMEM_STATE_ACTIVE,
	[VIRTPMEM_STATE_QUIESCED] = VIRTIO_PMEM_STATE_QUIESCED,
	[VIRTPMEM_STATE_RECOVERING] = VIRTIO_PMEM_STATE_RECOVERING,
	[VIRTPMEM_STATE_BROKEN] = VIRTIO_PMEM_STATE_BROKEN,
	[VIRTPMEM_STATE_REMOVING] = VIRTIO_PMEM_STATE_REMOVING,
};

static int group_read_word(struct virtpmem_region *region, const char *file, char **ret)
{
	int r = vp_group_missing(region, file);

	return r < 0 ? r : vp_read_word(region, file, VP_REQUIRED, ret);
}

static int group_read_u64(struct virtpmem_region *region, const char *file, uint64_t *ret)
{
	int r = vp_group_missing(region, file);

	return r < 0 ? r : vp_read_u64(region, file, VP_REQUIRED, ret);
}

VP_EXPORT int virtpmem_region_get_state(struct virtpmem_region *region, enum virtpmem_state *ret)
{
	_cleanup_free_ char *word = NULL;
	unsigned int i;
	int r;

	r = group_read_word(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STATE), &word);
	if (r < 0)
		return r;
	*ret = VIRTPMEM_STATE_UNKNOWN;
	for (i = 0; i < ARRAY_SIZE(states); i++)
		if (!strcmp(word, states[i]))
			*ret = (enum virtpmem_state)i;
	return 0;
}

VP_EXPORT const char *virtpmem_state_name(enum virtpmem_state state)
{
	if ((unsigned int)state >= ARRAY_SIZE(states))
		state = VIRTPMEM_STATE_UNKNOWN;
	return states[state];
}

VP_EXPORT int virtpmem_region_get_stalled(struct virtpmem_region *region, bool *ret)
{
	static const char file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STALLED);
	int r = vp_group_missing(region, file);

	return r < 0 ? r : vp_read_bool(region, file, VP_OPTIONAL, ret);
}

VP_EXPORT int virtpmem_region_get_broken_reason(struct virtpmem_region *region, char **ret)
{
	return group_read_word(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON), ret);
}

VP_EXPORT int virtpmem_region_get_error_policy(struct virtpmem_region *region, char **ret)
{
	return group_read_word(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY), ret);
}

VP_EXPORT int virtpmem_region_get_queue_depth(struct virtpmem_region *region, uint64_t *ret)
{
	return group_read_u64(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUEUE_DEPTH), ret);
}

VP_EXPORT int virtpmem_region_get_queue_depth_max(struct virtpmem_region *region, uint64_t *ret)
{
	return group_read_u64(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUEUE_DEPTH_MAX), ret);
}

VP_EXPORT int virtpmem_region_get_in_flight_us(struct virtpmem_region *region, uint64_t *ret)
{
	return group_read_u64(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_IN_FLIGHT_US), ret);
}
