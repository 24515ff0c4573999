/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The columns that tables of regions can have, and the choice among them.
 */
#ifndef PMEMCTL_COLUMNS_H
#define PMEMCTL_COLUMNS_H

#include "pmemctl.h"

/*
 * Sets the columns of the output's table: those of --output, else the command's.
 * Returns: false if there is no such column, which is an error of the output.
 */
bool columns_choose(struct pmemctl *p);

/* Adds what @command can show, as objects with "column" and "help". */
void columns_add(const struct command *command, struct record *list);

#endif /* PMEMCTL_COLUMNS_H */
