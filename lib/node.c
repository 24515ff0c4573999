// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Opening the nodes of devices in /dev.
 *
 * A node was made by somebody else: it need not be there, and it can lead to
 * another device than the one that has its name. So whoever opens one is told
 * the number of what was opened, and compares it with what sysfs says of the
 * device that was meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "private.h"

/* sysfs writes a slash in a name as '!'. */
static char *node_path(const char *name)
{
	char *path, *p;

	if (asprintf(&path, "/dev/%s", name) < 0)
		return NULL;
	for (p = path + strlen("/dev/"); *p; p++)
		if (*p == '!')
			*p = '/';
	return path;
}

/*
 * @name as in sysfs, @type S_IFBLK or S_IFCHR. Returns a descriptor and the
 * device's number; -ESTALE if the node is of another type or was exchanged
 * meanwhile; another negative errno. Logs nothing.
 */
int vp_open_node(const char *name, mode_t type, int flags, dev_t *devno)
{
	_cleanup_free_ char *path = node_path(name);
	_cleanup_close_ int fd = -1;
	struct stat named, opened;
	int r;

	if (!path)
		return -ENOMEM;
	/* Looked at before: opening a node of some types waits, or does something. */
	if (stat(path, &named) < 0)
		return -errno;
	if ((named.st_mode & S_IFMT) != type)
		return -ESTALE;
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &opened) < 0)
		return -errno;
	if (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino)
		return -ESTALE;
	*devno = named.st_rdev;
	r = fd;
	fd = -1;
	return r;
}
