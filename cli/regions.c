// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the names on the command line to regions; see regions.h.
 */
#include <dirent.h>
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
	struct pmemctl *p = userdata;

	if (priority <= LOG_ERR) {
		free(p->log);
		p->log = xstrdup(text);
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

/* Returns: the number of regions, or a negative errno. */
static int scan(struct pmemctl *p)
{
	int err;

	if (p->ctx)
		return 0;
	err = virtpmem_new(&p->ctx);
	if (err < 0)
		return err;
	virtpmem_set_log_fn(p->ctx, on_log, p);
	return virtpmem_scan(p->ctx);
}

/* ---------------------------------------------------------- no regions */

/* The name of a virtio-pmem device that no driver has, or NULL. */
static char *unbound_device(void)
{
	static const char dir[] = "/sys/bus/virtio/devices";
	char *found = NULL;
	struct dirent *d;
	DIR *devices;

	devices = opendir(dir);
	while (devices && !found && (d = readdir(devices))) {
		_cleanup_free_ char *id = xasprintf("%s/%s/device", dir, d->d_name);
		_cleanup_free_ char *driver = xasprintf("%s/%s/driver", dir, d->d_name);
		FILE *f = fopen(id, "re");
		unsigned int number;

		if (!f)
			continue;
		if (fscanf(f, "%x", &number) == 1 && number == 27 && access(driver, F_OK))
			found = xstrdup(d->d_name);
		fclose(f);
	}
	if (devices)
		closedir(devices);
	return found;
}

/* Why there are none, as far as can be seen; the caller frees. */
static char *why_none(void)
{
	static const char driver[] = "/sys/bus/virtio/drivers/virtio_pmem";
	_cleanup_free_ char *device = unbound_device();

	if (device && !access(driver, F_OK))
		return xasprintf("no regions: virtio-pmem device %s is not bound to its driver; "
				 "writing '%s' to %s/bind binds it", device, device, driver);
	if (device)
		return xasprintf("no regions: virtio-pmem device %s has no driver; "
				 "'modprobe virtio_pmem' loads it", device);
	if (access("/sys/bus/nd", F_OK))
		return xstrdup("no regions: libnvdimm is not loaded, and this machine has no "
			       "virtio-pmem device");
	return xstrdup("no regions: no driver has registered one, and this machine has no "
		       "virtio-pmem device without a driver");
}

static void none(struct pmemctl *p)
{
	_cleanup_free_ char *why = why_none();

	/* Showing nothing is a full answer; having done nothing is not. */
	if (p->command->operands == OPERANDS_REGIONS)
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

static void unknown_region(struct pmemctl *p, const char *name)
{
	_cleanup_record_ struct record *names = record_new(RECORD_ARRAY);
	const struct record *r;
	struct suggestion s;

	if (!virtpmem_region_get_first(p->ctx)) {
		_cleanup_free_ char *why = why_none();

		output_error(&p->out, name, ERROR_NO_SUCH_REGION, "%s", why);
		return;
	}
	regions_names(p, names);
	suggest_start(&s, name);
	record_foreach (names, r)
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
			     "this device or mount point spans several regions; name one of them "
			     "by its own name, see 'pmemctl list'");
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

void regions_each(struct pmemctl *p, void (*fn)(struct pmemctl *p, struct virtpmem_region *region))
{
	struct taken taken = { 0 };
	int err = scan(p);
	size_t i;

	if (err < 0) {
		output_error(&p->out, NULL, error_from_errno(err), "cannot look for regions: %s",
			     regions_why(p, "", err));
		return;
	}
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
