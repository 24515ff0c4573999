// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Strict parsing of the numbers and names that the kernel writes, and the
 * cleanup functions.
 *
 * Strict means: digits only. No sign, no space, no other base, no overflow;
 * strtoull(3) takes all of these.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "private.h"

void vp_freep(void *p)
{
	free(*(void **)p);
}

void vp_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void vp_closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Parses up to the first character that is no digit; returns where it stopped. */
static const char *parse_digits(const char *text, unsigned int base, uint64_t *ret)
{
	const char *p;
	uint64_t value = 0;

	for (p = text; ; p++) {
		int digit = digit_value(*p);

		if (digit < 0 || (unsigned int)digit >= base)
			break;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return NULL;
	}
	if (p == text)
		return NULL;
	*ret = value;
	return p;
}

bool vp_parse_u64(const char *text, uint64_t *ret)
{
	uint64_t value;
	const char *end = parse_digits(text, 10, &value);

	if (!end || *end)
		return false;
	*ret = value;
	return true;
}

bool vp_parse_hex(const char *text, uint64_t *ret)
{
	const char *end;
	uint64_t value;

	if (strncmp(text, "0x", 2) != 0)
		return false;
	end = parse_digits(text + 2, 16, &value);
	if (!end || *end)
		return false;
	*ret = value;
	return true;
}

/* A number in a device name: no leading zeros, fits an unsigned int. */
static const char *parse_id(const char *text, unsigned int *ret)
{
	uint64_t value;
	const char *end = parse_digits(text, 10, &value);

	if (!end || value > UINT_MAX || (text[0] == '0' && end != text + 1))
		return NULL;
	*ret = (unsigned int)value;
	return end;
}

/* "region7" with the prefix "region" is 7. */
bool vp_parse_id(const char *name, const char *prefix, unsigned int *ret)
{
	size_t n = strlen(prefix);
	unsigned int id;
	const char *end;

	if (strncmp(name, prefix, n) != 0)
		return false;
	end = parse_id(name + n, &id);
	if (!end || *end)
		return false;
	*ret = id;
	return true;
}

/* "namespace1.0" with the prefix "namespace" is 1 and 0. */
bool vp_parse_id_pair(const char *name, const char *prefix, unsigned int *major,
		      unsigned int *minor)
{
	size_t n = strlen(prefix);
	unsigned int a, b;
	const char *end;

	if (strncmp(name, prefix, n) != 0)
		return false;
	end = parse_id(name + n, &a);
	if (!end || *end != '.')
		return false;
	end = parse_id(end + 1, &b);
	if (!end || *end)
		return false;
	*major = a;
	*minor = b;
	return true;
}

/* "259:0", as sysfs writes device numbers. */
bool vp_parse_devno(const char *text, dev_t *ret)
{
	uint64_t maj, min;
	const char *end = parse_digits(text, 10, &maj);

	if (!end || *end != ':' || !vp_parse_u64(end + 1, &min) || maj > UINT32_MAX ||
	    min > UINT32_MAX)
		return false;
	*ret = makedev((unsigned int)maj, (unsigned int)min);
	return true;
}

bool vp_lies_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && path[n] == '/';
}

const char *vp_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
