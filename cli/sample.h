/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters of a region at one moment, and what two such moments say about
 * the time between them: rates, means, percentiles.
 */
#ifndef PMEMCTL_SAMPLE_H
#define PMEMCTL_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include <virtpmem/libvirtpmem.h>

#include "record.h"

#define SAMPLE_BINS 64

struct sample {
	uint64_t time_ns;	     /* CLOCK_BOOTTIME; 0 with all counters 0 is the boot */
	uint64_t known;		     /* bit n: counter n was there */
	uint64_t stat[VIRTPMEM_STAT_COUNT];
	uint64_t queue_depth;	     /* at that moment */
	unsigned int bins;	     /* of host latency */
	uint64_t upper_us[SAMPLE_BINS]; /* UINT64_MAX: no bound */
	uint64_t count[SAMPLE_BINS];
};

/* What happened between two samples; counters of the time between. */
struct sample_rates {
	uint64_t interval_ns;
	struct sample delta; /* its maxima are those since the driver was bound */
};

/* CLOCK_BOOTTIME, in which samples are dated. */
uint64_t sample_now_ns(void);

/* Reads one. Returns: 0; -EOPNOTSUPP where the driver keeps no counters; a negative errno. */
int sample_take(struct virtpmem_region *region, struct sample *s);

/*
 * From @from to @to. Counters that went back were begun anew (the driver was
 * bound again): then all of them count from 0.
 */
void sample_between(const struct sample *from, const struct sample *to,
		    struct sample_rates *rates);

/* 1000 * a / b, rounded, without overflow for what fits 64 bits; 0 if @b is 0. */
uint64_t sample_milli(uint64_t a, uint64_t b);

/* What a counter counted in a second, in thousandths. */
uint64_t sample_per_second(const struct sample_rates *rates, enum virtpmem_stat id);

/* The mean of what two counters summed up and counted; false: there was nothing. */
bool sample_mean(const struct sample *delta, enum virtpmem_stat total, enum virtpmem_stat count,
		 uint64_t *mean);

/*
 * A bound of the host latency in nanoseconds that at least @percent of the host
 * flushes did not exceed; false: there was none.
 */
bool sample_percentile(const struct sample *delta, unsigned int percent, uint64_t *ns);

/* Adds the object "stat" of pmemctl-json(5). */
void sample_add(const struct sample_rates *rates, struct record *region);

#endif /* PMEMCTL_SAMPLE_H */
