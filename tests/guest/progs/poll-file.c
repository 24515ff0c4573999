// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Print a sysfs file, and again whenever poll() says that it has changed:
 *
 *	poll-file PATH
 *
 * Runs until it is killed, or until the file has gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct pollfd p = { .events = POLLPRI | POLLERR };
	char text[4096];
	ssize_t n;

	if (argc != 2) {
		fprintf(stderr, "usage: poll-file PATH\n");
		return 2;
	}
	p.fd = open(argv[1], O_RDONLY);
	if (p.fd < 0) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		n = pread(p.fd, text, sizeof(text), 0);
		if (n < 0) {
			printf("%s\n", strerrorname_np(errno));
			return 0;
		}
		fwrite(text, 1, n, stdout);
		fflush(stdout);
		while (poll(&p, 1, -1) < 0)
			;
	}
}
