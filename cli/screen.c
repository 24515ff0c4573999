// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The terminal as a screen, with ncurses; see screen.h.
 *
 * Signals that are to end us only set a flag, and the terminal is given back in
 * order. Where there is no time for that (a crash, no memory, a second Ctrl-C) the
 * settings and sequences that were put by at the start are enough, with nothing
 * but tcsetattr() and write().
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <curses.h>

#include "bars.h"
#include "screen.h"
#include "top.h"
#include "util.h"

static SCREEN *screen;
static bool has_tones;

/* How the terminal was, and what brings it back. */
static struct termios saved;
static char leave[256];
static size_t leave_length;

static volatile sig_atomic_t got_signal;

bool screen_is_available(void)
{
	return true;
}

/* ------------------------------------------------------------- the way back */

/* Safe in a signal handler. */
static void restore_now(void)
{
	int saved_errno = errno;

	(void)!write(STDOUT_FILENO, leave, leave_length);
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	errno = saved_errno;
}

/* Paddings such as $<5> are for terminals of iron. */
static void add_sequence(const char *name)
{
	const char *s = tigetstr(name);

	if (!s || s == (const char *)-1)
		return;
	while (*s && leave_length < sizeof(leave)) {
		if (s[0] == '$' && s[1] == '<')
			s += strcspn(s, ">");
		else
			leave[leave_length++] = *s;
		s += !!*s;
	}
}

static void prepare_leaving(void)
{
	leave_length = 0;
	add_sequence("sgr0");
	add_sequence("cnorm");
	add_sequence("rmkx");
	add_sequence("rmcup");
}

/* ------------------------------------------------------------------ signals */

static const struct {
	int number;
	bool crash;
} signals[] = {
	{ SIGINT, false }, { SIGTERM, false }, { SIGHUP, false }, { SIGQUIT, false },
	{ SIGSEGV, true }, { SIGBUS, true },   { SIGFPE, true },  { SIGILL, true },
	{ SIGABRT, true },
};

static struct sigaction old_action[ARRAY_SIZE(signals)];

static void on_end(int number)
{
	/* The second one is meant: it must not wait for what the first waits for. */
	if (got_signal) {
		restore_now();
		_exit(128 + number);
	}
	got_signal = number;
}

static void give_signals_back(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i].number, &old_action[i], NULL);
}

/* The signal comes again with what it did before: by itself, or in a sanitizer's handler. */
static void on_crash(int number)
{
	restore_now();
	give_signals_back();
	raise(number);
}

static void take_signals(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction action = {
			.sa_handler = signals[i].crash ? on_crash : on_end,
			.sa_flags = signals[i].crash ? SA_NODEFER : 0,
		};

		sigaction(signals[i].number, NULL, &old_action[i]);
		/* Whoever starts us with a signal ignored, as nohup(1) does, is obeyed. */
		if (old_action[i].sa_handler != SIG_IGN)
			sigaction(signals[i].number, &action, NULL);
	}
}

int screen_signal(void)
{
	return got_signal;
}

/* ------------------------------------------------------------ start and stop */

static void start_tones(bool color)
{
	static const short colors[] = {
		[TONE_GOOD] = COLOR_GREEN, [TONE_WARNING] = COLOR_YELLOW, [TONE_BAD] = COLOR_RED,
	};
	short i;

	has_tones = color && has_colors() && start_color() == OK && use_default_colors() == OK;
	for (i = TONE_GOOD; has_tones && i <= TONE_BAD; i++)
		init_pair(i, colors[i], -1);
}

bool screen_start(bool color)
{
	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return false;
	got_signal = 0;
	take_signals();
	/* Exported LINES and COLUMNS are those of another moment: the terminal itself knows. */
	unsetenv("LINES");
	unsetenv("COLUMNS");
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		give_signals_back();
		return false;
	}
	prepare_leaving();
	out_of_memory_undo = restore_now;
	start_tones(color);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	set_escdelay(50);
	nodelay(stdscr, TRUE);
	return true;
}

void screen_stop(void)
{
	endwin();
	delscreen(screen);
	screen = NULL;
	out_of_memory_undo = NULL;
	give_signals_back();
}

/* ------------------------------------------------------------------- frames */

void screen_frame(struct frame *f)
{
	unsigned int rows = (unsigned int)LINES, columns = (unsigned int)COLS;

	frame_init(f, rows < SCREEN_ROWS_MAX ? rows : SCREEN_ROWS_MAX,
		   columns < SCREEN_COLUMNS_MAX ? columns : SCREEN_COLUMNS_MAX, bars_have_blocks());
}

static attr_t attributes(unsigned int look)
{
	attr_t a = A_NORMAL;

	if (look & LOOK_BOLD)
		a |= A_BOLD;
	if (look & LOOK_REVERSE)
		a |= A_REVERSE;
	if (has_tones)
		a |= (attr_t)COLOR_PAIR(look & LOOK_TONE);
	return a;
}

void screen_show(const struct frame *f)
{
	unsigned int row, column;

	erase();
	for (row = 0; row < f->rows; row++)
		for (column = 0; column < f->columns; column++) {
			const struct frame_cell *c = frame_at(f, row, column);

			attrset((int)attributes(c->look));
			mvaddstr((int)row, (int)column, c->text);
		}
	attrset(A_NORMAL);
	refresh();
}

/* --------------------------------------------------------------------- keys */

static int translate(int key)
{
	switch (key) {
	case KEY_UP:
		return TOP_KEY_UP;
	case KEY_DOWN:
		return TOP_KEY_DOWN;
	case KEY_HOME:
		return TOP_KEY_HOME;
	case KEY_END:
		return TOP_KEY_END;
	case KEY_ENTER:
	case '\r':
	case '\n':
		return TOP_KEY_ENTER;
	case '\033':
		return TOP_KEY_ESCAPE;
	case KEY_RESIZE:
		return SCREEN_RESIZED;
	default:
		return key >= ' ' && key < 0x7f ? key : SCREEN_NOTHING;
	}
}

/*
 * Signals are let through only while it waits, so that none is missed between
 * looking for one and waiting. EINTR may be a new size, which getch() says.
 * Returns: false if there is no terminal any more.
 */
static bool wait_for_input(unsigned int ms)
{
	const struct timespec timeout = { ms / 1000, (long)(ms % 1000) * 1000000 };
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	sigset_t ends, before;
	int ready = 0;
	size_t i;

	sigemptyset(&ends);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (!signals[i].crash)
			sigaddset(&ends, signals[i].number);
	sigprocmask(SIG_BLOCK, &ends, &before);
	if (!got_signal)
		ready = ppoll(&fd, 1, &timeout, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ready <= 0 || !(fd.revents & (POLLHUP | POLLERR | POLLNVAL));
}

int screen_key(unsigned int ms)
{
	/* What ncurses has read before is not seen by poll(). */
	int key = getch();

	if (key == ERR) {
		if (!wait_for_input(ms))
			return SCREEN_GONE;
		key = getch();
	}
	return key == ERR ? SCREEN_NOTHING : translate(key);
}
