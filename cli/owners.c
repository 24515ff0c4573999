// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which files bad ranges of a block device hit.
 *
 * The file system is asked first what is free and what is its own (GETFSMAP);
 * what is left belongs to files, whose names no file system gives by block: all
 * files are asked where they lie (FIEMAP). Whatever nobody claims is said to be
 * unknown, and why.
 *
 * How often files are asked has a limit: each question is answered with some extents
 * of one file, so that neither very many files nor one in very many pieces keeps it
 * going for ever. What ends it before the end is said, because a file that was not
 * asked may have what is bad, too.
 *
 * Only file systems of which it is known that FIEMAP tells offsets in the very
 * device are asked. No file is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsmap.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "owners.h"
#include "progress.h"
#include "util.h"

/* ------------------------------------------------------------- intervals */

struct interval {
	uint64_t start, end; /* end: the first byte behind it */
};

struct intervals {
	struct interval *v;
	size_t count;
};

static void intervals_add(struct intervals *set, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	set->v = xreallocarray(set->v, set->count + 1, sizeof(*set->v));
	set->v[set->count++] = (struct interval){ start, end };
}

static void intervals_remove(struct intervals *set, uint64_t start, uint64_t end)
{
	struct intervals left = { 0 };
	size_t i;

	for (i = 0; i < set->count; i++) {
		struct interval *v = &set->v[i];

		intervals_add(&left, v->start, v->end < start ? v->end : start);
		intervals_add(&left, v->start > end ? v->start : end, v->end);
	}
	free(set->v);
	*set = left;
}

/* ----------------------------------------------------------- bad ranges */

/*
 * A bad range of the device. @wanted: what files may own, and @left: what of that
 * no file has claimed yet. Files can share blocks, so the first is not the last.
 */
struct bad {
	struct record *owners;
	struct intervals wanted, left;
};

/* A device with bad ranges, and the file system on it. */
struct search {
	struct pmemctl *p;
	struct virtpmem_holders *holders;
	const char *device;
	struct bad *bad;
	size_t count;
	const char *mount; /* where all of the file system is mounted */
	bool xfs;
	dev_t devno;
	uint64_t unread;   /* files that could not be looked at */
	unsigned int left; /* how often files may still be asked */
	unsigned int limit;
	bool cut;	   /* not all of them were asked, by that limit or by Ctrl-C */
};

static struct record *add_owner(struct bad *bad, const char *kind, uint64_t start, uint64_t end)
{
	struct record *r = record_add(bad->owners, NULL, RECORD_OBJECT);

	record_add_string(r, "kind", kind);
	record_add_uint(r, "offset_bytes", start);
	record_add_uint(r, "length_bytes", end - start);
	return r;
}

/* What nobody has claimed is unknown. */
static void add_unknown(struct search *s, const char *why)
{
	size_t i, j;

	for (i = 0; i < s->count; i++)
		for (j = 0; j < s->bad[i].left.count; j++) {
			const struct interval *v = &s->bad[i].left.v[j];

			record_add_string(add_owner(&s->bad[i], "unknown", v->start, v->end),
					  "reason", why);
		}
}

/* -------------------------------------------------------------- GETFSMAP */

#define MAP_COUNT 64

/* As the kernel writes numbers of devices for user space. */
static uint32_t encode_devno(dev_t devno)
{
	return (minor(devno) & 0xff) | major(devno) << 8 | (minor(devno) & ~0xffU) << 12;
}

/* One answer: what is free or the file system's own needs no search among files. */
static void take_fsmap(struct bad *bad, const struct interval *asked, const struct fsmap *map)
{
	uint64_t start = map->fmr_physical, end = map->fmr_physical + map->fmr_length;

	if (!(map->fmr_flags & FMR_OF_SPECIAL_OWNER) || map->fmr_owner == FMR_OWN_UNKNOWN)
		return;
	if (start < asked->start)
		start = asked->start;
	if (end > asked->end)
		end = asked->end;
	if (start >= end)
		return;
	add_owner(bad, map->fmr_owner == FMR_OWN_FREE ? "free" : "metadata", start, end);
	intervals_remove(&bad->wanted, start, end);
	intervals_remove(&bad->left, start, end);
}

