// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hold a device in a thread that is not the first of its process:
 *
 *	hold-thread open|mapped|own PATH
 *
 * "open" and "mapped": the first thread opens or maps it, and exits. "own": it lives on, and
 * another thread opens it in a descriptor table of its own. Prints "ready", and runs until it
 * is killed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *mode, *path;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void hold(void)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		fail(path);
	if (strcmp(mode, "mapped") != 0)
		return;
	if (mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("mmap");
	close(fd);
}

static void *other(void *unused)
{
	(void)unused;
	if (!strcmp(mode, "own")) {
		if (unshare(CLONE_FILES))
			fail("unshare");
		hold();
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 3) {
		fprintf(stderr, "usage: hold-thread open|mapped|own PATH\n");
		return 2;
	}
	mode = argv[1];
	path = argv[2];
	if (strcmp(mode, "own") != 0)
		hold();
	if (pthread_create(&thread, NULL, other, NULL))
		fail("pthread_create");
	if (strcmp(mode, "own") != 0)
		syscall(SYS_exit, 0);
	pthread_join(thread, NULL);
	return 0;
}
