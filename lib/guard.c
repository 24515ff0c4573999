// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The guard: a process that freezes file systems, and thaws them whatever
 * happens to the one that wanted it (U5).
 *
 * It is started before the first file system is frozen and does the freezing
 * itself, so there is no moment at which something is frozen that it does not
 * know of. It thaws when its socket ends (the caller has asked for it, exited,
 * or was killed), at its deadline, or at SIGTERM, which is what a stopping
 * service, a shutdown and virtpmem_region_thaw() send; other signals are
 * ignored. What makes that certain, on a machine whose file systems are frozen:
 *
 *  - It opens nothing any more: all descriptors are there from the start.
 *  - What it has of memory is locked, and the OOM killer leaves it alone.
 *  - It has a session of its own, and is no child of the caller's: what ends
 *    the caller's terminal or process group does not reach it, and the caller
 *    has nothing to reap.
 *  - It makes bare system calls only (see limit.c).
 *
 * One FIFREEZE that the host keeps waiting cannot be ended by anybody: then the
 * deadline counts as soon as that call returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guard.h"

#define NSEC_PER_MSEC	UINT64_C(1000000)
#define NSEC_PER_SEC	UINT64_C(1000000000)

/* How long the guard may take to be ready, and to thaw, before it counts as stuck. */
#define START_MS	10000
#define END_MS		30000

/*
 * What goes from the caller to the guard. Its side of the socket shut down means: thaw.
 * DETACH has no answer: a caller that waited for one in vain would not know whether
 * the guard still ends with it.
 */
enum request {
	REQUEST_FREEZE,
	REQUEST_PING,
	REQUEST_DETACH,
};

struct request_message {
	enum request request;
	size_t index;
};

/*
 * What comes back: READY once, DONE for each request that has an answer, ENDED once at
 * last, or alone if there is no guard.
 */
enum answer {
	ANSWER_READY,
	ANSWER_DONE,
	ANSWER_ENDED,
};

