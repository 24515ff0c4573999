// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the names on the command line to regions; see regions.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "regions.h"
#include "suggest.h"
#include "util.h"

#define ALL "all"

/* The word of the library on what failed: it names the file. */
static void on_log(void *userdata, int priority, const char *text)
{
	char **log = userdata;

	if (priority <= LOG_ERR) {
		free(*log);
		*log = xstrdup(text);
	}
	if (getenv("VIRTPMEM_LOG")) {
		_cleanup_free_ char *safe = printable(text, false);

		fprintf(stderr, "libvirtpmem: %s\n", safe);
	}
}

const char *regions_why(const struct pmemctl *p, const char *dev, int err)
{
	size_t len = strlen(dev);

	if (!p->log)
		return error_text(err);
	/* The message that this becomes a part of begins with the name already. */
	if (!strncmp(p->log, dev, len) && !strncmp(p->log + len, ": ", 2))
		return p->log + len + 2;
	return p->log;
}

void regions_forget_log(struct pmemctl *p)
{
	free(p->log);
	p->log = NULL;
}

struct virtpmem_ctx *regions_context(char **log)
{
	struct virtpmem_ctx *ctx;

	if (virtpmem_new(&ctx) < 0)
		out_of_memory();
	virtpmem_set_log_fn(ctx, on_log, log);
	return ctx;
}

/* Returns: the number of regions, or a negative errno. */
static int scan(struct pmemctl *p)
{
	if (p->ctx)
		return 0;
	p->ctx = regions_context(&p->log);
	return virtpmem_scan(p->ctx);
}

bool regions_scan(struct pmemctl *p)
{
	int err = scan(p);

	if (err < 0)
		output_error(&p->out, NULL, error_from_errno(err), "cannot look for regions: %s",
			     regions_why(p, "", err));
	return err >= 0;
}

int regions_rescan(struct pmemctl *p)
{
	regions_forget_log(p);
	return virtpmem_scan(p->ctx);
}

char *regions_identity(struct pmemctl *p, const struct virtpmem_region *region)
{
	const char *dev = virtpmem_region_get_devname(region);
	const char *path = virtpmem_region_get_path(region);
	struct virtpmem_region *other;

	if (!path)
		return xstrdup(dev);
	virtpmem_region_foreach (p->ctx, other) {
		const char *its = virtpmem_region_get_path(other);

		if (its && streq(its, path) && !streq(virtpmem_region_get_devname(other), dev))
			return xasprintf("%s/%s", path, dev);
	}
	return xstrdup(path);
}

/* ---------------------------------------------------------- no regions */

void regions_without_driver(struct pmemctl *p, struct record *paths)
{
	struct virtpmem_unbound *device;
	const char *path;

	if (scan(p) < 0)
		return;
	virtpmem_unbound_foreach (p->ctx, device)
		if ((path = virtpmem_unbound_get_path(device)))
			record_add_string(paths, NULL, path);
}

/* The devices without a driver, with "pmemctl add" for those that it can name; the caller frees. */
static char *without_driver(struct pmemctl *p)
{
	_cleanup_record_ struct record *devices = record_new(RECORD_ARRAY);
	_cleanup_free_ char *paths = xstrdup("");
	const struct record *device;

	regions_without_driver(p, devices);
	record_foreach (devices, device) {
		char *longer = xasprintf("%s %s", paths, device->string);

		free(paths);
		paths = longer;
	}
	return xasprintf("no regions: virtio-pmem devices are here, but have no driver%s%s%s",
			 *paths ? "; 'pmemctl add" : "", paths, *paths ? "' gives them theirs" : "");
}

