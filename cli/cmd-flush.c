// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl flush: a deep flush of regions, one after the other. A region is
 * reported only if it was flushed, or needed no flush.
 */
#include <errno.h>
#include <limits.h>

#include <virtpmem/sysfs-abi.h>

#include "regions.h"
#include "util.h"

const struct option_desc flush_options[] = {
	{ OPTION_TIMEOUT, 't', "timeout", "SECONDS",
	  "give up on a region after so long, for example 5 or 0.25" },
	{ .name = NULL },
};

struct flush {
	struct pmemctl *p;
	struct virtpmem_region *region;
	const char *dev;
	unsigned int timeout_ms;
	bool was_broken;
	struct virtpmem_flush_result result;
};

static bool is_broken(struct virtpmem_region *region)
{
	enum virtpmem_state state;

	return virtpmem_region_get_state(region, &state) >= 0 && state == VIRTPMEM_STATE_BROKEN;
}

/* -EIO: the region had been broken, or the flush failed, which may have broken it. */
static void report_io_error(struct flush *f)
{
	static const char lost[] = "what was written since the last good flush may be lost";
	static const char recover[] = "then write 1 to its virtio_pmem/recover";
	_cleanup_free_ char *reason = NULL;
	struct output *out = &f->p->out;

	if (is_broken(f->region) &&
	    virtpmem_region_get_broken_reason(f->region, &reason) < 0)
		reason = xstrdup("reason not known");
	if (!reason)
		output_error(out, f->dev, ERROR_FLUSH_FAILED,
			     "the host failed the flush, tried by %s; %s, and a later flush can "
			     "succeed without it: check the host's storage and restore the data",
			     virtpmem_flush_method_name(f->result.method), lost);
	else if (f->was_broken)
		output_error(out, f->dev, ERROR_BROKEN,
			     "the region is broken (%s) and fails every flush; %s: check the host "
			     "and the data, %s",
			     reason, lost, recover);
	else if (streq(reason, VIRTIO_PMEM_REASON_HOST_ERROR))
		output_error(out, f->dev, ERROR_FLUSH_FAILED,
			     "the host failed the flush (error latched; region is broken: %s); %s: "
			     "check the host's storage, restore the data, %s",
			     reason, lost, recover);
	else
		output_error(out, f->dev, ERROR_FLUSH_FAILED,
			     "the flush failed, and the region is broken now: %s; %s: check the "
			     "host and the data, %s",
			     reason, lost, recover);
}

static void report_timeout(struct flush *f)
{
	const char *left = f->result.abandoned ?
		", and a process that cannot be interrupted still waits for it" : "";

	output_error(&f->p->out, f->dev, ERROR_TIMED_OUT,
		     "the host did not answer within %s s%s; 'pmemctl status %s' shows whether it "
		     "has since, and the host's storage should be looked at",
		     f->p->option[OPTION_TIMEOUT], left, f->dev);
}

static void report_not_supported(struct flush *f)
{
	enum virtpmem_flush_method method;
	_cleanup_free_ char *reason = NULL;
	const char *why = regions_why(f->p, f->dev, -EOPNOTSUPP);

	if (virtpmem_region_get_flush_method(f->region, &method, &reason) >= 0 && reason)
		why = reason;
	output_error(&f->p->out, f->dev, ERROR_NOT_SUPPORTED, "there is no way to flush it: %s",
		     why);
}

static void report(struct flush *f, int err)
{
	struct output *out = &f->p->out;

	switch (err) {
	case -EIO:
		report_io_error(f);
		break;
	case -ETIMEDOUT:
		report_timeout(f);
		break;
	case -EOPNOTSUPP:
		report_not_supported(f);
		break;
	case -EINTR:
		output_error(out, f->dev, ERROR_INTERRUPTED,
			     "interrupted before the host answered; the flush was not confirmed%s",
			     f->result.abandoned ? ", and a process still waits for it" : "");
		break;
	case -ENODEV:
		output_error(out, f->dev, ERROR_GONE,
			     "the region went away and was not flushed; 'pmemctl list' shows what "
			     "is there");
		break;
	case -EACCES:
	case -EPERM:
		output_error(out, f->dev, ERROR_PERMISSION, "may not flush it: %s; try it as root",
			     regions_why(f->p, f->dev, err));
		break;
	case -EBUSY:
		output_error(out, f->dev, ERROR_BUSY, "busy, and was not flushed: %s; try it again",
			     regions_why(f->p, f->dev, err));
		break;
	default:
		output_error(out, f->dev, error_from_errno(err), "could not be flushed: %s",
			     regions_why(f->p, f->dev, err));
		break;
	}
}

static void report_done(struct flush *f)
{
	struct record *r = regions_describe(f->p, f->region, DESCRIBE_NAMES), *flush;

	flush = record_add(r, "flush", RECORD_OBJECT);
	record_add_string(flush, "method", virtpmem_flush_method_name(f->result.method));
	if (f->result.method != VIRTPMEM_FLUSH_NOT_NEEDED)
		record_add_uint(flush, "latency_ns", f->result.latency_ns);
	output_region(&f->p->out, r);
}

static void flush_region(struct pmemctl *p, struct virtpmem_region *region)
{
	struct flush f = {
		.p = p,
		.region = region,
		.dev = virtpmem_region_get_devname(region),
		/*
		 * Always a limit: with one, the flush runs in a child of the library, and
		 * Ctrl-C ends the command even where the kernel's wait cannot be ended.
		 */
		.timeout_ms = UINT_MAX,
	};
	int err;

	if (p->option[OPTION_TIMEOUT])
		option_parse_seconds(p->option[OPTION_TIMEOUT], &f.timeout_ms);
	f.was_broken = is_broken(region);
	regions_forget_log(p);
	err = virtpmem_region_flush(region, f.timeout_ms, &f.result);
	if (err < 0)
		report(&f, err);
	else
		report_done(&f);
}

void cmd_flush(struct pmemctl *p)
{
	const char *timeout = p->option[OPTION_TIMEOUT];
	unsigned int ms;

	if (timeout && !option_parse_seconds(timeout, &ms)) {
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--timeout needs seconds from 0.001 to 4294967, such as 5 or 0.25, "
			     "not '%s'", timeout);
		return;
	}
	regions_each(p, flush_region);
}
