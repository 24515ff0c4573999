// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running a flush in a child with a limit: what the caller's process notices
 * of it, which should be nothing.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

/* What the child leaves for the test. */
static struct notes {
	pid_t caller;		/* the test leaves it for the child */
	pid_t pid;
	pid_t helper;
	int descriptors;
	int blocked;
	int handled;
	int atfork;
	bool in_root;
} *notes;

static struct virtpmem_ctx *ctx;
static int null_fd;

static int setup(void **state)
{
	(void)state;
	memset(notes, 0, sizeof(*notes));
	notes->caller = getpid();
	if (virtpmem_new(&ctx) < 0)
		return -1;
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return null_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	ctx = virtpmem_unref(ctx);
	return close(null_fd);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	syscall(SYS_nanosleep, &ts, NULL);
}

/* ------------------------------------------- functions for the child */

static int succeed(int fd)
{
	(void)fd;
	notes->pid = (pid_t)syscall(SYS_getpid);
	return 0;
}

static int fail_with_eio(int fd)
{
	(void)fd;
	return -EIO;
}

static int take_50_ms(int fd)
{
	(void)fd;
	sleep_ms(50);
	return 0;
}

static int take_for_ever(int fd)
{
	(void)fd;
	notes->pid = (pid_t)syscall(SYS_getpid);
	for (;;)
		sleep_ms(1000);
	return 0;
}

static int signal_the_caller(int fd)
{
	notes->pid = (pid_t)syscall(SYS_getpid);
	syscall(SYS_kill, notes->caller, SIGALRM);
	return take_for_ever(fd);
}

static int be_killed(int fd)
{
	(void)fd;
	syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	return 0;
}

/*
 * A wait that SIGKILL does not end cannot be made here. What the parent sees of
 * one is a pipe that stays open, so a process of the child's keeps it open.
 */
static int hold_on(int fd)
{
	pid_t pid = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);

	if (!pid) {
		notes->helper = (pid_t)syscall(SYS_getpid);
		sleep_ms(60000);
		syscall(SYS_exit_group, 0);
	}
	return take_for_ever(fd);
}

static int look_around(int fd)
{
	sigset_t blocked;
	char cwd[64];
	int i;

	(void)fd;
	for (i = 0; i < 1024; i++)
		if (syscall(SYS_fcntl, i, F_GETFD) >= 0)
			notes->descriptors++;
	sigemptyset(&blocked);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &blocked, 8);
	for (i = 1; i < SIGRTMIN; i++)
		notes->blocked += sigismember(&blocked, i);
	notes->in_root = syscall(SYS_getcwd, cwd, sizeof(cwd)) == 2;
	return 0;
}

static int signal_itself(int fd)
{
	(void)fd;
	syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1);
	return 0;
}

/* ---------------------------------------------------------------- tests */

static void success_is_reported(void **state)
{
	struct vp_outcome outcome = { .error = 1 };

	(void)state;
	assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	assert_int_equal(outcome.error, 0);
	assert_false(outcome.abandoned);
	assert_int_not_equal(notes->pid, getpid());
}

static void failure_is_reported(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	assert_int_equal(vp_run_limited(ctx, fail_with_eio, null_fd, 10000, &outcome), 0);
	assert_int_equal(outcome.error, -EIO);
}

static void u1_time_that_it_took_is_reported(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	assert_int_equal(vp_run_limited(ctx, take_50_ms, null_fd, 10000, &outcome), 0);
	assert_true(outcome.elapsed_ns >= UINT64_C(50000000));
	assert_true(outcome.elapsed_ns < UINT64_C(10000000000));
}

/*
 * The time is over while @work runs, which has left a number in @begun by then. On a busy
 * machine a short time can be over before the child has a processor.
 */
static void run_out_of_time(vp_work_fn work, const pid_t *begun, struct vp_outcome *outcome)
{
	unsigned int limit_ms = 25;

	do {
		uint64_t start = now_ms();

		limit_ms *= 2;
		assert_int_equal(vp_run_limited(ctx, work, null_fd, limit_ms, outcome), -ETIMEDOUT);
		assert_true(now_ms() - start >= limit_ms);
		assert_true(outcome->elapsed_ns >= limit_ms * UINT64_C(1000000));
	} while (!*begun && !outcome->abandoned);
}