/* Why there are none, as far as can be seen; the caller frees. */
static char *why_none(struct pmemctl *p)
{
	bool loaded = !access("/sys/bus/nd", F_OK);
	unsigned int count;
	int err;

	regions_forget_log(p);
	err = virtpmem_get_unbound_count(p->ctx, &count);
	if (err == -ENOMEM)
		out_of_memory();
	if (!err && count)
		return without_driver(p);
	if (err < 0)
		return xasprintf("no regions: %s; whether a virtio-pmem device is here that has no "
				 "driver cannot be told: %s", loaded ?
				 "no driver has registered one" : "libnvdimm is not loaded",
				 regions_why(p, "", err));
	if (!loaded)
		return xstrdup("no regions: libnvdimm is not loaded, and this machine has no "
			       "virtio-pmem device");
	return xstrdup("no regions: no driver has registered one, and this machine has no "
		       "virtio-pmem device without a driver");
}

static void none(struct pmemctl *p)
{
	_cleanup_free_ char *why = why_none(p);

	/* Showing nothing is a full answer; having done nothing is not. */
	if (p->command->operands == OPERANDS_REGIONS ||
	    p->command->operands == OPERANDS_REGIONS_INTERVAL)
		output_note(&p->out, "%s", why);
	else
		output_error(&p->out, NULL, ERROR_NO_SUCH_REGION, "%s", why);
}

/* --------------------------------------------------------------- names */

void regions_names(struct pmemctl *p, struct record *names)
{
	struct virtpmem_region *region;
	struct virtpmem_namespace *ns;
	const char *name;

	if (scan(p) < 0)
		return;
	virtpmem_region_foreach (p->ctx, region) {
		record_add_string(names, NULL, virtpmem_region_get_devname(region));
		if ((name = virtpmem_region_get_path(region)))
			record_add_string(names, NULL, name);
		virtpmem_namespace_foreach (region, ns) {
			record_add_string(names, NULL, virtpmem_namespace_get_devname(ns));
			if ((name = virtpmem_namespace_get_blockdev(ns)))
				record_add_string(names, NULL, name);
			if ((name = virtpmem_namespace_get_daxdev(ns)))
				record_add_string(names, NULL, name);
		}
	}
}

static bool is_without_driver(struct pmemctl *p, const char *path)
{
	_cleanup_record_ struct record *devices = record_new(RECORD_ARRAY);
	const struct record *device;

	regions_without_driver(p, devices);
	record_foreach (devices, device)
		if (streq(device->string, path))
			return true;
	return false;
}

/* A number that is another one is no typing mistake, but another device. */
static bool differ_in_numbers(const char *a, const char *b)
{
	/* Those of an address are hexadecimal. */
	const char *digits = strchr(a, ':') ? "0123456789abcdef:." : "0123456789";

	for (; *a || *b; a++, b++) {
		a += strspn(a, digits);
		b += strspn(b, digits);
		if (*a != *b)
			return false;
		if (!*a)
			break;
	}
	return true;
}

static void unknown_region(struct pmemctl *p, const char *name)
{
	_cleanup_record_ struct record *names = record_new(RECORD_ARRAY);
	const struct record *r;
	struct suggestion s;

	if (!virtpmem_region_get_first(p->ctx)) {
		_cleanup_free_ char *why = why_none(p);

		output_error(&p->out, name, ERROR_NO_SUCH_REGION, "%s", why);
		return;
	}
	if (is_without_driver(p, name)) {
		output_error(&p->out, name, ERROR_NO_SUCH_REGION,
			     "its device has no driver; 'pmemctl add %s' gives it one", name);
		return;
	}
	regions_names(p, names);
	suggest_start(&s, name);
	record_foreach (names, r)
		if (!differ_in_numbers(r->string, name))
			suggest_consider(&s, r->string);
	if (s.best)
		output_error(&p->out, name, ERROR_NO_SUCH_REGION,
			     "no region has this name; did you mean '%s'? 'pmemctl list' shows the "
			     "regions", s.best);
	else
		output_error(&p->out, name, ERROR_NO_SUCH_REGION,
			     "no region has this name; 'pmemctl list' shows the regions");
}