/* Returns: whether there is more to ask for; @low is where then. */
static bool ask_fsmap(struct search *s, int fd, struct bad *bad, const struct interval *asked,
		      struct fsmap_head *head)
{
	uint32_t device = encode_devno(s->devno), i;

	head->fmh_count = MAP_COUNT;
	head->fmh_entries = 0;
	if (ioctl(fd, FS_IOC_GETFSMAP, head) < 0 || !head->fmh_entries)
		return false;
	for (i = 0; i < head->fmh_entries; i++)
		if (head->fmh_recs[i].fmr_device == device)
			take_fsmap(bad, asked, &head->fmh_recs[i]);
	if (head->fmh_recs[head->fmh_entries - 1].fmr_flags & FMR_OF_LAST)
		return false;
	head->fmh_keys[0] = head->fmh_recs[head->fmh_entries - 1];
	return true;
}

static void ask_owner(struct search *s, int fd, struct bad *bad)
{
	_cleanup_free_ struct fsmap_head *head =
		xcalloc(1, sizeof(*head) + MAP_COUNT * sizeof(head->fmh_recs[0]));
	const struct interval asked = bad->wanted.v[0];

	head->fmh_keys[0].fmr_device = encode_devno(s->devno);
	head->fmh_keys[0].fmr_physical = asked.start;
	head->fmh_keys[1].fmr_device = encode_devno(s->devno);
	head->fmh_keys[1].fmr_physical = asked.end - 1;
	head->fmh_keys[1].fmr_owner = UINT64_MAX;
	head->fmh_keys[1].fmr_offset = UINT64_MAX;
	head->fmh_keys[1].fmr_flags = UINT32_MAX;
	while (ask_fsmap(s, fd, bad, &asked, head))
		;
}

/* ---------------------------------------------------------------- FIEMAP */

/* What FIEMAP gives for these is no offset in the device. */
#define NOWHERE (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED)

static void add_file(struct bad *bad, const char *path, bool dir, const struct fiemap_extent *e,
		     const struct interval *v)
{
	uint64_t start = e->fe_physical > v->start ? e->fe_physical : v->start;
	uint64_t end = e->fe_physical + e->fe_length;
	struct record *r;

	if (end > v->end)
		end = v->end;
	if (start >= end)
		return;
	r = add_owner(bad, dir ? "directory" : "file", start, end);
	record_add_string(r, "path", path);
	record_add_uint(r, "file_offset_bytes", e->fe_logical + (start - e->fe_physical));
	intervals_remove(&bad->left, start, end);
}

static void take_extent(struct search *s, const char *path, bool dir,
			const struct fiemap_extent *e)
{
	size_t i, j;

	if (e->fe_flags & NOWHERE)
		return;
	for (i = 0; i < s->count; i++)
		for (j = 0; j < s->bad[i].wanted.count; j++)
			add_file(&s->bad[i], path, dir, e, &s->bad[i].wanted.v[j]);
}

/* Returns: whether another question may be asked. */
static bool may_ask(struct search *s)
{
	if (interrupted())
		return false;
	if (s->left)
		s->left--;
	else
		s->cut = true;
	return !s->cut;
}

/* The first question is the caller's to count. Returns: false if there is no answer. */
static bool ask_file(struct search *s, int fd, const char *path, bool dir)
{
	_cleanup_free_ struct fiemap *map =
		xcalloc(1, sizeof(*map) + MAP_COUNT * sizeof(map->fm_extents[0]));
	const struct fiemap_extent *e;
	uint32_t i;

	do {
		map->fm_length = FIEMAP_MAX_OFFSET - map->fm_start;
		map->fm_extent_count = MAP_COUNT;
		map->fm_mapped_extents = 0;
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
			return false;
		if (!map->fm_mapped_extents)
			return true;
		for (i = 0; i < map->fm_mapped_extents; i++)
			take_extent(s, path, dir, &map->fm_extents[i]);
		e = &map->fm_extents[map->fm_mapped_extents - 1];
		if (e->fe_flags & FIEMAP_EXTENT_LAST)
			return true;
		map->fm_start = e->fe_logical + e->fe_length;
	} while (may_ask(s));
	return true;
}