struct answer_message {
	enum answer answer;
	int error;
	pid_t pid;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ------------------------------------------- what runs in the guard's process */

/* @frozen: how many there are; the first @frozen of the task's. */
struct guard {
	const struct vp_guard_task *task;
	size_t frozen;
	int socket, signals;
	uint64_t deadline;
};

static void answer_to(int sock, enum answer what, int error)
{
	struct answer_message message;

	memset(&message, 0, sizeof(message));
	message.answer = what;
	message.error = error;
	message.pid = (pid_t)syscall(SYS_getpid);
	if (sock >= 0)
		syscall(SYS_sendto, sock, &message, sizeof(message), MSG_NOSIGNAL, NULL, 0);
}

static void answer(const struct guard *g, enum answer what, int error)
{
	answer_to(g->socket, what, error);
}

static long sys_ioctl(int fd, unsigned long request)
{
	return syscall(SYS_ioctl, fd, request, 0);
}

/* Returns the first error; one that somebody else has thawed is none. */
static int release(struct guard *g)
{
	int error = 0;

	if (g->task->quiesce >= 0 && syscall(SYS_write, g->task->quiesce, "0", 1) < 0)
		error = -errno;
	while (g->frozen) {
		g->frozen--;
		if (sys_ioctl(g->task->fds[g->frozen], FITHAW) < 0 && errno != EINVAL && !error)
			error = -errno;
	}
	return error;
}

static _Noreturn void end(struct guard *g, int cause)
{
	int error = release(g);

	/* The record lock goes with it: who hears of the end may freeze again at once. */
	syscall(SYS_close, g->task->node);
	answer(g, ANSWER_ENDED, error ? error : cause);
	for (;;)
		syscall(SYS_exit_group, 0);
}

static int prepare_signals(void)
{
	uint64_t mask = UINT64_C(1) << (SIGTERM - 1);
	/* Larger than the kernel's struct, whose first member 0 is SIG_DFL. */
	uint64_t action[8] = { 0 };

	/* All are blocked already; this is the one that is looked at, unless it is ignored. */
	syscall(SYS_rt_sigaction, SIGTERM, action, NULL, sizeof(mask));
	return (int)syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Not to be had everywhere, and the guard is of use without it. */
static void prepare_memory(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY);

	if (fd >= 0) {
		syscall(SYS_write, fd, "-1000", 5);
		syscall(SYS_close, fd);
	}
	/* What the caller has in memory need not be copied for it. */
	syscall(SYS_mlockall, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* From here on fcntl(F_GETLK) on the node says who this is. */
static int take_record_lock(const struct vp_guard_task *task)
{
	struct flock lock;

	memset(&lock, 0, sizeof(lock));
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	lock.l_start = task->id;
	lock.l_len = 1;
	if (syscall(SYS_fcntl, task->node, F_SETLK, &lock) < 0)
		return errno == EAGAIN ? -EBUSY : -errno;
	return 0;
}

/* How a request is answered; the end of the socket, and what is none, is the end. */
static void take_request(struct guard *g)
{
	struct request_message message;
	long n = syscall(SYS_read, g->socket, &message, sizeof(message));
	int error = 0;

	if (n != sizeof(message))
		end(g, 0);
	if (message.request == REQUEST_DETACH) {
		syscall(SYS_close, g->socket);
		g->socket = -1;
		return;
	}
	if (message.request == REQUEST_PING)
		error = 0;
	else if (message.index != g->frozen || message.index >= g->task->count)
		error = -EINVAL;
	else if (sys_ioctl(g->task->fds[message.index], FIFREEZE) < 0)
		error = -errno;
	else
		g->frozen++;
	answer(g, ANSWER_DONE, error);
}

static void wait_for_something(struct guard *g)
{
	struct pollfd fds[] = {
		{ .fd = g->signals, .events = POLLIN },
		{ .fd = g->socket, .events = POLLIN },
	};
	uint64_t now = now_ns();
	uint64_t left = g->deadline > now ? g->deadline - now : 0;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / NSEC_PER_SEC),
		.tv_nsec = (long)(left % NSEC_PER_SEC),
	};

	if (!left)
		end(g, -ETIMEDOUT);
	if (syscall(SYS_ppoll, fds, ARRAY_SIZE(fds), &timeout, NULL, 0) <= 0)
		return;
	if (fds[0].revents)
		end(g, -ECANCELED);
	if (fds[1].revents)
		take_request(g);
}

static _Noreturn void run_guard(const struct vp_guard_task *task, int sock, const int *keep,
				size_t kept)
{
	struct guard g = {
		.task = task,
		.socket = sock,
		.deadline = now_ns() + task->timeout_ms * NSEC_PER_MSEC,
	};
	int error;

	syscall(SYS_setsid);
	syscall(SYS_chdir, "/");
	syscall(SYS_prctl, PR_SET_NAME, "virtpmem-guard", 0, 0, 0);
	vp_close_others(keep, kept);
	prepare_memory();
	error = take_record_lock(task);
	g.signals = prepare_signals();
	if (!error && g.signals < 0)
		error = -errno;
	answer(&g, ANSWER_READY, error);
	if (error)
		end(&g, error);
	for (;;)
		wait_for_something(&g);
}

/* -------------------------------------------------- what the caller does */

/* The next answer; -ETIMEDOUT and, unless @patient, -EINTR leave the guard at work. */
static int read_answer(int fd, unsigned int timeout_ms, bool patient, struct answer_message *ret)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t deadline = now_ns() + timeout_ms * NSEC_PER_MSEC;
	struct answer_message message;
	ssize_t n;
	int r;

	do {
		uint64_t now = now_ns();

		r = poll(&p, 1, deadline > now ? (int)((deadline - now) / NSEC_PER_MSEC) + 1 : 0);
		if (r < 0 && !(patient && errno == EINTR))
			return -errno;
	} while (r <= 0 && now_ns() < deadline);
	if (r <= 0)
		return -ETIMEDOUT;
	n = read(fd, &message, sizeof(message));
	if (n != sizeof(message))
		return -ESRCH;	/* it was killed */
	*ret = message;
	return 0;
}

static int take_end(struct vp_guard *guard, int ended)
{
	guard->over = true;
	guard->ended = ended;
	return ended;
}

