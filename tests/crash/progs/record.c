// SPDX-License-Identifier: GPL-2.0-or-later
/* Records and the port; see record.h. Nothing is shared but the port, which is
 * opened before threads start; a write() to it is one message.
 */
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

#define PORT "/dev/vport*p1"

static int port = -1;
static uint32_t crc_table[256];

static void crc_init(void)
{
	for (uint32_t n = 0; n < 256; n++) {
		uint32_t c = n;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		crc_table[n] = c;
	}
}

static uint32_t crc32(const uint8_t *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint32_t crc = ~0u;

	pthread_once(&once, crc_init);
	while (size--)
		crc = crc_table[(crc ^ *data++) & 0xff] ^ crc >> 8;
	return ~crc;
}

unsigned int record_pages(uint64_t seq)
{
	return 1 + seq % MAX_PAGES;
}

uint64_t record_pages_before(uint64_t seq)
{
	uint64_t pages = seq / MAX_PAGES * 6;

	for (uint64_t s = seq / MAX_PAGES * MAX_PAGES; s < seq; s++)
		pages += record_pages(s);
	return pages;
}

static void fill_body(struct record_page *p)
{
	uint64_t x = (p->seq + 1) * 0x9e3779b97f4a7c15ull ^ (uint64_t)p->writer << 40 ^
		     (uint64_t)p->page << 32 ^ p->salt;

	for (size_t at = 0; at < sizeof(p->body); at += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p->body + at, &x, sizeof(x));
	}
}

size_t record_fill(struct record_page *pages, uint32_t salt, uint32_t writer, uint64_t seq)
{
	unsigned int count = record_pages(seq);

	for (unsigned int n = 0; n < count; n++) {
		struct record_page *p = &pages[n];

		p->magic = RECORD_MAGIC;
		p->checksum = 0;
		p->salt = salt;
		p->writer = writer;
		p->seq = seq;
		p->page = n;
		p->pages = count;
		fill_body(p);
		p->checksum = crc32((const uint8_t *)p, sizeof(*p));
	}
	return count * sizeof(*pages);
}

static void port_failed(const char *what)
{
	perror(what);
	exit(1);
}

void port_open(void)
{
	glob_t found;

	if (glob(PORT, 0, NULL, &found) != 0) {
		fprintf(stderr, "no %s\n", PORT);
		exit(1);
	}
	port = open(found.gl_pathv[0], O_WRONLY | O_CLOEXEC);
	if (port < 0)
		port_failed(found.gl_pathv[0]);
	globfree(&found);
}

void port_send(uint32_t writer, enum what what, uint64_t seq)
{
	struct message message = { .writer = writer, .what = what, .seq = seq };

	if (write(port, &message, sizeof(message)) != sizeof(message))
		port_failed("write to the host");
}
