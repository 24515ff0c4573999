// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl: the table of commands, and a run from the command line to the exit
 * status.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pmemctl.h"
#include "units.h"
#include "util.h"

const struct command commands[] = {
	{
		.name = "list",
		.operands = OPERANDS_REGIONS,
		.summary = "show regions, one a line",
		.examples = EXAMPLES(
			{ "list", "what is there" },
			{ "list /srv/data", "the region that a mount point lies on" },
			{ "list -n -o path,state", "two columns, for a script" },
			{ "list --json", "for programs" }),
		.options = list_options,
		.columns = "dev,path,size,type,driver,state,namespaces,mode,devices",
		.view = &view_list,
		.run = cmd_list,
	},
	{
		.name = "status",
		.operands = OPERANDS_REGIONS,
		.summary = "show everything about regions: flush method, state, counters, health",
		.examples = EXAMPLES(
			{ "status region0", "is it well, and if not, what to do" },
			{ "status", "all regions, one a line" },
			{ "status -o +why,max", "with two columns more" },
			{ "status --dax --offset 2M dax1.0",
			  "where a byte of a DAX device lies in memory" },
			{ "status --json", "for programs" }),
		.options = status_options,
		.columns = "dev,path,size,state,health,rate,p99,used,devices",
		.all_columns = true,
		.view = &view_status_table,
		.run = cmd_status,
	},
	{
		.name = "health",
		.operands = OPERANDS_REGIONS,
		.summary = "judge regions, with reasons and remedies; for monitoring, too",
		.options = health_options,
		.examples = EXAMPLES(
			{ "health", "what is wrong, and what to do" },
			{ "health --system", "what is wrong with this machine's set-up" },
			{ "health --nagios -w 20 -c 200", "as a check of a monitoring system" },
			{ "health --acknowledge region0",
			  "the data has been checked after the host failed a flush" }),
		.view = &view_health,
		.run = cmd_health,
	},
	{
		.name = "holders",
		.operands = OPERANDS_REGIONS,
		.summary = "show who uses regions, as a tree",
		.options = holders_options,
		.examples = EXAMPLES(
			{ "holders", "who uses which region" },
			{ "holders region0", "what is in the way of removing it" }),
		.view = &view_holders,
		.run = cmd_holders,
	},
	{
		.name = "errors",
		.operands = OPERANDS_REGIONS,
		.summary = "show where memory is bad, and which files that hits",
		.options = errors_options,
		.examples = EXAMPLES(
			{ "errors", "which parts of which devices are bad" },
			{ "errors --files /srv/data", "which files have to be restored" }),
		.view = &view_errors,
		.run = cmd_errors,
	},
	{
		.name = "flush",
		.operands = OPERANDS_SOME_REGIONS,
		.summary = "make everything stored in regions durable",
		.options = flush_options,
		.examples = EXAMPLES(
			{ "flush /srv/data", "make what a file system stored durable" },
			{ "flush --timeout 5 all", "but do not wait for a host that is stuck" },
			{ "flush --interval 1 region0", "once a second until Ctrl-C: how long it takes" }),
		.view = &view_flush,
		.run = cmd_flush,
	},
	{
		.name = "stat",
		.operands = OPERANDS_REGIONS_INTERVAL,
		.summary = "show rates and latencies of flushes, once or at an interval",
		.examples = EXAMPLES(
			{ "stat", "averages since boot" },
			{ "stat region0 1", "each second, until Ctrl-C" },
			{ "stat --json 10 6", "for a minute, one JSON object a report" }),
		.view = &view_stat,
		.stream = true,
		.run = cmd_stat,
	},
	{
		.name = "top",
		.operands = OPERANDS_REGIONS,
		.summary = "watch flushes of regions on a full screen",
		.options = top_options,
		.examples = EXAMPLES(
			{ "top", "the busiest first; '?' shows the keys" },
			{ "top --interval 0.1 /srv/data", "one region, ten times a second" }),
		.run = cmd_top,
	},
	{
		.name = "recover",
		.operands = OPERANDS_SOME_REGIONS,
		.summary = "bring broken regions back to work",
		.options = recover_options,
		.examples = EXAMPLES(
			{ "recover --dry-run region0", "what would be done, and whose data is concerned" },
			{ "recover --accept-data-loss region0", "after the host failed a flush" }),
		.view = &view_recover,
		.in_turn = true,
		.run = cmd_recover,
	},
	{
		.name = "freeze",
		.operands = OPERANDS_COMMAND_LINE,
		.summary = "bring regions into a state that the host can copy, for a while",
		.options = freeze_options,
		.examples = EXAMPLES(
			{ "freeze --timeout 30 region0", "until 'pmemctl thaw', or for 30 s at most" },
			{ "freeze region0 -- ssh host make-snapshot", "while a command runs" },
			{ "freeze --dry-run /srv/data", "what would be frozen, in which order" }),
		.view = &view_freeze,
		.run = cmd_freeze,
	},
	{
		.name = "thaw",
		.operands = OPERANDS_SOME_REGIONS,
		.summary = "let writers go on, whoever has frozen regions",
		.options = thaw_options,
		.examples = EXAMPLES(
			{ "thaw region0", "end a freeze" },
			{ "thaw all", "also what other programs froze" }),
		.view = &view_thaw,
		.in_turn = true,
		.run = cmd_thaw,
	},
	{
		.name = "remove",
		.operands = OPERANDS_SOME_REGIONS,
		.summary = "take regions away, once nobody uses them",
		.options = remove_options,
		.examples = EXAMPLES(
			{ "remove --dry-run region0", "what would be done, and what is in the way" },
			{ "remove pci-0000:00:04.0", "the path is the name that stays" }),
		.view = &view_remove,
		.in_turn = true,
		.run = cmd_remove,
	},
	{
		.name = "add",
		.operands = OPERANDS_PATHS,
		.summary = "give devices their driver, and so their regions",
		.options = add_options,
		.examples = EXAMPLES(
			{ "add pci-0000:00:04.0", "bring back what 'pmemctl remove' took away" }),
		.view = &view_add,
		.run = cmd_add,
	},
	{
		.name = "set",
		.operands = OPERANDS_SETTINGS,
		.summary = "show or change the settings of regions",
		.options = set_options,
		.examples = EXAMPLES(
			{ "set region0", "the settings, and what is saved for the next boot" },
			{ "set region0 error_policy=report", "until the next boot or bind" },
			{ "set --persist all stall_timeout_ms=5000", "and at each of these" }),
		.view = &view_set,
		.in_turn = true,
		.run = cmd_set,
	},
	{
		.name = "bench",
		.operands = OPERANDS_SOME_REGIONS,
		.summary = "measure flushes against the number of callers",
		.options = bench_options,
		.examples = EXAMPLES(
			{ "bench region0", "2 s each with 1, 2, 4, 8, 16 and 32 callers" },
			{ "bench --callers 1,64 --time 10 region0", "longer, and only these" },
			{ "bench --svg flush.svg region0", "with a plot" }),
		.view = &view_bench,
		.in_turn = true,
		.run = cmd_bench,
	},
	{
		.name = "monitor",
		.operands = OPERANDS_REGIONS,
		.summary = "show events of regions as they happen",
		.options = monitor_options,
		.examples = EXAMPLES(
			{ "monitor", "what happens, until Ctrl-C" },
			{ "monitor --json --log=/var/log/pmem.json", "for programs, in a file" },
			{ "monitor --event=state,host-error --exec='logger \"$PMEMCTL_MESSAGE\"'",
			  "a command for each of these events" }),
		.view = &view_monitor,
		.stream = true,
		.run = cmd_monitor,
	},
	{
		.name = "export",
		.operands = OPERANDS_REGIONS,
		.summary = "print counters, latencies and health as OpenMetrics",
		.options = export_options,
		.examples = EXAMPLES(
			{ "export", "what a scraper would see" },
			{ "export --output-file /var/lib/prometheus/node-exporter/pmem.prom",
			  "for node_exporter's textfile collector" }),
		.run = cmd_export,
	},
	{
		.name = "version",
		.operands = OPERANDS_NONE,
		.summary = "show the versions of pmemctl, its library and the drivers",
		.examples = EXAMPLES(
			{ "version", "what to say in a report" },
			{ "--version", "the same" }),
		.view = &view_version,
		.run = cmd_version,
	},
	{
		.name = "help",
		.operands = OPERANDS_COMMAND,
		.summary = "show help for pmemctl or for a command",
		.examples = EXAMPLES(
			{ "help", "the commands" },
			{ "help flush", "one command" }),
		.view = &view_help,
		.run = cmd_help,
	},
	{
		.name = "__complete",
		.operands = OPERANDS_RAW,
		.summary = "words that can come next, for the shell",
		.view = &view_complete,
		.hidden = true,
		.run = cmd_complete,
	},
	{ .name = NULL },
};

