// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Write to files and read them, all at the same time and over and over, until
 * standard input ends:
 *
 *	hammer [-u MICROSECONDS] FILE[=VALUE]...
 *
 * Each argument is a thread's: it writes VALUE to FILE, or reads FILE, and
 * pauses. Errors are expected and not told. Prints "running", and at the end
 * "calls=N": it ends only when each call has returned.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static useconds_t pause_us = 20000;
static atomic_bool stop;
static atomic_int calls;

static void call(const char *path, const char *value)
{
	int fd = open(path, value ? O_WRONLY : O_RDONLY);
	char text[4096];

	if (fd < 0)
		return;
	if ((value ? write(fd, value, strlen(value)) : read(fd, text, sizeof(text))) >= 0)
		atomic_fetch_add(&calls, 1);
	close(fd);
}

static void *work(void *arg)
{
	char *path = arg, *value = strchr(path, '=');

	if (value)
		*value++ = '\0';
	while (!stop) {
		call(path, value);
		usleep(pause_us);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t *ids;
	int opt, i;
	char c;

	while ((opt = getopt(argc, argv, "u:")) != -1) {
		if (opt != 'u')
			return 2;
		pause_us = strtoul(optarg, NULL, 10);
	}
	if (optind == argc) {
		fprintf(stderr, "usage: hammer [-u MICROSECONDS] FILE[=VALUE]...\n");
		return 2;
	}
	ids = calloc(argc, sizeof(*ids));
	if (!ids)
		return 1;
	for (i = optind; i < argc; i++) {
		if (pthread_create(&ids[i], NULL, work, argv[i])) {
			fprintf(stderr, "hammer: no thread\n");
			return 1;
		}
	}
	puts("running");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	stop = true;
	for (i = optind; i < argc; i++)
		pthread_join(ids[i], NULL);
	printf("calls=%d\n", calls);
	free(ids);
	return 0;
}
