// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's first process, and the host's hand inside the guest.
 *
 * It prepares the machine (mounts, kernel modules), then serves requests that
 * vm.py sends over the second serial port: start a program, feed its standard
 * input, send it a signal. What the program writes and how it ends goes back
 * in frames, so that output is binary safe, stdout and stderr stay apart, and
 * several programs can run at once. A program's time-out is kept here, so that
 * it does not depend on the host's patience; a program that survives SIGKILL
 * (a task in D state) is reported as such and then forgotten.
 *
 * One thread, one poll loop; nothing here is shared. It is linked statically:
 * an image that lacks a library still boots and can say so.
 *
 * Frame: struct frame, then len bytes. Integers are little-endian.
 *
 * host to guest		payload
 *   R run		u32 time-out in ms (0: none), u32 argc, u32 envc,
 *			argc + envc strings, each with its NUL
 *   I input		bytes; no bytes at all: end of file
 *   K kill		u32 signal, sent to the program's process group
 * guest to host
 *   H hello		release of the kernel, newline, what failed at start
 *   O, E output	bytes of stdout, stderr
 *   A ack		input was taken; the host may send more
 *   X exit		u32 status of waitpid(), u32 flags (EXIT_*)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL		"/dev/ttyS1"
#define MODULES_EARLY	"/etc/vm/modules"
#define MODULE_DRIVER	"/etc/vm/driver"
#define MAX_JOBS	64
#define MAX_PAYLOAD	(1u << 20)
#define KILL_GRACE_MS	3000

#define EXIT_TIMED_OUT	1u	/* the time-out ended it */
#define EXIT_UNKILLABLE	2u	/* and SIGKILL did not: the status means nothing */

struct frame {
	uint32_t type;		/* one of the letters above */
	uint32_t id;
	uint32_t len;
};

struct job {
	bool used;
	uint32_t id;
	pid_t pid;
	int in, out, err;	/* our ends of its pipes, -1 when closed */
	uint8_t *input;		/* not yet written to it */
	size_t input_len, input_pos;
	bool input_eof;
	int64_t deadline;	/* CLOCK_MONOTONIC ms, 0: none */
	uint32_t flags;
};

static struct job jobs[MAX_JOBS];
static int channel = -1;
static sigset_t original_mask;
static char trouble[2048];

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Remember what went wrong at start; the hello frame carries it. */
__attribute__((format(printf, 1, 2)))
static void complain(const char *format, ...)
{
	size_t used = strlen(trouble);
	va_list ap;

	va_start(ap, format);
	vsnprintf(trouble + used, sizeof(trouble) - used, format, ap);
	va_end(ap);
}

/* Without a channel there is nobody to tell but the console. */
static void die(const char *what)
{
	printf("vm-agent: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			die("write to the host");
		}
		p += n;
		len -= n;
	}
}

static void send_frame(char type, uint32_t id, const void *data, size_t len)
{
	struct frame f = { .type = type, .id = id, .len = len };

	write_all(channel, &f, sizeof(f));
	write_all(channel, data, len);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		complain("%s: %s\n", path, strerror(errno));
	close(fd);
}

static void mount_one(const char *type, const char *where, const char *options)
{
	mkdir(where, 0755);
	/* EBUSY: the kernel mounted devtmpfs itself. */
	if (mount(type, where, type, 0, options) < 0 && errno != EBUSY &&
	    errno != ENODEV)
		complain("mount %s: %s\n", where, strerror(errno));
}

/* Split text at white space; argv is NULL-terminated. */
static int split(char *text, char **argv, int max)
{
	int n = 0;

	for (char *w = strtok(text, " \t\n"); w && n < max - 1; w = strtok(NULL, " \t\n"))
		argv[n++] = w;
	argv[n] = NULL;
	return n;
}

static int wait_for(char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &original_mask, NULL);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* Run modprobe with the words of a file, after fixed words. */
static void modprobe(const char *list, bool all)
{
	char text[4096];
	char *argv[128];
	int fd = open(list, O_RDONLY | O_CLOEXEC);
	int n = 0;
	ssize_t len;

	if (fd < 0)
		return;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return;
	text[len] = '\0';

	argv[n++] = "/usr/sbin/modprobe";
	if (all)
		argv[n++] = "-a";
	if (split(text, argv + n, 128 - n) == 0)
		return;
	if (wait_for(argv) != 0)
		complain("modprobe failed on %s\n", list);
}

