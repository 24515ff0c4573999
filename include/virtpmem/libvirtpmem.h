/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirtpmem: flush, watch and describe persistent memory regions, above all
 * those of virtio-pmem.
 *
 * Conventions that hold for every function, unless its text says otherwise:
 *
 *  - A function that can fail returns a negative errno, and then has not
 *    written to its output parameters. Success is 0 or a positive count.
 *  - Output parameters come last. A "char **" output is a string that the
 *    caller frees with free(3); a "const char *" return value belongs to the
 *    object and lives as long as it does, or is a constant where there is no
 *    object (names of enumerators, the version).
 *  - Objects are reference-counted. _unref() takes NULL, and returns NULL.
 *    What is said to be owned by another object has no reference of the
 *    caller's, and goes with that one.
 *  - No other object, string or output parameter may be NULL, unless its text
 *    says what that means.
 *  - Values are read from the kernel at the call, not at enumeration: a
 *    region that has gone since then answers -ENODEV.
 *  - -EOPNOTSUPP: this region, its driver or this kernel has no such thing.
 *    -ENODEV: the region is gone. -EACCES: the caller may not read or write
 *    it. -EBADMSG: the kernel's file does not hold what it should; the log
 *    names the file.
 *  - A context and what was made from it may be used by one thread at a time.
 *    Different contexts are independent; there is no global state.
 *  - The library prints nothing. It logs through virtpmem_set_log_fn().
 */
#ifndef VIRTPMEM_LIBVIRTPMEM_H
#define VIRTPMEM_LIBVIRTPMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct virtpmem_ctx;
struct virtpmem_region;
struct virtpmem_unbound;
struct virtpmem_namespace;
struct virtpmem_stats;
struct virtpmem_histogram;
struct virtpmem_dax;
struct virtpmem_dax_map;
struct virtpmem_bad_ranges;
struct virtpmem_bad_range;
struct virtpmem_health;
struct virtpmem_reason;
struct virtpmem_holders;
struct virtpmem_holder;
struct virtpmem_monitor;
struct virtpmem_event;
struct virtpmem_plan;
struct virtpmem_step;
struct virtpmem_freeze;

/* ------------------------------------------------------------- context */

/**
 * virtpmem_version - version of the library that is running
 *
 * Returns: a string such as "0.1.0".
 * Since: 0.1
 */
const char *virtpmem_version(void);

/**
 * virtpmem_new - make a context
 * @ret: the new context, with one reference
 *
 * Opens nothing and scans nothing. The environment variable VIRTPMEM_LOG
 * ("err", "warning", "info", "debug") sets the first log priority.
 *
 * Returns: 0 or -ENOMEM.
 * Since: 0.1
 */
int virtpmem_new(struct virtpmem_ctx **ret);

/**
 * virtpmem_ref - take a reference to a context
 * @ctx: the context
 *
 * Returns: @ctx.
 * Since: 0.1
 */
struct virtpmem_ctx *virtpmem_ref(struct virtpmem_ctx *ctx);

/**
 * virtpmem_unref - drop a reference to a context
 * @ctx: the context, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_ctx *virtpmem_unref(struct virtpmem_ctx *ctx);

/**
 * virtpmem_snapshot_begin - keep what is read of the whole machine from now on
 * @ctx: the context
 *
 * For a look at many regions: until virtpmem_snapshot_end(),
 * virtpmem_region_get_holders() reads mounts, swap and processes once, and not for
 * each region again; the kernel's configuration and the DIMMs' health are read
 * once, too. A snapshot that was under way is dropped. Calls that change something
 * look for themselves. What belongs to one region is not kept, see
 * virtpmem_region_snapshot_begin().
 *
 * Since: 0.1
 */
void virtpmem_snapshot_begin(struct virtpmem_ctx *ctx);

/**
 * virtpmem_snapshot_end - read the whole machine at each call again
 * @ctx: the context
 *
 * Since: 0.1
 */
void virtpmem_snapshot_end(struct virtpmem_ctx *ctx);

/**
 * virtpmem_log_fn - a function that takes the library's log messages
 * @userdata: what was given to virtpmem_set_log_fn()
 * @priority: as syslog(3): LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG
 * @message: one line without a newline, valid during the call
 *
 * Since: 0.1
 */
typedef void (*virtpmem_log_fn)(void *userdata, int priority, const char *message);

/**
 * virtpmem_set_log_fn - say where log messages go
 * @ctx: the context
 * @fn: the function, or NULL for nowhere (the default)
 * @userdata: handed to @fn; stays the caller's
 *
 * Since: 0.1
 */
void virtpmem_set_log_fn(struct virtpmem_ctx *ctx, virtpmem_log_fn fn, void *userdata);

/**
 * virtpmem_set_log_priority - set the least important priority that is logged
 * @ctx: the context
 * @priority: as syslog(3); the default is LOG_ERR
 *
 * Since: 0.1
 */
void virtpmem_set_log_priority(struct virtpmem_ctx *ctx, int priority);

/**
 * virtpmem_get_log_priority - the least important priority that is logged
 * @ctx: the context
 *
 * Returns: the priority, as syslog(3).
 * Since: 0.1
 */
int virtpmem_get_log_priority(const struct virtpmem_ctx *ctx);

/* --------------------------------------------------------- enumeration */

/**
 * virtpmem_scan - find the regions of this machine
 * @ctx: the context
 *
 * Replaces the context's list by what the kernel shows now: regions of every
 * type and driver, sorted by number. Regions that the caller has references
 * to stay valid objects. A machine without regions, or without libnvdimm,
 * has 0 regions; that is not an error.
 *
 * Returns: the number of regions, or a negative errno.
 * Since: 0.1
 */
int virtpmem_scan(struct virtpmem_ctx *ctx);

/**
 * virtpmem_region_get_first - the first region of the last scan
 * @ctx: the context
 *
 * Returns: the region, owned by the context until the next virtpmem_scan(),
 * or NULL if there is none.
 * Since: 0.1
 */
struct virtpmem_region *virtpmem_region_get_first(struct virtpmem_ctx *ctx);

/**
 * virtpmem_region_get_next - the region after this one
 * @region: a region of the last scan
 *
 * Returns: the next region, owned by the context, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_region *virtpmem_region_get_next(struct virtpmem_region *region);

/** virtpmem_region_foreach - loop over the regions of the last scan */
#define virtpmem_region_foreach(ctx, region) \
	for ((region) = virtpmem_region_get_first(ctx); (region); \
	     (region) = virtpmem_region_get_next(region))

/**
 * virtpmem_region_find - find a region of the last scan by any of its names
 * @ctx: the context
 * @name: its device name ("region0"), its path ("pci-0000:00:04.0"), one of
 *        its namespaces ("namespace0.0"), one of its block or DAX devices
 *        ("pmem0", "/dev/pmem0", "/dev/pmem0p1", "/dev/dax0.0"), or a mount
 *        point of a file system on one of them
 * @ret: the region, owned by the context until the next virtpmem_scan()
 *
 * Partitions and stacked devices (device mapper, md) count for the region that
 * they lie on.
 *
 * Returns: 0; -ENXIO if nothing has that name; -ENOTUNIQ if several regions
 * have that path, or the device lies on several; -EINVAL if @name is empty;
 * another negative errno.
 * Since: 0.1
 */
int virtpmem_region_find(struct virtpmem_ctx *ctx, const char *name,
			 struct virtpmem_region **ret);

/**
 * virtpmem_region_ref - take a reference to a region, which also holds its context
 * @region: the region
 *
 * Returns: @region.
 * Since: 0.1
 */
struct virtpmem_region *virtpmem_region_ref(struct virtpmem_region *region);

/**
 * virtpmem_region_unref - drop a reference to a region
 * @region: the region, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_region *virtpmem_region_unref(struct virtpmem_region *region);

/**
 * virtpmem_region_copy - the same region for another context, and so for another thread
 * @region: the region
 * @ctx: the other context
 * @ret: the copy, with one reference, which also holds @ctx
 *
 * The copy is of the same device, whatever has the region's name meanwhile. It is
 * not in the list of @ctx, and virtpmem_region_get_next() of it is NULL. Where
 * @region is in a snapshot, the copy is not. To be called while no other thread
 * uses one of the two contexts.
 *
 * Returns: 0, -ENODEV, -ENOMEM or another negative errno.
 * Since: 0.1
 */
int virtpmem_region_copy(const struct virtpmem_region *region, struct virtpmem_ctx *ctx,
			 struct virtpmem_region **ret);

/**
 * virtpmem_region_snapshot_begin - keep what is read of a region from now on
 * @region: the region
 *
 * Exception to the rule that values are read at the call: until
 * virtpmem_region_snapshot_end(), each of the kernel's files of this region is
 * read at most once, and everything that is asked of it stays as it was when it
 * was read first, errors included. A snapshot that was under way is dropped.
 * virtpmem_region_flush() and all calls that change something end it, and
 * virtpmem_monitor_process() ends those of regions that it handed out.
 *
 * Returns: 0 or -ENOMEM.
 * Since: 0.1
 */
int virtpmem_region_snapshot_begin(struct virtpmem_region *region);

/**
 * virtpmem_region_snapshot_end - read a region's values at each call again
 * @region: the region
 *
 * Since: 0.1
 */
void virtpmem_region_snapshot_end(struct virtpmem_region *region);

/* ---------------------------------------- devices that have no region */

/**
 * virtpmem_get_unbound_count - how many virtio-pmem devices no driver has
 * @ctx: the context
 * @ret: the number; 0 is not an error
 *
 * Counts what virtpmem_unbound_get_first() and _get_next() go through, and
 * reads that list if it has not been read. Unlike them it can say why the list
 * cannot be read.
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_get_unbound_count(struct virtpmem_ctx *ctx, unsigned int *ret);

/**
 * virtpmem_unbound_get_first - the first virtio-pmem device that no driver has
 * @ctx: the context
 *
 * Such a device has no region; virtpmem_add() gives it one. The list is read
 * when it is first asked for after a virtpmem_scan(), or without one, and
 * sorted by number. Where it cannot be read the reason is logged and NULL is
 * returned. So is what could not be told of a single device, which is left out
 * then.
 *
 * Returns: the device, owned by the context until the next virtpmem_scan(), or
 * NULL if there is none.
 * Since: 0.1
 */
struct virtpmem_unbound *virtpmem_unbound_get_first(struct virtpmem_ctx *ctx);

/**
 * virtpmem_unbound_get_next - the device without a driver after this one
 * @device: a device without a driver
 *
 * Returns: the next one, owned by the context, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_unbound *virtpmem_unbound_get_next(struct virtpmem_unbound *device);

/** virtpmem_unbound_foreach - loop over the virtio-pmem devices that no driver has */
#define virtpmem_unbound_foreach(ctx, device) \
	for ((device) = virtpmem_unbound_get_first(ctx); (device); \
	     (device) = virtpmem_unbound_get_next(device))

/**
 * virtpmem_unbound_get_devname - kernel name of the virtio device, such as "virtio3"
 * @device: a device without a driver
 *
 * The number can be another one after the next boot.
 *
 * Returns: the name, owned by the device.
 * Since: 0.1
 */
const char *virtpmem_unbound_get_devname(const struct virtpmem_unbound *device);

/**
 * virtpmem_unbound_get_path - where it is attached, and how virtpmem_add() knows it
 * @device: a device without a driver
 *
 * Returns: the path that its region would have, see virtpmem_region_get_path(),
 * owned by the device; NULL if it cannot be told.
 * Since: 0.1
 */
