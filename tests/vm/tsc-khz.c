// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Prints how many kHz this machine's time stamp counter runs at: the clock that
 * a guest without KVM has, which its kernel cannot measure on a busy host.
 *
 * Counter and clock are read together as closely as they can be, before and
 * after a sleep; an interruption between the two readings shows as a gap.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define TRIES	100
#define SLEEP_NS 100000000

struct reading {
	uint64_t ns, ticks;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct reading closest(void)
{
	struct reading best = { 0, 0 };
	uint64_t gap = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = now_ns(), ticks = __rdtsc(), after = now_ns();

		if (after - before < gap) {
			gap = after - before;
			best = (struct reading) { before + gap / 2, ticks };
		}
	}
	return best;
}

int main(void)
{
	struct timespec pause = { 0, SLEEP_NS };
	struct reading a, b;

	a = closest();
	nanosleep(&pause, NULL);
	b = closest();
	printf("%.0f\n", (double)(b.ticks - a.ticks) * 1e6 / (double)(b.ns - a.ns));
	return 0;
}