/* The regions that share a path. */
static void ambiguous_region(struct pmemctl *p, const char *name)
{
	_cleanup_free_ char *list = xstrdup("");
	struct virtpmem_region *region;

	virtpmem_region_foreach (p->ctx, region) {
		const char *path = virtpmem_region_get_path(region);
		char *longer;

		if (!path || !streq(path, name))
			continue;
		longer = xasprintf("%s%s%s", list, *list ? ", " : "",
				   virtpmem_region_get_devname(region));
		free(list);
		list = longer;
	}
	if (*list)
		output_error(&p->out, name, ERROR_AMBIGUOUS,
			     "several regions have this path: %s; name one of them", list);
	else
		output_error(&p->out, name, ERROR_AMBIGUOUS,
			     "%s; name one of them by its own name, see 'pmemctl list'",
			     regions_why(p, name, -ENOTUNIQ));
}

static int find(struct pmemctl *p, const char *name, struct virtpmem_region **region)
{
	int err;

	regions_forget_log(p);
	err = virtpmem_region_find(p->ctx, name, region);
	switch (err) {
	case 0:
		break;
	case -ENXIO:
		unknown_region(p, name);
		break;
	case -ENOTUNIQ:
		ambiguous_region(p, name);
		break;
	case -EINVAL:
		output_error(&p->out, name, ERROR_USAGE, "a region's name cannot be empty");
		break;
	default:
		output_error(&p->out, name, error_from_errno(err), "cannot be looked up: %s",
			     regions_why(p, name, err));
		break;
	}
	return err;
}

/* ------------------------------------------------------------- looping */

void regions_not_reached(struct pmemctl *p, const char *name)
{
	output_error(&p->out, name, ERROR_INTERRUPTED, "interrupted before its turn came: nothing "
		     "was done to it");
}

/* The regions that were taken, so that none is taken twice. They belong to the context. */
struct taken {
	struct virtpmem_region **region;
	size_t count;
};

static void take(struct pmemctl *p, struct virtpmem_region *region, struct taken *taken,
		 void (*fn)(struct pmemctl *p, struct virtpmem_region *region))
{
	size_t i;

	for (i = 0; i < taken->count; i++)
		if (taken->region[i] == region)
			return;
	taken->region = xreallocarray(taken->region, taken->count + 1, sizeof(*taken->region));
	taken->region[taken->count++] = region;
	if (!interrupted())
		fn(p, region);
	else if (p->command->in_turn || p->option[OPTION_ACKNOWLEDGE])
		regions_not_reached(p, virtpmem_region_get_devname(region));
}

static void take_all(struct pmemctl *p, struct taken *taken,
		     void (*fn)(struct pmemctl *p, struct virtpmem_region *region))
{
	struct virtpmem_region *region;

	if (!virtpmem_region_get_first(p->ctx))
		none(p);
	virtpmem_region_foreach (p->ctx, region)
		take(p, region, taken, fn);
}

void regions_each_early(struct pmemctl *p,
			void (*fn)(struct pmemctl *p, struct virtpmem_region *region))
{
	struct virtpmem_region *region;
	size_t i;

	for (i = 0; i < p->operand_count; i++) {
		if (!streq(p->operands[i], ALL)) {
			if (!virtpmem_region_find(p->ctx, p->operands[i], &region))
				fn(p, region);
			continue;
		}
		virtpmem_region_foreach (p->ctx, region)
			fn(p, region);
	}
}

void regions_each(struct pmemctl *p, void (*fn)(struct pmemctl *p, struct virtpmem_region *region))
{
	struct taken taken = { 0 };
	size_t i;

	if (!regions_scan(p))
		return;
	/* Who holds regions is found in what they share: mounts, processes. */
	virtpmem_snapshot_begin(p->ctx);
	if (!p->operand_count)
		take_all(p, &taken, fn);
	for (i = 0; i < p->operand_count; i++) {
		struct virtpmem_region *region;

		if (streq(p->operands[i], ALL))
			take_all(p, &taken, fn);
		else if (!find(p, p->operands[i], &region))
			take(p, region, &taken, fn);
	}
	free(taken.region);
}