const char *virtpmem_unbound_get_path(const struct virtpmem_unbound *device);

/* ---------------------------------------------------- what a region is */

/**
 * virtpmem_region_get_devname - kernel name, such as "region0"
 * @region: the region
 *
 * The number can be another one after the next boot or bind; see
 * virtpmem_region_get_path().
 *
 * Returns: the name, owned by the region.
 * Since: 0.1
 */
const char *virtpmem_region_get_devname(const struct virtpmem_region *region);

/**
 * virtpmem_region_get_id - the number in the kernel name
 * @region: the region
 *
 * Returns: the number.
 * Since: 0.1
 */
unsigned int virtpmem_region_get_id(const struct virtpmem_region *region);

/**
 * virtpmem_region_get_path - the name that stays: where the device is attached
 * @region: the region
 *
 * "SUBSYSTEM-DEVICE" of the bus device that provides the region, as in
 * /dev/disk/by-path: "pci-0000:00:04.0", "acpi-ACPI0012:00",
 * "platform-e820_pmem". Several regions can share it (NFIT).
 *
 * Returns: the path, owned by the region; NULL if it cannot be told.
 * Since: 0.1
 */
const char *virtpmem_region_get_path(const struct virtpmem_region *region);

/**
 * virtpmem_region_get_size - size in bytes
 * @region: the region
 * @ret: bytes
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_size(struct virtpmem_region *region, uint64_t *ret);

/**
 * virtpmem_region_get_available_size - bytes that no namespace uses
 * @region: the region
 * @ret: bytes
 *
 * Returns: 0; -EOPNOTSUPP where a region cannot be divided (no labels, as
 * with virtio-pmem); a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_available_size(struct virtpmem_region *region, uint64_t *ret);

/**
 * virtpmem_region_get_resource - physical address at which the region starts
 * @region: the region
 * @ret: the address
 *
 * Returns: 0; -EACCES without the right to see it; another negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_resource(struct virtpmem_region *region, uint64_t *ret);

/**
 * virtpmem_region_get_numa_node - NUMA node of the memory
 * @region: the region
 * @ret: the node, or -1 if the kernel knows none
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_numa_node(struct virtpmem_region *region, int *ret);

/**
 * virtpmem_region_get_read_only - whether the region is read-only
 * @region: the region
 * @ret: the answer
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_read_only(struct virtpmem_region *region, bool *ret);

/** enum virtpmem_region_type - kind of memory, as the device type in sysfs */
enum virtpmem_region_type {
	VIRTPMEM_REGION_UNKNOWN,
	VIRTPMEM_REGION_PMEM,		/* nd_pmem */
	VIRTPMEM_REGION_VOLATILE,	/* nd_volatile */
	VIRTPMEM_REGION_BLK,		/* nd_blk, up to Linux 5.17 */
};

/**
 * virtpmem_region_get_type - kind of memory
 * @region: the region
 * @ret: the kind
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_type(struct virtpmem_region *region, enum virtpmem_region_type *ret);

/**
 * virtpmem_region_type_name - name of a kind of memory, as ndctl spells it
 * @type: the kind
 *
 * Returns: "pmem", "volatile", "blk" or "unknown".
 * Since: 0.1
 */
const char *virtpmem_region_type_name(enum virtpmem_region_type type);

/**
 * virtpmem_region_get_persistence_domain - what survives a power cut
 * @region: the region
 * @ret: "cpu_cache", "memory_controller" or another word of the kernel's
 *
 * Returns: 0; -EOPNOTSUPP where the kernel does not say; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_persistence_domain(struct virtpmem_region *region, char **ret);

/**
 * virtpmem_region_get_provider - name of the bus that the region is on
 * @region: the region
 * @ret: "virtio-pmem", "ACPI.NFIT", "e820", ...
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_provider(struct virtpmem_region *region, char **ret);

/** enum virtpmem_region_kind - where the memory comes from */
enum virtpmem_region_kind {
	VIRTPMEM_KIND_OTHER,
	VIRTPMEM_KIND_VIRTIO,		/* virtio-pmem, whichever driver has it */
	VIRTPMEM_KIND_NFIT,		/* ACPI's table of NVDIMMs */
	VIRTPMEM_KIND_E820,		/* the memory map, or memmap= */
	VIRTPMEM_KIND_CXL,		/* a CXL memory device */
	VIRTPMEM_KIND_OF,		/* a device tree */
	VIRTPMEM_KIND_PAPR,		/* storage class memory of a POWER hypervisor */
};

/**
 * virtpmem_region_get_kind - where the memory comes from
 * @region: the region
 * @ret: the kind
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_kind(struct virtpmem_region *region, enum virtpmem_region_kind *ret);

/**
 * virtpmem_region_kind_name - name of a kind, as it appears in JSON
 * @kind: the kind
 *
 * Returns: "virtio-pmem", "nfit", "e820", "cxl", "of_pmem", "papr_scm" or
 * "other".
 * Since: 0.1
 */
const char *virtpmem_region_kind_name(enum virtpmem_region_kind kind);

/* ------------------------------------------------- namespaces, devices */

/**
 * virtpmem_region_get_namespace_count - how many namespaces a region has
 * @region: the region
 * @ret: the number; 0 is not an error
 *
 * Counts what virtpmem_namespace_get_first() and _get_next() go through, and
 * reads that list if it has not been read. Unlike them it can say why the list
 * cannot be read.
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_namespace_count(struct virtpmem_region *region, unsigned int *ret);

/**
 * virtpmem_namespace_get_first - the first namespace of a region
 * @region: the region
 *
 * Namespaces that are only seeds (size 0) are left out. The list is read
 * when it is first asked for, and stays as long as this object of the region:
 * virtpmem_scan() and virtpmem_region_copy() make others. Where it cannot be
 * read the reason is logged and NULL is returned.
 *
 * Returns: the namespace, owned by the region, or NULL if there is none.
 * Since: 0.1
 */
struct virtpmem_namespace *virtpmem_namespace_get_first(struct virtpmem_region *region);

/**
 * virtpmem_namespace_get_next - the namespace after this one
 * @ns: a namespace
 *
 * Returns: the next one, owned by the region, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_namespace *virtpmem_namespace_get_next(struct virtpmem_namespace *ns);

/** virtpmem_namespace_foreach - loop over the namespaces of a region */
#define virtpmem_namespace_foreach(region, ns) \
	for ((ns) = virtpmem_namespace_get_first(region); (ns); \
	     (ns) = virtpmem_namespace_get_next(ns))

/**
 * virtpmem_namespace_get_devname - kernel name, such as "namespace0.0"
 * @ns: the namespace
 *
 * Returns: the name, owned by the namespace.
 * Since: 0.1
 */
const char *virtpmem_namespace_get_devname(const struct virtpmem_namespace *ns);

/**
 * virtpmem_namespace_get_size - size in bytes
 * @ns: the namespace
 * @ret: bytes, as ndctl counts them: what its device offers if it is enabled
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_namespace_get_size(struct virtpmem_namespace *ns, uint64_t *ret);

/** enum virtpmem_mode - what a namespace is made into, as ndctl-create-namespace(1) */
enum virtpmem_mode {
	VIRTPMEM_MODE_UNKNOWN,
	VIRTPMEM_MODE_RAW,
	VIRTPMEM_MODE_FSDAX,
	VIRTPMEM_MODE_DEVDAX,
	VIRTPMEM_MODE_SECTOR,
};

/**
 * virtpmem_namespace_get_mode - what the namespace is made into
 * @ns: the namespace
 * @ret: the mode
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_namespace_get_mode(struct virtpmem_namespace *ns, enum virtpmem_mode *ret);

/**
 * virtpmem_mode_name - name of a mode, as ndctl spells it
 * @mode: the mode
 *
 * Returns: "raw", "fsdax", "devdax", "sector" or "unknown".
 * Since: 0.1
 */
const char *virtpmem_mode_name(enum virtpmem_mode mode);

/**
 * virtpmem_namespace_get_blockdev - its block device
 * @ns: the namespace
 *
 * Returns: a name below /dev such as "pmem0" or "pmem0s", owned by the
 * namespace; NULL if it has none (devdax, disabled).
 * Since: 0.1
 */
const char *virtpmem_namespace_get_blockdev(const struct virtpmem_namespace *ns);

/**
 * virtpmem_namespace_get_daxdev - its DAX character device
 * @ns: the namespace
 *
 * Returns: a name below /dev such as "dax0.0", owned by the namespace; NULL
 * if it has none.
 * Since: 0.1
 */
const char *virtpmem_namespace_get_daxdev(const struct virtpmem_namespace *ns);

/** enum virtpmem_write_cache - whether a block device sends its flushes on */
enum virtpmem_write_cache {
	VIRTPMEM_WRITE_BACK,	/* flushes are sent */
	VIRTPMEM_WRITE_THROUGH,	/* the block layer drops them */
};

/**
 * virtpmem_namespace_get_write_cache - whether flushes of the block device are sent
 * @ns: the namespace
 * @ret: what queue/write_cache says at this moment
 *
 * Returns: 0; -EOPNOTSUPP if there is no block device; a negative errno.
 * Since: 0.1
 */
int virtpmem_namespace_get_write_cache(struct virtpmem_namespace *ns,
				       enum virtpmem_write_cache *ret);

/**
 * virtpmem_namespace_get_dax_write_cache - whether DAX writers' flushes are sent
 * @ns: the namespace
 * @ret: what dax/write_cache of its block device says: false means that
 *       nothing has to be written back from the CPU's caches
 *
 * Returns: 0; -EOPNOTSUPP if there is no block device or it has no DAX; a
 * negative errno.
 * Since: 0.1
 */
int virtpmem_namespace_get_dax_write_cache(struct virtpmem_namespace *ns, bool *ret);

/**
 * virtpmem_namespace_get_dax - whether a file system there can be mounted with DAX
 * @ns: the namespace
 * @ret: the answer
 * @reason: NULL, or where to put one sentence that says why it cannot (NULL
 *          otherwise); the caller frees it
 *
 * Looks at queue/dax of the block device, and at the kernel's configuration
 * where /boot has it.
 *
 * Returns: 0; -EOPNOTSUPP if there is no block device; a negative errno.
 * Since: 0.1
 */
int virtpmem_namespace_get_dax(struct virtpmem_namespace *ns, bool *ret, char **reason);

/* ---------------------------------------------------------- DAX devices */

/**
 * virtpmem_region_get_dax_count - how many DAX devices a region has
 * @region: the region
 * @ret: the number; 0 is not an error
 *
 * Counts what virtpmem_dax_get_first() and _get_next() go through, and reads
 * that list if it has not been read. Unlike them it can say why the list
 * cannot be read.
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_dax_count(struct virtpmem_region *region, unsigned int *ret);

/**
 * virtpmem_dax_get_first - the first DAX device of a region
 * @region: the region
 *
 * The list is read, and stays, as that of virtpmem_namespace_get_first(). Where
 * it cannot be read the reason is logged and NULL is returned.
 *
 * Returns: the device, owned by the region, or NULL if there is none.
 * Since: 0.1
 */
struct virtpmem_dax *virtpmem_dax_get_first(struct virtpmem_region *region);

/**
 * virtpmem_dax_get_next - the DAX device after this one
 * @dax: a DAX device
 *
 * Returns: the next one, owned by the region, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_dax *virtpmem_dax_get_next(struct virtpmem_dax *dax);

/** virtpmem_dax_foreach - loop over the DAX devices of a region */
#define virtpmem_dax_foreach(region, dax) \
	for ((dax) = virtpmem_dax_get_first(region); (dax); (dax) = virtpmem_dax_get_next(dax))