/*
 * Namespaces are probed asynchronously; whoever runs first would not always
 * find /dev/pmem0. Reading wait_probe of a bus returns when it is done.
 */
static void wait_for_namespaces(void)
{
	DIR *d = opendir("/sys/class/nd");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[512], text[16];
		int fd;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/nd/%s/device/wait_probe", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof(text)) < 0)
			complain("%s: %s\n", path, strerror(errno));
		close(fd);
	}
	if (d)
		closedir(d);
}

static bool quiet(void)
{
	char text[4096] = "";
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strstr(text, " quiet") != NULL;
}

static void prepare_machine(void)
{
	umask(022);
	mount_one("proc", "/proc", NULL);
	mount_one("sysfs", "/sys", NULL);
	mount_one("devtmpfs", "/dev", NULL);
	mkdir("/dev/pts", 0755);
	mount_one("devpts", "/dev/pts", NULL);
	mkdir("/dev/shm", 01777);
	mount_one("tmpfs", "/dev/shm", NULL);
	mount_one("tmpfs", "/run", NULL);
	mount_one("tmpfs", "/tmp", NULL);
	chmod("/tmp", 01777);
	/* A kernel may lack these; tests that need them will notice. */
	if (mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL) == 0)
		mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);

	if (symlink("/proc/self/fd", "/dev/fd") < 0 && errno != EEXIST)
		complain("/dev/fd: %s\n", strerror(errno));
	sethostname("guest", 5);

	/*
	 * Boot is terse because a serial console is slow; now all is logged,
	 * unless a person sits at the console.
	 */
	if (!quiet())
		klogctl(8 /* SYSLOG_ACTION_CONSOLE_LEVEL */, NULL, 8);
	/* User space may write reports of its own to /dev/kmsg: all of them. */
	write_file("/proc/sys/kernel/printk_devkmsg", "on\n");

	modprobe(MODULES_EARLY, true);
	modprobe(MODULE_DRIVER, false);
	wait_for_namespaces();
}

