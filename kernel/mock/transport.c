// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the virtio core and the driver call: status, features, configuration,
 * the set-up of the queue, and the mapping of buffers. Each call is checked
 * against the order that the virtio specification (3.1.1, 5.19) prescribes.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "mock.h"

/* How often a set-up that is held looks whether it still is. */
#define MOCK_SETUP_LOOK_MS	5

/* ---------------------------------------------------- status and features */

static u8 mock_get_status(struct virtio_device *vdev)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;
	u8 status;

	spin_lock_irqsave(&m->lock, flags);
	status = m->set[MOCK_GONE] ? MOCK_ALL_ONES : m->status;
	spin_unlock_irqrestore(&m->lock, flags);
	return status;
}

/* Which status bit may only follow which. */
static const struct {
	u8 bit, needs;
} mock_status_order[] = {
	{ VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_ACKNOWLEDGE },
	{ VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_DRIVER },
	{ VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK },
};

static void mock_check_status(struct mock *m, u8 status)
{
	u8 added = status & ~m->status;
	unsigned int i;

	if (!status || (m->status & ~status & ~VIRTIO_CONFIG_S_NEEDS_RESET))
		mock_violate(m, MOCK_V_STATUS_CLEARED, m->status, status);
	for (i = 0; i < ARRAY_SIZE(mock_status_order); i++)
		if ((added & mock_status_order[i].bit) &&
		    !(m->status & mock_status_order[i].needs))
			mock_violate(m, MOCK_V_STATUS_ORDER, m->status, status);
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !m->features_written)
		mock_violate(m, MOCK_V_FEATURES_ORDER, m->status, status);
}

/*
 * A probe after one that failed begins without a reset, and so in the middle.
 * That is the core's way, not the driver's: the device begins anew.
 */
static u8 mock_try_again(struct mock *m, u8 status)
{
	u8 again = VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_DRIVER;
	u8 added = status & ~m->status;

	if (!(m->status & VIRTIO_CONFIG_S_FAILED) || (status & again) != again ||
	    (added & ~VIRTIO_CONFIG_S_DRIVER))
		return status;
	m->status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_FAILED;
	m->features_written = false;
	return m->status | VIRTIO_CONFIG_S_DRIVER;
}

static void mock_set_status(struct virtio_device *vdev, u8 status)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_log(m, MOCK_E_STATUS, status, 0);
	if (!m->set[MOCK_GONE]) {
		status = mock_try_again(m, status);
		mock_check_status(m, status);
		/* That bit is the device's own. */
		m->status = (status & ~VIRTIO_CONFIG_S_NEEDS_RESET) |
			    (m->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	spin_unlock_irqrestore(&m->lock, flags);
}

static void mock_reset(struct virtio_device *vdev)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	m->counters[MOCK_RESETS]++;
	mock_log(m, MOCK_E_RESET, !list_empty(&m->outstanding), 0);
	/* The core resets in its own restore without asking whether the device is there. */
	if (m->set[MOCK_GONE] && !m->in_core)
		mock_violate(m, MOCK_V_RESET_GONE, m->status, 0);
	m->status = 0;
	m->features_written = false;
	m->features = 0;
	m->generation++;
	m->connected = false;
	m->queue_pending = false;
	m->config_pending = false;
	if (!m->set[MOCK_LATE_AFTER_RESET])
		mock_forget(m);
	mock_run(m);
	spin_unlock_irqrestore(&m->lock, flags);

	/* After a reset no callback is running. */
	irq_work_sync(&m->irq);
}

static u64 mock_offered(struct mock *m)
{
	u64 features = m->set[MOCK_FEATURES];

	features |= BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	if (m->set[MOCK_SHM])
		features |= BIT_ULL(VIRTIO_PMEM_F_SHMEM_REGION);
	return features;
}

static u64 mock_get_features(struct virtio_device *vdev)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;
	u64 features;

	spin_lock_irqsave(&m->lock, flags);
	features = mock_offered(m);
	spin_unlock_irqrestore(&m->lock, flags);
	return features;
}

static int mock_finalize_features(struct virtio_device *vdev)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;

	vring_transport_features(vdev);
	spin_lock_irqsave(&m->lock, flags);
	mock_log(m, MOCK_E_FEATURES, vdev->features, mock_offered(m));
	if (!m->set[MOCK_GONE]) {
		if (!(m->status & VIRTIO_CONFIG_S_DRIVER) ||
		    (m->status & VIRTIO_CONFIG_S_FEATURES_OK))
			mock_violate(m, MOCK_V_FEATURES_ORDER, m->status, 0);
		if (vdev->features & ~mock_offered(m))
			mock_violate(m, MOCK_V_FEATURES_UNKNOWN, vdev->features, mock_offered(m));
	}
	m->features = vdev->features;
	m->features_written = true;
	spin_unlock_irqrestore(&m->lock, flags);

	if (!__virtio_test_bit(vdev, VIRTIO_F_VERSION_1)) {
		dev_err(&vdev->dev, "the driver is older than virtio 1.0\n");
		return -EINVAL;
	}
	return 0;
}

