// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the answer of each command looks as text; see views.h for the templates.
 * Adding a value to a page is adding a row here and in its manual page.
 */
#include <stddef.h>

#include "views.h"

#define CELLS(...) ((const struct cell[]){ __VA_ARGS__, { .text = NULL } })
#define LEFT(head_, text_) { .head = (head_), .text = (text_) }
#define RIGHT(head_, text_) { .head = (head_), .text = (text_), .right = true }
#define EACH(head_, each_, text_) { .head = (head_), .text = (text_), .each = (each_) }
#define LINE(text_) LEFT("", text_)

#define REASONS(each_) \
	{ \
		.kind = BLOCK_ROWS, \
		.indent = 2, \
		.cells = CELLS({ .head = "{code} ({health_state})", \
				 .each = (each_), \
				 .tone = "health_state", \
				 .text = "{message}\n-> {remedy}" }), \
	}

/* The columns are those of columns.c. */
#define TABLE_OF_REGIONS \
	{ .kind = BLOCK_TABLE, .each = "regions.*" }

const struct view view_list = {
	.top = (const struct block[]){
		TABLE_OF_REGIONS,
		{ .kind = BLOCK_END },
	},
};

const struct view view_status_table = {
	.top = (const struct block[]){
		TABLE_OF_REGIONS,
		{ .kind = BLOCK_END },
	},
};

/* What comes first is what somebody who was woken up wants to know. */
const struct view view_status = {
	.gap = true,
	.late = true,
	.region = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS({ .text = "{dev}[ ({path})]: {health.health_state}",
					 .tone = "health.health_state" },
				       LINE("{dev}[ ({path})]")),
		},
		REASONS("health.reasons.*"),
		{
			.kind = BLOCK_ROWS,
			.indent = 2,
			.gap = true,
			.cells = CELLS(
				{ .head = "flush state",
				  .text = "{flush.state}[: {flush.broken_reason}]"
					  "[, for {flush.state_age_ns}]",
				  .tone = "flush.state" },
				LEFT("flush method", "{flush.method}[: {flush.method_reason}]"),
				LEFT("now", "{stat.requests_per_s_milli} requests/s, "
					    "{stat.host_flushes_per_s_milli} host flushes/s"),
				LEFT("waiting", "{flush.queue_depth} now, "
						"{flush.queue_depth_max} at most"),
				LEFT("in flight", "{flush.in_flight_us|nothing}"),
				LEFT("requests", "{flush.requests} answered, "
						 "{flush.async_requests} of them asynchronous, "
						 "{flush.failed_requests} failed"),
				LEFT("host flushes", "{flush.host_flushes} answered, "
						     "{flush.failed_host_flushes} failed"),
				LEFT("request latency", "mean {flush.request_mean_ns}, "
							"max {flush.request_max_ns}"),
				LEFT("host latency", "mean {flush.host_mean_ns}, "
						     "max {flush.host_max_ns}"),
				LEFT("on a host error",
				     "{flush.error_policy}"
				     "[: breaks, until it is recovered{flush.error_policy=latch}]"
				     "[: fails those who wait{flush.error_policy=report}]"),
				LEFT("last failure", "{flush.last_failure_age_ns} ago"),
				LEFT("recoveries", "{flush.recoveries|none}"),
				LEFT("stalls", "{flush.stalls|none}"),
				LEFT("size", "{size} ({size!} bytes)"
					     "[, {available_size} available]"),
				LEFT("type", "{type}[, NUMA node {numa_node}]"
					     "[, read-only{read_only?}]"),
				LEFT("persistence", "{persistence_domain}"),
				LEFT("provider", "{provider}"),
				LEFT("driver", "{flush.driver}[, module {flush.module}]"
					       "[, version {flush.driver_version}]"
					       "[, interface {flush.abi}]"),
				LEFT("used", "{in_use}[; this is not all: {missing}; {remedy}]")),
		},
		{
			.kind = BLOCK_TABLE,
			.each = "flush.latency.*",
			.indent = 2,
			.gap = true,
			.cells = CELLS(
				RIGHT("HOST LATENCY", "{lower_us|0}[ to {upper_us}]"),
				RIGHT("FLUSHES", "{count}"),
				{ .head = "", .text = "{count}", .bar = true }),
		},
		{
			.kind = BLOCK_TABLE,
			.each = "namespaces.*",
			.indent = 2,
			.gap = true,
			.cells = CELLS(
				LEFT("NAMESPACE", "{dev}"),
				LEFT("MODE", "{mode}"),
				RIGHT("SIZE", "{size}"),
				LEFT("DEVICE", "/dev/{blockdev,chardev}"),
				LEFT("WRITE CACHE", "{write_cache}"),
				LEFT("DAX", "{dax}[: {dax_reason}]")),
		},
		{
			.kind = BLOCK_TABLE,
			.each = "dax_devices.*",
			.indent = 2,
			.gap = true,
			.cells = CELLS(
				LEFT("DAX DEVICE", "{chardev}"),
				LEFT("NAMESPACE", "{namespace}"),
				LEFT("MODE", "{mode}"),
				RIGHT("SIZE", "{size}")),
		},
		{
			.kind = BLOCK_TREE,
			.each = "holders.*",
			.below = "holders.*",
			.indent = 2,
			.gap = true,
			.cells = CELLS(
				LEFT("USED BY", "{name}"),
				LEFT("KIND", "{kind}"),
				LEFT("HOLDS", "{device}"),
				RIGHT("PID", "{pid}"),
				LEFT("WHERE", "{path}[ (never asks for a flush{drops_flushes?})]")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_dax = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_TREE,
			.each = "regions.*",
			.below = "dax_devices,ranges.*",
			.cells = CELLS(
				LEFT("NAME", "{dev,chardev,name}"),
				LEFT("MODE", "{mode}"),
				RIGHT("SIZE", "{size,length_bytes}"),
				RIGHT("ALIGN", "{align_bytes}"),
				RIGHT("NODE", "{target_node}"),
				RIGHT("OFFSET", "{offset_bytes!}"),
				LEFT("ADDRESS", "{address}")),
		},
		{
			.kind = BLOCK_TABLE,
			.each = "regions.*.translations.*",
			.gap = true,
			.cells = CELLS(
				LEFT("DEVICE", "{chardev}"),
				RIGHT("OFFSET", "{offset_bytes!}"),
				LEFT("ADDRESS", "{address}")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_health = {
	.region = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS({ .text = "{dev}[ ({path})]: {health.health_state}",
					 .tone = "health.health_state" }),
		},
		REASONS("health.reasons.*"),
		{ .kind = BLOCK_END },
	},
	.top = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS({ .text = "set-up of this machine: "
						 "{system.health.health_state}",
					 .tone = "system.health.health_state" }),
		},
		REASONS("system.health.reasons.*"),
		{ .kind = BLOCK_END },
	},
};

