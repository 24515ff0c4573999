// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The one place that opens and parses files of sysfs.
 *
 * Everything is opened relative to the region's directory, which was opened
 * at the scan: a path cannot come to mean another device in between. Nothing
 * that a file holds is trusted: it is read up to a limit, must be one line of
 * printable ASCII that ends in a newline (sysfs always writes one, so a file
 * without is cut off), and must parse to the last character.
 *
 * Errors: -ENODEV if the region has gone, -EOPNOTSUPP if it is there and the
 * file is not, -EACCES, -EBADMSG for contents that cannot be; another errno
 * as the kernel gave it. All of them are logged with the name of the file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

/* An attribute is at most a page, and none that is read here comes near 4 KiB. */
#define CONTENT_MAX	4096

/*
 * A device's "uevent" is the first file that goes when the device does, and
 * every device has one.
 */
bool vp_region_alive(const struct virtpmem_region *region)
{
	struct stat st;

	return !fstatat(region->dirfd, "uevent", &st, AT_SYMLINK_NOFOLLOW) ||
	       (errno != ENOENT && errno != ENODEV);
}

int vp_malformed(const struct virtpmem_region *region, const char *file, const char *why)
{
	vp_err(region->ctx, "%s/%s: %s", region->devname, file, why);
	return -EBADMSG;
}

/*
 * Turn the errno of an operation on a file into the library's, and log it.
 * Whatever it is for a region that has gone, the cause is that it has gone.
 */
int vp_file_error(const struct virtpmem_region *region, const char *file, const char *what,
		  int error, enum vp_need need)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENODEV:
	case ENXIO:
	case ESTALE:
		if (!vp_region_alive(region)) {
			vp_info(region->ctx, "%s/%s: the region has gone", region->devname, file);
			return -ENODEV;
		}
		break;
	case EPERM:
		error = EACCES;
		break;
	}
	if (error == ENOENT || error == ENOTDIR) {
		vp_log(region->ctx, need == VP_OPTIONAL ? LOG_DEBUG : LOG_ERR,
		       "%s/%s: there is no such file", region->devname, file);
		return -EOPNOTSUPP;
	}
	vp_log(region->ctx, need == VP_OPTIONAL && error == EACCES ? LOG_INFO : LOG_ERR,
	       "%s/%s: %s: %s", region->devname, file, what, strerror(error));
	return -error;
}

/*
 * Reads until the end of the file or the buffer; returns the length or -errno.
 * A file gives less than what was asked for only at its end.
 */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t n = read(fd, buffer + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		length += (size_t)n;
		if (length < size)
			break;
	}
	return (ssize_t)length;
}