/**
 * virtpmem_dax_get_devname - kernel name, such as "dax0.0"
 * @dax: the DAX device
 *
 * Returns: the name, owned by the device.
 * Since: 0.1
 */
const char *virtpmem_dax_get_devname(const struct virtpmem_dax *dax);

/**
 * virtpmem_dax_get_namespace - the namespace that it was made of
 * @dax: the DAX device
 *
 * Returns: its kernel name, such as "namespace0.0", owned by the device.
 * Since: 0.1
 */
const char *virtpmem_dax_get_namespace(const struct virtpmem_dax *dax);

/**
 * virtpmem_dax_get_size - size in bytes
 * @dax: the DAX device
 * @ret: bytes
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_dax_get_size(struct virtpmem_dax *dax, uint64_t *ret);

/**
 * virtpmem_dax_get_align - what mappings must be aligned to
 * @dax: the DAX device
 * @ret: bytes
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_dax_get_align(struct virtpmem_dax *dax, uint64_t *ret);

/**
 * virtpmem_dax_get_target_node - NUMA node that the memory would have as RAM
 * @dax: the DAX device
 * @ret: the node, or -1 if the kernel knows none
 *
 * Returns: 0; -EOPNOTSUPP with kernels that do not say; a negative errno.
 * Since: 0.1
 */
int virtpmem_dax_get_target_node(struct virtpmem_dax *dax, int *ret);

/** enum virtpmem_dax_mode - what a DAX device is used as, which is its driver's doing */
enum virtpmem_dax_mode {
	VIRTPMEM_DAX_UNKNOWN,		/* a driver that this library does not know */
	VIRTPMEM_DAX_DISABLED,		/* no driver has it */
	VIRTPMEM_DAX_DEVDAX,		/* device_dax: programs map it */
	VIRTPMEM_DAX_SYSTEM_RAM,	/* kmem: the kernel uses it as memory */
	VIRTPMEM_DAX_FAMFS,		/* fsdev_dax: a file system uses it directly */
};

/**
 * virtpmem_dax_get_mode - what the DAX device is used as
 * @dax: the DAX device
 * @ret: the mode, by the driver that has it at this moment
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_dax_get_mode(struct virtpmem_dax *dax, enum virtpmem_dax_mode *ret);

/**
 * virtpmem_dax_mode_name - name of a mode, as daxctl spells it
 * @mode: the mode
 *
 * Returns: "devdax", "system-ram", "famfs", "disabled" or "unknown".
 * Since: 0.1
 */
const char *virtpmem_dax_mode_name(enum virtpmem_dax_mode mode);

/**
 * virtpmem_dax_get_map - where the DAX device lies in physical memory
 * @dax: the DAX device
 * @ret: its ranges at this moment, with one reference
 *
 * Returns: 0; -EACCES without the right to see addresses; -EBADMSG if the
 * ranges do not add up to the device; another negative errno.
 * Since: 0.1
 */
int virtpmem_dax_get_map(struct virtpmem_dax *dax, struct virtpmem_dax_map **ret);

/**
 * virtpmem_dax_map_ref - take a reference
 * @map: the map
 *
 * Returns: @map.
 * Since: 0.1
 */
struct virtpmem_dax_map *virtpmem_dax_map_ref(struct virtpmem_dax_map *map);

/**
 * virtpmem_dax_map_unref - drop a reference
 * @map: the map, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_dax_map *virtpmem_dax_map_unref(struct virtpmem_dax_map *map);

/**
 * virtpmem_dax_map_get_count - number of ranges
 * @map: the map
 *
 * Returns: the number; 0 for a device of size 0.
 * Since: 0.1
 */
unsigned int virtpmem_dax_map_get_count(const struct virtpmem_dax_map *map);

/**
 * virtpmem_dax_map_get_range - one range
 * @map: the map
 * @i: its number, from 0; they are sorted by offset and leave no gap
 * @offset: where it starts in the device, in bytes
 * @address: its physical address
 * @length: bytes
 *
 * Returns: 0; -ERANGE if there is no such range.
 * Since: 0.1
 */
int virtpmem_dax_map_get_range(const struct virtpmem_dax_map *map, unsigned int i,
			       uint64_t *offset, uint64_t *address, uint64_t *length);

/**
 * virtpmem_dax_map_to_address - physical address of an offset in the device
 * @map: the map
 * @offset: bytes from the start of the device
 * @ret: the address
 *
 * Returns: 0; -ERANGE outside of the device.
 * Since: 0.1
 */
int virtpmem_dax_map_to_address(const struct virtpmem_dax_map *map, uint64_t offset,
				uint64_t *ret);

/**
 * virtpmem_dax_map_to_offset - offset in the device of a physical address
 * @map: the map
 * @address: the address
 * @ret: bytes from the start of the device
 *
 * Returns: 0; -ERANGE if no range has it.
 * Since: 0.1
 */
int virtpmem_dax_map_to_offset(const struct virtpmem_dax_map *map, uint64_t address,
			       uint64_t *ret);

/* ----------------------------------------------------------- bad ranges */

/** enum virtpmem_bad_layer - what kind of device a bad range is given for */
enum virtpmem_bad_layer {
	VIRTPMEM_BAD_REGION,
	VIRTPMEM_BAD_NAMESPACE,
	VIRTPMEM_BAD_BLOCK,		/* the block device of a namespace */
	VIRTPMEM_BAD_PARTITION,		/* a partition of that */
	VIRTPMEM_BAD_DAX,		/* a DAX device */
};

/**
 * virtpmem_region_get_bad_ranges - where a region's memory is bad
 * @region: the region
 * @ret: a snapshot, with one reference; it needs neither the region nor its
 *       context
 *
 * The same damage is given once for each device that it shows in, each time in
 * that device's own offsets: ask for the layer that you work with. Ranges of
 * one device are merged, and sorted by offset. A device that is lost as a
 * whole is one range. Addresses of namespaces and DAX devices are for root:
 * without them, and where something is stacked on a bad range, the snapshot is
 * not complete. Nor is it where the kernel's lists of the region and of a block
 * device differ in what both have: each is given as it is.
 *
 * Returns: 0, also if nothing is bad; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_bad_ranges(struct virtpmem_region *region,
				   struct virtpmem_bad_ranges **ret);

/**
 * virtpmem_bad_ranges_ref - take a reference
 * @ranges: the snapshot
 *
 * Returns: @ranges.
 * Since: 0.1
 */
struct virtpmem_bad_ranges *virtpmem_bad_ranges_ref(struct virtpmem_bad_ranges *ranges);

/**
 * virtpmem_bad_ranges_unref - drop a reference
 * @ranges: the snapshot, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_bad_ranges *virtpmem_bad_ranges_unref(struct virtpmem_bad_ranges *ranges);

/**
 * virtpmem_bad_ranges_is_complete - whether every layer could be looked at
 * @ranges: the snapshot
 *
 * Returns: true if it could.
 * Since: 0.1
 */
bool virtpmem_bad_ranges_is_complete(const struct virtpmem_bad_ranges *ranges);

/**
 * virtpmem_bad_ranges_get_missing - why a snapshot is not complete
 * @ranges: the snapshot
 *
 * Returns: the first thing that could not be told, and why, in words, owned by
 * @ranges; NULL if it is complete.
 * Since: 0.1
 */
const char *virtpmem_bad_ranges_get_missing(const struct virtpmem_bad_ranges *ranges);

/**
 * virtpmem_bad_range_get_first - the first bad range
 * @ranges: the snapshot
 *
 * Returns: the range, owned by @ranges, or NULL if nothing is bad.
 * Since: 0.1
 */
struct virtpmem_bad_range *virtpmem_bad_range_get_first(struct virtpmem_bad_ranges *ranges);

/**
 * virtpmem_bad_range_get_next - the bad range after this one
 * @range: a bad range
 *
 * Returns: the next one, owned by the snapshot, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_bad_range *virtpmem_bad_range_get_next(struct virtpmem_bad_range *range);

/** virtpmem_bad_range_foreach - loop over the bad ranges of all layers */
#define virtpmem_bad_range_foreach(ranges, range) \
	for ((range) = virtpmem_bad_range_get_first(ranges); (range); \
	     (range) = virtpmem_bad_range_get_next(range))

/**
 * virtpmem_bad_range_get_layer - what kind of device it is given for
 * @range: a bad range
 *
 * Returns: the layer.
 * Since: 0.1
 */
enum virtpmem_bad_layer virtpmem_bad_range_get_layer(const struct virtpmem_bad_range *range);

/**
 * virtpmem_bad_layer_name - name of a layer, as it appears in JSON
 * @layer: the layer
 *
 * Returns: "region", "namespace", "block", "partition", "dax" or "unknown".
 * Since: 0.1
 */
const char *virtpmem_bad_layer_name(enum virtpmem_bad_layer layer);

/**
 * virtpmem_bad_range_get_device - the device whose offsets these are
 * @range: a bad range
 *
 * Returns: a kernel name such as "region0", "namespace0.0", "pmem0", "pmem0p1"
 * or "dax0.0", owned by the snapshot.
 * Since: 0.1
 */
const char *virtpmem_bad_range_get_device(const struct virtpmem_bad_range *range);

/**
 * virtpmem_bad_range_get_offset - where it starts in the device
 * @range: a bad range
 *
 * Returns: bytes.
 * Since: 0.1
 */
uint64_t virtpmem_bad_range_get_offset(const struct virtpmem_bad_range *range);

/**
 * virtpmem_bad_range_get_length - how long it is
 * @range: a bad range
 *
 * Returns: bytes.
 * Since: 0.1
 */
uint64_t virtpmem_bad_range_get_length(const struct virtpmem_bad_range *range);

/**
 * virtpmem_bad_range_is_whole - whether the whole device is lost
 * @range: a bad range
 *
 * Returns: true if the range is all of the device, or the region's device has
 * gone.
 * Since: 0.1
 */
bool virtpmem_bad_range_is_whole(const struct virtpmem_bad_range *range);

/* ------------------------------------------------------------- holders */

/** enum virtpmem_holder_kind - how something holds a device */
enum virtpmem_holder_kind {
	VIRTPMEM_HOLDER_UNKNOWN,	/* claimed inside the kernel, and no trace of it */
	VIRTPMEM_HOLDER_MOUNT,		/* a mounted file system; each bind mount is one */
	VIRTPMEM_HOLDER_LOG,		/* the log or journal of a file system elsewhere */
	VIRTPMEM_HOLDER_SWAP,		/* swap space, on the device or in a file */
	VIRTPMEM_HOLDER_DM,		/* a device of device mapper */
	VIRTPMEM_HOLDER_LVM,		/* one that is a logical volume */
	VIRTPMEM_HOLDER_MD,		/* a RAID array */
	VIRTPMEM_HOLDER_LOOP,		/* a loop device, on the device or on a file */
	VIRTPMEM_HOLDER_BLOCK,		/* another block device stacked on it, such as bcache */
	VIRTPMEM_HOLDER_OPEN,		/* a process that has the device open */
	VIRTPMEM_HOLDER_MAPPED,		/* a process that has the device mapped */
	VIRTPMEM_HOLDER_SYSTEM_RAM,	/* a DAX device that the kernel uses as memory */
};

