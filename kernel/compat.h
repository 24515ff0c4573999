/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place that knows how kernels differ. What a kernel can do is asked
 * by name where a name tells, so that backports are judged by what they have.
 */
#ifndef VPMEM_COMPAT_H
#define VPMEM_COMPAT_H

#include <linux/bio.h>
#include <linux/hrtimer.h>
#include <linux/libnvdimm.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <uapi/linux/virtio_pmem.h>

/*
 * Linux 7.2, and stable kernels that have it too: the core lets the provider
 * end a FUA bio, and flushes a PREFLUSH bio with a NULL bio before it copies.
 * Older cores hand us the bio both times and end it themselves, see
 * vpmem_flush_old_core().
 */
#ifdef NVDIMM_FLUSH_ASYNC
#define VPMEM_OLD_CORE		false
#else
#define VPMEM_OLD_CORE		true
#define NVDIMM_FLUSH_ASYNC	0
#endif

/* Linux 6.9; the values are those of the virtio specification, section 5.19. */
#ifndef VIRTIO_PMEM_F_SHMEM_REGION
#define VIRTIO_PMEM_F_SHMEM_REGION	0
#define VIRTIO_PMEM_SHMEM_REGION_ID	0
#endif

/* Members of struct virtio_driver, which no name tells. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
#define VPMEM_RESET_CALLBACKS	0
#else
#define VPMEM_RESET_CALLBACKS	1
#endif

/* Linux 6.13 has hrtimer_setup(), a function, which no name tells either. */
static inline void vpmem_setup_timer(struct hrtimer *timer,
				     enum hrtimer_restart (*expired)(struct hrtimer *))
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	timer->function = expired;
#else
	hrtimer_setup(timer, expired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
#endif
}

/*
 * Negotiate with the device anew, and set it up: ends in the driver's freeze()
 * and restore(). Kernels without sleep states do not offer it.
 */
static inline int vpmem_renegotiate(struct virtio_device *vdev)
{
#ifdef CONFIG_PM_SLEEP
	return virtio_device_freeze(vdev) ?: virtio_device_restore(vdev);
#else
	return -EOPNOTSUPP;
#endif
}

/*
 * Keep a submitted bio from ending until we end it too. A bio that comes to us
 * again after a chained completion has lost the count that it was born with;
 * without it, the core's bio_endio() would end the bio under our hands.
 */
static inline void vpmem_hold_bio(struct bio *bio)
{
	if (!bio_flagged(bio, BIO_CHAIN))
		atomic_set(&bio->__bi_remaining, 1);
	bio_inc_remaining(bio);
}

#endif /* VPMEM_COMPAT_H */
