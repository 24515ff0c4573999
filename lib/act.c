// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the calls that change a region share: going through its holders, saying
 * in words what one is, and the flush that is a step of most of them.
 */
#include <errno.h>
#include <stdio.h>

#include "act.h"

static int each_from(struct virtpmem_holder *holder, unsigned int depth, vp_holder_fn fn,
		     void *data)
{
	int r = 0;

	for (; holder && !r; holder = virtpmem_holder_get_next(holder)) {
		r = fn(holder, depth, data);
		if (!r)
			r = each_from(virtpmem_holder_get_child(holder), depth + 1, fn, data);
	}
	return r;
}

/* Each holder before those on top of it, until @fn returns something else than 0. */
int vp_each_holder(struct virtpmem_holders *holders, vp_holder_fn fn, void *data)
{
	return each_from(virtpmem_holder_get_first(holders), 0, fn, data);
}

/* What a step that is about a holder names as its object. */
const char *vp_holder_object(const struct virtpmem_holder *holder)
{
	const char *path = virtpmem_holder_get_path(holder);

	return path ? path : virtpmem_holder_get_device(holder);
}

/* A sentence without a full stop. */
int vp_holder_words(const struct virtpmem_holder *holder, char **ret)
{
	const char *name = virtpmem_holder_get_name(holder);
	const char *device = virtpmem_holder_get_device(holder);
	const char *path = virtpmem_holder_get_path(holder);
	int pid = (int)virtpmem_holder_get_pid(holder), n;

	switch (virtpmem_holder_get_kind(holder)) {
	case VIRTPMEM_HOLDER_MOUNT:
		if (pid)
			n = asprintf(ret, "%s on %s is mounted at %s in the mount namespace of "
				     "process %d", name, device, path, pid);
		else
			n = asprintf(ret, "%s on %s is mounted at %s", name, device, path);
		break;
	case VIRTPMEM_HOLDER_LOG:
		n = asprintf(ret, "%s is the log of a mounted %s", device, name);
		break;
	case VIRTPMEM_HOLDER_SWAP:
		n = asprintf(ret, "%s, on %s, is swap in use", path, device);
		break;
	case VIRTPMEM_HOLDER_OPEN:
		n = asprintf(ret, "process %d (%s) has %s open", pid, name, device);
		break;
	case VIRTPMEM_HOLDER_MAPPED:
		n = asprintf(ret, "process %d (%s) has %s mapped", pid, name, device);
		break;
	case VIRTPMEM_HOLDER_SYSTEM_RAM:
		n = asprintf(ret, "the kernel uses %s as memory", device);
		break;
	case VIRTPMEM_HOLDER_UNKNOWN:
		n = asprintf(ret, "%s is held by something that left no trace (%s): a file system "
			     "that was unmounted lazily or while it was frozen, perhaps with an "
			     "overlay on it, or a mount namespace without processes", device, name);
		break;
	default:
		n = asprintf(ret, "%s (%s) is made of %s", name,
			     virtpmem_holder_kind_name(virtpmem_holder_get_kind(holder)), device);
		break;
	}
	if (n >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

/* A step's result: a platform that needs no flush is not flushed. */
int vp_act_flush(struct virtpmem_region *region, unsigned int timeout_ms)
{
	struct virtpmem_flush_result result;
	int r = virtpmem_region_flush(region, timeout_ms ? timeout_ms : VP_FLUSH_TIMEOUT_MS,
				      &result);

	if (r < 0)
		return r;
	return result.method == VIRTPMEM_FLUSH_NOT_NEEDED ? VP_NOT_NEEDED : 0;
}
