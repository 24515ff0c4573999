// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the answer of each command looks as text; see views.h for the templates.
 * Adding a value to a page is adding a row here and in its manual page.
 */
#include <stddef.h>

#include "views.h"

#define CELLS(...) ((const struct cell[]){ __VA_ARGS__, { NULL, NULL, NULL, false } })
#define LEFT(head_, text_) { .head = (head_), .text = (text_) }
#define RIGHT(head_, text_) { .head = (head_), .text = (text_), .right = true }
#define EACH(head_, each_, text_) { .head = (head_), .text = (text_), .each = (each_) }
#define LINE(text_) LEFT("", text_)

const struct view view_list = {
	.top = (const struct block[]){
		{
			.kind = BLOCK_TABLE,
			.each = "regions.*",
			.cells = CELLS(
				LEFT("NAME", "{dev}"),
				LEFT("PATH", "{path}"),
				RIGHT("SIZE", "{size}"),
				LEFT("TYPE", "{type}"),
				LEFT("DRIVER", "{flush.driver}"),
				LEFT("STATE", "{flush.state}[:{flush.broken_reason}]"),
				LEFT("NAMESPACES", "{namespaces.*.dev}"),
				LEFT("MODE", "{namespaces.*.mode}"),
				LEFT("DEVICES", "{namespaces.*.blockdev,chardev}")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_status = {
	.gap = true,
	.region = (const struct block[]){
		{ .kind = BLOCK_FIRST, .cells = CELLS(LINE("{dev}")) },
		{
			.kind = BLOCK_ROWS,
			.indent = 2,
			.cells = CELLS(
				LEFT("path", "{path}"),
				LEFT("size", "{size} ({size!} bytes)"
					     "[, {available_size} available]"),
				LEFT("type", "{type}[, NUMA node {numa_node}]"
					     "[, read-only{read_only?}]"),
				LEFT("persistence", "{persistence_domain}"),
				LEFT("provider", "{provider}"),
				LEFT("driver", "{flush.driver}[, module {flush.module}]"
					       "[, version {flush.driver_version}]"
					       "[, interface {flush.abi}]"),
				LEFT("health", "{health.health_state}"),
				EACH("", "health.reasons.*", "{message}[; {remedy}]"),
				LEFT("flush method", "{flush.method}[: {flush.method_reason}]"),
				LEFT("flush state", "{flush.state}[: {flush.broken_reason}]"
						    "[, for {flush.state_age_ns}]"),
				LEFT("on a host error", "{flush.error_policy}"),
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
				LEFT("last failure", "{flush.last_failure_age_ns} ago"),
				LEFT("recoveries", "{flush.recoveries}"),
				LEFT("stalls", "{flush.stalls}")),
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
				LEFT("WRITE CACHE", "{write_cache}")),
		},
		{ .kind = BLOCK_END },
	},
};

const struct view view_flush = {
	.region = (const struct block[]){
		{
			.kind = BLOCK_FIRST,
			.cells = CELLS(
				LINE("{dev}: flushed by {flush.method} in {flush.latency_ns}"),
				LINE("{dev}: no flush needed, the platform makes stores durable")),
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
			.kind = BLOCK_TABLE,
			.each = "commands.*",
			.no_heads = true,
			.cells = CELLS(LEFT("", "usage: {usage}")),
		},
		{
			.kind = BLOCK_TABLE,
			.each = "commands.*",
			.no_heads = true,
			.gap = true,
			.cells = CELLS(LEFT("", "{summary}")),
		},
		BLOCK_OPTIONS("commands.*.options.*"),
		{
			.kind = BLOCK_TABLE,
			.each = "commands.*",
			.no_heads = true,
			.gap = true,
			.cells = CELLS(LEFT("", "'man pmemctl-{name}' has more.")),
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
