/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and limits of what virtio_pmem.ko shows in sysfs.
 *
 * The driver, the library and the tests include this file, so that a name is
 * spelled once. Plain defines only: it is included from kernel code as well.
 * Documentation/ABI/sysfs-virtio-pmem describes each file for its readers.
 *
 * Everything here is relative to the region's directory,
 * /sys/bus/nd/devices/regionN.
 */
#ifndef VIRTPMEM_SYSFS_ABI_H
#define VIRTPMEM_SYSFS_ABI_H

/* The number in the file "abi". Fields are only ever added at a line's end. */
#define VIRTIO_PMEM_ABI			1

/* On the region itself, where libnvdimm shows no file of this name. */
#define VIRTIO_PMEM_ATTR_DEEP_FLUSH	"deep_flush"

/* The directory of everything else, and the files in it. */
#define VIRTIO_PMEM_GROUP		"virtio_pmem"
#define VIRTIO_PMEM_ATTR_ABI		"abi"
#define VIRTIO_PMEM_ATTR_STATE		"state"
#define VIRTIO_PMEM_ATTR_BROKEN		"broken"
#define VIRTIO_PMEM_ATTR_BROKEN_REASON	"broken_reason"
#define VIRTIO_PMEM_ATTR_STALLED	"stalled"
#define VIRTIO_PMEM_ATTR_QUEUE_DEPTH	"queue_depth"
#define VIRTIO_PMEM_ATTR_QUEUE_DEPTH_MAX "queue_depth_max"
#define VIRTIO_PMEM_ATTR_IN_FLIGHT_US	"in_flight_us"
#define VIRTIO_PMEM_ATTR_FLUSH_STATS	"flush_stats"
#define VIRTIO_PMEM_ATTR_FLUSH_LATENCY	"flush_latency"
#define VIRTIO_PMEM_ATTR_ERROR_POLICY	"error_policy"
#define VIRTIO_PMEM_ATTR_STALL_TIMEOUT_MS "stall_timeout_ms"
#define VIRTIO_PMEM_ATTR_QUIESCE	"quiesce"
#define VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS "quiesce_timeout_ms"
#define VIRTIO_PMEM_ATTR_RECOVER	"recover"

/* Words of "state". */
#define VIRTIO_PMEM_STATE_ACTIVE	"active"
#define VIRTIO_PMEM_STATE_QUIESCED	"quiesced"
#define VIRTIO_PMEM_STATE_RECOVERING	"recovering"
#define VIRTIO_PMEM_STATE_BROKEN	"broken"
#define VIRTIO_PMEM_STATE_REMOVING	"removing"

/* Words of "broken_reason". */
#define VIRTIO_PMEM_REASON_NONE		"none"
#define VIRTIO_PMEM_REASON_NOTIFY	"notify"
#define VIRTIO_PMEM_REASON_VIRTQUEUE	"virtqueue"
#define VIRTIO_PMEM_REASON_NEEDS_RESET	"needs-reset"
#define VIRTIO_PMEM_REASON_STALE_ANSWER	"stale-answer"
#define VIRTIO_PMEM_REASON_HOST_ERROR	"host-error"
#define VIRTIO_PMEM_REASON_TIMEOUT	"timeout"
#define VIRTIO_PMEM_REASON_GONE		"gone"

/* Words of "error_policy". */
#define VIRTIO_PMEM_POLICY_LATCH	"latch"
#define VIRTIO_PMEM_POLICY_REPORT	"report"

/*
 * "flush_stats": one line of unsigned 64-bit decimal numbers with one space
 * between them. The position of a number is its meaning.
 *
 * A request is one caller's wish for a flush; a host flush is one answer of
 * the host, and answers many requests. Requests are counted when they are
 * answered, whatever the answer; one whose caller was killed while it waited
 * is counted nowhere. Latencies of requests include those that failed.
 */
#define VIRTIO_PMEM_STAT_REQUESTS		0	/* answered */
#define VIRTIO_PMEM_STAT_ASYNC_REQUESTS		1	/* of them: bios */
#define VIRTIO_PMEM_STAT_HOST_FLUSHES		2	/* answered by the host */
#define VIRTIO_PMEM_STAT_FAILED_REQUESTS	3	/* answered with an error */
#define VIRTIO_PMEM_STAT_FAILED_HOST_FLUSHES	4	/* answered with an error, or never */
#define VIRTIO_PMEM_STAT_REQUEST_TOTAL_NS	5	/* latency, sum */
#define VIRTIO_PMEM_STAT_REQUEST_MAX_NS		6	/* latency, highest */
#define VIRTIO_PMEM_STAT_HOST_TOTAL_NS		7	/* latency of host flushes, sum */
#define VIRTIO_PMEM_STAT_HOST_MAX_NS		8	/* latency of host flushes, highest */
#define VIRTIO_PMEM_STAT_RECOVERIES		9	/* that succeeded */
#define VIRTIO_PMEM_STAT_STALLS			10	/* host flushes that stalled */
#define VIRTIO_PMEM_STAT_LAST_FAILURE_NS	11	/* CLOCK_BOOTTIME; 0: none */
#define VIRTIO_PMEM_STAT_LAST_CHANGE_NS		12	/* CLOCK_BOOTTIME, of state */
#define VIRTIO_PMEM_STATS			13	/* how many there are */

/*
 * "flush_latency": VIRTIO_PMEM_LATENCY_BINS counts of host flushes on one
 * line. Bin 0 counts those that took less than 1 us, bin n those of at least
 * 2^(n-1) us and less than 2^n us; the last bin has no upper bound.
 */
#define VIRTIO_PMEM_LATENCY_BINS	32

/* Keys of the change uevent on the region. */
#define VIRTIO_PMEM_UEVENT_STATE	"VIRTIO_PMEM_STATE"
#define VIRTIO_PMEM_UEVENT_REASON	"VIRTIO_PMEM_REASON"
#define VIRTIO_PMEM_UEVENT_STALLED	"VIRTIO_PMEM_STALLED"
#define VIRTIO_PMEM_UEVENT_EVENT	"VIRTIO_PMEM_EVENT"

/* "stall_timeout_ms": how long a host flush may take before it is called stalled. */
#define VIRTIO_PMEM_STALL_TIMEOUT_MS_MIN	1000
#define VIRTIO_PMEM_STALL_TIMEOUT_MS_MAX	600000
#define VIRTIO_PMEM_STALL_TIMEOUT_MS_DEFAULT	30000

/* "quiesce_timeout_ms": how long a quiesced region stays so by itself. */
#define VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MIN	1000
#define VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MAX	600000
#define VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_DEFAULT	60000

#endif /* VIRTPMEM_SYSFS_ABI_H */
