// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Print the kernel's uevents, each on one line: "change@/devices/... KEY=VALUE
 * ...". A first line "listening" says from when on. Runs until it is killed.
 *
 * It listens to the kernel's own multicast group, because a guest has no udevd.
 */
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	char message[16384];
	ssize_t n, i;
	int fd;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("uevents");
		return 1;
	}
	printf("listening\n");
	fflush(stdout);
	while ((n = recv(fd, message, sizeof(message), 0)) > 0) {
		for (i = 0; i < n - 1; i++)
			if (!message[i])
				message[i] = ' ';
		printf("%.*s\n", (int)n, message);
		fflush(stdout);
	}
	return 1;
}