/** enum virtpmem_holders_flags - of virtpmem_region_get_holders() */
enum virtpmem_holders_flags {
	VIRTPMEM_HOLDERS_CLAIMED = 1 << 0, /* this process has claimed the block devices */
};

/**
 * virtpmem_region_get_holders - who uses a region's devices
 * @region: the region
 * @flags: 0, or VIRTPMEM_HOLDERS_CLAIMED: this process has the block devices
 *         open with O_EXCL, so do not try that, and leave its own descriptors
 *         out
 * @ret: a snapshot, with one reference; it needs neither the region nor its
 *       context
 *
 * Follows everything that is stacked on the block and DAX devices of all
 * namespaces, through any depth, and looks at the mounts of every mount
 * namespace, at swap, and at every process. This takes long on a busy machine;
 * virtpmem_snapshot_begin() lets several regions share it.
 *
 * Each block device is opened with O_EXCL for a moment (see open(2)): a
 * refusal that nothing else explains is a holder of the kind unknown. Whoever
 * mounts the device at that moment can be refused in turn.
 *
 * What the caller may not see makes the snapshot incomplete; see
 * virtpmem_holders_is_complete(). Nobody can see descriptors that are on their
 * way through a socket or that only io_uring has, and users inside the kernel
 * that do not claim the device.
 *
 * Returns: 0; -EINVAL for an unknown flag; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_holders(struct virtpmem_region *region, unsigned int flags,
				struct virtpmem_holders **ret);

/**
 * virtpmem_holders_ref - take a reference
 * @holders: the snapshot
 *
 * Returns: @holders.
 * Since: 0.1
 */
struct virtpmem_holders *virtpmem_holders_ref(struct virtpmem_holders *holders);

/**
 * virtpmem_holders_unref - drop a reference
 * @holders: the snapshot, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_holders *virtpmem_holders_unref(struct virtpmem_holders *holders);

/**
 * virtpmem_holders_is_complete - whether everything could be looked at
 * @holders: the snapshot
 *
 * Only a complete snapshot without holders means that nobody uses the region.
 *
 * Returns: true if it could.
 * Since: 0.1
 */
bool virtpmem_holders_is_complete(const struct virtpmem_holders *holders);

/**
 * virtpmem_holders_get_missing - why a snapshot is not complete
 * @holders: the snapshot
 *
 * Returns: the first thing that could not be looked at, and why, in words,
 * owned by @holders; NULL if it is complete.
 * Since: 0.1
 */
const char *virtpmem_holders_get_missing(const struct virtpmem_holders *holders);

/**
 * virtpmem_holder_get_first - the first of those who use the region directly
 * @holders: the snapshot
 *
 * Returns: the holder, owned by @holders, or NULL if none was found.
 * Since: 0.1
 */
struct virtpmem_holder *virtpmem_holder_get_first(struct virtpmem_holders *holders);

/**
 * virtpmem_holder_get_next - the holder beside this one
 * @holder: the holder
 *
 * Returns: the next one, owned by the snapshot, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_holder *virtpmem_holder_get_next(struct virtpmem_holder *holder);

/**
 * virtpmem_holder_get_child - the first of those who use this holder
 * @holder: the holder
 *
 * One that lies on two devices of the region stands below both.
 *
 * Returns: the holder, owned by the snapshot, or NULL if none was found.
 * Since: 0.1
 */
struct virtpmem_holder *virtpmem_holder_get_child(struct virtpmem_holder *holder);

/** virtpmem_holder_foreach - loop over those who use the region directly */
#define virtpmem_holder_foreach(holders, holder) \
	for ((holder) = virtpmem_holder_get_first(holders); (holder); \
	     (holder) = virtpmem_holder_get_next(holder))

/** virtpmem_holder_child_foreach - loop over those who use a holder */
#define virtpmem_holder_child_foreach(parent, holder) \
	for ((holder) = virtpmem_holder_get_child(parent); (holder); \
	     (holder) = virtpmem_holder_get_next(holder))

/**
 * virtpmem_holder_get_kind - how it holds the device
 * @holder: the holder
 *
 * Returns: the kind.
 * Since: 0.1
 */
enum virtpmem_holder_kind virtpmem_holder_get_kind(const struct virtpmem_holder *holder);

/**
 * virtpmem_holder_kind_name - name of a kind, as it appears in JSON
 * @kind: the kind
 *
 * Returns: "mount", "log", "swap", "dm", "lvm", "md", "loop", "block", "open",
 * "mapped", "system-ram" or "unknown".
 * Since: 0.1
 */
const char *virtpmem_holder_kind_name(enum virtpmem_holder_kind kind);

/**
 * virtpmem_holder_get_name - what it is called
 * @holder: the holder
 *
 * Returns: a block device's kernel name ("dm-0"), the type of a file system
 * ("ext4"), the name of a process, "swap", or words for what is unknown; owned
 * by the snapshot.
 * Since: 0.1
 */
const char *virtpmem_holder_get_name(const struct virtpmem_holder *holder);

/**
 * virtpmem_holder_get_device - the device that it holds
 * @holder: the holder
 *
 * Returns: a kernel name such as "pmem0", "pmem0p1", "dm-0" or "dax0.0", owned
 * by the snapshot. Of a file it is the device that the file lies on.
 * Since: 0.1
 */
const char *virtpmem_holder_get_device(const struct virtpmem_holder *holder);

/**
 * virtpmem_holder_get_path - where to find it
 * @holder: the holder
 *
 * Returns: the mount point, the swap space, the file of a loop device, or the
 * node of a block device ("/dev/mapper/vg-lv"), owned by the snapshot; NULL if
 * there is none.
 * Since: 0.1
 */
const char *virtpmem_holder_get_path(const struct virtpmem_holder *holder);

/**
 * virtpmem_holder_get_root - what of a file system is mounted
 * @holder: the holder
 *
 * Returns: a directory or file in the file system; "/" for all of it; owned by
 * the snapshot. NULL unless the holder is a mount.
 * Since: 0.1
 */
const char *virtpmem_holder_get_root(const struct virtpmem_holder *holder);

/**
 * virtpmem_holder_get_devno - number of its own device
 * @holder: the holder
 *
 * Returns: a block device's number, or that of a file system as in
 * /proc/self/mountinfo; 0 if it has none.
 * Since: 0.1
 */
dev_t virtpmem_holder_get_devno(const struct virtpmem_holder *holder);

/**
 * virtpmem_holder_get_pid - the process that it belongs to
 * @holder: the holder
 *
 * Returns: the process that has the device open or mapped; for a mount that is
 * not in the caller's mount namespace, or not below its root, a process or
 * thread that has it; 0 otherwise.
 * Since: 0.1
 */
pid_t virtpmem_holder_get_pid(const struct virtpmem_holder *holder);

/**
 * virtpmem_holder_drops_flushes - whether a file system never asks for a flush
 * @holder: the holder
 *
 * Returns: true for a mount with an option such as "nobarrier": its fsync(2)
 * makes nothing durable, and reports success.
 * Since: 0.1
 */
bool virtpmem_holder_drops_flushes(const struct virtpmem_holder *holder);

/* -------------------------------------------------------------- driver */

/** enum virtpmem_driver - who serves a region's flushes */
enum virtpmem_driver {
	VIRTPMEM_DRIVER_OTHER,		/* not virtio-pmem: NFIT, e820, ... */
	VIRTPMEM_DRIVER_IN_TREE,	/* the kernel's own virtio_pmem */
	VIRTPMEM_DRIVER_VIRTPMEM,	/* this project's virtio_pmem */
};

/**
 * virtpmem_region_get_driver - who serves the region's flushes
 * @region: the region
 * @ret: the kind of driver
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_driver(struct virtpmem_region *region, enum virtpmem_driver *ret);

/**
 * virtpmem_driver_name - name of a kind of driver
 * @driver: the kind
 *
 * Returns: "other", "in-tree" or "virtpmem".
 * Since: 0.1
 */
const char *virtpmem_driver_name(enum virtpmem_driver driver);

/**
 * virtpmem_region_get_module - kernel module of the driver behind the region
 * @region: the region
 * @ret: such as "virtio_pmem"
 *
 * Returns: 0; -EOPNOTSUPP if it is built in or unknown; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_module(struct virtpmem_region *region, char **ret);

/**
 * virtpmem_region_get_module_version - version of that module, as it states it
 * @region: the region
 * @ret: such as "0.1.0"
 *
 * Returns: 0; -EOPNOTSUPP if it states none (the in-tree driver); a negative
 * errno.
 * Since: 0.1
 */
int virtpmem_region_get_module_version(struct virtpmem_region *region, char **ret);

/**
 * virtpmem_region_get_abi - revision of the driver's sysfs interface
 * @region: the region
 * @ret: VIRTIO_PMEM_ABI of sysfs-abi.h, or a later one
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_abi(struct virtpmem_region *region, unsigned int *ret);

/** enum virtpmem_state - state of a region's flush engine */
enum virtpmem_state {
	VIRTPMEM_STATE_UNKNOWN,		/* a word of a later driver */
	VIRTPMEM_STATE_ACTIVE,
	VIRTPMEM_STATE_QUIESCED,
	VIRTPMEM_STATE_RECOVERING,
	VIRTPMEM_STATE_BROKEN,
	VIRTPMEM_STATE_REMOVING,
};

/**
 * virtpmem_region_get_state - state of the flush engine
 * @region: the region
 * @ret: the state
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_state(struct virtpmem_region *region, enum virtpmem_state *ret);

/**
 * virtpmem_state_name - the driver's word for a state
 * @state: the state
 *
 * Returns: "active", "broken", ..., or "unknown".
 * Since: 0.1
 */
const char *virtpmem_state_name(enum virtpmem_state state);

/**
 * virtpmem_region_get_stalled - whether a host flush takes longer than it should
 * @region: the region
 * @ret: the answer
 *
 * Returns: 0; -EOPNOTSUPP with another driver, or one that does not say; a
 * negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_stalled(struct virtpmem_region *region, bool *ret);

/**
 * virtpmem_region_get_broken_reason - why the region is broken
 * @region: the region
 * @ret: the driver's word: "none", "host-error", "virtqueue", ... (all are in
 *       sysfs-abi.h)
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_broken_reason(struct virtpmem_region *region, char **ret);

/**
 * virtpmem_region_get_error_policy - what a failed host flush does
 * @region: the region
 * @ret: "latch" or "report"
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_error_policy(struct virtpmem_region *region, char **ret);

/**
 * virtpmem_region_get_queue_depth - requests accepted and not yet answered
 * @region: the region
 * @ret: the number
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_queue_depth(struct virtpmem_region *region, uint64_t *ret);

/**
 * virtpmem_region_get_queue_depth_max - the most there have been since probe
 * @region: the region
 * @ret: the number
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_queue_depth_max(struct virtpmem_region *region, uint64_t *ret);

/**
 * virtpmem_region_get_in_flight_us - age of the host flush in flight
 * @region: the region
 * @ret: microseconds; 0 if there is none
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_in_flight_us(struct virtpmem_region *region, uint64_t *ret);

/* ---------------------------------------------------------- statistics */