/* Data of XFS can lie on a second device. */
static bool lies_elsewhere(const struct search *s, int fd)
{
	struct fsxattr attr;

	return s->xfs && !ioctl(fd, FS_IOC_FSGETXATTR, &attr) &&
	       (attr.fsx_xflags & FS_XFLAG_REALTIME);
}

static void look_at(struct search *s, const char *accpath, const char *below)
{
	_cleanup_free_ char *path =
		xasprintf("%s%s", streq(s->mount, "/") && *below ? "" : s->mount, below);
	int fd = open(accpath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != s->devno ||
	    (!lies_elsewhere(s, fd) && !ask_file(s, fd, path, S_ISDIR(st.st_mode))))
		s->unread++;
	if (fd >= 0)
		close(fd);
}

static void walk(struct search *s, int fd)
{
	_cleanup_free_ char *root = xasprintf("/proc/self/fd/%d/.", fd);
	char *const roots[] = { root, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	struct progress progress;
	FTSENT *ent;

	if (!fts)
		out_of_memory();
	progress_start(&progress, &s->p->out, s->mount, "searched");
	while (!interrupted() && !s->cut && (ent = fts_read(fts))) {
		if (ent->fts_info == FTS_F || ent->fts_info == FTS_D) {
			if (may_ask(s))
				look_at(s, ent->fts_accpath, ent->fts_path + strlen(root));
		} else if (ent->fts_info == FTS_DNR || ent->fts_info == FTS_ERR ||
			 ent->fts_info == FTS_NS) {
			s->unread++;
		}
	}
	if (interrupted())
		s->cut = true;
	fts_close(fts);
	progress_stop(&progress);
}

/* ---------------------------------------------------------- file systems */

static bool is_mount(const struct virtpmem_holder *holder)
{
	return virtpmem_holder_get_kind(holder) == VIRTPMEM_HOLDER_MOUNT;
}

/* A mount of the whole file system on the device; else another holder of it, or NULL. */
static struct virtpmem_holder *find_holder(const struct search *s)
{
	struct virtpmem_holder *holder, *best = NULL;

	virtpmem_holder_foreach (s->holders, holder) {
		const char *root = virtpmem_holder_get_root(holder);

		if (!streq(virtpmem_holder_get_device(holder), s->device))
			continue;
		if (is_mount(holder) && root && streq(root, "/"))
			return holder;
		if (!best || is_mount(holder))
			best = holder;
	}
	return best;
}

/* A descriptor on the mount's root, or a negative errno. */
static int open_mount(struct search *s, const struct virtpmem_holder *holder)
{
	pid_t pid = virtpmem_holder_get_pid(holder);
	_cleanup_free_ char *path =
		pid ? xasprintf("/proc/%d/root%s", (int)pid, s->mount) : xstrdup(s->mount);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_dev == s->devno)
		return fd;
	close(fd);
	return -ESTALE; /* something else is mounted over it */
}

static bool wants_files(const struct search *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		if (s->bad[i].wanted.count)
			return true;
	return false;
}

static void search_mount(struct search *s, int fd)
{
	_cleanup_free_ char *why = NULL;
	size_t i;

	s->left = s->limit;
	for (i = 0; i < s->count; i++)
		ask_owner(s, fd, &s->bad[i]);
	if (wants_files(s))
		walk(s, fd);
	if (interrupted())
		why = xstrdup("interrupted before all files had been looked at");
	else if (s->cut)
		why = xasprintf("the limit of %u was reached before all files had been looked at",
				s->limit);
	else if (s->unread)
		why = xasprintf("no file has it that can be looked at, and %" PRIu64 " could not; %s",
				s->unread,
				geteuid() ? "try it as root" : "they may have gone meanwhile");
	else
		why = xstrdup("no file has it: it can be the file system's own, or of a file that "
			      "was deleted or lies below a mount point");
	add_unknown(s, why);
}