static bool is_printable(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

/* What was read must be one whole line; *why says what is wrong with it. */
static int take_line(const char *buffer, size_t length, char **ret, const char **why)
{
	char *line;

	if (!length)
		*why = "the file is empty";
	else if (length > CONTENT_MAX)
		*why = "the file is too long";
	else if (buffer[length - 1] != '\n')
		*why = "the file does not end in a newline: cut off?";
	else if (!is_printable(buffer, length - 1))
		*why = "the file is not one line of text";
	else
		*why = NULL;
	if (*why)
		return -EBADMSG;

	line = strndup(buffer, length - 1);
	if (!line)
		return -ENOMEM;
	*ret = line;
	return 0;
}

/*
 * The content of a file of one line below @dirfd, without the newline; it may
 * be empty. Returns 0, or a negative errno and what is wrong: -EBADMSG for
 * contents that cannot be. Logs nothing.
 */
int vp_attr_read(int dirfd, const char *file, char **ret, const char **why)
{
	char buffer[CONTENT_MAX + 1];
	_cleanup_close_ int fd = -1;
	ssize_t length;

	*why = "cannot open";
	/* A FIFO in place of the file must not block us. */
	fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	*why = "cannot read";
	length = read_all(fd, buffer, sizeof(buffer));
	if (length < 0)
		return (int)length;
	return take_line(buffer, (size_t)length, ret, why);
}
static int read_line(const struct virtpmem_region *region, const char *file, enum vp_need need,
		     char **ret)
{
	_cleanup_free_ char *line = NULL;
	const char *why;
	int r;

	r = vp_attr_read(region->dirfd, file, &line, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && r != -EBADMSG)
		return vp_file_error(region, file, why, -r, need);
	/* A parent's file can outlive the region; then it says nothing about it. */
	if (!strncmp(file, "../", 3) && !vp_region_alive(region))
		return vp_file_error(region, file, "cannot read", ENODEV, need);
	if (r < 0)
		return vp_malformed(region, file, why);
	*ret = line;
	line = NULL;
	return 0;
}

/* The same of a region, logged, and with the library's errors. */
int vp_read_line(const struct virtpmem_region *region, const char *file, enum vp_need need,
		 char **ret)
{
	_cleanup_free_ char *line = NULL;
	int r;

	if (vp_snapshot_get(region, file, &r, ret))
		return r;
	r = read_line(region, file, need, &line);
	if (vp_snapshot_put(region, file, r, line) < 0)
		return -ENOMEM;
	if (r < 0)
		return r;
	*ret = line;
	line = NULL;
	return 0;
}

/*
 * The content of a file of several lines, of up to @max bytes; it may be empty,
 * and its last line may be cut off.
 */
int vp_read_text(const struct virtpmem_region *region, const char *file, size_t max,
		 enum vp_need need, char **ret)
{
	_cleanup_free_ char *text = malloc(max + 1);
	_cleanup_close_ int fd = -1;
	ssize_t length;

	if (!text)
		return -ENOMEM;
	fd = openat(region->dirfd, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return vp_file_error(region, file, "cannot open", errno, need);
	length = read_all(fd, text, max + 1);
	if (length < 0)
		return vp_file_error(region, file, "cannot read", (int)-length, need);
	if ((size_t)length > max)
		return vp_malformed(region, file, "the file is too long");
	text[length] = '\0';
	if (strlen(text) != (size_t)length)
		return vp_malformed(region, file, "the file is not text");
	*ret = text;
	text = NULL;
	return 0;
}

int vp_read_word(const struct virtpmem_region *region, const char *file, enum vp_need need,
		 char **ret)
{
	_cleanup_free_ char *line = NULL;
	int r;

	r = vp_read_line(region, file, need, &line);
	if (r < 0)
		return r;
	if (!*line)
		return vp_malformed(region, file, "the line is empty");
	*ret = line;
	line = NULL;
	return 0;
}

static int read_number(const struct virtpmem_region *region, const char *file, enum vp_need need,
		       bool (*parse)(const char *, uint64_t *), const char *otherwise, uint64_t *ret)
{
	_cleanup_free_ char *line = NULL;
	int r;

	r = vp_read_line(region, file, need, &line);
	if (r < 0)
		return r;
	return parse(line, ret) ? 0 : vp_malformed(region, file, otherwise);
}

int vp_read_u64(const struct virtpmem_region *region, const char *file, enum vp_need need,
		uint64_t *ret)
{
	return read_number(region, file, need, vp_parse_u64, "not an unsigned number", ret);
}

int vp_read_hex(const struct virtpmem_region *region, const char *file, enum vp_need need,
		uint64_t *ret)
{
	return read_number(region, file, need, vp_parse_hex, "not a hexadecimal number", ret);
}

int vp_read_int(const struct virtpmem_region *region, const char *file, enum vp_need need,
		int *ret)
{
	_cleanup_free_ char *line = NULL;
	uint64_t value;
	bool negative;
	int r;

	r = vp_read_line(region, file, need, &line);
	if (r < 0)
		return r;
	negative = line[0] == '-';
	if (!vp_parse_u64(line + negative, &value) || value > INT_MAX)
		return vp_malformed(region, file, "not a number");
	*ret = negative ? -(int)value : (int)value;
	return 0;
}

int vp_read_bool(const struct virtpmem_region *region, const char *file, enum vp_need need,
		 bool *ret)
{
	_cleanup_free_ char *line = NULL;
	int r;

	r = vp_read_line(region, file, need, &line);
	if (r < 0)
		return r;
	if (strcmp(line, "0") != 0 && strcmp(line, "1") != 0)
		return vp_malformed(region, file, "neither 0 nor 1");
	*ret = line[0] == '1';
	return 0;
}

/* Writes one line, in one call of write(2), as a store of sysfs takes it. */
int vp_write(const struct virtpmem_region *region, const char *file, const char *text)
{
	_cleanup_free_ char *line = NULL;
	_cleanup_close_ int fd = -1;
	ssize_t n;
	int length;

	length = asprintf(&line, "%s\n", text);
	if (length < 0) {
		line = NULL;
		return -ENOMEM;
	}
	fd = openat(region->dirfd, file, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return vp_file_error(region, file, "cannot open for writing", errno, VP_REQUIRED);
	n = write(fd, line, (size_t)length);
	if (n < 0)
		return vp_file_error(region, file, "cannot write", errno, VP_REQUIRED);
	return n == length ? 0 : -EIO;
}

/*
 * Numbers with one space between them, in a line that this changes. More than
 * @max are allowed, must be numbers too, and are dropped: a later driver writes
 * more.
 */
bool vp_parse_u64s(char *line, size_t max, uint64_t *values, size_t *count)
{
	char *p, *next;
	size_t n = 0;

	for (p = line; p; p = next, n++) {
		uint64_t value;

		next = strchr(p, ' ');
		if (next)
			*next++ = '\0';
		if (!vp_parse_u64(p, &value))
			return false;
		if (n < max)
			values[n] = value;
	}
	*count = n < max ? n : max;
	return true;
}

int vp_read_u64s(const struct virtpmem_region *region, const char *file, size_t max,
		 uint64_t *values, size_t *count)
{
	_cleanup_free_ char *line = NULL;
	int r;

	r = vp_read_line(region, file, VP_REQUIRED, &line);
	if (r < 0)
		return r;
	return vp_parse_u64s(line, max, values, count) ? 0 :
	       vp_malformed(region, file, "not a line of unsigned numbers");
}

/* The same of a file that is open: one system call. */
int vp_reread_u64s(const struct virtpmem_region *region, const char *file, int fd, size_t max,
		   uint64_t *values, size_t *count)
{
	_cleanup_free_ char *line = NULL;
	char buffer[CONTENT_MAX + 1];
	const char *why;
	ssize_t n;
	int r;

	do
		n = pread(fd, buffer, sizeof(buffer), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return vp_file_error(region, file, "cannot read", errno, VP_REQUIRED);
	r = take_line(buffer, (size_t)n, &line, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return vp_malformed(region, file, why);
	return vp_parse_u64s(line, max, values, count) ? 0 :
	       vp_malformed(region, file, "not a line of unsigned numbers");
}

/* What a symbolic link says, of any length. Returns 0 or a negative errno; logs nothing. */
int vp_link_read(int dirfd, const char *path, char **ret)
{
	size_t size = 64;

	for (;;) {
		_cleanup_free_ char *target = malloc(size);
		ssize_t n;

		if (!target)
			return -ENOMEM;
		n = readlinkat(dirfd, path, target, size);
		if (n < 0)
			return -errno;
		if ((size_t)n < size) {
			target[n] = '\0';
			*ret = target;
			target = NULL;
			return 0;
		}
		size *= 2;
	}
}

/*
 * The last component of what a symbolic link points to. One of a device above the region
 * stays when the region goes: whether it is there still is the caller's to ask.
 */
int vp_read_link_above(const struct virtpmem_region *region, const char *file, enum vp_need need,
		       char **ret)
{
	char target[PATH_MAX];
	const char *name;
	ssize_t n;

	n = readlinkat(region->dirfd, file, target, sizeof(target));
	if (n < 0)
		return vp_file_error(region, file, "cannot read link", errno, need);
	if (!n || (size_t)n == sizeof(target) || !is_printable(target, (size_t)n))
		return vp_malformed(region, file, "the link is malformed");
	target[n] = '\0';
	name = vp_basename(target);
	if (!*name)
		return vp_malformed(region, file, "the link is malformed");
	*ret = strdup(name);
	return *ret ? 0 : -ENOMEM;
}

static int read_link_name(const struct virtpmem_region *region, const char *file,
			  enum vp_need need, char **ret)
{
	_cleanup_free_ char *name = NULL;
	int r = vp_read_link_above(region, file, need, &name);

	if (r < 0)
		return r;
	if (!strncmp(file, "../", 3) && !vp_region_alive(region))
		return vp_file_error(region, file, "cannot read link", ENODEV, need);
	*ret = name;
	name = NULL;
	return 0;
}

int vp_read_link_name(const struct virtpmem_region *region, const char *file, enum vp_need need,
		      char **ret)
{
	_cleanup_free_ char *name = NULL;
	int r;

	if (vp_snapshot_get(region, file, &r, ret))
		return r;
	r = read_link_name(region, file, need, &name);
	if (vp_snapshot_put(region, file, r, name) < 0)
		return -ENOMEM;
	if (r < 0)
		return r;
	*ret = name;
	name = NULL;
	return 0;
}

/* Appends a name and a slash, which no name has in it. */
static int append_name(char **names, size_t *length, const char *name)
{
	size_t n = strlen(name);
	char *longer = reallocarray(*names, *length + n + 2, 1);

	if (!longer)
		return -ENOMEM;
	*names = longer;
	memcpy(longer + *length, name, n);
	*length += n;
	longer[(*length)++] = '/';
	longer[*length] = '\0';
	return 0;
}

/* The entries of a directory, each with a slash behind it. */
static int read_names(const struct virtpmem_region *region, const char *dir, enum vp_need need,
		      char **ret)
{
	char buffer[4096] __attribute__((__aligned__(__alignof__(struct dirent64))));
	_cleanup_free_ char *names = strdup("");
	const struct dirent64 *entry;
	_cleanup_close_ int fd = -1;
	size_t length = 0;
	ssize_t n, i;

	if (!names)
		return -ENOMEM;
	fd = openat(region->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return vp_file_error(region, dir, "cannot open", errno, need);
	/* opendir() takes three more system calls, and the slope of "status" is bounded. */
	while ((n = getdents64(fd, buffer, sizeof(buffer))) > 0) {
		for (i = 0; i < n; i += entry->d_reclen) {
			entry = (const void *)(buffer + i);
			if (entry->d_name[0] != '.' &&
			    append_name(&names, &length, entry->d_name) < 0)
				return -ENOMEM;
		}
	}
	/* ENOENT: it was removed after it was opened, and is empty. */
	if (n < 0 && errno != ENOENT)
		return vp_file_error(region, dir, "cannot list", errno, need);
	*ret = names;
	names = NULL;
	return 0;
}

/* The same, once in a snapshot; no file there has a name that ends in a slash. */
static int get_names(const struct virtpmem_region *region, const char *dir, enum vp_need need,
		     char **ret)
{
	_cleanup_free_ char *key = NULL, *names = NULL;
	int r;

	if (!region->snapshot)
		return read_names(region, dir, need, ret);
	if (asprintf(&key, "%s/", dir) < 0) {
		key = NULL;
		return -ENOMEM;
	}
	if (vp_snapshot_get(region, key, &r, ret))
		return r;
	r = read_names(region, dir, need, &names);
	if (vp_snapshot_put(region, key, r, names) < 0)
		return -ENOMEM;
	if (r < 0)
		return r;
	*ret = names;
	names = NULL;
	return 0;
}

/*
 * Calls @fn for each entry of a directory, until it returns something else
 * than 0, which is then returned.
 */
int vp_each_entry(const struct virtpmem_region *region, const char *dir, enum vp_need need,
		  vp_entry_fn fn, void *data)
{
	_cleanup_free_ char *names = NULL;
	char *rest, *name;
	int r;

	r = get_names(region, dir, need, &names);
	if (r < 0)
		return r;
	for (rest = names; !r && (name = strsep(&rest, "/")) && rest;)
		r = fn(name, data);
	return r;
}