/** enum virtpmem_stat - the counters of a region; meanings are in sysfs-abi.h */
enum virtpmem_stat {
	VIRTPMEM_STAT_REQUESTS,
	VIRTPMEM_STAT_ASYNC_REQUESTS,
	VIRTPMEM_STAT_HOST_FLUSHES,
	VIRTPMEM_STAT_FAILED_REQUESTS,
	VIRTPMEM_STAT_FAILED_HOST_FLUSHES,
	VIRTPMEM_STAT_REQUEST_TOTAL_NS,
	VIRTPMEM_STAT_REQUEST_MAX_NS,
	VIRTPMEM_STAT_HOST_TOTAL_NS,
	VIRTPMEM_STAT_HOST_MAX_NS,
	VIRTPMEM_STAT_RECOVERIES,
	VIRTPMEM_STAT_STALLS,
	VIRTPMEM_STAT_LAST_FAILURE_NS,
	VIRTPMEM_STAT_LAST_CHANGE_NS,
	VIRTPMEM_STAT_COUNT,		/* how many this library knows */
};

/**
 * virtpmem_region_get_stats - read all counters at one consistent moment
 * @region: the region
 * @ret: the counters, with one reference
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_stats(struct virtpmem_region *region, struct virtpmem_stats **ret);

/**
 * virtpmem_stats_ref - take a reference
 * @stats: the counters
 *
 * Returns: @stats.
 * Since: 0.1
 */
struct virtpmem_stats *virtpmem_stats_ref(struct virtpmem_stats *stats);

/**
 * virtpmem_stats_unref - drop a reference
 * @stats: the counters, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_stats *virtpmem_stats_unref(struct virtpmem_stats *stats);

/**
 * virtpmem_stats_get - one counter
 * @stats: the counters
 * @id: which one
 * @ret: its value
 *
 * Returns: 0; -EOPNOTSUPP if the driver is older and has no such counter;
 * -EINVAL if the library knows no such counter.
 * Since: 0.1
 */
int virtpmem_stats_get(const struct virtpmem_stats *stats, enum virtpmem_stat id, uint64_t *ret);

/**
 * virtpmem_stats_refresh - read the counters again, into the same object
 * @stats: the counters; they stay as they are on failure
 * @region: the region that they are of
 *
 * Keeps the kernel's file open until @stats is freed, and @region with it: from
 * the second time on this is one system call. A snapshot of the region does not
 * count here.
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_stats_refresh(struct virtpmem_stats *stats, struct virtpmem_region *region);

/**
 * virtpmem_stat_name - name of a counter, as it appears in JSON
 * @id: which one
 *
 * Returns: such as "host_flushes"; NULL if the library knows no such counter.
 * Since: 0.1
 */
const char *virtpmem_stat_name(enum virtpmem_stat id);

/**
 * virtpmem_region_get_latency_histogram - how long host flushes took
 * @region: the region
 * @ret: the histogram, with one reference
 *
 * Returns: 0; -EOPNOTSUPP with another driver; a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_latency_histogram(struct virtpmem_region *region,
					  struct virtpmem_histogram **ret);

/**
 * virtpmem_histogram_ref - take a reference
 * @hist: the histogram
 *
 * Returns: @hist.
 * Since: 0.1
 */
struct virtpmem_histogram *virtpmem_histogram_ref(struct virtpmem_histogram *hist);

/**
 * virtpmem_histogram_unref - drop a reference
 * @hist: the histogram, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_histogram *virtpmem_histogram_unref(struct virtpmem_histogram *hist);

/**
 * virtpmem_histogram_get_bins - number of bins
 * @hist: the histogram
 *
 * Returns: the number, at least 1.
 * Since: 0.1
 */
unsigned int virtpmem_histogram_get_bins(const struct virtpmem_histogram *hist);

/**
 * virtpmem_histogram_get_bin - one bin
 * @hist: the histogram
 * @bin: its number, from 0
 * @lower_us: shortest latency that it counts, in microseconds
 * @upper_us: shortest latency that it no longer counts; UINT64_MAX: no bound
 * @count: how many host flushes it counts
 *
 * Returns: 0; -ERANGE if there is no such bin.
 * Since: 0.1
 */
int virtpmem_histogram_get_bin(const struct virtpmem_histogram *hist, unsigned int bin,
			       uint64_t *lower_us, uint64_t *upper_us, uint64_t *count);

/* --------------------------------------------------------------- health */

/** enum virtpmem_health_level - how bad it is, in order of weight */
enum virtpmem_health_level {
	VIRTPMEM_HEALTH_OK,
	VIRTPMEM_HEALTH_UNKNOWN,	/* something is not known that would have to be */
	VIRTPMEM_HEALTH_NON_CRITICAL,
	VIRTPMEM_HEALTH_CRITICAL,
	VIRTPMEM_HEALTH_FATAL,		/* data may be gone */
};

/**
 * virtpmem_region_get_health - the verdict on a region
 * @region: the region
 * @holders: NULL, or who uses it: then mounts that never ask for a flush are
 *           found too; stays the caller's
 * @latency_limit_us: how long a host flush may take, in microseconds, before
 *                    the region counts as slow; 0: as long as it likes. Judged
 *                    is what 99 of 100 flushes stayed below.
 * @ret: the verdict, with one reference; it needs neither the region nor its
 *       context
 *
 * Where the region lies on DIMMs, libndctl is asked for their health, which
 * reads everything about all of them: once between virtpmem_snapshot_begin() and
 * virtpmem_snapshot_end().
 *
 * Between virtpmem_region_snapshot_begin() and _end() it is made from the values
 * that the other functions have returned.
 *
 * That virtpmem_region_freeze() holds the region frozen is found with root's rights only, for
 * which the node of its bus, /dev/ndctlN, is opened.
 *
 * Flushes that the host failed are a reason until
 * virtpmem_region_acknowledge_errors(). Where that is noted is read only if there are any;
 * what cannot be read there, or is not understood, counts as not acknowledged, and the
 * reason and the log say so.
 *
 * Returns: 0, whatever the verdict is; -ENODEV if the region is gone; -ENOMEM.
 * Since: 0.1
 */
int virtpmem_region_get_health(struct virtpmem_region *region, struct virtpmem_holders *holders,
			       uint64_t latency_limit_us, struct virtpmem_health **ret);

/**
 * virtpmem_get_system_health - what is wrong with this machine's set-up
 * @ctx: the context, with the regions of its last scan
 * @ret: the verdict, with one reference
 *
 * Looks at which drivers are installed, built in and bound, at what keeps a
 * module from being loaded, and for devices without a driver, each of which is a reason.
 *
 * Returns: 0, whatever the verdict is; a negative errno.
 * Since: 0.1
 */
int virtpmem_get_system_health(struct virtpmem_ctx *ctx, struct virtpmem_health **ret);

/**
 * virtpmem_health_ref - take a reference
 * @health: the verdict
 *
 * Returns: @health.
 * Since: 0.1
 */
struct virtpmem_health *virtpmem_health_ref(struct virtpmem_health *health);

/**
 * virtpmem_health_unref - drop a reference
 * @health: the verdict, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_health *virtpmem_health_unref(struct virtpmem_health *health);

/**
 * virtpmem_health_get_level - the verdict
 * @health: the verdict
 *
 * Returns: the level of the worst reason; VIRTPMEM_HEALTH_OK without any.
 * Since: 0.1
 */
enum virtpmem_health_level virtpmem_health_get_level(const struct virtpmem_health *health);

/**
 * virtpmem_health_level_name - name of a level, as ndctl spells it
 * @level: the level
 *
 * Returns: "ok", "unknown", "non-critical", "critical" or "fatal".
 * Since: 0.1
 */
const char *virtpmem_health_level_name(enum virtpmem_health_level level);

/**
 * virtpmem_reason_get_first - the first reason of a verdict
 * @health: the verdict
 *
 * Returns: the reason, owned by @health, or NULL if there is none.
 * Since: 0.1
 */
struct virtpmem_reason *virtpmem_reason_get_first(struct virtpmem_health *health);

/**
 * virtpmem_reason_get_next - the reason after this one
 * @reason: a reason
 *
 * Returns: the next one, owned by the verdict, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_reason *virtpmem_reason_get_next(struct virtpmem_reason *reason);

/** virtpmem_reason_foreach - loop over the reasons of a verdict */
#define virtpmem_reason_foreach(health, reason) \
	for ((reason) = virtpmem_reason_get_first(health); (reason); \
	     (reason) = virtpmem_reason_get_next(reason))

/**
 * virtpmem_reason_get_id - the word by which programs know a reason
 * @reason: a reason
 *
 * Returns: such as "broken" or "write_through", a constant; pmemctl-health(1)
 * lists them.
 * Since: 0.1
 */
const char *virtpmem_reason_get_id(const struct virtpmem_reason *reason);

/**
 * virtpmem_reason_get_level - how bad the reason is by itself
 * @reason: a reason
 *
 * Returns: the level.
 * Since: 0.1
 */
enum virtpmem_health_level virtpmem_reason_get_level(const struct virtpmem_reason *reason);

/**
 * virtpmem_reason_get_text - what is wrong
 * @reason: a reason
 *
 * Returns: one sentence without a full stop, owned by the verdict.
 * Since: 0.1
 */
const char *virtpmem_reason_get_text(const struct virtpmem_reason *reason);

/**
 * virtpmem_reason_get_remedy - what can be done about it
 * @reason: a reason
 *
 * Returns: one sentence without a full stop, owned by the verdict.
 * Since: 0.1
 */
const char *virtpmem_reason_get_remedy(const struct virtpmem_reason *reason);

/* --------------------------------------------------------------- flush */

/** enum virtpmem_flush_method - how a flush was made */
enum virtpmem_flush_method {
	VIRTPMEM_FLUSH_NONE,		/* there is no way to flush this region */
	VIRTPMEM_FLUSH_NOT_NEEDED,	/* the platform needs none: deep_flush is 0 */
	VIRTPMEM_FLUSH_DEEP,		/* the region's deep_flush */
	VIRTPMEM_FLUSH_BLOCK,		/* fsync of a namespace's block device */
};

/**
 * virtpmem_flush_method_name - name of a way to flush, as it appears in JSON
 * @method: the way
 *
 * Returns: "none", "not_needed", "deep_flush" or "block_device".
 * Since: 0.1
 */
const char *virtpmem_flush_method_name(enum virtpmem_flush_method method);

/**
 * struct virtpmem_flush_result - what a flush did
 * @method: how it was made or tried
 * @latency_ns: how long the flush took, in nanoseconds; 0 if none was tried
 * @abandoned: the time was over, and a child that cannot be interrupted was
 *             left behind; it ends when the host answers
 *
 * Since: 0.1
 */
struct virtpmem_flush_result {
	enum virtpmem_flush_method method;
	uint64_t latency_ns;
	bool abandoned;
};

/**
 * virtpmem_region_get_flush_method - how virtpmem_region_flush() would flush now
 * @region: the region
 * @ret: the way; VIRTPMEM_FLUSH_NONE if there is none
 * @reason: NULL, or where to put one sentence that says why there is none
 *          (NULL otherwise); the caller frees it
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_flush_method(struct virtpmem_region *region,
				     enum virtpmem_flush_method *ret, char **reason);

/**
 * virtpmem_region_flush - make everything stored so far durable on the host
 * @region: the region
 * @timeout_ms: how long to wait, in milliseconds; 0: without limit
 * @result: NULL, or what was done. Exception to the rule: it is also written
 *          on failure, if a flush was tried (method is not NONE)
 *
 * Writes 1 to deep_flush; where that reads 0, nothing is needed. Where it
 * is absent on virtio-pmem, fsyncs a block device of one of the region's
 * namespaces, if the block layer really sends the flush at that moment. Where
 * it is absent on anything else, the kernel knows of no way. Success is never
 * reported for a flush that did not happen. Dirty pages of the file systems
 * above are not written first: call syncfs(2) for that.
 *
 * With a limit the flush runs in a child process, because some drivers wait
 * in a state that no signal interrupts. SIGCHLD is not delivered for it, and
 * wait(2) does not see it. One that was left behind is reaped by a later flush
 * with a limit, or when this process ends. Any signal that is handled ends the
 * wait with -EINTR, SA_RESTART or not. Without a limit a signal ends the wait
 * only if it kills the process, and with the in-tree driver not even then.
 *
 * Returns: 0; -EIO: the host failed the flush, or the region is broken;
 * -ETIMEDOUT; -EOPNOTSUPP: there is no way to flush (see
 * virtpmem_region_get_flush_method() for the reason); -EINTR: a signal
 * arrived; -ENOENT: the block device has no node in /dev; -ESTALE: its node is
 * another device's; -ENODEV, -EACCES, or another negative errno.
 * Since: 0.1
 */
