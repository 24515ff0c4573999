// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl version: of the command, and of the library it runs with.
 */
#include "pmemctl.h"

void cmd_version(struct pmemctl *p)
{
	p->out.view = &view_version;
	record_add_string(p->out.top, "version", VIRTPMEM_VERSION);
	record_add_string(p->out.top, "library_version", virtpmem_version());
}
