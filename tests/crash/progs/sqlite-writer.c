// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that commit transactions with SQLite, each to a database of its own
 * and in another journal mode, and tell the host of every commit. Runs in the
 * guest until it is killed:
 *
 *	sqlite-writer SALT DIRECTORY
 *
 * A transaction adds a row, removes an old one and brings a sum up to date, so
 * that half a transaction shows. If the directory has databases already (after
 * a power cut), SQLite recovers them and the numbers go on.
 *
 * Each mode has the setting of "synchronous" with which SQLite promises that a
 * committed transaction survives a power cut: FULL, but in mode DELETE it is
 * EXTRA, because with FULL the journal's removal is not made durable and the
 * last transaction may be rolled back.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "record.h"

#define KEEP "100"	/* rows */
#define MAX_DATA 9100	/* bytes of a row, on up to three pages */

/* What a row's data is made of, from first to last; the last may be a part of one. */
struct word {
	uint32_t salt, writer, seq, index;
};

struct writer {
	const char *mode, *synchronous;
	uint32_t number;
	pthread_t thread;
	sqlite3 *db;
	sqlite3_stmt *insert;
	struct word data[MAX_DATA / sizeof(struct word) + 1];
};

static struct writer writers[] = {
	{ .mode = "wal", .synchronous = "full" },
	{ .mode = "truncate", .synchronous = "full" },
	{ .mode = "persist", .synchronous = "full" },
	{ .mode = "delete", .synchronous = "extra" },
};

#define WRITERS (sizeof(writers) / sizeof(writers[0]))

static const char *directory;
static uint32_t salt;

static int execute(struct writer *w, const char *sql)
{
	char *message = NULL;
	int result = sqlite3_exec(w->db, sql, NULL, NULL, &message);

	if (result != SQLITE_OK)
		fprintf(stderr, "sqlite-writer: %s: %s: %s\n", w->mode, sql,
			message ? message : sqlite3_errstr(result));
	sqlite3_free(message);
	return result;
}

static int prepare(struct writer *w)
{
	char path[256], sql[256];

	snprintf(path, sizeof(path), "%s/%s.db", directory, w->mode);
	if (sqlite3_open(path, &w->db) != SQLITE_OK)
		return SQLITE_CANTOPEN;
	snprintf(sql, sizeof(sql), "PRAGMA journal_mode=%s; PRAGMA synchronous=%s;"
		 "PRAGMA wal_autocheckpoint=50", w->mode, w->synchronous);
	if (execute(w, sql) != SQLITE_OK)
		return SQLITE_ERROR;
	if (execute(w, "BEGIN;"
		       "CREATE TABLE IF NOT EXISTS log(seq INTEGER PRIMARY KEY, data BLOB);"
		       "CREATE TABLE IF NOT EXISTS sum(count INTEGER, bytes INTEGER);"
		       "INSERT INTO sum SELECT 0, 0 WHERE NOT EXISTS (SELECT * FROM sum);"
		       "COMMIT") != SQLITE_OK)
		return SQLITE_ERROR;
	return sqlite3_prepare_v2(w->db, "INSERT INTO log VALUES (?, ?)", -1, &w->insert, NULL);
}

static int next_number(void *out, int columns, char **values, char **names)
{
	(void)columns;
	(void)names;
	*(uint64_t *)out = values[0] ? strtoull(values[0], NULL, 10) : 0;
	return 0;
}

static int insert(struct writer *w, uint64_t seq, unsigned int size)
{
	int result;

	for (uint32_t i = 0; i * sizeof(struct word) < size; i++)
		w->data[i] = (struct word){ salt, w->number, (uint32_t)seq, i };
	sqlite3_bind_int64(w->insert, 1, (sqlite3_int64)seq);
	sqlite3_bind_blob(w->insert, 2, w->data, (int)size, SQLITE_STATIC);
	sqlite3_step(w->insert);
	result = sqlite3_reset(w->insert);
	if (result != SQLITE_OK)
		fprintf(stderr, "sqlite-writer: %s: %s\n", w->mode, sqlite3_errstr(result));
	return result;
}

static int commit(struct writer *w, uint64_t seq)
{
	unsigned int size = 100 + (seq * 977 + salt + w->number) % (MAX_DATA - 100);
	char sql[512];

	if (execute(w, "BEGIN IMMEDIATE") != SQLITE_OK || insert(w, seq, size) != SQLITE_OK)
		return SQLITE_ERROR;
	snprintf(sql, sizeof(sql), "UPDATE sum SET count = count + 1, bytes = bytes + %u;"
		 "DELETE FROM log WHERE seq <= %" PRIu64 " - " KEEP ";"
		 "COMMIT", size, seq);
	return execute(w, sql);
}

static void *work(void *arg)
{
	struct writer *w = arg;
	uint64_t seq = 0;

	if (prepare(w) == SQLITE_OK &&
	    sqlite3_exec(w->db, "SELECT max(seq) + 1 FROM log", next_number, &seq, NULL) ==
	    SQLITE_OK)
		while (commit(w, seq) == SQLITE_OK)
			port_send(w->number, DURABLE, seq++);
	port_send(w->number, FAILED, EIO);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: sqlite-writer SALT DIRECTORY\n");
		return 2;
	}
	salt = strtoul(argv[1], NULL, 0);
	directory = argv[2];
	port_open();
	for (size_t n = 0; n < WRITERS; n++) {
		writers[n].number = n;
		if (pthread_create(&writers[n].thread, NULL, work, &writers[n]))
			return 1;
	}
	for (size_t n = 0; n < WRITERS; n++)
		pthread_join(writers[n].thread, NULL);
	return 0;
}
