// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options and configuration file of "monitor"; see monitor-settings.h.
 */
#include <unistd.h>

#include "config.h"
#include "log-target.h"
#include "monitor-settings.h"
#include "suggest.h"
#include "util.h"

#define SEPARATORS " \t,"
#define ALL "all"

enum { KEY_REGION, KEY_EVENT, KEY_LOG, KEY_EXEC, KEY_COUNT };

/* Words of a list, with commas or spaces between them; ends with NULL. */
static char **split(const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char **words = xcalloc(1, sizeof(*words)), *word, *rest;
	size_t count = 0;

	for (word = strtok_r(copy, SEPARATORS, &rest); word;
	     word = strtok_r(NULL, SEPARATORS, &rest)) {
		words = xreallocarray(words, count + 2, sizeof(*words));
		words[count++] = xstrdup(word);
		words[count] = NULL;
	}
	return words;
}

static void words_free(char **words)
{
	char **w;

	for (w = words; w && *w; w++)
		free(*w);
	free(words);
}

/* ---------------------------------------------------------------- events */

static int event_type(const char *name)
{
	const char *its;
	int n;

	for (n = 0; (its = virtpmem_event_type_name((enum virtpmem_event_type)n)); n++)
		if (streq(its, name))
			return n;
	return -1;
}

static void unknown_event(struct pmemctl *p, const char *where, const char *name)
{
	struct suggestion s;
	const char *its;
	int n;

	suggest_start(&s, name);
	for (n = 0; (its = virtpmem_event_type_name((enum virtpmem_event_type)n)); n++)
		suggest_consider(&s, its);
	output_error(&p->out, NULL, ERROR_USAGE,
		     "%s: there is no event '%s'%s%s%s; 'man pmemctl-monitor' lists them", where, name,
		     s.best ? "; did you mean '" : "", s.best ? s.best : "", s.best ? "'?" : "");
}

/* Returns: false if a name is none of an event. */
static bool parse_events(struct pmemctl *p, const char *where, const char *text,
			 unsigned int *events)
{
	char **words = split(text), **w;
	unsigned int mask = 0;
	int type = 0;

	for (w = words; *w && type >= 0; w++) {
		if (streq(*w, ALL)) {
			mask = UINT32_MAX;
			continue;
		}
		type = event_type(*w);
		if (type < 0)
			unknown_event(p, where, *w);
		else
			mask |= 1U << type;
	}
	if (!*words)
		output_error(&p->out, NULL, ERROR_USAGE,
			     "%s: no event is named; 'man pmemctl-monitor' lists them", where);
	words_free(words);
	/* What was lost has to be told to whoever wants anything. */
	*events = mask | 1U << VIRTPMEM_EVENT_RESYNC;
	return mask && type >= 0;
}

/* ------------------------------------------------------------------ file */

static const char *config_file(const struct pmemctl *p)
{
	const char *file = p->option[OPTION_CONFIG_FILE];

	return file ? file : MONITOR_CONFIG_FILE;
}

/* Returns: false if there is one that cannot be used. */
static bool load(struct pmemctl *p, struct config *config)
{
	if (!p->option[OPTION_CONFIG_FILE] && access(MONITOR_CONFIG_FILE, F_OK))
		return true;
	return config_read(p, config_file(p), config);
}

/* What the option says, else the file, else NULL; @where says which it was. */
static const char *choose(const struct pmemctl *p, enum option_id id, const char *option,
			  const struct config_key *key, const char **where)
{
	*where = p->option[id] ? option : config_file(p);
	return p->option[id] ? p->option[id] : key->value;
}

static char **choose_regions(const struct pmemctl *p, const struct config_key *key)
{
	char **words;
	size_t i;

	if (!p->operand_count)
		return split(key->value ? key->value : "");
	words = xcalloc(p->operand_count + 1, sizeof(*words));
	for (i = 0; i < p->operand_count; i++)
		words[i] = xstrdup(p->operands[i]);
	return words;
}

static bool check_operands(struct pmemctl *p)
{
	size_t i;

	for (i = 0; i < p->operand_count; i++) {
		if (*p->operands[i])
			continue;
		output_error(&p->out, NULL, ERROR_USAGE, "a region's name cannot be empty");
		return false;
	}
	return true;
}

static bool choose_all(struct pmemctl *p, const struct config_key *keys,
		       struct monitor_settings *settings)
{
	const char *where, *events, *log, *exec;
	unsigned int mask = UINT32_MAX;

	events = choose(p, OPTION_EVENT, "--event", &keys[KEY_EVENT], &where);
	if (events && !parse_events(p, where, events, &mask))
		return false;
	log = choose(p, OPTION_LOG, "--log", &keys[KEY_LOG], &where);
	if (log && !*log) {
		output_error(&p->out, NULL, ERROR_USAGE,
			     "%s: no target is named; there are standard, syslog, or a file",
			     where);
		return false;
	}
	exec = choose(p, OPTION_EXEC, "--exec", &keys[KEY_EXEC], &where);
	monitor_settings_clear(settings);
	settings->events = mask;
	settings->log = xstrdup(log ? log : LOG_TARGET_STANDARD);
	settings->exec = exec && *exec ? xstrdup(exec) : NULL;
	settings->regions = choose_regions(p, &keys[KEY_REGION]);
	return true;
}

bool monitor_settings_read(struct pmemctl *p, struct monitor_settings *settings)
{
	struct config_key keys[] = {
		[KEY_REGION] = { .name = "region" },
		[KEY_EVENT] = { .name = "event" },
		[KEY_LOG] = { .name = "log" },
		[KEY_EXEC] = { .name = "exec", .verbatim = true },
	};
	struct config config = { .section = "monitor", .keys = keys, .count = KEY_COUNT };
	bool good = check_operands(p) && load(p, &config) && choose_all(p, keys, settings);

	config_clear(&config);
	return good;
}

void monitor_settings_clear(struct monitor_settings *settings)
{
	free(settings->log);
	free(settings->exec);
	words_free(settings->regions);
	*settings = (struct monitor_settings){ 0 };
}