int virtpmem_region_flush(struct virtpmem_region *region, unsigned int timeout_ms,
			  struct virtpmem_flush_result *result);

/* --------------------------------------------------------------- plans */

/*
 * Calls that change something take flags, and hand out a plan: what they did,
 * or would do, step by step. Exception to the rule: the plan is also handed out
 * on failure, if it came to making one; else the output is not written.
 *
 * One process at a time changes a region: freeze, thaw, remove, recover and add
 * wait 10 seconds at most for another one, and answer -EBUSY then. All but add
 * answer -ESTALE if the region's name has become another device's.
 */

/** enum virtpmem_flags - how a call that changes something is to go about it */
enum virtpmem_flags {
	VIRTPMEM_DRY_RUN = 1 << 0,	/* look at everything, change nothing */
	VIRTPMEM_FORCE = 1 << 1,	/* although somebody will be hurt */
	VIRTPMEM_SAVE = 1 << 2,		/* for the next boot as well */
	VIRTPMEM_ACCEPT_DATA_LOSS = 1 << 3, /* the caller knows what the host has lost */
	VIRTPMEM_QUIESCE = 1 << 4,	/* so that the host is idle, too */
};

/** enum virtpmem_step_kind - what a step is about */
enum virtpmem_step_kind {
	VIRTPMEM_STEP_CHECK,		/* something that is in the way */
	VIRTPMEM_STEP_WARN,		/* something to know, or what force will break */
	VIRTPMEM_STEP_SYNC,		/* write a file system's data to the region */
	VIRTPMEM_STEP_GUARD,		/* start the process that thaws whatever happens */
	VIRTPMEM_STEP_FREEZE,
	VIRTPMEM_STEP_THAW,
	VIRTPMEM_STEP_FLUSH,		/* flush the region */
	VIRTPMEM_STEP_QUIESCE,
	VIRTPMEM_STEP_RESUME,
	VIRTPMEM_STEP_DISABLE,		/* take down the region's namespaces */
	VIRTPMEM_STEP_ENABLE,
	VIRTPMEM_STEP_UNBIND,		/* take the driver off the device */
	VIRTPMEM_STEP_BIND,
	VIRTPMEM_STEP_LOAD,		/* load the driver's module */
	VIRTPMEM_STEP_RECOVER,
	VIRTPMEM_STEP_SET,
	VIRTPMEM_STEP_SAVE,
	VIRTPMEM_STEP_VERIFY,		/* look whether it is as it should be now */
	VIRTPMEM_STEP_ACKNOWLEDGE,	/* note that errors were seen */
};

/** enum virtpmem_step_result - what has become of a step */
enum virtpmem_step_result {
	VIRTPMEM_RESULT_PLANNED,	/* a dry run would have done it here */
	VIRTPMEM_RESULT_DONE,
	VIRTPMEM_RESULT_NOT_NEEDED,	/* it was so already */
	VIRTPMEM_RESULT_FAILED,
	VIRTPMEM_RESULT_NOT_DONE,	/* because an earlier one failed */
	VIRTPMEM_RESULT_UNDONE,		/* done, and taken back when a later one failed */
};

/**
 * virtpmem_plan_ref - take a reference
 * @plan: the plan
 *
 * Returns: @plan.
 * Since: 0.1
 */
struct virtpmem_plan *virtpmem_plan_ref(struct virtpmem_plan *plan);

/**
 * virtpmem_plan_unref - drop a reference
 * @plan: the plan, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_plan *virtpmem_plan_unref(struct virtpmem_plan *plan);

/**
 * virtpmem_step_get_first - the first step of a plan
 * @plan: the plan, which needs neither the region nor its context
 *
 * Returns: the step, owned by the plan, or NULL if there is nothing to do.
 * Since: 0.1
 */
struct virtpmem_step *virtpmem_step_get_first(struct virtpmem_plan *plan);

/**
 * virtpmem_step_get_next - the step after this one
 * @step: the step
 *
 * Returns: the next one, owned by the plan, or NULL after the last.
 * Since: 0.1
 */
struct virtpmem_step *virtpmem_step_get_next(struct virtpmem_step *step);

/** virtpmem_step_foreach - loop over the steps of a plan */
#define virtpmem_step_foreach(plan, step) \
	for ((step) = virtpmem_step_get_first(plan); (step); \
	     (step) = virtpmem_step_get_next(step))

/**
 * virtpmem_step_get_kind - what the step is about
 * @step: the step
 *
 * Returns: the kind.
 * Since: 0.1
 */
enum virtpmem_step_kind virtpmem_step_get_kind(const struct virtpmem_step *step);

/**
 * virtpmem_step_kind_name - name of a kind of step, as it appears in JSON
 * @kind: the kind
 *
 * Returns: such as "freeze"; NULL if the library knows no such kind.
 * Since: 0.1
 */
const char *virtpmem_step_kind_name(enum virtpmem_step_kind kind);

/**
 * virtpmem_step_get_object - what the step is done to
 * @step: the step
 *
 * Returns: a mount point, a device, a region or a setting, owned by the step;
 * NULL if there is nothing to name.
 * Since: 0.1
 */
const char *virtpmem_step_get_object(const struct virtpmem_step *step);

/**
 * virtpmem_step_get_text - the step in words
 * @step: the step
 *
 * Returns: a sentence without a full stop, owned by the step.
 * Since: 0.1
 */
const char *virtpmem_step_get_text(const struct virtpmem_step *step);

/**
 * virtpmem_step_get_result - what has become of the step
 * @step: the step
 *
 * Returns: the result.
 * Since: 0.1
 */
enum virtpmem_step_result virtpmem_step_get_result(const struct virtpmem_step *step);

/**
 * virtpmem_step_result_name - name of a result, as it appears in JSON
 * @result: the result
 *
 * Returns: such as "done"; NULL if the library knows no such result.
 * Since: 0.1
 */
const char *virtpmem_step_result_name(enum virtpmem_step_result result);

/**
 * virtpmem_step_get_error - why the step failed
 * @step: the step
 *
 * Returns: a negative errno; 0 if it did not fail. With VIRTPMEM_RESULT_DONE it
 * is why the step could not be taken back.
 * Since: 0.1
 */
int virtpmem_step_get_error(const struct virtpmem_step *step);

/* ------------------------------------------------------------ settings */

/** enum virtpmem_setting - what can be set for a region of our driver */
enum virtpmem_setting {
	VIRTPMEM_SETTING_ERROR_POLICY,		/* "latch" or "report" */
	VIRTPMEM_SETTING_STALL_TIMEOUT_MS,	/* milliseconds, 1000 to 600000 */
	VIRTPMEM_SETTING_QUIESCE_TIMEOUT_MS,	/* milliseconds, 1000 to 600000 */
	VIRTPMEM_SETTING_COUNT,			/* how many this library knows */
};

/**
 * virtpmem_setting_name - name of a setting, as of its file and in JSON
 * @setting: the setting
 *
 * Returns: such as "error_policy"; NULL if the library knows no such setting.
 * Since: 0.1
 */
const char *virtpmem_setting_name(enum virtpmem_setting setting);

/**
 * virtpmem_setting_values - what a setting can be, in words
 * @setting: the setting
 *
 * Returns: such as "latch or report" or "1000 to 600000"; NULL if the library
 * knows no such setting.
 * Since: 0.1
 */
const char *virtpmem_setting_values(enum virtpmem_setting setting);

/**
 * virtpmem_region_get_setting - the value that counts now
 * @region: the region
 * @setting: which one
 * @ret: the value, as text
 *
 * Returns: 0; -EOPNOTSUPP with another driver; -EINVAL if the library knows no
 * such setting; another negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_setting(struct virtpmem_region *region, enum virtpmem_setting setting,
				char **ret);

/**
 * virtpmem_region_get_saved_setting - the value that is set at the next boot or bind
 * @region: the region, of any driver
 * @setting: which one
 * @ret: the value, as text
 *
 * Returns: 0; -ENODATA if none is saved; -EBADMSG if what is saved is not one of
 * its values; -EOPNOTSUPP if the region has no path to save it for; -EINVAL if
 * the library knows no such setting; another negative errno.
 * Since: 0.1
 */
int virtpmem_region_get_saved_setting(struct virtpmem_region *region,
				      enum virtpmem_setting setting, char **ret);

/**
 * virtpmem_region_set_setting - give a setting another value
 * @region: the region
 * @setting: which one
 * @value: the value as text, or NULL to forget the saved one
 * @flags: VIRTPMEM_DRY_RUN; VIRTPMEM_SAVE: also write a udev rule that sets it
 *         whenever the device at the region's path is bound (required, and all
 *         that is done, if @value is NULL)
 * @plan: NULL, or the plan, with one reference
 *
 * Regions that share a path share what is saved. Only one process at a time saves;
 * others wait for it for 10 seconds at most. Saving keeps the other settings that
 * are saved; one whose value is none is dropped, and a warning of the plan says so.
 *
 * Returns: 0; -EINVAL: no such setting or flag, or not one of its values (no
 * plan is made); -EOPNOTSUPP: another driver, or no path to save it for;
 * -EBUSY: another process keeps the directory of udev's rules locked; -EINTR: a
 * signal came; -EACCES, -ENODEV, or another negative errno.
 * Since: 0.1
 */
int virtpmem_region_set_setting(struct virtpmem_region *region, enum virtpmem_setting setting,
				const char *value, unsigned int flags,
				struct virtpmem_plan **plan);

/* ------------------------------------------------------------- recover */

/**
 * virtpmem_region_recover - bring a broken region back to work
 * @region: the region
 * @flags: VIRTPMEM_DRY_RUN; VIRTPMEM_ACCEPT_DATA_LOSS: after a host error, which
 *         may have cost data that was reported as safe
 * @plan: NULL, or the plan, with one reference
 *
 * A region that is not broken is left alone, and that is a success. After a
 * host error the plan warns of each file system, swap space and process whose
 * data is concerned. The region is flushed once, so that a host that still
 * fails is known. A host that does not answer is not brought back by this: the
 * call waits for it, at most two times the region's stall_timeout_ms and the
 * minute that the flush may take.
 *
 * Returns: 0; -EOPNOTSUPP with another driver; -ENOTRECOVERABLE: after a host
 * error, without VIRTPMEM_ACCEPT_DATA_LOSS; -EIO: it broke again; -ETIMEDOUT:
 * the device does not answer; -EBUSY: another process is at work on the region,
 * or the system is being suspended; -EINTR: a signal came; -EINVAL for an
 * unknown flag; -EACCES, -ENODEV or another negative errno.
 * Since: 0.1
 */