static void child_is_killed_when_the_time_is_over(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	run_out_of_time(take_for_ever, &notes->pid, &outcome);
	assert_false(outcome.abandoned);
	assert_int_equal(ctx->abandoned_count, 0);
	assert_int_equal(kill(notes->pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void child_that_cannot_be_killed_is_abandoned(void **state)
{
	struct vp_outcome outcome;
	uint64_t start = now_ms();

	(void)state;
	run_out_of_time(hold_on, &notes->helper, &outcome);
	assert_true(outcome.abandoned);
	assert_true(now_ms() - start < 30000);
	while (!notes->helper)
		sleep_ms(1);
	kill(notes->helper, SIGKILL);
}

/* A child in a wait that no signal ends stays a child until that is over. */
static void abandoned_child_is_reaped_by_a_later_call(void **state)
{
	struct vp_outcome outcome;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		pause();
		_exit(0);
	}
	ctx->abandoned = malloc(sizeof(pid_t));
	assert_non_null(ctx->abandoned);
	ctx->abandoned[ctx->abandoned_count++] = pid;

	assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	assert_true(ctx->abandoned_count >= 1);
	assert_int_equal(ctx->abandoned[0], pid);

	kill(pid, SIGKILL);
	while (!kill(pid, 0)) {
		vp_reap(ctx);
		sleep_ms(1);
	}
	assert_int_equal(errno, ESRCH);
}

static void killed_child_did_not_flush(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	assert_int_equal(vp_run_limited(ctx, be_killed, null_fd, 10000, &outcome), -EINTR);
	assert_false(outcome.abandoned);
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
	notes->handled++;
}

static void handle(int sig, int flags)
{
	struct sigaction action = { .sa_handler = count_signal, .sa_flags = flags };

	signals = 0;
	assert_int_equal(sigaction(sig, &action, NULL), 0);
}

static void caller_gets_no_sigchld(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	handle(SIGCHLD, 0);
	assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	assert_int_equal(vp_run_limited(ctx, take_for_ever, null_fd, 20, &outcome), -ETIMEDOUT);
	assert_int_equal(signals, 0);
	signal(SIGCHLD, SIG_DFL);
}

static void caller_has_no_child_to_wait_for(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void it_works_where_sigchld_is_ignored(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	signal(SIGCHLD, SIG_DFL);
}

static void signal_ends_the_wait(void **state)
{
	struct vp_outcome outcome;
	uint64_t start = now_ms();

	(void)state;
	handle(SIGALRM, SA_RESTART);
	assert_int_equal(vp_run_limited(ctx, signal_the_caller, null_fd, 60000, &outcome), -EINTR);
	assert_true(now_ms() - start < 30000);
	assert_int_equal(signals, 1);
	assert_int_equal(kill(notes->pid, 0), -1);
	signal(SIGALRM, SIG_DFL);
}

static void signal_that_the_caller_blocks_does_not_end_the_wait(void **state)
{
	struct vp_outcome outcome;
	sigset_t block, old, now;

	(void)state;
	handle(SIGUSR1, 0);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	raise(SIGUSR1);
	assert_int_equal(vp_run_limited(ctx, take_50_ms, null_fd, 10000, &outcome), 0);
	assert_int_equal(signals, 0);
	sigprocmask(SIG_SETMASK, NULL, &now);
	assert_true(sigismember(&now, SIGUSR1));
	assert_false(sigismember(&now, SIGUSR2));
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(signals, 1);
	signal(SIGUSR1, SIG_DFL);
}

static void handlers_of_the_caller_do_not_run_in_the_child(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	handle(SIGUSR1, 0);
	assert_int_equal(vp_run_limited(ctx, signal_itself, null_fd, 10000, &outcome), 0);
	assert_int_equal(notes->handled, 0);
	signal(SIGUSR1, SIG_DFL);
}

static void child_keeps_nothing_of_the_caller(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	assert_int_equal(vp_run_limited(ctx, look_around, null_fd, 10000, &outcome), 0);
	assert_int_equal(notes->descriptors, 2);
	assert_true(notes->in_root);
	/* All but SIGKILL, SIGSTOP, and the two that are glibc's own. */
	assert_true(notes->blocked >= SIGRTMIN - 1 - 4);
}

static void note_fork(void)
{
	notes->atfork++;
}

static void fork_handlers_of_the_caller_do_not_run(void **state)
{
	struct vp_outcome outcome;

	(void)state;
	assert_int_equal(pthread_atfork(note_fork, note_fork, note_fork), 0);
	assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	assert_int_equal(notes->atfork, 0);
}

static void no_descriptor_is_left_open(void **state)
{
	struct vp_outcome outcome;
	int before, after;

	(void)state;
	before = dup(null_fd);
	close(before);
	assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	assert_int_equal(vp_run_limited(ctx, take_for_ever, null_fd, 10, &outcome), -ETIMEDOUT);
	after = dup(null_fd);
	close(after);
	assert_int_equal(before, after);
}

static bool stop;

static void *use_the_heap(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		void *volatile p = malloc(100);

		free(p);
	}
	return NULL;
}

static void it_works_beside_other_threads(void **state)
{
	struct vp_outcome outcome;
	pthread_t thread;
	int i;

	(void)state;
	stop = false;
	assert_int_equal(pthread_create(&thread, NULL, use_the_heap, NULL), 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(vp_run_limited(ctx, succeed, null_fd, 10000, &outcome), 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

#define t(fn_)	cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(success_is_reported),
		t(failure_is_reported),
		t(u1_time_that_it_took_is_reported),
		t(child_is_killed_when_the_time_is_over),
		t(child_that_cannot_be_killed_is_abandoned),
		t(abandoned_child_is_reaped_by_a_later_call),
		t(killed_child_did_not_flush),
		t(caller_gets_no_sigchld),
		t(caller_has_no_child_to_wait_for),
		t(it_works_where_sigchld_is_ignored),
		t(signal_ends_the_wait),
		t(signal_that_the_caller_blocks_does_not_end_the_wait),
		t(handlers_of_the_caller_do_not_run_in_the_child),
		t(child_keeps_nothing_of_the_caller),
		t(fork_handlers_of_the_caller_do_not_run),
		t(no_descriptor_is_left_open),
		t(it_works_beside_other_threads),
	};

	notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (notes == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