static void open_channel(void)
{
	struct termios t;

	channel = open(CHANNEL, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (channel < 0)
		die(CHANNEL);
	if (tcgetattr(channel, &t) < 0)
		die("tcgetattr");
	cfmakeraw(&t);
	t.c_cflag |= CLOCAL | CREAD;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	cfsetspeed(&t, B115200);
	if (tcsetattr(channel, TCSANOW, &t) < 0)
		die("tcsetattr");
}

static struct job *find_job(uint32_t id)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (jobs[i].used && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Returns false at end of file or error. */
static bool forward(struct job *j, int *fd, char type)
{
	uint8_t data[8192];
	ssize_t n = read(*fd, data, sizeof(data));

	if (n > 0) {
		send_frame(type, j->id, data, n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	close_fd(fd);
	return false;
}

static void end_job(struct job *j, int status)
{
	uint32_t reply[2] = { status, j->flags };

	/*
	 * What it left in the pipes still belongs to it. Its own children may
	 * hold them open for ever, so an empty pipe is the end; the bound is
	 * for one that never stops writing.
	 */
	for (int i = 0; i < 4096 && j->out >= 0 && forward(j, &j->out, 'O'); i++)
		;
	for (int i = 0; i < 4096 && j->err >= 0 && forward(j, &j->err, 'E'); i++)
		;
	close_fd(&j->in);
	close_fd(&j->out);
	close_fd(&j->err);
	free(j->input);
	send_frame('X', j->id, reply, sizeof(reply));
	memset(j, 0, sizeof(*j));
}

/* A request that could not be started ends like a program that failed. */
static void refuse(uint32_t id, const char *what)
{
	uint32_t reply[2] = { 126 << 8, 0 };
	char text[256];
	int n = snprintf(text, sizeof(text), "vm-agent: %s: %s\n", what, strerror(errno));

	send_frame('E', id, text, n);
	send_frame('X', id, reply, sizeof(reply));
}

/* Never returns. Its own session, so that a signal reaches all of its children. */
static void become(char **argv, char **envp, int in, int out, int err)
{
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &original_mask, NULL);
	if (chdir("/root") < 0 && chdir("/") < 0)
		_exit(126);
	environ = envp;		/* its PATH is the one to look in */
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* argv and envp point into data. Returns false if the frame is malformed. */
static bool parse_strings(char *data, size_t len, uint32_t argc, uint32_t envc,
			  char **argv, char **envp)
{
	char *end = data + len;

	for (uint32_t i = 0; i < argc + envc; i++) {
		char *nul = data < end ? memchr(data, '\0', end - data) : NULL;

		if (!nul)
			return false;
		if (i < argc)
			argv[i] = data;
		else
			envp[i - argc] = data;
		data = nul + 1;
	}
	argv[argc] = NULL;
	envp[envc] = NULL;
	return argc > 0;
}

static void start_job(uint32_t id, uint8_t *data, size_t len)
{
	char *argv[1024], *envp[256];
	int in[2], out[2], err[2];
	uint32_t head[3];
	struct job *j = NULL;
	pid_t pid;

	for (int i = 0; i < MAX_JOBS && !j; i++)
		if (!jobs[i].used)
			j = &jobs[i];
	errno = EINVAL;
	if (len < sizeof(head))
		return refuse(id, "short request");
	memcpy(head, data, sizeof(head));
	if (head[1] >= 1024 || head[2] >= 256 ||
	    !parse_strings((char *)data + sizeof(head), len - sizeof(head),
			   head[1], head[2], argv, envp))
		return refuse(id, "bad request");
	errno = EAGAIN;
	if (!j)
		return refuse(id, "too many programs at once");

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(err, O_CLOEXEC) < 0)
		return refuse(id, "pipe");
	pid = fork();
	if (pid == 0)
		become(argv, envp, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	if (pid < 0) {
		close(in[1]);
		close(out[0]);
		close(err[0]);
		return refuse(id, "fork");
	}
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	*j = (struct job) {
		.used = true, .id = id, .pid = pid,
		.in = in[1], .out = out[0], .err = err[0],
		.deadline = head[0] ? now_ms() + head[0] : 0,
	};
}

/* Write what the host sent; acknowledge once all of it is in the pipe. */
static void feed(struct job *j)
{
	while (j->in >= 0 && j->input_pos < j->input_len) {
		ssize_t n = write(j->in, j->input + j->input_pos,
				  j->input_len - j->input_pos);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			close_fd(&j->in);	/* it does not read: not our problem */
		else
			j->input_pos += n;
	}
	if (j->input) {
		free(j->input);
		j->input = NULL;
		j->input_len = j->input_pos = 0;
		send_frame('A', j->id, NULL, 0);
	}
	if (j->input_eof)
		close_fd(&j->in);
}

static void take_input(uint32_t id, const uint8_t *data, size_t len)
{
	struct job *j = find_job(id);

	if (!j)
		return;
	if (!len) {
		j->input_eof = true;
	} else if (!j->input) {
		j->input = malloc(len);
		if (!j->input)
			die("malloc");
		memcpy(j->input, data, len);
		j->input_len = len;
		j->input_pos = 0;
	}
	feed(j);
}

static void signal_job(const struct job *j, int sig)
{
	/* A child that has not yet come to its setsid() leads no group. */
	if (kill(-j->pid, sig) < 0 && errno == ESRCH)
		kill(j->pid, sig);
}

static void handle(const struct frame *f, uint8_t *data)
{
	struct job *j;
	uint32_t sig;

	switch (f->type) {
	case 'R':
		start_job(f->id, data, f->len);
		break;
	case 'I':
		take_input(f->id, data, f->len);
		break;
	case 'K':
		j = find_job(f->id);
		if (j && f->len == sizeof(sig)) {
			memcpy(&sig, data, sizeof(sig));
			signal_job(j, sig);
		}
		break;
	}
}

/* The host's bytes come in pieces of any size. */
static void receive(void)
{
	static uint8_t *buf;
	static size_t have, room;
	ssize_t n;

	if (room - have < 4096) {
		room += 65536;
		buf = realloc(buf, room);
		if (!buf)
			die("realloc");
	}
	n = read(channel, buf + have, room - have);
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		die("read from the host");
	if (n <= 0)
		return;
	have += n;
	for (;;) {
		struct frame f;

		if (have < sizeof(f))
			return;
		memcpy(&f, buf, sizeof(f));
		if (f.len > MAX_PAYLOAD) {
			errno = EPROTO;
			die("garbled channel");
		}
		if (have < sizeof(f) + f.len)
			return;
		handle(&f, buf + sizeof(f));
		have -= sizeof(f) + f.len;
		memmove(buf, buf + sizeof(f) + f.len, have);
	}
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < MAX_JOBS; i++)
			if (jobs[i].used && jobs[i].pid == pid)
				end_job(&jobs[i], status);
}

/* Returns the ms until the next deadline, -1 if there is none. */
static int check_deadlines(void)
{
	int64_t now = now_ms(), next = -1;

	for (int i = 0; i < MAX_JOBS; i++) {
		struct job *j = &jobs[i];

		if (!j->used || !j->deadline)
			continue;
		if (now >= j->deadline && !(j->flags & EXIT_TIMED_OUT)) {
			j->flags |= EXIT_TIMED_OUT;
			j->deadline = now + KILL_GRACE_MS;
			signal_job(j, SIGKILL);
		} else if (now >= j->deadline) {
			/* Where it is stuck goes to the console, for the reader. */
			write_file("/proc/sys/kernel/sysrq", "1\n");
			write_file("/proc/sysrq-trigger", "w");
			j->flags |= EXIT_UNKILLABLE;
			end_job(j, SIGKILL);
			continue;
		}
		if (next < 0 || j->deadline - now < next)
			next = j->deadline - now;
	}
	return next;
}

static void serve(int signals)
{
	for (;;) {
		struct pollfd fds[2 + 3 * MAX_JOBS];
		struct { struct job *job; uint32_t id; char what; } of[2 + 3 * MAX_JOBS];
		int wait = check_deadlines();
		int n = 0;

		fds[n++] = (struct pollfd) { .fd = channel, .events = POLLIN };
		fds[n++] = (struct pollfd) { .fd = signals, .events = POLLIN };
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *j = &jobs[i];

			if (!j->used)
				continue;
			if (j->in >= 0 && j->input) {
				of[n].job = j, of[n].id = j->id, of[n].what = 'I';
				fds[n++] = (struct pollfd) { .fd = j->in, .events = POLLOUT };
			}
			if (j->out >= 0) {
				of[n].job = j, of[n].id = j->id, of[n].what = 'O';
				fds[n++] = (struct pollfd) { .fd = j->out, .events = POLLIN };
			}
			if (j->err >= 0) {
				of[n].job = j, of[n].id = j->id, of[n].what = 'E';
				fds[n++] = (struct pollfd) { .fd = j->err, .events = POLLIN };
			}
		}
		if (poll(fds, n, wait) < 0) {
			if (errno == EINTR)
				continue;
			die("poll");
		}
		/* Output first: a job that ends below takes its pipes with it. */
		for (int i = 2; i < n; i++) {
			struct job *j = of[i].job;

			if (!fds[i].revents || !j->used || j->id != of[i].id)
				continue;
			if (of[i].what == 'I')
				feed(j);
			else if (of[i].what == 'O' && j->out >= 0)
				forward(j, &j->out, 'O');
			else if (of[i].what == 'E' && j->err >= 0)
				forward(j, &j->err, 'E');
		}
		if (fds[1].revents) {
			struct signalfd_siginfo info;

			while (read(signals, &info, sizeof(info)) > 0)
				;
			reap();
		}
		if (fds[0].revents)
			receive();
	}
}

int main(void)
{
	char hello[sizeof(trouble) + sizeof(struct utsname)];
	struct utsname u;
	sigset_t mask;
	int signals;

	prepare_machine();
	open_channel();

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, &original_mask);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");
	/* Whatever ended before the mask was set. */
	reap();

	uname(&u);
	send_frame('H', 0, hello, snprintf(hello, sizeof(hello), "%s\n%s", u.release, trouble));
	serve(signals);
}
