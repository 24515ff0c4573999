/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place of the mock that knows how kernels differ.
 */
#ifndef MOCK_COMPAT_H
#define MOCK_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/version.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pmem.h>

/* Linux 6.9; the values are those of the virtio specification, section 5.19. */
#ifndef VIRTIO_PMEM_F_SHMEM_REGION
#define VIRTIO_PMEM_F_SHMEM_REGION	0
#define VIRTIO_PMEM_SHMEM_REGION_ID	0
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/*
 * Define a find_vqs operation that calls _find(vdev, nvqs, vqs, callback, name)
 * with what is asked for the first queue: a virtio-pmem device has no other.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define MOCK_FIND_VQS(_op, _find)							\
static int _op(struct virtio_device *vdev, unsigned int nvqs, struct virtqueue *vqs[],	\
	       vq_callback_t *callbacks[], const char * const names[],			\
	       const bool *ctx, struct irq_affinity *desc)				\
{											\
	return _find(vdev, nvqs, vqs, callbacks[0], names[0]);				\
}
#else
#define MOCK_FIND_VQS(_op, _find)							\
static int _op(struct virtio_device *vdev, unsigned int nvqs, struct virtqueue *vqs[],	\
	       struct virtqueue_info info[], struct irq_affinity *desc)			\
{											\
	return _find(vdev, nvqs, vqs, info[0].callback, info[0].name);			\
}
#endif

/* A transport that is reset below its driver, as PCI's function level reset does. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
static inline int virtio_device_reset_prepare(struct virtio_device *vdev)
{
	return -EOPNOTSUPP;
}

static inline int virtio_device_reset_done(struct virtio_device *vdev)
{
	return -EOPNOTSUPP;
}
#endif

/*
 * How the mock gets to map the driver's buffers: a virtio core that lets a
 * transport map them itself, or else the DMA operations of the parent device.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define MOCK_VIRTIO_MAP
#elif defined(CONFIG_DMA_OPS) || defined(CONFIG_ARCH_HAS_DMA_OPS)
#define MOCK_DMA_OPS
#endif

#endif /* MOCK_COMPAT_H */
