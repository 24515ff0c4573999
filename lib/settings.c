// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Settings of our driver: reading and writing them, and keeping them for the
 * next boot.
 *
 * What is kept is a udev rule for each path, which matches the device that
 * carries the region and not a name that the kernel numbers anew:
 *
 *	ACTION=="add", SUBSYSTEM=="nd", KERNEL=="region*",
 *	KERNELS=="0000:00:04.0", SUBSYSTEMS=="pci", ATTR{virtio_pmem/...}="..."
 *
 * A rules file is exchanged as a whole, under a lock on its directory, and is
 * deleted with its last setting.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keep.h"
#include "plan.h"

/* Larger than any file that is written here. */
#define RULES_MAX	4096

static const char *const policies[] = {
	VIRTIO_PMEM_POLICY_LATCH, VIRTIO_PMEM_POLICY_REPORT, NULL,
};

#define TEXT_OF(number)		#number
#define RANGE(min, max)		TEXT_OF(min) " to " TEXT_OF(max)

/* Either one of some words, or a number in a range; @values says which. */
static const struct {
	const char *name, *file, *values;
	const char *const *words;
	uint64_t min, max;
} settings[] = {
	[VIRTPMEM_SETTING_ERROR_POLICY] = {
		.name = VIRTIO_PMEM_ATTR_ERROR_POLICY,
		.file = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY),
		.values = VIRTIO_PMEM_POLICY_LATCH " or " VIRTIO_PMEM_POLICY_REPORT,
		.words = policies,
	},
	[VIRTPMEM_SETTING_STALL_TIMEOUT_MS] = {
		.name = VIRTIO_PMEM_ATTR_STALL_TIMEOUT_MS,
		.file = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STALL_TIMEOUT_MS),
		.values = RANGE(VIRTIO_PMEM_STALL_TIMEOUT_MS_MIN, VIRTIO_PMEM_STALL_TIMEOUT_MS_MAX),
		.min = VIRTIO_PMEM_STALL_TIMEOUT_MS_MIN,
		.max = VIRTIO_PMEM_STALL_TIMEOUT_MS_MAX,
	},
	[VIRTPMEM_SETTING_QUIESCE_TIMEOUT_MS] = {
		.name = VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS,
		.file = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS),
		.values = RANGE(VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MIN,
				VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MAX),
		.min = VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MIN,
		.max = VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MAX,
	},
};

VP_EXPORT const char *virtpmem_setting_name(enum virtpmem_setting setting)
{
	return (unsigned int)setting < ARRAY_SIZE(settings) ? settings[setting].name : NULL;
}

VP_EXPORT const char *virtpmem_setting_values(enum virtpmem_setting setting)
{
	return virtpmem_setting_name(setting) ? settings[setting].values : NULL;
}

/* Relative to the region. */
const char *vp_setting_file(enum virtpmem_setting setting)
{
	return settings[setting].file;
}

static bool is_valid(enum virtpmem_setting setting, const char *value)
{
	const char *const *word = settings[setting].words;
	uint64_t number;

	for (; word && *word; word++)
		if (!strcmp(value, *word))
			return true;
	return !settings[setting].words && vp_parse_u64(value, &number) &&
	       number >= settings[setting].min && number <= settings[setting].max;
}

VP_EXPORT int virtpmem_region_get_setting(struct virtpmem_region *region,
					  enum virtpmem_setting setting, char **ret)
{
	int r;

	if (!virtpmem_setting_name(setting))
		return -EINVAL;
	r = vp_group_missing(region, settings[setting].file);
	return r < 0 ? r : vp_read_word(region, settings[setting].file, VP_REQUIRED, ret);
}

/* -------------------------------------------------------------- saved */

/* What one rules file holds; NULL: not saved. @bad: saved, but none of its values. */
struct saved {
	char *values[ARRAY_SIZE(settings)];
	bool bad[ARRAY_SIZE(settings)];
};

static void saved_done(struct saved *saved)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings); i++)
		free(saved->values[i]);
}

/* Name of the rules file of the region's path, within its directory. */
static int rules_name(const struct virtpmem_region *region, char **ret)
{
	int r = vp_keep_name(region, "65-virtpmem-", ".rules", ret);

	if (r == -EOPNOTSUPP)
		vp_err(region->ctx, "%s: it has no path that settings can be saved for",
		       region->devname);
	return r;
}

/*
 * What follows @key on the last line that has it and is no comment: udev does
 * them all, one after the other.
 */
