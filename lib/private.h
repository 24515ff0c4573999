/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libvirtpmem share, and nobody else sees.
 *
 * Nothing here takes a lock: a context and all that was made from it belong
 * to one thread at a time.
 */
#ifndef VIRTPMEM_LIB_PRIVATE_H
#define VIRTPMEM_LIB_PRIVATE_H

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <syslog.h>

#include <virtpmem/libvirtpmem.h>
#include <virtpmem/sysfs-abi.h>

#define VP_EXPORT		__attribute__((__visibility__("default")))
#define _cleanup_(fn)		__attribute__((__cleanup__(fn)))
#define _cleanup_free_		_cleanup_(vp_freep)
#define _cleanup_close_		_cleanup_(vp_closep)
#define _cleanup_closedir_	_cleanup_(vp_closedirp)
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#endif

/* What the kernel's configuration says of an option, see vp_kernel_config(). */
struct vp_config {
	const char *option;
	int value;
};

/*
 * @regions is the last scan, sorted by number. The list owns its regions
 * without a reference: a region that is neither listed nor referenced is
 * freed, and a region that somebody has a reference to holds the context.
 */
struct virtpmem_ctx {
	unsigned int refs;
	int log_priority;
	virtpmem_log_fn log_fn;
	void *log_userdata;
	struct virtpmem_region *regions;
	bool unbound_read;		/* since that scan */
	struct virtpmem_unbound *unbound;
	const char *proc;		/* where procfs is; the tests have one of their own */
	const char *rules;		/* where udev's rules are; likewise */
	const char *run;		/* where what ends with a boot is kept; the same */
	const char *modules;		/* where kernels' modules are; the same */
	const char *boot;		/* where kernels' configurations are; the same */
	pid_t *abandoned;		/* children that are still to be reaped */
	size_t abandoned_count;
	bool keeping;			/* what is read of the machine is kept... */
	struct ndctl_ctx *ndctl;	/* ...of DIMMs; NULL: not read... */
	struct vp_config config[4];	/* ...of the kernel's configuration... */
	size_t config_count;
	struct vp_system *kept[2];	/* ...with and without this process's own; NULL: not read */
	struct virtpmem_freeze *freezes;	/* those that this process still holds */
};

/*
 * @dirfd stays open on the region's directory: what is read through it is
 * this region's or fails, also when another device has taken the name.
 */
struct virtpmem_region {
	struct virtpmem_ctx *ctx;
	unsigned int refs;
	bool listed;
	struct virtpmem_region *next;
	int dirfd;
	unsigned int id;
	char *devname;
	char *syspath;
	char *path;
	bool namespaces_read;
	struct virtpmem_namespace *namespaces;
	bool dax_read;
	struct virtpmem_dax *dax;
	struct vp_snapshot *snapshot;	/* NULL: every value is read anew */
};

/* All paths are relative to the region's directory. */
struct virtpmem_namespace {
	struct virtpmem_region *region;
	struct virtpmem_namespace *next;
	unsigned int id;
	char *devname;
	char *holder;			/* btt, pfn or dax device made of it; NULL: none */
	char *blockdev;
	char *blockdir;
	char *daxdev;
	bool unsure;			/* what holds it cannot be told, nor its devices */
};

/* context.c */
void vp_log(const struct virtpmem_ctx *ctx, int priority, const char *format, ...)
	__attribute__((__format__(__printf__, 3, 4)));
int vp_note_missing(const struct virtpmem_ctx *ctx, char **missing, const char *format,
		    va_list args) __attribute__((__format__(__printf__, 3, 0)));

#define vp_err(ctx, ...)	vp_log((ctx), LOG_ERR, __VA_ARGS__)
#define vp_info(ctx, ...)	vp_log((ctx), LOG_INFO, __VA_ARGS__)
#define vp_debug(ctx, ...)	vp_log((ctx), LOG_DEBUG, __VA_ARGS__)

/* util.c */
void vp_freep(void *p);
void vp_closep(int *fd);
void vp_closedirp(DIR **dir);
bool vp_parse_u64(const char *text, uint64_t *ret);
bool vp_parse_hex(const char *text, uint64_t *ret);
bool vp_parse_id(const char *name, const char *prefix, unsigned int *ret);
bool vp_parse_id_pair(const char *name, const char *prefix, unsigned int *major,
		      unsigned int *minor);
bool vp_parse_devno(const char *text, dev_t *ret);
const char *vp_basename(const char *path);
/* Both are canonical; a directory does not lie below itself. */
bool vp_lies_below(const char *path, const char *dir);

/* sysfs.c: how to take it that a file is not there */
enum vp_need {
	VP_REQUIRED,			/* it should be: log an error */
	VP_OPTIONAL,			/* it may well not be */
};

int vp_attr_read(int dirfd, const char *file, char **ret, const char **why);
int vp_link_read(int dirfd, const char *path, char **ret);
bool vp_region_alive(const struct virtpmem_region *region);
int vp_file_error(const struct virtpmem_region *region, const char *file, const char *what,
		  int error, enum vp_need need);
