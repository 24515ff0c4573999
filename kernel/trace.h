/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of the flush engine, in /sys/kernel/tracing/events/virtio_pmem.
 * "seq" numbers the host flushes of a region: a request that joined with seq
 * N is answered by the host flush that was submitted with seq N.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM virtio_pmem

#if !defined(VPMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VPMEM_TRACE_H

#include <linux/string.h>
#include <linux/tracepoint.h>

#define VPMEM_TRACE_NAME_LEN 16

TRACE_EVENT(virtio_pmem_request,
	TP_PROTO(const char *region, u64 seq, bool async),
	TP_ARGS(region, seq, async),
	TP_STRUCT__entry(
		__array(char, region, VPMEM_TRACE_NAME_LEN)
		__field(u64, seq)
		__field(bool, async)
	),
	TP_fast_assign(
		strscpy(__entry->region, region, VPMEM_TRACE_NAME_LEN);
		__entry->seq = seq;
		__entry->async = async;
	),
	TP_printk("%s seq=%llu async=%d", __entry->region, __entry->seq, __entry->async)
);

TRACE_EVENT(virtio_pmem_submit,
	TP_PROTO(const char *region, u64 seq, unsigned int requests),
	TP_ARGS(region, seq, requests),
	TP_STRUCT__entry(
		__array(char, region, VPMEM_TRACE_NAME_LEN)
		__field(u64, seq)
		__field(unsigned int, requests)
	),
	TP_fast_assign(
		strscpy(__entry->region, region, VPMEM_TRACE_NAME_LEN);
		__entry->seq = seq;
		__entry->requests = requests;
	),
	TP_printk("%s seq=%llu requests=%u", __entry->region, __entry->seq, __entry->requests)
);

TRACE_EVENT(virtio_pmem_complete,
	TP_PROTO(const char *region, u64 seq, u64 host_ns, int error),
	TP_ARGS(region, seq, host_ns, error),
	TP_STRUCT__entry(
		__array(char, region, VPMEM_TRACE_NAME_LEN)
		__field(u64, seq)
		__field(u64, host_ns)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->region, region, VPMEM_TRACE_NAME_LEN);
		__entry->seq = seq;
		__entry->host_ns = host_ns;
		__entry->error = error;
	),
	TP_printk("%s seq=%llu host_ns=%llu error=%d",
		  __entry->region, __entry->seq, __entry->host_ns, __entry->error)
);

TRACE_EVENT(virtio_pmem_state,
	TP_PROTO(const char *region, const char *state, const char *reason),
	TP_ARGS(region, state, reason),
	TP_STRUCT__entry(
		__array(char, region, VPMEM_TRACE_NAME_LEN)
		__array(char, state, VPMEM_TRACE_NAME_LEN)
		__array(char, reason, VPMEM_TRACE_NAME_LEN)
	),
	TP_fast_assign(
		strscpy(__entry->region, region, VPMEM_TRACE_NAME_LEN);
		strscpy(__entry->state, state, VPMEM_TRACE_NAME_LEN);
		strscpy(__entry->reason, reason, VPMEM_TRACE_NAME_LEN);
	),
	TP_printk("%s state=%s reason=%s", __entry->region, __entry->state, __entry->reason)
);

#endif /* VPMEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