const struct command *command_find(const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++)
		if (streq(c->name, name))
			return c;
	return NULL;
}

/* Also asked by other threads than the one that gets the signal. */
static atomic_bool got_sigint, sigint_of_process;

bool interrupted(void)
{
	return got_sigint;
}

bool interrupted_by_process(void)
{
	return sigint_of_process;
}

static void on_sigint(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	/* The terminal's comes from the kernel, and goes to our children as well. */
	sigint_of_process = info->si_code != SI_KERNEL;
	got_sigint = true;
}

/*
 * SIGINT ends what is waiting, so that the command can still say what was done;
 * a second one kills. A closed pipe and a limit on the size of files are errors of
 * write(), and no death.
 */
static void set_signals(void)
{
	struct sigaction old, sigint = {
		.sa_sigaction = on_sigint,
		.sa_flags = (int)(SA_RESETHAND | SA_SIGINFO),
	};

	if (!sigaction(SIGINT, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGINT, &sigint, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/*
 * With a standard descriptor closed, the next open() would get its number, and
 * what we print would go into a file of the kernel. Fill the gaps, so that using
 * them is still the error that it should be.
 */
static void reserve_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(error_exit(ERROR_FAILED));
}

static void run(struct pmemctl *p)
{
	if (p->usage_error) {
		p->out.view = NULL;
		output_error(&p->out, NULL, ERROR_USAGE, "%s", p->usage_error);
		return;
	}
	if (p->option[OPTION_HELP])
		cmd_help(p);
	else if (p->option[OPTION_VERSION])
		cmd_version(p);
	else
		p->command->run(p);
	/* A command that was run has had its say: its exit status is ours. */
	if (interrupted() && !p->out.status && !p->out.ran)
		output_error(&p->out, NULL, ERROR_INTERRUPTED, "interrupted");
}

static const struct output_ops *backend(const struct pmemctl *p)
{
	/* First: what runs it as a plugin is to get a line and a status of one, whatever is wrong. */
	if (p->option[OPTION_NAGIOS] && !p->option[OPTION_HELP])
		return &output_nagios;
	return p->option[OPTION_JSON] ? &output_json : &output_text;
}

int main(int argc, char **argv)
{
	struct pmemctl p = { 0 };
	int status;

	reserve_descriptors();
	set_signals();
	setlocale(LC_CTYPE, "");
	options_parse(&p, argc, argv);
	output_init(&p.out, backend(&p), p.option[OPTION_HUMAN]);
	p.out.color = output_wants_color(p.option[OPTION_COLOR]);
	p.out.no_headings = p.option[OPTION_NO_HEADINGS];
	units_use_si(p.option[OPTION_SI]);
	if (p.command) {
		p.out.view = p.command->view;
		p.out.stream = p.command->stream;
	}
	run(&p);
	status = output_finish(&p.out);
	virtpmem_unref(p.ctx);
	free(p.log);
	free(p.usage_error);
	free(p.columns);
	return status;
}
