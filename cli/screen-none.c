// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In place of screen.c where there is no ncurses: nothing is available.
 */
#include "screen.h"

bool screen_is_available(void)
{
	return false;
}

bool screen_start(bool color)
{
	(void)color;
	return false;
}

void screen_stop(void)
{
}

void screen_frame(struct frame *f)
{
	frame_init(f, 0, 0, false);
}

void screen_show(const struct frame *f)
{
	(void)f;
}

int screen_key(unsigned int ms)
{
	(void)ms;
	return SCREEN_GONE;
}

int screen_signal(void)
{
	return 0;
}