static const char *find_last(const char *text, const char *key)
{
	const char *at, *line, *found = NULL;

	for (at = text; (at = strstr(at, key)); ) {
		for (line = at; line > text && line[-1] != '\n'; line--)
			;
		at += strlen(key);
		if (line[strspn(line, " \t")] != '#')
			found = at;
	}
	return found;
}

/* The value that a file gives to a setting: what stands between the quotes. */
static int parse_value(const char *text, enum virtpmem_setting setting, struct saved *saved)
{
	_cleanup_free_ char *key = NULL, *value = NULL;
	const char *start, *end;

	if (asprintf(&key, "ATTR{%s}=\"", settings[setting].file) < 0) {
		key = NULL;
		return -ENOMEM;
	}
	start = find_last(text, key);
	if (!start)
		return 0;
	end = strchr(start, '"');
	value = strndup(start, end ? (size_t)(end - start) : 0);
	if (!value)
		return -ENOMEM;
	if (!is_valid(setting, value)) {
		saved->bad[setting] = true;
		return 0;
	}
	saved->values[setting] = value;
	value = NULL;
	return 0;
}

static int read_saved(const struct virtpmem_region *region, int dirfd, const char *name,
		      struct saved *saved)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char text[RULES_MAX + 1];
	ssize_t n;
	size_t i;
	int r = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd < 0 ? -1 : read(fd, text, RULES_MAX);
	if (n < 0) {
		r = errno == EPERM ? -EACCES : -errno;
		vp_err(region->ctx, "%s/%s: %s", region->ctx->rules, name, strerror(-r));
		return r;
	}
	text[n] = '\0';
	for (i = 0; i < ARRAY_SIZE(settings) && !r; i++)
		r = parse_value(text, (enum virtpmem_setting)i, saved);
	return r;
}

/*
 * The directory of rules, locked if @lock. Everybody who may look into it can keep it
 * locked, so that is not waited for without a limit.
 */