#define THIS_IS_NOT_ALL \
	{ \
		.kind = BLOCK_EACH, \
		.each = "regions.*", \
		.gap = true, \
		.cells = CELLS(LINE("This is not all: {missing}; {remedy}.")), \
	}

const struct view view_errors = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_TREE,
			.each = "regions.*",
			.below = "bad_ranges,owners.*",
			.cells = CELLS(
				LEFT("NAME", "{dev,device,kind}"),
				LEFT("LAYER", "{layer}"),
				RIGHT("OFFSET", "{offset_bytes!}"),
				RIGHT("BAD", "{length_bytes,bad_bytes|none}"),
				LEFT("WHERE", "[{path,reason}][ at {file_offset_bytes!}]"
					      "[the whole device{whole?}]")),
		},
		THIS_IS_NOT_ALL,
		{ .kind = BLOCK_END },
	},
};

const struct view view_holders = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_TREE,
			.each = "regions.*",
			.below = "holders.*",
			.cells = CELLS(
				LEFT("NAME", "{name,dev}"),
				LEFT("USED", "{in_use}"),
				LEFT("KIND", "{kind}"),
				LEFT("HOLDS", "{device}"),
				RIGHT("PID", "{pid}"),
				LEFT("WHERE", "{path}[ (never asks for a flush{drops_flushes?})]")),
		},
		THIS_IS_NOT_ALL,
		{ .kind = BLOCK_END },
	},
};

