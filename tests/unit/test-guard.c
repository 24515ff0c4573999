// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * U5: the guard process, by the ways in which it ends. It is the real one, on
 * procfs, which nobody can freeze.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard.h"
#include "syscalls.h"

#define ID	7

static struct virtpmem_ctx *ctx;
static int fds[2], node;

static int setup(void **state)
{
	char name[] = "/tmp/virtpmem-test-XXXXXX";

	(void)state;
	assert_int_equal(virtpmem_new(&ctx), 0);
	fds[0] = open("/proc", O_RDONLY | O_CLOEXEC);
	fds[1] = open("/proc/sys", O_RDONLY | O_CLOEXEC);
	node = mkostemp(name, O_CLOEXEC);
	assert_true(fds[0] >= 0 && fds[1] >= 0 && node >= 0);
	unlink(name);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(fds[0]);
	close(fds[1]);
	close(node);
	virtpmem_unref(ctx);
	return 0;
}

static struct vp_guard guard_of(unsigned int timeout_ms)
{
	const struct vp_guard_task task = {
		.fds = fds, .count = 2, .quiesce = -1, .node = node, .id = ID,
		.timeout_ms = timeout_ms,
	};
	struct vp_guard guard;

	assert_int_equal(vp_guard_start(ctx, &task, &guard), 0);
	assert_true(guard.pid > 0);
	return guard;
}

/* Whoever has the record lock. */
static pid_t holder(void)
{
	struct virtpmem_region region = { .id = ID };

	return vp_region_guard(&region, node);
}

static void wait_until_gone(const struct vp_guard *guard)
{
	unsigned int i;

	for (i = 0; holder() == guard->pid && i < 20000; i++)
		usleep(1000);
	assert_int_equal(holder(), 0);
}

