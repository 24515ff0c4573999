/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a verdict is made from. The judges are pure functions of these facts,
 * so that tests can give them any.
 */
#ifndef VIRTPMEM_LIB_HEALTH_H
#define VIRTPMEM_LIB_HEALTH_H

#include "private.h"

/* A namespace; @blockdev is NULL if it has none. */
struct vp_namespace_facts {
	const char *devname;
	const char *blockdev;
	enum virtpmem_mode mode;
	bool write_through;
	bool disabled;
};

/* What a DIMM can have failed to do, by its firmware. */
enum vp_dimm_failure {
	VP_DIMM_SAVE,
	VP_DIMM_RESTORE,
	VP_DIMM_FLUSH,
	VP_DIMM_MAP,
	VP_DIMM_ARM,
	VP_DIMM_FAILURES,
};

/*
 * @level: what it says of itself, if @error is 0; -EOPNOTSUPP: it says nothing.
 * @failed: a bit for each of vp_dimm_failure. @event: it wants to be asked.
 */
struct vp_dimm_facts {
	char *devname;
	enum virtpmem_health_level level;
	int error;
	unsigned int failed;
	bool event;
};

/* What is there, could not be read or understood, and may be worse than what is known. */
enum vp_unread {
	VP_UNREAD_ABI,
	VP_UNREAD_STALLED,
	VP_UNREAD_LATENCY,
	VP_UNREAD_READ_ONLY,
	VP_UNREAD_METHOD,
	VP_UNREAD_NAMESPACES,
	VP_UNREAD_WRITE_CACHE,
	VP_UNREAD_BAD,
};

/*
 * What is not known is 0, false or NULL, unless a flag beside it says so. @unread: a bit
 * for each of vp_unread.
 */
struct vp_region_facts {
	const char *devname;
	enum virtpmem_driver driver;
	enum virtpmem_region_type type;
	bool disabled;			/* libnvdimm's driver does not have it: no namespaces */
	bool read_only;
	unsigned int abi;
	unsigned int unread;

	bool has_state;
	enum virtpmem_state state;
	const char *broken_reason;
	bool stalled;
	uint64_t in_flight_us;
	const char *policy;

	bool frozen;			/* by a guard... */
	pid_t guard;			/* ...whose process is this; 0: it has no number here */

	bool has_stats;
	uint64_t failed_host_flushes;
	uint64_t last_failure_ns;
	uint64_t acknowledged_ns;	/* the last failure that was; 0: none was */
	int acknowledged_error;		/* why that is not known */
	uint64_t slow_percent_us;	/* what 99 of 100 host flushes stayed below; 0: unknown */
	uint64_t latency_limit_us;	/* 0: none */

	enum virtpmem_flush_method method;

	uint64_t bad_bytes;
	size_t bad_count;
	bool lost;

	const struct vp_namespace_facts *namespaces;
	size_t namespace_count;
	bool no_preempt_count;		/* where our driver would need it */
	const char *const *no_barriers;	/* mount points */
	size_t no_barrier_count;

	const struct vp_dimm_facts *dimms;
	size_t dimm_count;
	int dimm_error;			/* why nothing is known of them, although there are some */
};

/* Of the machine. @unbound: the virtio-pmem devices without driver, by path, or by name. */
struct vp_system_facts {
	bool builtin;
	bool sig_enforce;
	bool lockdown;
	bool installed;			/* our module is there for this kernel */
	bool in_tree_bound;
	const char *const *unbound;
	size_t unbound_count;
	int unbound_error;		/* why it is not known whether there is one */
};

int vp_judge_region(const struct vp_region_facts *facts, struct virtpmem_health **ret);
int vp_judge_system(const struct vp_system_facts *facts, struct virtpmem_health **ret);

#endif /* VIRTPMEM_LIB_HEALTH_H */
