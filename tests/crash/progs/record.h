/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records that can be recognised after a power cut, and the channel on which
 * the host is told that one is durable. records.py knows the same layout.
 *
 * A record has a writer, a number that counts up from 0, and one to three
 * pages. Each page says whose it is, and has a checksum, so that a record that
 * is torn, stale or another's is seen. The salt tells this run's records from
 * those of every other.
 */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>

#define PAGE		4096
#define MAX_PAGES	3

#define RECORD_MAGIC	0x52435056u	/* "VPCR" */

struct record_page {
	uint32_t magic;
	uint32_t checksum;	/* CRC-32 of the page with 0 here */
	uint32_t salt;
	uint32_t writer;
	uint64_t seq;
	uint32_t page;		/* which of the record's pages this is */
	uint32_t pages;		/* how many it has */
	uint8_t body[PAGE - 32];
};

/* What is written to the port, in one write() each. */
struct message {
	uint32_t writer;
	uint32_t what;		/* enum what */
	uint64_t seq;
};

enum what {
	DURABLE = 0,		/* record seq is durable: flushed, and success was returned */
	FAILED = 1,		/* the writer got the error seq (an errno), and has stopped */
};

/* How many pages a record has, and how many those before it have together. */
unsigned int record_pages(uint64_t seq);
uint64_t record_pages_before(uint64_t seq);

/* Fill PAGES (MAX_PAGES of them); returns the bytes that are used. */
size_t record_fill(struct record_page *pages, uint32_t salt, uint32_t writer, uint64_t seq);

/* Open the port; ends the program if that fails. */
void port_open(void);

/*
 * Tell the host. The message has left the guest when this returns (session.py sees
 * to that), so a writer never has more than one record that the host does not know of.
 */
void port_send(uint32_t writer, enum what what, uint64_t seq);

#endif
