// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Namespaces of a region, and the block and DAX devices made of them.
 *
 * A namespace that is claimed names its holder, a btt, pfn or dax device
 * beside it in the region's directory, and that one carries the block device
 * or the DAX device. A raw one carries its block device itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

static void namespace_free(struct virtpmem_namespace *ns)
{
	if (!ns)
		return;
	free(ns->devname);
	free(ns->holder);
	free(ns->blockdev);
	free(ns->blockdir);
	free(ns->daxdev);
	free(ns);
}

static void namespace_freep(struct virtpmem_namespace **ns)
{
	namespace_free(*ns);
}

void vp_namespaces_free(struct virtpmem_namespace *ns)
{
	struct virtpmem_namespace *next;

	for (; ns; ns = next) {
		next = ns->next;
		namespace_free(ns);
	}
}

static int read_u64_in(const struct virtpmem_region *region, const char *dir, const char *name,
		       enum vp_need need, uint64_t *ret)
{
	_cleanup_free_ char *file = NULL;

	if (asprintf(&file, "%s/%s", dir, name) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	return vp_read_u64(region, file, need, ret);
}

static int read_line_in(const struct virtpmem_region *region, const char *dir, const char *name,
			char **ret)
{
	_cleanup_free_ char *file = NULL;

	if (asprintf(&file, "%s/%s", dir, name) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	return vp_read_line(region, file, VP_REQUIRED, ret);
}

/* *ret is NULL if nothing holds the namespace. */
static int read_holder(const struct virtpmem_region *region, const char *devname, char **ret)
{
	static const char *const prefixes[] = { "btt", "pfn", "dax" };
	_cleanup_free_ char *line = NULL;
	unsigned int i, major, minor;
	int r;

	r = read_line_in(region, devname, "holder", &line);
	if (r < 0)
		return r;
	if (!*line) {
		*ret = NULL;
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (!vp_parse_id_pair(line, prefixes[i], &major, &minor))
			continue;
		*ret = line;
		line = NULL;
		return 0;
	}
	vp_err(region->ctx, "%s/%s/holder: neither a btt, pfn nor dax device", region->devname,
	       devname);
	return -EBADMSG;
}

struct search {
	char *name;
	unsigned int minor;
	bool daxdev;
};

/* The only block device, or the DAX device of the lowest number. */
static int search_entry(const char *name, void *data)
{
	struct search *search = data;
	unsigned int major, minor = 0;
	char *copy;

	if (search->daxdev && !vp_parse_id_pair(name, "dax", &major, &minor))
		return 0;
	if (search->name && minor >= search->minor)
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(search->name);
	search->name = copy;
	search->minor = minor;
	return 0;
}

static int find_child(const struct virtpmem_region *region, const char *dir, bool daxdev,
		      char **ret)
{
	struct search search = { .daxdev = daxdev };
	int r;

	r = vp_each_entry(region, dir, VP_OPTIONAL, search_entry, &search);
	if (r < 0 && r != -EOPNOTSUPP) {
		free(search.name);
		return r;
	}
	*ret = search.name;
	return 0;
}

static int find_devices(struct virtpmem_namespace *ns)
{
	const char *carrier = ns->holder ? ns->holder : ns->devname;
	_cleanup_free_ char *dir = NULL;
	int r;

	if (ns->holder && !strncmp(ns->holder, "dax", 3))
		return find_child(ns->region, ns->holder, true, &ns->daxdev);

	if (asprintf(&dir, "%s/block", carrier) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	r = find_child(ns->region, dir, false, &ns->blockdev);
	if (r < 0 || !ns->blockdev)
		return r;
	if (asprintf(&ns->blockdir, "%s/%s", dir, ns->blockdev) < 0) {
		ns->blockdir = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* *ret is NULL for a seed and for one that has just gone. */
static int namespace_new(struct virtpmem_region *region, const char *devname, unsigned int id,
			 struct virtpmem_namespace **ret)
{
	_cleanup_(namespace_freep) struct virtpmem_namespace *ns = NULL;
	uint64_t size;
	int r;

	*ret = NULL;
	r = read_u64_in(region, devname, "size", VP_OPTIONAL, &size);
	if (r == -EOPNOTSUPP || (!r && !size))
		return 0;
	/* An unreadable size does not make it a seed; its getter will say what is wrong. */
	if (r < 0 && r != -EBADMSG)
		return r;

	ns = calloc(1, sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	ns->region = region;
	ns->id = id;
	ns->devname = strdup(devname);
	if (!ns->devname)
		return -ENOMEM;
	r = read_holder(region, devname, &ns->holder);
	/* Without knowing who holds it there is no telling what its devices are. */
	ns->unsure = r == -EBADMSG || r == -EOPNOTSUPP;
	if (ns->unsure)
		r = 0;
	else if (!r)
		r = find_devices(ns);
	if (r < 0)
		return r;

	*ret = ns;
	ns = NULL;
	return 0;
}

struct listing {
	struct virtpmem_region *region;
	struct virtpmem_namespace *first;
};

static int list_entry(const char *name, void *data)
{
	struct listing *listing = data;
	struct virtpmem_namespace **pos = &listing->first;
	struct virtpmem_namespace *ns;
	unsigned int region_id, id;
	int r;

	if (!vp_parse_id_pair(name, "namespace", &region_id, &id) ||
	    region_id != listing->region->id)
		return 0;
	r = namespace_new(listing->region, name, id, &ns);
	if (r < 0 || !ns)
		return r;
	while (*pos && (*pos)->id < ns->id)
		pos = &(*pos)->next;
	ns->next = *pos;
	*pos = ns;
	return 0;
}

/* As they are now, sorted by number. */
int vp_namespaces_read(struct virtpmem_region *region, struct virtpmem_namespace **ret)
{
	struct listing listing = { .region = region };
	int r;

	r = vp_each_entry(region, ".", VP_REQUIRED, list_entry, &listing);
	/* A removed directory can still be listed, and is empty. */
	if (!r && !listing.first && !vp_region_alive(region))
		r = vp_file_error(region, ".", "cannot list", ENODEV, VP_REQUIRED);
	if (r < 0) {
		vp_namespaces_free(listing.first);
		return r;
	}
	*ret = listing.first;
	return 0;
}

/* The list that was read when it was first asked for; *ret is NULL if it is empty. */
int vp_namespaces_get(struct virtpmem_region *region, struct virtpmem_namespace **ret)
{
	int r;

	if (!region->namespaces_read) {
		r = vp_namespaces_read(region, &region->namespaces);
		if (r < 0)
			return r;
		region->namespaces_read = true;
	}
	*ret = region->namespaces;
	return 0;
}

VP_EXPORT int virtpmem_region_get_namespace_count(struct virtpmem_region *region, unsigned int *ret)
{
	struct virtpmem_namespace *ns = NULL;
	unsigned int count = 0;
	int r;

	r = vp_namespaces_get(region, &ns);
	if (r < 0)
		return r;
	for (; ns; ns = ns->next)
		count++;
	*ret = count;
	return 0;
}

VP_EXPORT struct virtpmem_namespace *virtpmem_namespace_get_first(struct virtpmem_region *region)
{
	struct virtpmem_namespace *first = NULL;
	int r;

	r = vp_namespaces_get(region, &first);
	if (r < 0)
		vp_err(region->ctx, "%s: cannot list the namespaces: %s", region->devname,
		       strerror(-r));
	return first;
}

VP_EXPORT struct virtpmem_namespace *virtpmem_namespace_get_next(struct virtpmem_namespace *ns)
{
	return ns->next;
}

VP_EXPORT const char *virtpmem_namespace_get_devname(const struct virtpmem_namespace *ns)
{
	return ns->devname;
}

/* A holder's metadata takes some of the space; a holder without driver has no size. */
VP_EXPORT int virtpmem_namespace_get_size(struct virtpmem_namespace *ns, uint64_t *ret)
{
	uint64_t size;
	int r = -EOPNOTSUPP;

	if (ns->holder)
		r = read_u64_in(ns->region, ns->holder, "size", VP_OPTIONAL, &size);
	if (r == -EOPNOTSUPP || r == -ENXIO)
		r = read_u64_in(ns->region, ns->devname, "size", VP_REQUIRED, &size);
	if (r < 0)
		return r;
	*ret = size;
	return 0;
}

static const struct {
	const char *word;
	const char *name;
} modes[] = {
	[VIRTPMEM_MODE_UNKNOWN] = { NULL, "unknown" },
	[VIRTPMEM_MODE_RAW] = { "raw", "raw" },
	[VIRTPMEM_MODE_FSDAX] = { "memory", "fsdax" },
	[VIRTPMEM_MODE_DEVDAX] = { "dax", "devdax" },
	[VIRTPMEM_MODE_SECTOR] = { "safe", "sector" },
};

/*
 * The kernel's own word, as ndctl takes it: it is "memory" also for a
 * namespace that nothing claims but whose pages are mapped, as virtio-pmem's.
 */
VP_EXPORT int virtpmem_namespace_get_mode(struct virtpmem_namespace *ns, enum virtpmem_mode *ret)
{
	_cleanup_free_ char *line = NULL;
	unsigned int i;
	int r;

	r = read_line_in(ns->region, ns->devname, "mode", &line);
	if (r < 0)
		return r;
	*ret = VIRTPMEM_MODE_UNKNOWN;
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (modes[i].word && !strcmp(line, modes[i].word))
			*ret = (enum virtpmem_mode)i;
	return 0;
}

VP_EXPORT const char *virtpmem_mode_name(enum virtpmem_mode mode)
{
	if ((unsigned int)mode >= ARRAY_SIZE(modes))
		mode = VIRTPMEM_MODE_UNKNOWN;
	return modes[mode].name;
}

VP_EXPORT const char *virtpmem_namespace_get_blockdev(const struct virtpmem_namespace *ns)
{
	return ns->blockdev;
}

VP_EXPORT const char *virtpmem_namespace_get_daxdev(const struct virtpmem_namespace *ns)
{
	return ns->daxdev;
}

VP_EXPORT int virtpmem_namespace_get_write_cache(struct virtpmem_namespace *ns,
						 enum virtpmem_write_cache *ret)
{
	_cleanup_free_ char *line = NULL;
	int r;

	if (!ns->blockdir)
		return -EOPNOTSUPP;
	r = read_line_in(ns->region, ns->blockdir, "queue/write_cache", &line);
	if (r < 0)
		return r;
	if (!strcmp(line, "write back")) {
		*ret = VIRTPMEM_WRITE_BACK;
		return 0;
	}
	if (!strcmp(line, "write through")) {
		*ret = VIRTPMEM_WRITE_THROUGH;
		return 0;
	}
	vp_err(ns->region->ctx, "%s/%s/queue/write_cache: neither write back nor write through",
	       ns->region->devname, ns->blockdir);
	return -EBADMSG;
}

static int read_bool_in(const struct virtpmem_namespace *ns, const char *name, bool *ret)
{
	_cleanup_free_ char *file = NULL;

	if (!ns->blockdir)
		return -EOPNOTSUPP;
	if (asprintf(&file, "%s/%s", ns->blockdir, name) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	return vp_read_bool(ns->region, file, VP_OPTIONAL, ret);
}

VP_EXPORT int virtpmem_namespace_get_dax_write_cache(struct virtpmem_namespace *ns, bool *ret)
{
	return read_bool_in(ns, "dax/write_cache", ret);
}

/* Why the block device of a namespace offers no DAX: 0 and a reason, or -errno. */
static int why_no_dax(struct virtpmem_namespace *ns, char **reason)
{
	enum virtpmem_mode mode;
	int r;

	r = virtpmem_namespace_get_mode(ns, &mode);
	if (r < 0)
		return r;
	if (mode == VIRTPMEM_MODE_SECTOR)
		r = asprintf(reason, "%s is in sector mode, which DAX would bypass", ns->devname);
	else if (mode == VIRTPMEM_MODE_RAW)
		r = asprintf(reason, "%s is in raw mode, whose memory has no page structures",
			     ns->devname);
	else if (vp_kernel_config(ns->region->ctx, "CONFIG_ZONE_DEVICE") == 0)
		r = asprintf(reason, "the kernel was built without CONFIG_ZONE_DEVICE");
	else
		r = asprintf(reason, "the driver of %s offers no DAX: its memory has no page "
			     "structures, or this architecture has no DAX", ns->blockdev);
	return r < 0 ? -ENOMEM : 0;
}

/*
 * The flag of the queue says what the device can do; the file systems need the
 * kernel's part too.
 */
VP_EXPORT int virtpmem_namespace_get_dax(struct virtpmem_namespace *ns, bool *ret, char **reason)
{
	char *why = NULL;
	bool dax;
	int r;

	r = read_bool_in(ns, "queue/dax", &dax);
	if (r < 0)
		return r;
	if (!dax) {
		r = why_no_dax(ns, &why);
	} else {
		r = vp_kernel_config(ns->region->ctx, "CONFIG_FS_DAX");
		dax = r != 0;
		if (!dax && asprintf(&why, "the kernel was built without CONFIG_FS_DAX") < 0)
			r = -ENOMEM;
	}
	if (r == -ENOMEM || (r < 0 && !dax))
		return r;
	*ret = dax;
	if (reason)
		*reason = why;
	else
		free(why);
	return 0;
}