static bool ready(const struct vp_guard *guard, int timeout_ms)
{
	struct pollfd p = { .fd = guard->fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* --------------------------------------------------------------- tests */

static void guard_ends_when_it_is_told(void **state)
{
	struct vp_guard guard = guard_of(60000);

	(void)state;
	assert_int_equal(holder(), guard.pid);
	assert_int_equal(vp_guard_check(&guard), 0);
	assert_int_equal(vp_guard_end(&guard), 0);
	wait_until_gone(&guard);
	/* To be told again is free, and does not change the answer. */
	assert_int_equal(vp_guard_end(&guard), 0);
	close(guard.fd);
}

static void what_cannot_be_frozen_is_told(void **state)
{
	struct vp_guard guard = guard_of(60000);
	int r = vp_guard_freeze(&guard, 0, 20000);

	(void)state;
	assert_true(r == -EOPNOTSUPP || r == -EPERM);
	assert_int_equal(vp_guard_freeze(&guard, 1, 20000), -EINVAL);
	assert_int_equal(vp_guard_freeze(&guard, 2, 20000), -EINVAL);
	assert_int_equal(vp_guard_end(&guard), 0);
	close(guard.fd);
}

static void guard_ends_with_its_caller(void **state)
{
	struct vp_guard guard;
	int pipefd[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (!pid) {
		guard = guard_of(60000);
		if (write(pipefd[1], &guard, sizeof(guard)) != sizeof(guard))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipefd[0], &guard, sizeof(guard)), sizeof(guard));
	assert_int_equal(holder(), guard.pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	wait_until_gone(&guard);
	close(pipefd[0]);
	close(pipefd[1]);
}

static void guard_ends_at_its_time(void **state)
{
	struct vp_guard guard = guard_of(200);

	(void)state;
	assert_true(ready(&guard, 20000));
	assert_int_equal(vp_guard_check(&guard), -ETIMEDOUT);
	assert_int_equal(vp_guard_end(&guard), -ETIMEDOUT);
	wait_until_gone(&guard);
	close(guard.fd);
}

static void guard_ends_at_sigterm_even_if_the_caller_ignores_it(void **state)
{
	struct vp_guard guard;

	(void)state;
	signal(SIGTERM, SIG_IGN);
	guard = guard_of(60000);
	signal(SIGTERM, SIG_DFL);
	assert_int_equal(kill(guard.pid, SIGTERM), 0);
	assert_int_equal(vp_guard_end(&guard), -ECANCELED);
	wait_until_gone(&guard);
	close(guard.fd);
}

static void guard_ignores_other_signals(void **state)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGTSTP };
	struct vp_guard guard = guard_of(60000);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		assert_int_equal(kill(guard.pid, signals[i]), 0);
	assert_false(ready(&guard, 100));
	assert_int_equal(vp_guard_check(&guard), 0);
	assert_int_equal(vp_guard_end(&guard), 0);
	close(guard.fd);
}

static void guard_that_was_killed_is_known(void **state)
{
	struct vp_guard guard = guard_of(60000);

	(void)state;
	assert_int_equal(kill(guard.pid, SIGKILL), 0);
	assert_int_equal(vp_guard_end(&guard), -ESRCH);
	wait_until_gone(&guard);
	close(guard.fd);
}

static void detached_guard_stays_until_its_time(void **state)
{
	struct vp_guard guard = guard_of(3000);

	(void)state;
	assert_int_equal(vp_guard_detach(&guard), 0);
	assert_int_equal(holder(), guard.pid);
	assert_int_equal(vp_guard_end(&guard), 0);
	close(guard.fd);
	wait_until_gone(&guard);
}

static pid_t stopped;
static unsigned int signals_left;

static void interrupt(int sig)
{
	(void)sig;
	if (signals_left && !--signals_left)
		kill(stopped, SIGCONT);
}

/* It was detached all the same, and stayed although its caller had dropped it. */
static void signals_do_not_end_a_detach(void **state)
{
	const struct itimerval often = { { 0, 50000 }, { 0, 50000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct vp_guard guard = guard_of(60000);

	(void)state;
	stopped = guard.pid;
	signals_left = 5;
	assert_int_equal(kill(guard.pid, SIGSTOP), 0);
	signal(SIGALRM, interrupt);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_int_equal(vp_guard_detach(&guard), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(vp_guard_end(&guard), 0);
	close(guard.fd);
	assert_int_equal(holder(), guard.pid);
	assert_int_equal(kill(guard.pid, SIGTERM), 0);
	wait_until_gone(&guard);
}

/* It was detached when it went on, by a caller that had been told that it was not. */
static void guard_that_is_stuck_is_not_detached(void **state)
{
	struct vp_guard guard = guard_of(60000);

	(void)state;
	assert_int_equal(kill(guard.pid, SIGSTOP), 0);
	assert_int_equal(vp_guard_detach(&guard), -EBUSY);
	assert_int_equal(vp_guard_check(&guard), 0);
	assert_int_equal(kill(guard.pid, SIGCONT), 0);
	assert_true(ready(&guard, 20000));
	/* What it answers now is no end of it. */
	assert_int_equal(vp_guard_check(&guard), 0);
	assert_int_equal(vp_guard_end(&guard), 0);
	wait_until_gone(&guard);
	close(guard.fd);
}

static unsigned int clones;

static bool fail_second_clone(long number, const long *args, long *ret)
{
	(void)args;
	if (number != SYS_clone || ++clones != 2)
		return false;
	errno = EAGAIN;
	*ret = -1;
	return true;
}

/* That was -ESRCH, as if it had been killed. */
static void guard_that_cannot_be_started_says_why(void **state)
{
	const struct vp_guard_task task = {
		.fds = fds, .quiesce = -1, .node = node, .id = ID, .timeout_ms = 60000,
	};
	struct vp_guard guard;

	(void)state;
	clones = 0;
	syscall_hook = fail_second_clone;
	assert_int_equal(vp_guard_start(ctx, &task, &guard), -EAGAIN);
	syscall_hook = NULL;
	assert_int_equal(holder(), 0);
}

static void guard_is_nobodys_child(void **state)
{
	struct vp_guard guard = guard_of(60000);
	char path[64], line[256];
	int parent, group, session;
	FILE *f;

	(void)state;
	assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)guard.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_int_equal(sscanf(strrchr(line, ')') + 4, "%d %d %d", &parent, &group, &session), 3);
	assert_int_not_equal(parent, getpid());
	assert_int_equal(session, guard.pid);
	assert_non_null(strstr(line, "(virtpmem-guard)"));
	assert_int_equal(vp_guard_end(&guard), 0);
	close(guard.fd);
}

static void one_region_has_one_guard(void **state)
{
	const struct vp_guard_task task = {
		.fds = fds, .quiesce = -1, .node = node, .id = ID, .timeout_ms = 60000,
	};
	struct vp_guard guard = guard_of(60000), second;

	(void)state;
	assert_int_equal(vp_guard_start(ctx, &task, &second), -EBUSY);
	assert_int_equal(vp_guard_end(&guard), 0);
	close(guard.fd);
}

static void guard_resumes_the_driver(void **state)
{
	char name[] = "/tmp/virtpmem-test-XXXXXX", text[4] = "";
	struct vp_guard_task task = {
		.fds = fds, .node = node, .id = ID, .timeout_ms = 60000,
	};
	struct vp_guard guard;

	(void)state;
	task.quiesce = mkostemp(name, O_CLOEXEC);
	assert_true(task.quiesce >= 0);
	unlink(name);
	assert_int_equal(vp_guard_start(ctx, &task, &guard), 0);
	assert_int_equal(vp_guard_end(&guard), 0);
	assert_int_equal(pread(task.quiesce, text, sizeof(text), 0), 1);
	assert_string_equal(text, "0");
	close(task.quiesce);
	close(guard.fd);
}

#define t(fn_)	cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(guard_ends_when_it_is_told),
		t(what_cannot_be_frozen_is_told),
		t(guard_ends_with_its_caller),
		t(guard_ends_at_its_time),
		t(guard_ends_at_sigterm_even_if_the_caller_ignores_it),
		t(guard_ignores_other_signals),
		t(guard_that_was_killed_is_known),
		t(detached_guard_stays_until_its_time),
		t(signals_do_not_end_a_detach),
		t(guard_that_is_stuck_is_not_detached),
		t(guard_that_cannot_be_started_says_why),
		t(guard_is_nobodys_child),
		t(one_region_has_one_guard),
		t(guard_resumes_the_driver),
	};

	return cmocka_run_group_tests_name("U5 guard", tests, NULL, NULL);
}