int virtpmem_region_recover(struct virtpmem_region *region, unsigned int flags,
			    struct virtpmem_plan **plan);

/* --------------------------------------------------------- acknowledge */

/**
 * virtpmem_region_acknowledge_errors - note that the host's errors so far were seen
 * @region: the region
 * @flags: VIRTPMEM_DRY_RUN
 * @plan: NULL, or the plan, with one reference
 *
 * Flushes that the host failed are the reason "host_flush_failed" of
 * virtpmem_region_get_health() until they are acknowledged, and again when the host
 * fails one more. What is acknowledged is what has failed by the time of the call, which
 * brings back no data and does not recover a broken region. It is noted below
 * /run/virtpmem for the region's path, and lasts until the next boot, as the driver's
 * counters do at most. If there is nothing to acknowledge that is a success.
 *
 * Only one process at a time writes there; others wait for it for 10 seconds at most.
 *
 * Returns: 0; -EOPNOTSUPP: another driver, or a region without a path; -EINVAL for an
 * unknown flag; -EACCES: not allowed; -EROFS: /run is read-only; -EBUSY: another process
 * is at work there; -EINTR: a signal came; -EBADMSG, -ENODEV or another negative errno.
 * Since: 0.1
 */
int virtpmem_region_acknowledge_errors(struct virtpmem_region *region, unsigned int flags,
				       struct virtpmem_plan **plan);

/* -------------------------------------------------------------- freeze */

/** enum virtpmem_consistency - what a copy of a frozen region is like */
enum virtpmem_consistency {
	VIRTPMEM_CONSISTENCY_CRASH,	 /* as after a power cut */
	VIRTPMEM_CONSISTENCY_FILESYSTEM, /* every file system is whole */
};

/**
 * virtpmem_consistency_name - name of a consistency, as it appears in JSON
 * @consistency: the consistency
 *
 * Returns: "filesystem" or "crash"; NULL if the library knows no such one.
 * Since: 0.1
 */
const char *virtpmem_consistency_name(enum virtpmem_consistency consistency);

/**
 * virtpmem_region_freeze - bring a region into a state that the host can copy
 * @region: the region, of any driver
 * @timeout_ms: after how many milliseconds it is thawed whatever happens; 0:
 *              60000
 * @flags: VIRTPMEM_DRY_RUN; VIRTPMEM_FORCE: also what would block this process
 *         or the system, and although a file system cannot be reached;
 *         VIRTPMEM_QUIESCE: also quiesce the driver, so that the host is idle
 * @plan: NULL, or the plan, with one reference
 * @ret: the freeze, with one reference; not written in a dry run
 *
 * Every file system that lies on the region is synced and frozen, those on top
 * of others first, then the region is flushed: all of it, or nothing. Whoever
 * writes to a frozen file system waits, and no signal ends that.
 *
 * A file system that lies on several regions is frozen with the first of them;
 * freezing the others with the same context, while that freeze is held and not
 * detached, makes sure that it still is. In a dry run, what a dry run before
 * would have frozen counts as frozen, while the plan of that one is held. For
 * each other region that has a part of a file system, its log or journal too,
 * and was not frozen before, a warning of the plan names that region (its
 * object); likewise for each disk that is no region.
 *
 * A guard process does the freezing. It thaws when the last reference is
 * dropped, when this process ends in whatever way, at the time that @timeout_ms
 * gives, and at SIGTERM; it is no child of this process. A child that this
 * process forks and that does not call exec keeps the guard waiting. If host
 * and guard are both stuck, the time counts when the host answers.
 *
 * Without VIRTPMEM_FORCE the root file system, and those with the working
 * directory or a file that this process writes to, are refused.
 *
 * Returns: 0; -EBUSY: refused, or a file system is frozen by somebody else, or
 * another process is at work on the region; -EIO: the region is broken, or a
 * flush failed; -ETIMEDOUT: the time was over before everything was frozen, or
 * the host does not answer; -ECANCELED: somebody has thawed it meanwhile; -ESRCH:
 * the guard was killed, or that of a freeze that this one relies on; -EINTR: a
 * signal came; -EOPNOTSUPP: VIRTPMEM_QUIESCE with another driver, or a file
 * system that cannot be frozen; -EINVAL for an unknown flag; -EACCES, -ENODEV or
 * another negative errno. Nothing is frozen then.
 * Since: 0.1
 */
int virtpmem_region_freeze(struct virtpmem_region *region, unsigned int timeout_ms,
			   unsigned int flags, struct virtpmem_plan **plan,
			   struct virtpmem_freeze **ret);

/**
 * virtpmem_region_thaw - thaw a region, whoever has frozen it
 * @region: the region
 * @flags: VIRTPMEM_DRY_RUN
 * @plan: NULL, or the plan, with one reference
 *
 * Ends the guard of virtpmem_region_freeze() if there is one, resumes the
 * driver, and thaws every file system that is frozen still, also one that
 * another program froze. Nothing frozen is a success. A device that something
 * unknown holds may have a file system that was unmounted while it was frozen,
 * which can be thawed only when it is mounted again. If not everything could be
 * looked at, a warning of the plan says so.
 *
 * Returns: 0; -ETIMEDOUT: the guard did not end; -EBUSY: another process is at
 * work on the region, no mount of a file system can be reached, or something
 * unknown holds a device (VIRTPMEM_HOLDER_UNKNOWN); -EINTR: a signal came;
 * -EINVAL for an unknown flag; -EACCES, -ENODEV or another negative errno.
 * Since: 0.1
 */
int virtpmem_region_thaw(struct virtpmem_region *region, unsigned int flags,
			 struct virtpmem_plan **plan);

/**
 * virtpmem_freeze_ref - take a reference
 * @freeze: the freeze
 *
 * Returns: @freeze.
 * Since: 0.1
 */
struct virtpmem_freeze *virtpmem_freeze_ref(struct virtpmem_freeze *freeze);

/**
 * virtpmem_freeze_unref - drop a reference; the last one thaws
 * @freeze: the freeze, or NULL
 *
 * One that is detached stays as it is.
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_freeze *virtpmem_freeze_unref(struct virtpmem_freeze *freeze);

/**
 * virtpmem_freeze_thaw - thaw, and know whether it was frozen all the time
 * @freeze: the freeze
 *
 * Waits until the guard has thawed everything, half a minute at most. Asked again
 * it gives the same answer.
 *
 * Returns: 0: it was; -ETIMEDOUT: it was thawed before, at its time; -ECANCELED:
 * somebody else has thawed it before; -ESRCH: the guard was killed, and nothing
 * is known; -EINVAL: it is detached; -EBUSY, because the guard is stuck, or
 * another negative errno: a file system is frozen still.
 * Since: 0.1
 */
int virtpmem_freeze_thaw(struct virtpmem_freeze *freeze);

/**
 * virtpmem_freeze_detach - leave the region frozen when this process ends
 * @freeze: the freeze
 *
 * The guard stays until its time, or until virtpmem_region_thaw(). Waits for it
 * to answer, 10 seconds at most; no signal ends that.
 *
 * Returns: 0; -EBUSY: the guard is stuck, and is not detached; another negative
 * errno: the guard is gone.
 * Since: 0.1
 */
int virtpmem_freeze_detach(struct virtpmem_freeze *freeze);

/**
 * virtpmem_freeze_get_fd - a descriptor that tells when it is over
 * @freeze: the freeze
 *
 * For poll(2) with POLLIN: ready when the region has been thawed, at its time
 * or by somebody else, or detached. It is the freeze's, and open until the last
 * reference is dropped: do not read from it, do not close it.
 *
 * Returns: the descriptor.
 * Since: 0.1
 */
int virtpmem_freeze_get_fd(const struct virtpmem_freeze *freeze);

/**
 * virtpmem_freeze_get_pid - the guard process
 * @freeze: the freeze
 *
 * Returns: its number.
 * Since: 0.1
 */
pid_t virtpmem_freeze_get_pid(const struct virtpmem_freeze *freeze);

/**
 * virtpmem_freeze_get_consistency - what a copy made now is like
 * @freeze: the freeze
 *
 * Returns: the consistency.
 * Since: 0.1
 */
enum virtpmem_consistency virtpmem_freeze_get_consistency(const struct virtpmem_freeze *freeze);

/**
 * virtpmem_freeze_get_reason - why it is no better
 * @freeze: the freeze
 *
 * Returns: the first reason, in words, owned by @freeze; all are warnings of
 * the plan. NULL if the consistency is "filesystem".
 * Since: 0.1
 */
const char *virtpmem_freeze_get_reason(const struct virtpmem_freeze *freeze);

/* -------------------------------------------------------- remove, add */

/**
 * virtpmem_region_remove - take a region away
 * @region: the region
 * @timeout_ms: how long its flush may take, in milliseconds; 0: 60000
 * @flags: VIRTPMEM_DRY_RUN; VIRTPMEM_FORCE: although somebody uses it, who will
 *         see I/O errors
 * @plan: NULL, or the plan, with one reference
 *
 * Finds out who uses the region's devices and claims its block devices, so that
 * nobody can begin to; flushes it; disables it with its namespaces; and takes
 * the driver off a virtio device. Everybody who is in the way is a step of the
 * plan. virtpmem_add() with the region's path brings it back.
 *
 * Force does not cover the root file system, swap and memory in use, a region
 * that is frozen or quiesced, and holders that may not be seen; nor, where "/"
 * or the root of process 1 is an overlay, any mount, as the root may lie on it,
 * and where such a root has no device of its own, any holder of the kind
 * unknown. With force a broken region is not flushed, and a flush that fails
 * ends nothing.
 *
 * Returns: 0; -EBUSY: somebody uses it, or another process is at work on it;
 * -EACCES: not allowed, or not everybody who uses it can be seen; -EIO,
 * -ETIMEDOUT: it could not be flushed; -ENODEV: it is gone already; -EINTR: a
 * signal came; -EINVAL for an unknown flag; another negative errno. What was
 * disabled is enabled again then, if that can be done.
 * Since: 0.1
 */
int virtpmem_region_remove(struct virtpmem_region *region, unsigned int timeout_ms,
			   unsigned int flags, struct virtpmem_plan **plan);

/**
 * virtpmem_add - give a device its driver, and so its region
 * @ctx: the context; its list is left alone
 * @path: the device, as virtpmem_region_get_path() names it
 * @driver: name of a driver on the device's bus; NULL: virtio_pmem for a virtio
 *          device, and what there is for others
 * @flags: VIRTPMEM_DRY_RUN
 * @plan: NULL, or the plan, with one reference
 * @ret: NULL, or the region, with one reference; not written in a dry run
 *
 * Loads the driver's module if it is not there, binds the device, enables the
 * region, and waits until its devices are there. What is so already is left
 * alone: it is a success if there is nothing to do.
 *
 * Returns: 0; -ENXIO: there is no such device, or it got no region; -ENOENT:
 * there is no such driver; -EOPNOTSUPP: it is no virtio device and has neither a
 * driver nor a region; -EBUSY: it has another driver, or another process is at
 * work on it; -ENOTUNIQ: several regions have that path; -EINTR: a signal
 * came; -EINVAL: @path, @driver or @flags cannot be; -EACCES, or another
 * negative errno.
 * Since: 0.1
 */
int virtpmem_add(struct virtpmem_ctx *ctx, const char *path, const char *driver,
		 unsigned int flags, struct virtpmem_plan **plan, struct virtpmem_region **ret);

