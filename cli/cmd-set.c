// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl set: the settings of regions; without a value it shows them.
 */
#include <errno.h>
#include <string.h>

#include "plan.h"
#include "progress.h"
#include "regions.h"
#include "suggest.h"
#include "util.h"

const struct option_desc set_options[] = {
	{ .id = OPTION_PERSIST, .letter = 'p', .name = "persist",
	  .help = "also at each boot and bind, by a udev rule; with 'NAME=' forget that" },
	OPTION_DESC_DRY_RUN,
	{ .name = NULL },
};

/* What is asked for of one setting. */
struct wish {
	bool named;
	char *value; /* NULL: show it; "": forget what is saved */
};

struct setting {
	struct wish wishes[VIRTPMEM_SETTING_COUNT];
	bool changes, failed;
};

/* ---------------------------------------------------------- the wishes */

static void unknown_setting(struct pmemctl *p, const char *name)
{
	struct suggestion s;
	unsigned int i;

	suggest_start(&s, name);
	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++)
		suggest_consider(&s, virtpmem_setting_name(i));
	if (s.best)
		output_error(&p->out, NULL, ERROR_USAGE,
			     "there is no setting '%s'; did you mean '%s'?", name, s.best);
	else
		output_error(&p->out, NULL, ERROR_USAGE,
			     "there is no setting '%s'; 'pmemctl set all' shows the settings", name);
}

static bool take_wish(struct pmemctl *p, struct setting *set, const char *word)
{
	const char *equals = strchr(word, '=');
	_cleanup_free_ char *name = xasprintf("%.*s", (int)strcspn(word, "="), word);
	unsigned int i;

	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++) {
		if (!streq(virtpmem_setting_name(i), name))
			continue;
		if (set->wishes[i].named) {
			output_error(&p->out, NULL, ERROR_USAGE,
				     "%s is named twice; one region has one value of it", name);
			return false;
		}
		set->wishes[i].named = true;
		set->wishes[i].value = equals ? xstrdup(equals + 1) : NULL;
		set->changes |= equals || p->option[OPTION_PERSIST];
		return true;
	}
	unknown_setting(p, name);
	return false;
}

/* The first operand is the region, the others are settings; none means all of them. */
static bool take_wishes(struct pmemctl *p, struct setting *set)
{
	unsigned int i;

	for (i = 1; i < p->operand_count; i++)
		if (!take_wish(p, set, p->operands[i]))
			return false;
	if (p->operand_count == 1 && p->option[OPTION_PERSIST]) {
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--persist needs the name of a setting, such as stall_timeout_ms or "
			     "stall_timeout_ms=5000");
		return false;
	}
	for (i = 0; p->operand_count == 1 && i < VIRTPMEM_SETTING_COUNT; i++)
		set->wishes[i].named = true;
	p->operand_count = 1;
	return true;
}

/* ------------------------------------------------------------ changing */

static void report(struct pmemctl *p, const char *dev, unsigned int id, const char *value,
		   struct virtpmem_plan *plan, int err)
{
	const char *name = virtpmem_setting_name(id);
	_cleanup_free_ char *why = plan_why(p, dev, plan, err);
	struct output *out = &p->out;

	if (err == -EINVAL && !*value)
		output_error(out, dev, ERROR_USAGE, "%s needs a value: %s; with --persist, no value "
			     "forgets the one that is saved", name, virtpmem_setting_values(id));
	else if (err == -EINVAL)
		output_error(out, dev, ERROR_USAGE, "%s can be %s, not '%s'", name,
			     virtpmem_setting_values(id), value);
	else if (err == -EOPNOTSUPP)
		output_error(out, dev, ERROR_NOT_SUPPORTED, "%s cannot be set: %s; this project's "
			     "virtio_pmem has settings", name, why);
	else if (err == -ENOENT)
		output_error(out, dev, ERROR_FAILED, "%s could not be saved: %s; is udev installed?",
			     name, why);
	else
		plan_report(p, dev, plan, err, "set");
}

/* Returns: what the library returned. */
static int change(struct pmemctl *p, struct virtpmem_region *region, unsigned int id,
		  const struct wish *wish, struct record *r)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	const char *dev = virtpmem_region_get_devname(region);
	unsigned int flags = plan_flags(p) | (p->option[OPTION_PERSIST] ? VIRTPMEM_SAVE : 0);
	_cleanup_free_ char *current = NULL;
	const char *value = wish->value;
	struct progress progress;
	int err = 0;

	regions_forget_log(p);
	/* Without a value what counts now is saved. */
	if (!value)
		err = virtpmem_region_get_setting(region, id, &current);
	if (current)
		value = current;
	progress_start(&progress, &p->out, dev, "set");
	if (!err)
		err = virtpmem_region_set_setting(region, id, *value ? value : NULL, flags, &plan);
	progress_stop(&progress);
	if (plan)
		plan_add(r, plan);
	if (err < 0)
		report(p, dev, id, value ? value : "", plan, err);
	return err;
}