static int open_rules(const struct virtpmem_region *region, bool lock)
{
	_cleanup_close_ int fd = open(region->ctx->rules, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (!r && lock)
		r = vp_lock(fd);
	if (r == -EBUSY)
		vp_err(region->ctx, "%s: another process keeps it locked; 'lslocks' shows which",
		       region->ctx->rules);
	else if (r < 0 && (r != -ENOENT || lock))
		vp_err(region->ctx, "%s: %s", region->ctx->rules, strerror(-r));
	if (r < 0)
		return r;
	r = fd;
	fd = -1;
	return r;
}

VP_EXPORT int virtpmem_region_get_saved_setting(struct virtpmem_region *region,
						enum virtpmem_setting setting, char **ret)
{
	_cleanup_(saved_done) struct saved saved = { .values = { NULL } };
	_cleanup_free_ char *name = NULL;
	_cleanup_close_ int dirfd = -1;
	int r;

	if (!virtpmem_setting_name(setting))
		return -EINVAL;
	r = rules_name(region, &name);
	if (r < 0)
		return r;
	dirfd = open_rules(region, false);
	if (dirfd < 0)
		return dirfd == -ENOENT ? -ENODATA : dirfd;
	r = read_saved(region, dirfd, name, &saved);
	if (r < 0)
		return r;
	if (saved.bad[setting]) {
		vp_err(region->ctx, "%s/%s: not a value of %s", region->ctx->rules, name,
		       settings[setting].name);
		return -EBADMSG;
	}
	if (!saved.values[setting])
		return -ENODATA;
	*ret = saved.values[setting];
	saved.values[setting] = NULL;
	return 0;
}

struct rules {
	const char *path;
	const struct saved *saved;
};

static void print_rules(FILE *f, const void *data)
{
	const struct rules *rules = data;
	const char *device = strchr(rules->path, '-') + 1;
	size_t i;

	fprintf(f, "# Settings of the persistent memory at %s, written by libvirtpmem\n",
		rules->path);
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (rules->saved->values[i])
			fprintf(f, "ACTION==\"add\", SUBSYSTEM==\"nd\", KERNEL==\"region*\", "
				"KERNELS==\"%s\", SUBSYSTEMS==\"%.*s\", ATTR{%s}=\"%s\"\n",
				device, (int)(device - rules->path) - 1, rules->path,
				settings[i].file, rules->saved->values[i]);
}

/* udevd reads only what ends in ".rules". */
static int write_rules(const struct virtpmem_region *region, int dirfd, const char *name,
		       const struct saved *saved)
{
	const struct rules rules = { .path = region->path, .saved = saved };

	return vp_keep_write(dirfd, ".65-virtpmem.new", name, print_rules, &rules);
}

/* -------------------------------------------------------------- setting */

struct operation {
	struct virtpmem_region *region;
	enum virtpmem_setting setting;
	const char *value;
	char *rules;			/* name of the rules file */
};

static void operation_done(struct operation *op)
{
	free(op->rules);
}

static int act_set(void *data, size_t arg)
{
	const struct operation *op = data;

	(void)arg;
	return vp_write(op->region, settings[op->setting].file, op->value);
}

static int act_save(void *data, size_t arg)
{
	_cleanup_(saved_done) struct saved saved = { .values = { NULL } };
	struct operation *op = data;
	_cleanup_close_ int dirfd = open_rules(op->region, true);
	bool any = false;
	size_t i;
	int r;

	(void)arg;
	if (dirfd < 0)
		return dirfd == -EPERM ? -EACCES : dirfd;
	r = read_saved(op->region, dirfd, op->rules, &saved);
	if (r < 0)
		return r;
	free(saved.values[op->setting]);
	saved.values[op->setting] = op->value ? strdup(op->value) : NULL;
	if (op->value && !saved.values[op->setting])
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		any |= saved.values[i] != NULL;
	if (any)
		r = write_rules(op->region, dirfd, op->rules, &saved);
	else
		r = unlinkat(dirfd, op->rules, 0) < 0 ? -errno : 0;
	if (!any && r == -ENOENT)
		return VP_NOT_NEEDED;
	if (!r && fsync(dirfd) < 0)
		r = -errno;
	return r == -EPERM ? -EACCES : r;
}

/* What cannot be understood is not written again. That it cannot be read, saving says. */
static int warn_of_bad(struct virtpmem_plan *plan, const struct operation *op)
{
	_cleanup_(saved_done) struct saved saved = { .values = { NULL } };
	_cleanup_close_ int dirfd = open(op->region->ctx->rules, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t i;
	int r;

	if (dirfd < 0)
		return 0;
	r = read_saved(op->region, dirfd, op->rules, &saved);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (i = 0; i < ARRAY_SIZE(settings) && !r; i++)
		if (saved.bad[i] && i != (size_t)op->setting)
			r = vp_plan_warn(plan, settings[i].name, "the %s that is saved in %s/%s is not "
					 "one of its values, and will not be kept", settings[i].name,
					 op->region->ctx->rules, op->rules);
	return r;
}

static int make_plan(struct virtpmem_plan *plan, const struct operation *op, unsigned int flags)
{
	const char *name = settings[op->setting].name, *devname = op->region->devname;
	const char *dir = op->region->ctx->rules;
	struct vp_step step = { .kind = VIRTPMEM_STEP_SET, .object = name, .act = act_set };
	int r = 0;

	if (flags & VIRTPMEM_SAVE)
		r = warn_of_bad(plan, op);
	if (!r && op->value)
		r = vp_plan_add(plan, &step, "set %s of %s to %s", name, devname, op->value);
	step.kind = VIRTPMEM_STEP_SAVE;
	step.act = act_save;
	if (!r && (flags & VIRTPMEM_SAVE) && op->value)
		r = vp_plan_add(plan, &step, "save %s=%s for the device at %s in %s/%s", name,
				op->value, op->region->path, dir, op->rules);
	else if (!r && !op->value)
		r = vp_plan_add(plan, &step, "forget the %s that is saved for the device at %s "
				"in %s/%s", name, op->region->path, dir, op->rules);
	return r;
}

VP_EXPORT int virtpmem_region_set_setting(struct virtpmem_region *region,
					  enum virtpmem_setting setting, const char *value,
					  unsigned int flags, struct virtpmem_plan **plan)
{
	_cleanup_(operation_done) struct operation op = {
		.region = region, .setting = setting, .value = value,
	};
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *p = NULL;
	int r = 0;

	if (!virtpmem_setting_name(setting) || (flags & ~(VIRTPMEM_DRY_RUN | VIRTPMEM_SAVE)))
		return -EINVAL;
	if (value ? !is_valid(setting, value) : !(flags & VIRTPMEM_SAVE))
		return -EINVAL;
	virtpmem_region_snapshot_end(region);
	if (value)
		r = vp_group_missing(region, settings[setting].file);
	if (!r && (flags & VIRTPMEM_SAVE))
		r = rules_name(region, &op.rules);
	if (!r)
		r = vp_plan_new(region->ctx, &p);
	if (!r)
		r = make_plan(p, &op, flags);
	return r < 0 ? r : vp_plan_give(p, vp_plan_run(p, &op, flags), plan);
}
