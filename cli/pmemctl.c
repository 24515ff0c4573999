// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl: the table of commands, and a run from the command line to the exit
 * status.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pmemctl.h"
#include "util.h"

const struct command commands[] = {
	{
		.name = "list",
		.operands = OPERANDS_REGIONS,
		.summary = "show regions, one a line",
		.view = &view_list,
		.run = cmd_list,
	},
	{
		.name = "status",
		.operands = OPERANDS_REGIONS,
		.summary = "show everything about regions: flush method, state, counters, health",
		.view = &view_status,
		.run = cmd_status,
	},
	{
		.name = "flush",
		.operands = OPERANDS_SOME_REGIONS,
		.summary = "make everything stored in regions durable",
		.options = flush_options,
		.view = &view_flush,
		.run = cmd_flush,
	},
	{
		.name = "version",
		.operands = OPERANDS_NONE,
		.summary = "show the version of pmemctl and of its library",
		.view = &view_version,
		.run = cmd_version,
	},
	{
		.name = "help",
		.operands = OPERANDS_COMMAND,
		.summary = "show help for pmemctl or for a command",
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

static volatile sig_atomic_t got_sigint;

bool interrupted(void)
{
	return got_sigint;
}

static void on_sigint(int sig)
{
	(void)sig;
	got_sigint = 1;
}

/*
 * SIGINT ends what is waiting, so that the command can still say what was done;
 * a second one kills. A closed pipe is an error of write(), not a death.
 */
static void set_signals(void)
{
	struct sigaction old, sigint = { .sa_handler = on_sigint, .sa_flags = (int)SA_RESETHAND };

	if (!sigaction(SIGINT, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGINT, &sigint, NULL);
	signal(SIGPIPE, SIG_IGN);
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
	if (interrupted() && !p->out.errors->child)
		output_error(&p->out, NULL, ERROR_INTERRUPTED, "interrupted");
}

int main(int argc, char **argv)
{
	struct pmemctl p = { 0 };
	int status;

	reserve_descriptors();
	set_signals();
	setlocale(LC_CTYPE, "");
	options_parse(&p, argc, argv);
	output_init(&p.out, p.option[OPTION_JSON] ? &output_json : &output_text,
		    p.option[OPTION_HUMAN]);
	if (p.command)
		p.out.view = p.command->view;
	run(&p);
	status = output_finish(&p.out);
	virtpmem_unref(p.ctx);
	free(p.log);
	free(p.usage_error);
	free(p.operands);
	return status;
}