const struct view view_flush = {
	.region = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS(
				LINE("{dev}: flushed by {flush.method} in {flush.latency_ns}"),
				LINE("{dev}: flushes by {flush.method}: {flush.flushes}, latency "
				     "min {flush.latency_min_ns}, mean {flush.latency_mean_ns}, "
				     "p50 {flush.latency_p50_ns}[, p99 {flush.latency_p99_ns}], "
				     "max {flush.latency_max_ns}"),
				LINE("{dev}: no flush needed, the platform makes stores durable")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_stat = {
	.gap = true,
	.top = (const struct block[]){
		{
			.kind = BLOCK_TABLE,
			.each = "regions.*",
			.cells = CELLS(
				LEFT("REGION", "{dev}"),
				LEFT("STATE", "{flush.state}[:{flush.broken_reason}]"),
				RIGHT("REQ/s", "{stat.requests_per_s_milli}"),
				RIGHT("HOST/s", "{stat.host_flushes_per_s_milli}"),
				RIGHT("HOST/REQ", "{stat.host_flushes_per_request_milli}"),
				RIGHT("QUEUE", "{stat.queue_depth_mean_milli}"),
				RIGHT("REQ-MEAN", "{stat.request_mean_ns}"),
				RIGHT("HOST-MEAN", "{stat.host_mean_ns}"),
				RIGHT("P50<=", "{stat.host_p50_ns}"),
				RIGHT("P99<=", "{stat.host_p99_ns}"),
				RIGHT("FAIL", "{stat.failed_requests}")),
		},
		{ .kind = BLOCK_END },
	},
};

/*
 * What became of a plan: one of the lines, as its outcome is, then what speaks
 * against it, what is to be known, and each step.
 */
#define NAMED "{dev}[ ({path})]"
#define BLOCK_OUTCOME(...) { .kind = BLOCK_FIRST, .cells = CELLS(__VA_ARGS__) }
#define BLOCK_PLAN \
	{ \
		.kind = BLOCK_ROWS, \
		.indent = 2, \
		.cells = CELLS(EACH("in the way", "obstacles.*", "{message}"), \
			       EACH("warning", "warnings.*", "{message}"), \
			       EACH("{result~}", "steps.*", "{message}[: {error}]"), \
			       LEFT("guard", "process {freeze.guard_pid}")), \
	}

const struct view view_recover = {
	.region = (const struct block[]){
		BLOCK_OUTCOME(LINE(NAMED "{outcome=done}: recovered, and flushed"),
			      LINE(NAMED "{outcome=not_needed}: not broken, nothing was to be done"),
			      LINE(NAMED "{outcome=planned}: this would be done"),
			      LINE(NAMED ": not recovered")),
		BLOCK_PLAN,
		{ .kind = BLOCK_END },
	},
};

const struct view view_acknowledge = {
	.region = (const struct block[]){
		BLOCK_OUTCOME(LINE(NAMED "{outcome=done}: acknowledged; the next one is a reason "
				   "again"),
			      LINE(NAMED "{outcome=not_needed}: nothing was to be acknowledged"),
			      LINE(NAMED "{outcome=planned}: this would be done"),
			      LINE(NAMED ": not acknowledged")),
		BLOCK_PLAN,
		{ .kind = BLOCK_END },
	},
};

const struct view view_freeze = {
	.region = (const struct block[]){
		BLOCK_OUTCOME(LINE(NAMED "{freeze.consistency=filesystem}: frozen for at most "
				   "{freeze.timeout_ns}, each file system is whole; "
				   "'pmemctl thaw {dev}' ends it"),
			      LINE(NAMED "{outcome=done}: frozen for at most {freeze.timeout_ns}, "
				   "but a copy is as after a power cut: {freeze.reason}; "
				   "'pmemctl thaw {dev}' ends it"),
			      LINE(NAMED "{outcome=planned}: this would be done"),
			      LINE(NAMED "{outcome=undone}: thawed again, because not all of it "
				   "could be done"),
			      LINE(NAMED ": not frozen")),
		BLOCK_PLAN,
		{ .kind = BLOCK_END },
	},
};

const struct view view_thaw = {
	.region = (const struct block[]){
		BLOCK_OUTCOME(LINE(NAMED "{outcome=done}: thawed"),
			      LINE(NAMED "{outcome=not_needed}: nothing was frozen"),
			      LINE(NAMED "{outcome=planned}: this would be done"),
			      LINE(NAMED ": not thawed, or not all of it")),
		BLOCK_PLAN,
		{ .kind = BLOCK_END },
	},
};

const struct view view_remove = {
	.region = (const struct block[]){
		BLOCK_OUTCOME(LINE(NAMED "{outcome=done}: removed[; 'pmemctl add {path}' brings it "
				   "back]"),
			      LINE(NAMED "{outcome=planned}: this would be done"),
			      LINE(NAMED ": not removed")),
		BLOCK_PLAN,
		{ .kind = BLOCK_END },
	},
};

const struct view view_add = {
	.region = (const struct block[]){
		BLOCK_OUTCOME(LINE("{path}{outcome=done}: added, as {dev}"),
			      LINE("{path}{outcome=not_needed}: there already, as {dev}"),
			      LINE("{path}{outcome=planned}: this would be done"),
			      LINE("{path}: not added")),
		BLOCK_PLAN,
		{ .kind = BLOCK_END },
	},
};

const struct view view_set = {
	.gap = true,
	.region = (const struct block[]){
		BLOCK_OUTCOME(LINE(NAMED "{outcome=planned}: this would be done"),
			      LINE(NAMED "{outcome=failed}: not all of it was set"),
			      LINE(NAMED)),
		BLOCK_PLAN,
		{
			.kind = BLOCK_TABLE,
			.each = "settings.*",
			.indent = 2,
			.cells = CELLS(LEFT("SETTING", "{setting}"),
				       LEFT("VALUE", "{value}"),
				       LEFT("SAVED", "{saved}"),
				       LEFT("CAN BE", "{values}")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_bench = {
	.gap = true,
	.region = (const struct block[]){
		{ .kind = BLOCK_FIRST, .cells = CELLS(LINE("{dev}[ {path}]")) },
		{
			.kind = BLOCK_TABLE,
			.each = "bench.*",
			.indent = 2,
			.cells = CELLS(
				RIGHT("CALLERS", "{callers}"),
				RIGHT("FLUSHES/s", "{requests_per_s_milli}"),
				RIGHT("HOST/FLUSH", "{host_flushes_per_request_milli}"),
				RIGHT("MEAN", "{request_mean_ns}"),
				RIGHT("P50", "{request_p50_ns}"),
				RIGHT("P90", "{request_p90_ns}"),
				RIGHT("P99", "{request_p99_ns}"),
				RIGHT("MAX", "{request_max_ns}")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_monitor = {
	.line = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS(
				LINE("{time} {region.dev}[ {region.path}]: {event.message}"),
				LINE("{time} {event.message}")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_version = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS(LINE("pmemctl {version} (libvirtpmem {library_version})")),
		},
		{
			.kind = BLOCK_EACH,
			.each = "drivers.*",
			.cells = CELLS(LINE("driver: {driver}[, module {module}]"
					    "[, version {driver_version}]")),
		},
		{ .kind = BLOCK_END },
	},
};

#define BLOCK_OPTIONS(each_) \
	{ \
		.kind = BLOCK_TABLE, \
		.each = (each_), \
		.title = "options:", \
		.indent = 2, \
		.no_heads = true, \
		.gap = true, \
		.cells = CELLS(LEFT("", "[{short}, ]{option}[={argument}]"), LEFT("", "{help}")), \
	}

const struct view view_help = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS(LINE("usage: {usage}")),
		},
		{
			.kind = BLOCK_TABLE,
			.each = "commands.*",
			.title = "commands:",
			.indent = 2,
			.no_heads = true,
			.gap = true,
			.cells = CELLS(LEFT("", "{name}"), LEFT("", "{summary}")),
		},
		BLOCK_OPTIONS("options.*"),
		{
			.kind = BLOCK_FIRST,
			.gap = true,
			.cells = CELLS(LINE("A region is named by its name (region0), path, "
					    "namespace, device or mount point.\n"
					    "'pmemctl help COMMAND' shows one command, "
					    "'man pmemctl' has more.")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_help_command = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_EACH,
			.each = "commands.*",
			.cells = CELLS(LINE("usage: {usage}")),
		},
		{
			.kind = BLOCK_EACH,
			.each = "commands.*",
			.gap = true,
			.cells = CELLS(LINE("{summary}")),
		},
		BLOCK_OPTIONS("commands.*.options.*"),
		{
			.kind = BLOCK_TABLE,
			.each = "commands.*.columns.*",
			.title = "columns:",
			.indent = 2,
			.no_heads = true,
			.gap = true,
			.cells = CELLS(LEFT("", "{column}"), LEFT("", "{help}")),
		},
		{
			.kind = BLOCK_TABLE,
			.each = "commands.*.examples.*",
			.title = "examples:",
			.indent = 2,
			.no_heads = true,
			.gap = true,
			.cells = CELLS(LEFT("", "{example}"), LEFT("", "{help}")),
		},
		{
			.kind = BLOCK_EACH,
			.each = "commands.*",
			.gap = true,
			.cells = CELLS(LINE("'man pmemctl-{name}' has more.")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_complete = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_TABLE,
			.each = "candidates.*",
			.no_heads = true,
			.cells = CELLS(LEFT("", "{}")),
		},
		{ .kind = BLOCK_END },
	},
};