/* --------------------------------------------------------- configuration */

static void mock_get(struct virtio_device *vdev, unsigned int offset, void *buf, unsigned int len)
{
	struct mock *m = to_mock(vdev);
	struct virtio_pmem_config config;
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	memset(buf, MOCK_ALL_ONES, len);
	config.start = cpu_to_le64(m->set[MOCK_START]);
	config.size = cpu_to_le64(m->set[MOCK_SIZE]);
	if (m->features & BIT_ULL(VIRTIO_PMEM_F_SHMEM_REGION))
		mock_violate(m, MOCK_V_CONFIG_SHM, offset, len);
	if (offset > sizeof(config) || len > sizeof(config) - offset)
		mock_violate(m, MOCK_V_CONFIG_RANGE, offset, len);
	else if (!m->set[MOCK_GONE])
		memcpy(buf, (u8 *)&config + offset, len);
	spin_unlock_irqrestore(&m->lock, flags);
}

/* Every field is the device's. */
static void mock_set(struct virtio_device *vdev, unsigned int offset, const void *buf,
		     unsigned int len)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_violate(m, MOCK_V_CONFIG_WRITE, offset, len);
	spin_unlock_irqrestore(&m->lock, flags);
}

/* "shm" 1 offers the feature and has the region, 2 offers it and has none. */
static bool mock_get_shm_region(struct virtio_device *vdev, struct virtio_shm_region *region,
				u8 id)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;
	bool there;

	spin_lock_irqsave(&m->lock, flags);
	there = id == VIRTIO_PMEM_SHMEM_REGION_ID && m->set[MOCK_SHM] == 1 && !m->set[MOCK_GONE];
	if (there) {
		region->addr = m->set[MOCK_START];
		region->len = m->set[MOCK_SIZE];
	}
	spin_unlock_irqrestore(&m->lock, flags);
	return there;
}

static const char *mock_bus_name(struct virtio_device *vdev)
{
	return dev_name(vdev->dev.parent);
}

/* ------------------------------------------------------------- the queue */

static bool mock_notify(struct virtqueue *vq)
{
	struct mock *m = to_mock(vq->vdev);
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(&m->lock, flags);
	ok = mock_notified(m);
	spin_unlock_irqrestore(&m->lock, flags);
	return ok;
}

