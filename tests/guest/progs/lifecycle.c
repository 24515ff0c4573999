// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Change a region through the library:
 *
 *	lifecycle COMMAND REGION [WORD...]
 *
 * A WORD is a flag (dry, force, save, accept, quiesce), "stop" to be stopped
 * once the region is found, or KEY=VALUE, as each command below takes it. Prints
 * each step of the plan as "kind object result errno: text", and at last
 * "result=ERRNO". The library's log goes to stderr.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <virtpmem/libvirtpmem.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* What a command was given. */
struct call {
	struct virtpmem_ctx *ctx;
	const char *name;
	struct virtpmem_region *region;
	char **words;
	unsigned int flags;
	struct virtpmem_plan *plan;
};

/* The value of KEY=VALUE, or NULL. */
static const char *value_of(const struct call *call, const char *key)
{
	size_t n = strlen(key);
	char **word;

	for (word = call->words; *word; word++)
		if (!strncmp(*word, key, n) && (*word)[n] == '=')
			return *word + n + 1;
	return NULL;
}

static unsigned int number_of(const struct call *call, const char *key)
{
	const char *value = value_of(call, key);

	return value ? (unsigned int)strtoul(value, NULL, 10) : 0;
}

static bool has_word(const struct call *call, const char *expected)
{
	char **word;

	for (word = call->words; *word; word++)
		if (!strcmp(*word, expected))
			return true;
	return false;
}

static const char *errno_name(int r)
{
	return r < 0 ? strerrorname_np(-r) : "0";
}

static void print_plan(struct virtpmem_plan *plan)
{
	struct virtpmem_step *step;

	if (!plan)
		return;
	virtpmem_step_foreach(plan, step) {
		const char *object = virtpmem_step_get_object(step);

		printf("%s %s %s %s: %s\n",
		       virtpmem_step_kind_name(virtpmem_step_get_kind(step)),
		       object ? object : "-",
		       virtpmem_step_result_name(virtpmem_step_get_result(step)),
		       errno_name(virtpmem_step_get_error(step)), virtpmem_step_get_text(step));
	}
	fflush(stdout);
}

/* ------------------------------------------------------------ commands */

static int do_recover(struct call *call)
{
	return virtpmem_region_recover(call->region, call->flags, &call->plan);
}

/* remove REGION [timeout=MS] */
static int do_remove(struct call *call)
{
	return virtpmem_region_remove(call->region, number_of(call, "timeout"), call->flags,
				      &call->plan);
}

/* add PATH [driver=NAME]; prints the name of the region */
static int do_add(struct call *call)
{
	_cleanup_virtpmem_region_unref_ struct virtpmem_region *region = NULL;
	int r;

	r = virtpmem_add(call->ctx, call->name, value_of(call, "driver"), call->flags,
			 &call->plan, &region);
	if (region)
		printf("region=%s path=%s\n", virtpmem_region_get_devname(region),
		       virtpmem_region_get_path(region));
	return r;
}

static int do_thaw(struct call *call)
{
	return virtpmem_region_thaw(call->region, call->flags, &call->plan);
}

/*
 * freeze REGION [timeout=MS] [detach|wait]: says what it is like, and ends with
 * the guard left behind; or waits until somebody else has thawed it; or waits for
 * SIGUSR1, and thaws.
 */
static int do_freeze(struct call *call)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *freeze = NULL;
	sigset_t usr1;
	int r;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	r = virtpmem_region_freeze(call->region, number_of(call, "timeout"), call->flags,
				   &call->plan, &freeze);
	if (r < 0 || !freeze)
		return r;
	print_plan(call->plan);
	call->plan = virtpmem_plan_unref(call->plan);
	printf("frozen pid=%d guard=%d consistency=%s reason=%s\n", (int)getpid(),
	       (int)virtpmem_freeze_get_pid(freeze),
	       virtpmem_consistency_name(virtpmem_freeze_get_consistency(freeze)),
	       virtpmem_freeze_get_reason(freeze) ? virtpmem_freeze_get_reason(freeze) : "-");
	fflush(stdout);
	if (has_word(call, "detach"))
		return virtpmem_freeze_detach(freeze);
	if (has_word(call, "wait")) {
		struct pollfd p = { .fd = virtpmem_freeze_get_fd(freeze), .events = POLLIN };

		poll(&p, 1, -1);
	} else {
		sigwait(&usr1, &r);
	}
	return virtpmem_freeze_thaw(freeze);
}

/* set REGION SETTING=VALUE, or SETTING= to forget what is saved */
static int do_set(struct call *call)
{
	unsigned int i;

	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++) {
		enum virtpmem_setting setting = (enum virtpmem_setting)i;
		const char *value = value_of(call, virtpmem_setting_name(setting));

		if (value)
			return virtpmem_region_set_setting(call->region, setting,
							   *value ? value : NULL, call->flags,
							   &call->plan);
	}
	return -EINVAL;
}

static const struct {
	const char *name;
	int (*fn)(struct call *call);
} commands[] = {
	{ "add", do_add },
	{ "freeze", do_freeze },
	{ "recover", do_recover },
	{ "remove", do_remove },
	{ "set", do_set },
	{ "thaw", do_thaw },
};

static const struct {
	const char *word;
	unsigned int flag;
} flags[] = {
	{ "dry", VIRTPMEM_DRY_RUN },
	{ "force", VIRTPMEM_FORCE },
	{ "save", VIRTPMEM_SAVE },
	{ "accept", VIRTPMEM_ACCEPT_DATA_LOSS },
	{ "quiesce", VIRTPMEM_QUIESCE },
};

static void log_message(void *userdata, int priority, const char *message)
{
	(void)userdata;
	(void)priority;
	fprintf(stderr, "%s\n", message);
}

static int run(struct call *call, const char *command)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, command))
			return commands[i].fn(call);
	return -ENOSYS;
}

int main(int argc, char **argv)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	struct call call = { .words = argv + 3 };
	size_t i;
	int r;

	if (argc < 3 || virtpmem_new(&ctx) < 0) {
		fprintf(stderr, "usage: lifecycle COMMAND REGION [WORD...]\n");
		return 2;
	}
	virtpmem_set_log_fn(ctx, log_message, NULL);
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (has_word(&call, flags[i].word))
			call.flags |= flags[i].flag;
	call.ctx = ctx;
	call.name = argv[2];
	r = virtpmem_scan(ctx);
	/* The region of a device that is to be added is not there yet. */
	if (r >= 0 && strcmp(argv[1], "add") != 0)
		r = virtpmem_region_find(ctx, argv[2], &call.region);
	/* For a test to change something in between. */
	if (has_word(&call, "stop"))
		raise(SIGSTOP);
	if (r >= 0)
		r = run(&call, argv[1]);
	print_plan(call.plan);
	printf("result=%s\n", errno_name(r));
	virtpmem_plan_unref(call.plan);
	return 0;
}
