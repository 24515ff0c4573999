// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A preload that runs its program once for each allocation that the program asks for,
 * and makes that one fail. It forks before main() is called, which costs a tenth of
 * what it takes to start a program anew.
 *
 * The first one that fails is ALLOC_FIRST, counted from 1; then each ALLOC_STEP-th,
 * until there is none, or only that one if the step is 0. ALLOC_FIRST 0 fails none. In
 * the directory ALLOC_DIR, if there is one, the files N.out and N.err get the outputs of
 * run N. On standard output there is a line for each run: N, its status as from
 * waitpid(2), and whether it came to allocation N.
 *
 * Counted are those of pmemctl, libvirtpmem and json-c. Other libraries cannot all tell
 * that one of theirs failed.
 *
 * It stands in front of the allocator of glibc, and so not of a sanitizer's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define COUNTED(failed) \
	do { \
		if (fails(__builtin_return_address(0))) \
			return failed; \
	} while (0)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

#define HANGS 60 /* seconds, after which a run is ended by SIGALRM */

/* The program comes first, and has no name. */
static const char *const names[] = { NULL, "/libvirtpmem.so", "/libjson-c.so" };
#define OURS (sizeof(names) / sizeof(*names))

static struct {
	uintptr_t begin, end;
} ours[OURS];

static unsigned long failing;
static atomic_ulong count;
static bool *reached; /* shared with the process that forks */

static bool is_name(const char *path, const char *name)
{
	return name ? strstr(path, name) != NULL : !*path;
}

static int find_ours(struct dl_phdr_info *info, size_t size, void *data)
{
	size_t n = 0;
	int i;

	(void)size;
	(void)data;
	while (n < OURS && !is_name(info->dlpi_name, names[n]))
		n++;
	for (i = 0; n < OURS && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		ours[n].begin = info->dlpi_addr + segment->p_vaddr;
		ours[n].end = ours[n].begin + segment->p_memsz;
	}
	return 0;
}

static bool fails(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;
	size_t n = 0;

	while (n < OURS && (at < ours[n].begin || at >= ours[n].end))
		n++;
	if (n == OURS || atomic_fetch_add(&count, 1) + 1 != failing)
		return false;
	*reached = true;
	errno = ENOMEM;
	return true;
}

static void output_to(int fd, const char *dir, const char *suffix)
{
	char path[PATH_MAX];
	int file;

	snprintf(path, sizeof(path), "%s/%lu.%s", dir, failing, suffix);
	file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (file < 0 || dup2(file, fd) < 0)
		abort();
	close(file);
}

static void begin_run(const char *dir, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	if (dir) {
		output_to(STDOUT_FILENO, dir, "out");
		output_to(STDERR_FILENO, dir, "err");
	}
	/* A program that it starts is run once, and has its memory. */
	unsetenv("ALLOC_FIRST");
	alarm(HANGS);
}

/* Returns in the process of each run. */
__attribute__((constructor)) static void fork_runs(void)
{
	const char *first = getenv("ALLOC_FIRST"), *each = getenv("ALLOC_STEP");
	unsigned long step = each ? strtoul(each, NULL, 10) : 0;
	pid_t parent = getpid(), pid;
	int status;

	if (!first)
		return;
	dl_iterate_phdr(find_ours, NULL);
	reached = mmap(NULL, sizeof(*reached), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (reached == MAP_FAILED)
		abort();
	for (failing = strtoul(first, NULL, 10);; failing += step) {
		*reached = false;
		pid = fork();
		if (!pid) {
			begin_run(getenv("ALLOC_DIR"), parent);
			return;
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			abort();
		dprintf(STDOUT_FILENO, "%lu %d %d\n", failing, status, *reached);
		if (!*reached || !step)
			_exit(EXIT_SUCCESS);
	}
}

EXPORT void *malloc(size_t size)
{
	COUNTED(NULL);
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	COUNTED(NULL);
	return __libc_calloc(n, size);
}

EXPORT void *realloc(void *old, size_t size)
{
	COUNTED(NULL);
	return __libc_realloc(old, size);
}

EXPORT void *reallocarray(void *old, size_t n, size_t size)
{
	COUNTED(NULL);
	if (size && n > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(old, n * size);
}

static char *copy(const char *s, size_t len)
{
	char *to = __libc_malloc(len + 1);

	if (!to)
		return NULL;
	memcpy(to, s, len);
	to[len] = '\0';
	return to;
}

EXPORT char *strdup(const char *s)
{
	COUNTED(NULL);
	return copy(s, strlen(s));
}

EXPORT char *strndup(const char *s, size_t n)
{
	COUNTED(NULL);
	return copy(s, strnlen(s, n));
}

static int print(char **ret, const char *format, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	*ret = n < 0 ? NULL : __libc_malloc((size_t)n + 1);
	return *ret ? vsnprintf(*ret, (size_t)n + 1, format, ap) : -1;
}

EXPORT int vasprintf(char **ret, const char *format, va_list ap)
{
	COUNTED(-1);
	return print(ret, format, ap);
}

EXPORT int asprintf(char **ret, const char *format, ...)
{
	va_list ap;
	int n;

	COUNTED(-1);
	va_start(ap, format);
	n = print(ret, format, ap);
	va_end(ap);
	return n;
}

/* The same, as compilers call them that look out for overflows. */
EXPORT int __vasprintf_chk(char **ret, int flag, const char *format, va_list ap);
EXPORT int __vasprintf_chk(char **ret, int flag, const char *format, va_list ap)
{
	(void)flag;
	COUNTED(-1);
	return print(ret, format, ap);
}

EXPORT int __asprintf_chk(char **ret, int flag, const char *format, ...);
EXPORT int __asprintf_chk(char **ret, int flag, const char *format, ...)
{
	va_list ap;
	int n;

	(void)flag;
	COUNTED(-1);
	va_start(ap, format);
	n = print(ret, format, ap);
	va_end(ap);
	return n;
}