/* Whether a set-up is allowed now, and what the settings have it fail with. */
static int mock_setup_error(struct mock *m)
{
	int err = -m->set[MOCK_FAIL_SETUP];

	lockdep_assert_held(&m->lock);
	if (m->set[MOCK_GONE])
		return -ENODEV;
	if (m->pages) {
		mock_violate(m, MOCK_V_QUEUE_TWICE, m->status, 0);
		return -EBUSY;
	}
	if (!(m->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
	    (m->status & VIRTIO_CONFIG_S_DRIVER_OK))
		mock_violate(m, MOCK_V_QUEUE_ORDER, m->status, 0);
	if (err && mock_spend(m, MOCK_FAIL_SETUP_TIMES))
		return err;
	return m->set[MOCK_QUEUE_SIZE] ? 0 : -ENOENT;
}

static size_t mock_ring_bytes(unsigned int num)
{
	return PAGE_ALIGN(vring_size(num, PAGE_SIZE));
}

static void mock_connect(struct mock *m, struct virtqueue *vq, void *pages, unsigned int num)
{
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	vring_init(&m->vring, num, pages, PAGE_SIZE);
	m->pages = pages;
	m->vq = vq;
	m->last_avail = 0;
	m->confused = false;
	m->connected = true;
	m->counters[MOCK_SETUPS]++;
	mock_log(m, MOCK_E_SETUP, num, !list_empty(&m->outstanding));
	spin_unlock_irqrestore(&m->lock, flags);
}

static int mock_find(struct virtio_device *vdev, unsigned int nvqs, struct virtqueue *vqs[],
		     vq_callback_t *callback, const char *name)
{
	struct mock *m = to_mock(vdev);
	unsigned long flags;
	unsigned int num;
	void *pages;
	int err;

	while (READ_ONCE(m->set[MOCK_HOLD_SETUP]))
		msleep(MOCK_SETUP_LOOK_MS);

	spin_lock_irqsave(&m->lock, flags);
	num = m->set[MOCK_QUEUE_SIZE];
	err = nvqs == 1 ? mock_setup_error(m) : -ENOENT;
	if (err) {
		m->counters[MOCK_FAILED_SETUPS]++;
		mock_log(m, MOCK_E_SETUP_FAILED, err, nvqs);
	}
	spin_unlock_irqrestore(&m->lock, flags);
	if (err)
		return err;

	pages = alloc_pages_exact(mock_ring_bytes(num), GFP_KERNEL | __GFP_ZERO);
	if (!pages)
		return -ENOMEM;
	vqs[0] = vring_new_virtqueue(0, num, PAGE_SIZE, vdev, true, false, pages, mock_notify,
				     callback, name);
	if (!vqs[0]) {
		free_pages_exact(pages, mock_ring_bytes(num));
		return -ENOMEM;
	}
	vqs[0]->num_max = num;
	mock_connect(m, vqs[0], pages, num);
	return 0;
}

static void mock_del_vqs(struct virtio_device *vdev)
{
	struct mock *m = to_mock(vdev);
	struct virtqueue *vq;
	unsigned long flags;
	void *pages;

	spin_lock_irqsave(&m->lock, flags);
	mock_log(m, MOCK_E_DELETE, m->status, !list_empty(&m->outstanding));
	if ((m->status & VIRTIO_CONFIG_S_DRIVER_OK) && !m->set[MOCK_GONE])
		mock_violate(m, MOCK_V_DELETE_LIVE, m->status, 0);
	vq = m->vq;
	pages = m->pages;
	m->vq = NULL;
	m->pages = NULL;
	m->connected = false;
	spin_unlock_irqrestore(&m->lock, flags);
	if (!vq)
		return;

	irq_work_sync(&m->irq);
	vring_del_virtqueue(vq);
	free_pages_exact(pages, mock_ring_bytes(m->vring.num));
}

/* -------------------------------------------------------------- mappings */

static dma_addr_t mock_map(struct mock *m, struct page *page, unsigned long offset)
{
	dma_addr_t addr = page_to_phys(page) + offset;
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	if (mock_spend(m, MOCK_FAIL_DMA)) {
		m->counters[MOCK_FAILED_MAPPINGS]++;
		mock_log(m, MOCK_E_MAP_FAILED, m->set[MOCK_FAIL_DMA], 0);
		addr = DMA_MAPPING_ERROR;
	} else {
		m->counters[MOCK_MAPPED]++;
	}
	spin_unlock_irqrestore(&m->lock, flags);
	return addr;
}

static void mock_unmap(struct mock *m, dma_addr_t addr)
{
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	m->counters[MOCK_UNMAPPED]++;
	if (mock_owns(m, addr))
		mock_violate(m, MOCK_V_UNMAPPED, addr, 0);
	spin_unlock_irqrestore(&m->lock, flags);
}

#if defined(MOCK_VIRTIO_MAP)

static dma_addr_t mock_map_page(union virtio_map map, struct page *page, unsigned long offset,
				size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return mock_map(mock_of_parent(map.dma_dev), page, offset);
}

static void mock_unmap_page(union virtio_map map, dma_addr_t addr, size_t size,
			    enum dma_data_direction dir, unsigned long attrs)
{
	mock_unmap(mock_of_parent(map.dma_dev), addr);
}

static void mock_sync(union virtio_map map, dma_addr_t addr, size_t size,
		      enum dma_data_direction dir)
{
}

static bool mock_need_sync(union virtio_map map, dma_addr_t addr)
{
	return false;
}

static int mock_mapping_error(union virtio_map map, dma_addr_t addr)
{
	return addr == DMA_MAPPING_ERROR;
}

static size_t mock_max_mapping_size(union virtio_map map)
{
	return SIZE_MAX;
}

/* The ring is our own memory: nothing is allocated through these. */
static const struct virtio_map_ops mock_map_ops = {
	.map_page = mock_map_page,
	.unmap_page = mock_unmap_page,
	.sync_single_for_cpu = mock_sync,
	.sync_single_for_device = mock_sync,
	.need_sync = mock_need_sync,
	.mapping_error = mock_mapping_error,
	.max_mapping_size = mock_max_mapping_size,
};

static void mock_map_init(struct mock *m)
{
	m->vdev.map = &mock_map_ops;
}

#elif defined(MOCK_DMA_OPS)
#include <linux/dma-map-ops.h>

static dma_addr_t mock_map_page(struct device *dev, struct page *page, unsigned long offset,
				size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return mock_map(mock_of_parent(dev), page, offset);
}

static void mock_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
			    enum dma_data_direction dir, unsigned long attrs)
{
	mock_unmap(mock_of_parent(dev), addr);
}

static const struct dma_map_ops mock_dma_ops = {
	.map_page = mock_map_page,
	.unmap_page = mock_unmap_page,
};

static void mock_map_init(struct mock *m)
{
	set_dma_ops(&m->pdev->dev, &mock_dma_ops);
}

#else
#error "this kernel lets nobody watch or fail the mapping of a buffer"
#endif

/* ------------------------------------------------------------------ life */

MOCK_FIND_VQS(mock_find_vqs, mock_find)

static const struct virtio_config_ops mock_config_ops = {
	.get = mock_get,
	.set = mock_set,
	.get_status = mock_get_status,
	.set_status = mock_set_status,
	.reset = mock_reset,
	.find_vqs = mock_find_vqs,
	.del_vqs = mock_del_vqs,
	.get_features = mock_get_features,
	.finalize_features = mock_finalize_features,
	.bus_name = mock_bus_name,
	.get_shm_region = mock_get_shm_region,
};

/* Prepare m->vdev, which is all zeroes, for its registration. */
void mock_transport_init(struct mock *m)
{
	m->vdev.id.device = VIRTIO_ID_PMEM;
	m->vdev.config = &mock_config_ops;
	m->vdev.dev.parent = &m->pdev->dev;
	mock_map_init(m);
}