int vp_read_line(const struct virtpmem_region *region, const char *file, enum vp_need need,
		 char **ret);
int vp_read_text(const struct virtpmem_region *region, const char *file, size_t max,
		 enum vp_need need, char **ret);
int vp_read_word(const struct virtpmem_region *region, const char *file, enum vp_need need,
		 char **ret);
int vp_read_u64(const struct virtpmem_region *region, const char *file, enum vp_need need,
		uint64_t *ret);
int vp_read_hex(const struct virtpmem_region *region, const char *file, enum vp_need need,
		uint64_t *ret);
int vp_read_int(const struct virtpmem_region *region, const char *file, enum vp_need need,
		int *ret);
int vp_read_bool(const struct virtpmem_region *region, const char *file, enum vp_need need,
		 bool *ret);
int vp_read_u64s(const struct virtpmem_region *region, const char *file, size_t max,
		 uint64_t *values, size_t *count);
bool vp_parse_u64s(char *line, size_t max, uint64_t *values, size_t *count);
int vp_reread_u64s(const struct virtpmem_region *region, const char *file, int fd, size_t max,
		   uint64_t *values, size_t *count);
int vp_read_link_name(const struct virtpmem_region *region, const char *file, enum vp_need need,
		      char **ret);
int vp_read_link_above(const struct virtpmem_region *region, const char *file, enum vp_need need,
		       char **ret);
int vp_write(const struct virtpmem_region *region, const char *file, const char *text);
int vp_malformed(const struct virtpmem_region *region, const char *file, const char *why);

typedef int (*vp_entry_fn)(const char *name, void *data);
int vp_each_entry(const struct virtpmem_region *region, const char *dir, enum vp_need need,
		  vp_entry_fn fn, void *data);

/* node.c */
int vp_open_node(const char *name, mode_t type, int flags, dev_t *devno);

/* region.c */
void vp_region_free(struct virtpmem_region *region);
int vp_regions_read(struct virtpmem_ctx *ctx, struct virtpmem_region **ret);

/* find.c */
bool vp_region_has(const struct virtpmem_region *region, const char *syspath);

/* snapshot.c */
int vp_snapshot_get(const struct virtpmem_region *region, const char *file, int *error,
		    char **text);
int vp_snapshot_put(const struct virtpmem_region *region, const char *file, int error,
		    const char *text);
bool vp_snapshot_has_group(const struct virtpmem_region *region,
			   bool (*look)(const struct virtpmem_region *region));

/* namespace.c */
int vp_namespaces_get(struct virtpmem_region *region, struct virtpmem_namespace **ret);
int vp_namespaces_read(struct virtpmem_region *region, struct virtpmem_namespace **ret);
void vp_namespaces_free(struct virtpmem_namespace *ns);

/* badranges.c */
bool vp_bad_ranges_unread(const struct virtpmem_bad_ranges *ranges);

/* dax.c */
int vp_dax_read(struct virtpmem_region *region, const struct virtpmem_namespace *namespaces,
		struct virtpmem_dax **ret);
void vp_dax_free(struct virtpmem_dax *dax);

/* driver.c */
bool vp_region_has_group(const struct virtpmem_region *region);
int vp_group_missing(const struct virtpmem_region *region, const char *file);
#define VP_GROUP_FILE(attr)	VIRTIO_PMEM_GROUP "/" attr

/* lock.c */
int vp_lock(int fd);
int vp_region_lock(struct virtpmem_region *region);
void vp_region_unlock(int lock_fd);
pid_t vp_region_guard(const struct virtpmem_region *region, int lock_fd);
pid_t vp_region_frozen_by(const struct virtpmem_region *region);

/* settings.c */
const char *vp_setting_file(enum virtpmem_setting setting);

/* unbound.c */
int vp_unbound_read(const struct virtpmem_ctx *ctx, struct virtpmem_unbound **ret);
void vp_unbound_free(struct virtpmem_unbound *device);
void vp_unbound_freep(struct virtpmem_unbound **device);

/* kernel.c */
int vp_kernel_config(struct virtpmem_ctx *ctx, const char *option);

/* limit.c */
struct vp_outcome {
	int error;			/* 0 or a negative errno, of the function that ran */
	uint64_t elapsed_ns;
	bool abandoned;
};

/* What runs: calls only what is async-signal-safe. Returns 0 or -errno. */
typedef int (*vp_work_fn)(int fd);

void vp_run(vp_work_fn work, int fd, struct vp_outcome *ret);
int vp_run_limited(struct virtpmem_ctx *ctx, vp_work_fn work, int fd, unsigned int timeout_ms,
		   struct vp_outcome *ret);
void vp_reap(struct virtpmem_ctx *ctx);
void vp_close_others(const int *keep, size_t count);

#endif /* VIRTPMEM_LIB_PRIVATE_H */