static int tell(const struct vp_guard *guard, enum request request, size_t index)
{
	struct request_message message;

	memset(&message, 0, sizeof(message));
	message.request = request;
	message.index = index;
	return send(guard->fd, &message, sizeof(message), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int ask(struct vp_guard *guard, enum request request, size_t index,
	       unsigned int timeout_ms, bool patient)
{
	struct answer_message answer;
	int r = tell(guard, request, index);

	if (!r)
		r = read_answer(guard->fd, timeout_ms, patient, &answer);
	if (r < 0)
		return r;
	return answer.answer == ANSWER_ENDED ? take_end(guard, answer.error) : answer.error;
}

/* Freeze the next file system of the task. */
int vp_guard_freeze(struct vp_guard *guard, size_t index, unsigned int timeout_ms)
{
	return ask(guard, REQUEST_FREEZE, index, timeout_ms, false);
}

/* Whether everything is frozen still: 0, or as vp_guard_end(). */
int vp_guard_check(struct vp_guard *guard)
{
	struct answer_message answer;
	int r;

	if (guard->over)
		return guard->ended ? guard->ended : -ECANCELED;
	do	/* to what it was asked long ago it may answer now */
		r = read_answer(guard->fd, 0, false, &answer);
	while (!r && answer.answer != ANSWER_ENDED);
	if (r == -ETIMEDOUT)
		return 0;	/* it has nothing to say */
	return r == -EINTR ? r : take_end(guard, r < 0 ? r : answer.error);
}

/* From now on only the deadline and SIGTERM end it. After an error it is as it was. */
int vp_guard_detach(struct vp_guard *guard)
{
	int r = ask(guard, REQUEST_PING, 0, START_MS, true);

	/* It has not said that its time was over, it says nothing. */
	if (r == -ETIMEDOUT && !guard->over)
		r = -EBUSY;
	if (!r)
		r = tell(guard, REQUEST_DETACH, 0);
	if (!r)
		guard->over = true;
	return r;
}

/*
 * Let it thaw everything, and wait until it has. Returns 0; -ETIMEDOUT if its
 * deadline had passed before, -ECANCELED if somebody else had ended it; the
 * error of a file system that could not be thawed; -EBUSY if it is stuck; -ESRCH
 * if it was killed. To be called again it is free.
 */
int vp_guard_end(struct vp_guard *guard)
{
	struct answer_message answer;
	int r;

	if (guard->over)
		return guard->ended;
	shutdown(guard->fd, SHUT_WR);
	do
		r = read_answer(guard->fd, END_MS, true, &answer);
	while (!r && answer.answer != ANSWER_ENDED);
	if (r == -ETIMEDOUT)	/* as above */
		r = -EBUSY;
	return take_end(guard, r < 0 ? r : answer.error);
}

/* In ascending order, as vp_close_others() wants them. */
static size_t list_kept(const struct vp_guard_task *task, int sock, int *keep)
{
	size_t n = 0, i, j;

	memcpy(keep, task->fds, task->count * sizeof(*keep));
	n = task->count;
	keep[n++] = sock;
	keep[n++] = task->node;
	if (task->quiesce >= 0)
		keep[n++] = task->quiesce;
	for (i = 1; i < n; i++)
		for (j = i; j && keep[j - 1] > keep[j]; j--) {
			int swap = keep[j];

			keep[j] = keep[j - 1];
			keep[j - 1] = swap;
		}
	return n;
}

/* Twice, so that the guard is init's child and not the caller's. */
static int clone_guard(const struct vp_guard_task *task, int sock, const int *keep, size_t kept)
{
	sigset_t all, mask;
	pid_t pid;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	pid = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
	if (!pid) {
		pid = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
		if (!pid)
			run_guard(task, sock, keep, kept);
		if (pid < 0)
			answer_to(sock, ANSWER_ENDED, -errno);
		for (;;)
			syscall(SYS_exit_group, 0);
	}
	if (pid < 0)
		r = -errno;
	else
		waitpid(pid, NULL, __WALL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return r;
}

int vp_guard_start(struct virtpmem_ctx *ctx, const struct vp_guard_task *task,
		   struct vp_guard *ret)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	_cleanup_free_ int *keep = NULL;
	struct answer_message answer;
	int fds[2], r;

	keep = calloc(task->count + 3, sizeof(*keep));
	if (!keep)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	r = clone_guard(task, theirs, keep, list_kept(task, theirs, keep));
	if (r < 0)
		return r;
	close(theirs);
	theirs = -1;
	r = read_answer(ours, START_MS, false, &answer);
	if (!r)
		r = answer.error;
	if (r < 0) {
		vp_err(ctx, "the guard process did not start: %s", strerror(-r));
		return r;
	}
	*ret = (struct vp_guard) { .fd = ours, .pid = answer.pid };
	ours = -1;
	return 0;
}
