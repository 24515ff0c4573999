// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the running kernel was configured with, as far as the machine keeps it:
 * distributions put the configuration beside the kernel in /boot.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "private.h"

/* "CONFIG_X=y", "CONFIG_X=m"; anything else about it means that it is off. */
static bool line_sets(const char *line, const char *option)
{
	size_t n = strlen(option);

	return !strncmp(line, option, n) && line[n] == '=' &&
	       (line[n + 1] == 'y' || line[n + 1] == 'm');
}

static int read_config(const struct virtpmem_ctx *ctx, const char *option)
{
	_cleanup_free_ char *path = NULL, *line = NULL;
	struct utsname name;
	size_t size = 0;
	int found = 0;
	FILE *config;

	if (uname(&name) < 0)
		return -errno;
	if (asprintf(&path, "%s/config-%s", ctx->boot, name.release) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	config = fopen(path, "re");
	if (!config)
		return errno == ENOMEM ? -ENOMEM : -ENOENT;
	while (!found && getline(&line, &size, config) > 0)
		found = line_sets(line, option);
	if (!found && ferror(config))
		found = -ENOENT;
	fclose(config);
	return found;
}

/*
 * 1 if @option ("CONFIG_X", a literal) is on, 0 if it is off; -ENOENT if that is not
 * known. Read once in a snapshot of the machine.
 */
int vp_kernel_config(struct virtpmem_ctx *ctx, const char *option)
{
	size_t i;
	int r;

	for (i = 0; i < ctx->config_count; i++)
		if (!strcmp(ctx->config[i].option, option))
			return ctx->config[i].value;
	r = read_config(ctx, option);
	if (r != -ENOMEM && ctx->keeping && i < ARRAY_SIZE(ctx->config))
		ctx->config[ctx->config_count++] = (struct vp_config) { option, r };
	return r;
}