/* ------------------------------------------------------------- monitor */

/** enum virtpmem_event_type - what has happened */
enum virtpmem_event_type {
	VIRTPMEM_EVENT_RESYNC,		/* the kernel had more to say than could be kept */
	VIRTPMEM_EVENT_REGION_ADDED,
	VIRTPMEM_EVENT_REGION_REMOVED,
	VIRTPMEM_EVENT_STATE,		/* the flush engine's state has changed */
	VIRTPMEM_EVENT_HOST_ERROR,	/* the host failed flushes */
	VIRTPMEM_EVENT_STALLED,		/* a host flush is late, or the late one has ended */
	VIRTPMEM_EVENT_BAD_RANGES,	/* the region's bad ranges are others than before */
	VIRTPMEM_EVENT_SETTING,		/* a setting has another value */
};

/**
 * virtpmem_event_type_name - name of a kind of event, as it appears in JSON
 * @type: the kind
 *
 * Returns: such as "region-added"; NULL if the library knows no such kind.
 * Since: 0.1
 */
const char *virtpmem_event_type_name(enum virtpmem_event_type type);

/**
 * virtpmem_monitor_new - begin to watch regions, those there are and those to come
 * @ctx: the context; the monitor takes a reference
 * @ret: the monitor, with one reference
 *
 * What is there now is not announced: call virtpmem_scan() after this, and
 * nothing is missed in between. A machine without regions, or without
 * libnvdimm, can be watched. The list of virtpmem_scan() is left alone.
 *
 * Nothing is polled. The monitor listens to udevd's events, or to the kernel's
 * own where no udevd runs, and to the files that the kernel signals. A setting
 * that a process in another network namespace changes is seen with the next
 * event of its region; where inotify(7) cannot be had, so are all settings and
 * bad ranges, and the log says it.
 *
 * A difference to what was seen before is an event. So each state change and
 * each failed host flush is told, but those that follow each other faster than
 * virtpmem_monitor_process() is called become one.
 *
 * Returns: 0 or a negative errno.
 * Since: 0.1
 */
int virtpmem_monitor_new(struct virtpmem_ctx *ctx, struct virtpmem_monitor **ret);

/**
 * virtpmem_monitor_ref - take a reference
 * @monitor: the monitor
 *
 * Returns: @monitor.
 * Since: 0.1
 */
struct virtpmem_monitor *virtpmem_monitor_ref(struct virtpmem_monitor *monitor);

/**
 * virtpmem_monitor_unref - drop a reference
 * @monitor: the monitor, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_monitor *virtpmem_monitor_unref(struct virtpmem_monitor *monitor);

/**
 * virtpmem_monitor_get_fd - the descriptor to wait for
 * @monitor: the monitor
 *
 * For poll(2), select(2) or epoll(7), with the events that
 * virtpmem_monitor_get_events() gives. It stays the same for the monitor's
 * life, and is the monitor's: do not read from it, do not close it.
 *
 * Returns: the descriptor.
 * Since: 0.1
 */
int virtpmem_monitor_get_fd(const struct virtpmem_monitor *monitor);

/**
 * virtpmem_monitor_get_events - which events of the descriptor to wait for
 * @monitor: the monitor
 *
 * Returns: a mask as for poll(2).
 * Since: 0.1
 */
int virtpmem_monitor_get_events(const struct virtpmem_monitor *monitor);

/**
 * virtpmem_monitor_get_timeout - when to call virtpmem_monitor_process() at the latest
 * @monitor: the monitor
 * @ret: microseconds of CLOCK_MONOTONIC; 0: at once, events are waiting;
 *       UINT64_MAX: whenever the descriptor is ready
 *
 * To be asked before each wait.
 *
 * Returns: 0.
 * Since: 0.1
 */
int virtpmem_monitor_get_timeout(const struct virtpmem_monitor *monitor, uint64_t *ret);

/**
 * virtpmem_monitor_process - the next event
 * @monitor: the monitor
 * @ret: the event, with one reference, if there is one
 *
 * Never waits. Call it until it returns 0, when the descriptor is ready or the
 * time that virtpmem_monitor_get_timeout() gave has come. After an error the
 * monitor goes on: what could not be told is told by a later call.
 *
 * Returns: 1 and an event; 0 if there is none; a negative errno.
 * Since: 0.1
 */
int virtpmem_monitor_process(struct virtpmem_monitor *monitor, struct virtpmem_event **ret);

/**
 * virtpmem_event_ref - take a reference
 * @event: the event
 *
 * Returns: @event.
 * Since: 0.1
 */
struct virtpmem_event *virtpmem_event_ref(struct virtpmem_event *event);

/**
 * virtpmem_event_unref - drop a reference
 * @event: the event, or NULL
 *
 * Returns: NULL.
 * Since: 0.1
 */
struct virtpmem_event *virtpmem_event_unref(struct virtpmem_event *event);

/**
 * virtpmem_event_get_type - what has happened
 * @event: the event
 *
 * After VIRTPMEM_EVENT_RESYNC the events that follow say how things are
 * different now. What came and went meanwhile is not told.
 *
 * Returns: the kind of event.
 * Since: 0.1
 */
enum virtpmem_event_type virtpmem_event_get_type(const struct virtpmem_event *event);

/**
 * virtpmem_event_get_region - the region that the event is about
 * @event: the event
 *
 * Name and path can be asked for also after it has been removed. It is on no
 * list: virtpmem_region_get_next() knows none after it. When the region's devices
 * have changed, later events have another object of the same region, whose
 * namespaces and DAX devices are those of then.
 *
 * Returns: the region, owned by the event; NULL for VIRTPMEM_EVENT_RESYNC.
 * Since: 0.1
 */
struct virtpmem_region *virtpmem_event_get_region(const struct virtpmem_event *event);

/**
 * virtpmem_event_get_time_ns - when it happened
 * @event: the event
 *
 * The driver's time of a state change or host error, else when it was seen.
 *
 * Returns: nanoseconds of CLOCK_BOOTTIME.
 * Since: 0.1
 */
uint64_t virtpmem_event_get_time_ns(const struct virtpmem_event *event);

/**
 * virtpmem_event_get_state - the state of the region's flush engine
 * @event: the event
 * @ret: the state
 *
 * Returns: 0; -EOPNOTSUPP if the region's driver has none, or the event is not
 * about a region that is there.
 * Since: 0.1
 */
int virtpmem_event_get_state(const struct virtpmem_event *event, enum virtpmem_state *ret);

/**
 * virtpmem_event_get_reason - why the region is broken
 * @event: the event
 *
 * Returns: the driver's word, "none" if it is not broken, owned by the event;
 * NULL where virtpmem_event_get_state() has no answer.
 * Since: 0.1
 */
const char *virtpmem_event_get_reason(const struct virtpmem_event *event);

/**
 * virtpmem_event_get_stalled - whether a host flush takes too long
 * @event: the event
 * @ret: the answer
 *
 * Returns: as virtpmem_event_get_state().
 * Since: 0.1
 */
int virtpmem_event_get_stalled(const struct virtpmem_event *event, bool *ret);

/**
 * virtpmem_event_get_count - how often it has happened since the last such event
 * @event: the event
 *
 * Returns: for VIRTPMEM_EVENT_HOST_ERROR the number of host flushes that
 * failed, for VIRTPMEM_EVENT_STALLED of those that began to be late (0 if it is
 * only the end); else 1.
 * Since: 0.1
 */
uint64_t virtpmem_event_get_count(const struct virtpmem_event *event);

/**
 * virtpmem_event_get_setting - name of the setting that has changed
 * @event: the event
 *
 * Returns: such as "error_policy", owned by the event; NULL unless it is a
 * VIRTPMEM_EVENT_SETTING.
 * Since: 0.1
 */
const char *virtpmem_event_get_setting(const struct virtpmem_event *event);

/**
 * virtpmem_event_get_value - the value that the setting has now
 * @event: the event
 *
 * Returns: the value, owned by the event; NULL unless it is a
 * VIRTPMEM_EVENT_SETTING.
 * Since: 0.1
 */
const char *virtpmem_event_get_value(const struct virtpmem_event *event);

/* ------------------------------------------------------------- cleanup */

static inline void virtpmem_unrefp(struct virtpmem_ctx **p)
{
	virtpmem_unref(*p);
}

static inline void virtpmem_region_unrefp(struct virtpmem_region **p)
{
	virtpmem_region_unref(*p);
}

static inline void virtpmem_stats_unrefp(struct virtpmem_stats **p)
{
	virtpmem_stats_unref(*p);
}

static inline void virtpmem_dax_map_unrefp(struct virtpmem_dax_map **p)
{
	virtpmem_dax_map_unref(*p);
}

static inline void virtpmem_bad_ranges_unrefp(struct virtpmem_bad_ranges **p)
{
	virtpmem_bad_ranges_unref(*p);
}

static inline void virtpmem_health_unrefp(struct virtpmem_health **p)
{
	virtpmem_health_unref(*p);
}

static inline void virtpmem_holders_unrefp(struct virtpmem_holders **p)
{
	virtpmem_holders_unref(*p);
}

static inline void virtpmem_histogram_unrefp(struct virtpmem_histogram **p)
{
	virtpmem_histogram_unref(*p);
}

static inline void virtpmem_monitor_unrefp(struct virtpmem_monitor **p)
{
	virtpmem_monitor_unref(*p);
}

static inline void virtpmem_event_unrefp(struct virtpmem_event **p)
{
	virtpmem_event_unref(*p);
}

static inline void virtpmem_plan_unrefp(struct virtpmem_plan **p)
{
	virtpmem_plan_unref(*p);
}

static inline void virtpmem_freeze_unrefp(struct virtpmem_freeze **p)
{
	virtpmem_freeze_unref(*p);
}

/** _cleanup_virtpmem_*_ - drop the reference when the variable leaves its scope */
#define _cleanup_virtpmem_unref_ __attribute__((__cleanup__(virtpmem_unrefp)))
#define _cleanup_virtpmem_region_unref_ __attribute__((__cleanup__(virtpmem_region_unrefp)))
#define _cleanup_virtpmem_stats_unref_ __attribute__((__cleanup__(virtpmem_stats_unrefp)))
#define _cleanup_virtpmem_dax_map_unref_ __attribute__((__cleanup__(virtpmem_dax_map_unrefp)))
#define _cleanup_virtpmem_bad_ranges_unref_ __attribute__((__cleanup__(virtpmem_bad_ranges_unrefp)))
#define _cleanup_virtpmem_health_unref_ __attribute__((__cleanup__(virtpmem_health_unrefp)))
#define _cleanup_virtpmem_holders_unref_ __attribute__((__cleanup__(virtpmem_holders_unrefp)))
#define _cleanup_virtpmem_histogram_unref_ __attribute__((__cleanup__(virtpmem_histogram_unrefp)))
#define _cleanup_virtpmem_monitor_unref_ __attribute__((__cleanup__(virtpmem_monitor_unrefp)))
#define _cleanup_virtpmem_event_unref_ __attribute__((__cleanup__(virtpmem_event_unrefp)))
#define _cleanup_virtpmem_plan_unref_ __attribute__((__cleanup__(virtpmem_plan_unrefp)))
#define _cleanup_virtpmem_freeze_unref_ __attribute__((__cleanup__(virtpmem_freeze_unrefp)))

#ifdef __cplusplus
}
#endif

#endif /* VIRTPMEM_LIBVIRTPMEM_H */