/* Where the file system cannot be searched: why. The caller frees. */
static char *search_holder(struct search *s, const struct virtpmem_holder *holder)
{
	static const char *const known[] = { "ext2", "ext3", "ext4", "xfs" };
	const char *root = virtpmem_holder_get_root(holder);
	const char *name = virtpmem_holder_get_name(holder);
	size_t i;
	int fd;

	if (!is_mount(holder))
		return xasprintf("%s (%s) uses it in its own way", name,
				 virtpmem_holder_kind_name(virtpmem_holder_get_kind(holder)));
	s->mount = virtpmem_holder_get_path(holder);
	if (!root || !streq(root, "/"))
		return xasprintf("only a part of the file system is mounted, at %s; mount all of it",
				 s->mount);
	for (i = 0; i < ARRAY_SIZE(known) && !streq(known[i], name); i++)
		;
	if (i == ARRAY_SIZE(known))
		return xasprintf("%s does not say which blocks its files have", name);
	s->xfs = streq(name, "xfs");
	s->devno = virtpmem_holder_get_devno(holder);
	fd = open_mount(s, holder);
	if (fd < 0)
		return xasprintf("%s cannot be looked at: %s", s->mount,
				 fd == -ESTALE ? "something else is mounted over it" :
						 strerror(-fd));
	search_mount(s, fd);
	close(fd);
	return NULL;
}

static void search_device(struct search *s)
{
	struct virtpmem_holder *holder = find_holder(s);
	_cleanup_free_ char *why = NULL;

	if (holder)
		why = search_holder(s, holder);
	else
		why = xasprintf("nothing on %s is mounted", s->device);
	if (why)
		add_unknown(s, why);
}

/* --------------------------------------------------------------- devices */

static void take_range(struct search *s, struct record *r)
{
	uint64_t start = record_get(r, "offset_bytes")->uint;
	uint64_t end = start + record_get(r, "length_bytes")->uint;
	struct bad *bad;

	s->bad = xreallocarray(s->bad, s->count + 1, sizeof(*s->bad));
	bad = &s->bad[s->count++];
	*bad = (struct bad){ .owners = record_add(r, "owners", RECORD_ARRAY) };
	intervals_add(&bad->wanted, start, end);
	intervals_add(&bad->left, start, end);
}

static void search_done(struct search *s)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		free(s->bad[i].wanted.v);
		free(s->bad[i].left.v);
	}
	free(s->bad);
}

static bool has_files(const struct record *range)
{
	const char *layer = record_get(range, "layer")->string;

	return (streq(layer, virtpmem_bad_layer_name(VIRTPMEM_BAD_BLOCK)) ||
		streq(layer, virtpmem_bad_layer_name(VIRTPMEM_BAD_PARTITION))) &&
	       record_get(range, "length_bytes")->uint;
}

char *owners_add(struct pmemctl *p, struct virtpmem_holders *holders, struct record *ranges,
		 unsigned int limit)
{
	struct record *first, *r;
	char *missing = NULL;

	for (first = ranges->child; first; first = first->next) {
		struct search s = { .p = p, .holders = holders, .limit = limit };

		if (!has_files(first) || record_get(first, "owners"))
			continue;
		s.device = record_get(first, "device")->string;
		for (r = first; r; r = r->next)
			if (has_files(r) && streq(record_get(r, "device")->string, s.device))
				take_range(&s, r);
		search_device(&s);
		if (!missing && s.cut)
			missing = xasprintf("not all files below %s were looked at", s.mount);
		search_done(&s);
	}
	return missing;
}