/* Nothing is set if one of the values is wrong. */
static int check_all(struct pmemctl *p, struct virtpmem_region *region, const struct setting *set)
{
	unsigned int id;

	for (id = 0; id < VIRTPMEM_SETTING_COUNT; id++) {
		unsigned int flags = VIRTPMEM_DRY_RUN | (p->option[OPTION_PERSIST] ?
							 VIRTPMEM_SAVE : 0);
		const char *value = set->wishes[id].value;

		if (value && virtpmem_region_set_setting(region, id, *value ? value : NULL, flags,
							 NULL) == -EINVAL) {
			report(p, virtpmem_region_get_devname(region), id, value, NULL, -EINVAL);
			return -EINVAL;
		}
	}
	return 0;
}

static int change_all(struct pmemctl *p, struct virtpmem_region *region, struct setting *set,
		      struct record *r)
{
	int err = check_all(p, region, set);
	unsigned int id;

	for (id = 0; !err && id < VIRTPMEM_SETTING_COUNT; id++)
		if (set->wishes[id].named && (set->wishes[id].value || p->option[OPTION_PERSIST]))
			err = change(p, region, id, &set->wishes[id], r);
	return err;
}

/* ------------------------------------------------------------- showing */

/* Returns: false if it cannot be read, which was said. */
static bool add_setting(struct pmemctl *p, struct virtpmem_region *region, unsigned int id,
			struct record *settings)
{
	const char *dev = virtpmem_region_get_devname(region);
	_cleanup_free_ char *value = NULL, *saved = NULL;
	struct record *r;
	int err;

	regions_forget_log(p);
	err = virtpmem_region_get_setting(region, id, &value);
	if (err < 0) {
		if (err == -EOPNOTSUPP)
			output_error(&p->out, dev, ERROR_NOT_SUPPORTED, "its driver has no settings; "
				     "this project's virtio_pmem has");
		else
			output_error(&p->out, dev, error_from_errno(err), "cannot read %s: %s",
				     virtpmem_setting_name(id), regions_why(p, dev, err));
		return false;
	}
	r = record_add(settings, NULL, RECORD_OBJECT);
	record_add_string(r, "setting", virtpmem_setting_name(id));
	record_add_string(r, "value", value);
	record_add_string(r, "values", virtpmem_setting_values(id));
	err = virtpmem_region_get_saved_setting(region, id, &saved);
	if (err >= 0)
		record_add_string(r, "saved", saved);
	else if (err != -ENODATA && err != -EOPNOTSUPP)
		output_error(&p->out, dev, error_from_errno(err), "cannot read what is saved for "
			     "%s: %s", virtpmem_setting_name(id), regions_why(p, dev, err));
	return true;
}

static void show(struct pmemctl *p, struct virtpmem_region *region, struct setting *set,
		 struct record *r)
{
	struct record *settings = record_add(r, "settings", RECORD_ARRAY);
	unsigned int id;

	for (id = 0; id < VIRTPMEM_SETTING_COUNT; id++)
		if (set->wishes[id].named && !add_setting(p, region, id, settings))
			break;
	if (settings->child || set->changes)
		output_region(&p->out, r);
	else
		record_free(r);
}

static void set_region(struct pmemctl *p, struct virtpmem_region *region)
{
	struct setting *set = p->data;
	struct record *r;
	int err = 0;

	/* What is wrong for one region is wrong for all. */
	if (set->failed)
		return;
	r = regions_describe(p, region, DESCRIBE_NAMES);
	if (set->changes) {
		err = change_all(p, region, set, r);
		record_add_string(r, "outcome", err < 0 ? "failed" :
				  p->option[OPTION_DRY_RUN] ? "planned" : "done");
	}
	set->failed = err == -EINVAL;
	if (err < 0 && !record_get(r, "steps"))
		record_free(r);
	else
		show(p, region, set, r);
}

void cmd_set(struct pmemctl *p)
{
	struct setting *set;
	unsigned int i;

	p->data = set = xcalloc(1, sizeof(*set));
	if (take_wishes(p, set))
		regions_each(p, set_region);
	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++)
		free(set->wishes[i].value);
	free(set);
}
