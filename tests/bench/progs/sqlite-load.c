// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads that commit small transactions with SQLite, each to a database of its
 * own in write-ahead mode. Runs in the guest; a call is one transaction: an
 * insert, an update and the commit, with synchronous=FULL, so it is durable when
 * it returns.
 */
#include <errno.h>
#include <getopt.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

/* Not to be measured, so nothing of this waits for the disk. */
#define SET_UP	"PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=50;" \
		"PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL;" \
		"CREATE TABLE IF NOT EXISTS log(seq INTEGER PRIMARY KEY, data BLOB);" \
		"CREATE TABLE IF NOT EXISTS sum(count INTEGER);" \
		"DELETE FROM sum; INSERT INTO sum VALUES (0);" \
		"PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=100"

#define COMMIT	"BEGIN IMMEDIATE; INSERT INTO log(data) VALUES (zeroblob(1000));" \
		"UPDATE sum SET count = count + 1; COMMIT"

static int execute(sqlite3 *db, const char *sql)
{
	char *message = NULL;
	int result = sqlite3_exec(db, sql, NULL, NULL, &message);

	if (result != SQLITE_OK)
		fprintf(stderr, "sqlite-load: %s: %s\n", sql,
			message ? message : sqlite3_errstr(result));
	sqlite3_free(message);
	return result == SQLITE_OK ? 0 : EIO;
}

static int call(void *own)
{
	return execute(own, COMMIT);
}

static void **prepare(const char *directory, unsigned long threads)
{
	void **all = load_alloc(threads * sizeof(*all));

	for (unsigned long n = 0; n < threads; n++) {
		char path[4096];
		sqlite3 *db;

		snprintf(path, sizeof(path), "%s/%lu.db", directory, n);
		if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
		    execute(db, SET_UP))
			load_fail(path, EIO);
		all[n] = db;
	}
	return all;
}

static void usage(FILE *out)
{
	fputs("usage: sqlite-load [options] DIRECTORY\n\n" LOAD_USAGE, out);
}

int main(int argc, char **argv)
{
	struct load load = { LOAD_DEFAULTS, .name = "sqlite", .call = call };
	bool good = true;
	int opt;

	while ((opt = getopt(argc, argv, "h" LOAD_OPTIONS)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			return EXIT_SUCCESS;
		}
		good = good && load_option(&load, opt, optarg);
	}
	if (!good || optind != argc - 1) {
		usage(stderr);
		return 2;
	}
	load.own = prepare(argv[optind], load.threads);
	return load_run(&load);
}
