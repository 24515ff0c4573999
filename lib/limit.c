// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Running a flush with a limit on the time it may take.
 *
 * Some drivers wait in a state that no signal ends, so the limit can only be
 * kept by waiting somewhere else: a child process runs the flush and reports
 * through a pipe. What makes that safe inside somebody else's process:
 *
 *  - It is cloned with exit signal 0: no SIGCHLD, and a wait(2) of the caller's
 *    does not see it. fork(2) would also run the caller's atfork handlers.
 *  - It starts with every signal blocked, so that none of the caller's
 *    handlers runs in it; SIGKILL still ends it.
 *  - It makes bare system calls only: a lock that another thread held at the
 *    clone stays locked in it for ever.
 *  - It keeps no descriptor but the two it needs, and no working directory:
 *    one that is abandoned must not hold the caller's pipes and mounts.
 *  - It dies with its parent where it can.
 *
 * A child that does not die when its time is over is abandoned: it stays
 * until the kernel lets it go, and is reaped by a later call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

#define NSEC_PER_SEC	UINT64_C(1000000000)

/*
 * How long a killed child may take to go before it counts as abandoned: on a busy machine
 * it has to wait for a processor even to die.
 */
#define GRACE_NS	NSEC_PER_SEC

/* What the child writes into the pipe, in one write of less than PIPE_BUF. */
struct report {
	int error;
	uint64_t elapsed_ns;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Run it here and now. */
void vp_run(vp_work_fn work, int fd, struct vp_outcome *ret)
{
	uint64_t start = now_ns();
	int error = work(fd);

	*ret = (struct vp_outcome) { .error = error, .elapsed_ns = now_ns() - start };
}

static void close_range_of(unsigned int first, unsigned int last)
{
#ifdef SYS_close_range
	if (first <= last)
		syscall(SYS_close_range, first, last, 0);
#endif
}

/* All descriptors but those of @keep, which are in ascending order. System calls only. */
void vp_close_others(const int *keep, size_t count)
{
	unsigned int next = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		unsigned int fd = (unsigned int)keep[i];

		if (fd > next)
			close_range_of(next, fd - 1);
		next = fd + 1;
	}
	close_range_of(next, ~0U);
}

static _Noreturn void child(vp_work_fn work, int fd, int pipefd)
{
	const int keep[] = { fd < pipefd ? fd : pipefd, fd < pipefd ? pipefd : fd };
	struct vp_outcome outcome;
	struct report report;

	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	syscall(SYS_prctl, PR_SET_NAME, "virtpmem-flush", 0, 0, 0);
	syscall(SYS_chdir, "/");
	vp_close_others(keep, ARRAY_SIZE(keep));

	vp_run(work, fd, &outcome);

	memset(&report, 0, sizeof(report));
	report.error = outcome.error;
	report.elapsed_ns = outcome.elapsed_ns;
	syscall(SYS_write, pipefd, &report, sizeof(report));
	for (;;)
		syscall(SYS_exit_group, 0);
}

/*
 * Wait until the child has written its report (1), has gone without (0), the
 * time is over (-ETIMEDOUT) or a signal has come that @mask lets through
 * (-EINTR).
 */
static int wait_report(int pipefd, uint64_t deadline, const sigset_t *mask, struct report *ret)
{
	for (;;) {
		struct pollfd pfd = { .fd = pipefd, .events = POLLIN };
		uint64_t now = now_ns();
		uint64_t left = deadline > now ? deadline - now : 0;
		struct timespec timeout = {
			.tv_sec = (time_t)(left / NSEC_PER_SEC),
			.tv_nsec = (long)(left % NSEC_PER_SEC),
		};
		struct report report;
		ssize_t n;
		int r;

		r = ppoll(&pfd, 1, &timeout, mask);
		if (r < 0)
			return -errno;
		if (!r && !left)
			return -ETIMEDOUT;
		if (!r)
			continue;
		n = read(pipefd, &report, sizeof(report));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n != sizeof(report))
			return 0;
		*ret = report;
		return 1;
	}
}

static bool reap(pid_t pid)
{
	return waitpid(pid, NULL, __WALL | WNOHANG) != 0;
}

/* A child whose pipe is closed ends at once, unless somebody has stopped it. */
static bool reap_soon(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	uint64_t deadline = now_ns() + GRACE_NS;

	while (!reap(pid)) {
		if (now_ns() >= deadline)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Reap what has ended of the children that were left behind. */
void vp_reap(struct virtpmem_ctx *ctx)
{
	size_t i, kept = 0;

	for (i = 0; i < ctx->abandoned_count; i++)
		if (!reap(ctx->abandoned[i]))
			ctx->abandoned[kept++] = ctx->abandoned[i];
	ctx->abandoned_count = kept;
}

/*
 * Remember a child that has not ended yet, so that it does not stay a zombie.
 * Its number cannot come to mean another process: only we can reap it.
 */
static void reap_later(struct virtpmem_ctx *ctx, pid_t pid)
{
	pid_t *list;

	list = reallocarray(ctx->abandoned, ctx->abandoned_count + 1, sizeof(*list));
	if (!list) {
		vp_err(ctx, "out of memory: process %d will stay a zombie", (int)pid);
		return;
	}
	list[ctx->abandoned_count++] = pid;
	ctx->abandoned = list;
}

static pid_t clone_child(vp_work_fn work, int fd, int pipefd)
{
	/* No flags, no stack, exit signal 0: the order of arguments does not matter. */
	pid_t pid = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);

	if (!pid)
		child(work, fd, pipefd);
	return pid < 0 ? -errno : pid;
}

/*
 * Returns 0 if @work has run, and then *ret says how it ended; -ETIMEDOUT,
 * -EINTR, and then *ret says how long that took and whether the child was
 * left behind; another negative errno if it was never started.
 */
int vp_run_limited(struct virtpmem_ctx *ctx, vp_work_fn work, int fd, unsigned int timeout_ms,
		   struct vp_outcome *ret)
{
	_cleanup_close_ int reader = -1, writer = -1;
	uint64_t start, deadline;
	struct report report;
	sigset_t all, mask;
	int pipefd[2], r, killed = 0;
	pid_t pid;

	vp_reap(ctx);
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return -errno;
	reader = pipefd[0];
	writer = pipefd[1];

	/* Blocked until ppoll(): a signal that comes before it must end it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	start = now_ns();
	deadline = start + timeout_ms * UINT64_C(1000000);
	pid = clone_child(work, fd, writer);
	if (pid < 0) {
		pthread_sigmask(SIG_SETMASK, &mask, NULL);
		return pid;
	}
	close(writer);
	writer = -1;

	r = wait_report(reader, deadline, &mask, &report);
	if (r < 0) {
		killed = r;
		kill(pid, SIGKILL);
		r = wait_report(reader, now_ns() + GRACE_NS, &all, &report);
	}
	*ret = (struct vp_outcome) { .elapsed_ns = now_ns() - start };
	if (r < 0) {
		vp_err(ctx, "process %d cannot be interrupted and is left behind", (int)pid);
		ret->abandoned = true;
	}
	if (ret->abandoned || !reap_soon(pid))
		reap_later(ctx, pid);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);

	/* Also if it was killed too late to be stopped. */
	if (r == 1) {
		ret->error = report.error;
		ret->elapsed_ns = report.elapsed_ns;
		return 0;
	}
	if (killed)
		return killed;
	vp_err(ctx, "process %d was killed while it flushed", (int)pid);
	return -EINTR;
}
