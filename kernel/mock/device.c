// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device's side of the ring: it takes requests when it is notified, and
 * answers them when they are due, in the way that the settings say.
 *
 * Like QEMU it takes one request for each notify, and holds an empty ring then
 * for a fatal error. A request that is taken stays on m->outstanding until it
 * is answered, lost, or forgotten by a reset; with late_after_reset no reset
 * makes the device forget: the answer goes into the old buffer, and under the
 * old number into whatever ring there is by then.
 *
 * All of it runs under m->lock. The driver is called from the irq_work only,
 * in a hard interrupt (on PREEMPT_RT in a thread, as with real transports).
 */
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "mock.h"

/* What the driver put into the ring for one request. */
struct mock_chain {
	unsigned int count;
	struct {
		dma_addr_t addr;
		u32 len;
		bool writable;
	} part[2];
};

/* ------------------------------------------------------------ interrupts */

static void mock_interrupt(struct irq_work *work)
{
	struct mock *m = container_of(work, struct mock, irq);
	struct virtqueue *vq = NULL;
	unsigned long flags;
	bool config;

	spin_lock_irqsave(&m->lock, flags);
	if (m->queue_pending)
		vq = m->vq;
	config = m->config_pending;
	m->queue_pending = false;
	m->config_pending = false;
	spin_unlock_irqrestore(&m->lock, flags);

	/* Deleting the queue waits for this work, so the queue is still there. */
	if (vq)
		vring_interrupt(0, vq);
	if (config)
		virtio_config_changed(&m->vdev);
}

void mock_raise_queue(struct mock *m)
{
	if (!(m->status & VIRTIO_CONFIG_S_DRIVER_OK) || m->set[MOCK_GONE])
		return;
	m->counters[MOCK_INTERRUPTS]++;
	m->queue_pending = true;
	irq_work_queue(&m->irq);
}

void mock_raise_config(struct mock *m)
{
	if (!(m->status & VIRTIO_CONFIG_S_DRIVER_OK) || m->set[MOCK_GONE])
		return;
	m->counters[MOCK_CONFIG_INTERRUPTS]++;
	m->config_pending = true;
	irq_work_queue(&m->irq);
}

/* As a device does that cannot go on: nothing is taken or answered until a reset. */
void mock_device_error(struct mock *m)
{
	m->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	mock_log(m, MOCK_E_STATUS, m->status, 1);
	mock_raise_config(m);
}

/* ---------------------------------------------------------------- memory */

/* Mappings are one to one. Plain accesses through the linear mapping: KASAN sees them. */
static __le32 *mock_memory(dma_addr_t addr)
{
	return phys_to_virt(addr);
}

/*
 * Whether a request has that buffer. Once a wrong id has been returned, the
 * driver's side of the ring may have taken it for any request of this ring.
 */
bool mock_owns(struct mock *m, dma_addr_t addr)
{
	struct mock_request *r;

	list_for_each_entry(r, &m->outstanding, list) {
		if (m->confused && r->generation == m->generation)
			continue;
		if (r->request == addr || r->response == addr)
			return true;
	}
	return false;
}

/* -------------------------------------------------------------- requests */

static u16 mock_ring_holds(struct mock *m)
{
	u16 idx;

	if (!m->connected)
		return 0;
	idx = virtio16_to_cpu(&m->vdev, READ_ONCE(m->vring.avail->idx));
	virtio_rmb(true);	/* the entries were written before the index */
	return idx - m->last_avail;
}

static void mock_chain_add(struct mock *m, struct mock_chain *chain,
			   const struct vring_desc *desc)
{
	if (chain->count < ARRAY_SIZE(chain->part)) {
		chain->part[chain->count].addr = virtio64_to_cpu(&m->vdev, desc->addr);
		chain->part[chain->count].len = virtio32_to_cpu(&m->vdev, desc->len);
		chain->part[chain->count].writable =
			virtio16_to_cpu(&m->vdev, desc->flags) & VRING_DESC_F_WRITE;
	}
	chain->count++;
}

/* Read the chain that starts at @head; a table of indirect descriptors replaces the ring's. */
static void mock_chain_read(struct mock *m, struct mock_chain *chain, u16 head)
{
	const struct vring_desc *table = m->vring.desc, *desc;
	unsigned int size = m->vring.num, at = head;
	u16 flags;

	chain->count = 0;
	while (at < size && chain->count <= m->vring.num) {
		desc = &table[at];
		flags = virtio16_to_cpu(&m->vdev, desc->flags);
		if (flags & VRING_DESC_F_INDIRECT) {
			if (table != m->vring.desc ||
			    !(m->features & BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)))
				break;
			table = phys_to_virt(virtio64_to_cpu(&m->vdev, desc->addr));
			size = virtio32_to_cpu(&m->vdev, desc->len) / sizeof(*desc);
			at = 0;
			continue;
		}
		mock_chain_add(m, chain, desc);
		if (!(flags & VRING_DESC_F_NEXT))
			return;
		at = virtio16_to_cpu(&m->vdev, desc->next);
	}
	chain->count = UINT_MAX;	/* it leads out of its table, or in a circle */
}

static bool mock_chain_good(const struct mock_chain *chain)
{
	return chain->count == 2 &&
	       chain->part[0].len == sizeof(struct virtio_pmem_req) && !chain->part[0].writable &&
	       chain->part[1].len == sizeof(struct virtio_pmem_resp) && chain->part[1].writable;
}

/* Take one request off the ring. */
static void mock_take(struct mock *m)
{
	u16 slot = m->last_avail % m->vring.num;
	u16 head = virtio16_to_cpu(&m->vdev, m->vring.avail->ring[slot]);
	struct mock_chain chain;
	struct mock_request *r;

	m->last_avail++;
	if (m->features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX))
		vring_avail_event(&m->vring) = cpu_to_virtio16(&m->vdev, m->last_avail);
	m->counters[MOCK_REQUESTS]++;

	mock_chain_read(m, &chain, head);
	if (!mock_chain_good(&chain)) {
		mock_violate(m, MOCK_V_CHAIN, head, chain.count);
		mock_device_error(m);
		return;
	}
	r = list_first_entry_or_null(&m->spare, struct mock_request, list);
	if (!r) {
		mock_violate(m, MOCK_V_TOO_MANY, MOCK_MAX_REQUESTS, 0);
		mock_device_error(m);
		return;
	}
	r->generation = m->generation;
	r->head = head;
	r->request = chain.part[0].addr;
	r->response = chain.part[1].addr;
	r->seen_request = *mock_memory(r->request);
	r->seen_response = *mock_memory(r->response);
	r->due = ktime_get_ns() + m->set[MOCK_DELAY_US] * NSEC_PER_USEC;
	if (le32_to_cpu(r->seen_request) != VIRTIO_PMEM_REQ_TYPE_FLUSH)
		mock_violate(m, MOCK_V_REQUEST_TYPE, le32_to_cpu(r->seen_request), 0);
	mock_log(m, MOCK_E_TAKEN, head, m->set[MOCK_DELAY_US]);
	list_move_tail(&r->list, &m->outstanding);
}

static void mock_check_overlap(struct mock *m, u16 holds)
{
	struct mock_request *r;
	unsigned int current_ones = 0, old_ones = 0;

	list_for_each_entry(r, &m->outstanding, list) {
		if (r->generation == m->generation)
			current_ones++;
		else
			old_ones++;
	}
	if (holds + current_ones > 1)
		mock_violate(m, MOCK_V_TWO_REQUESTS, holds, current_ones);
	if (old_ones)
		m->counters[MOCK_OVERLAPS]++;
}

/* The driver has notified the device. False: the transport refuses. */
bool mock_notified(struct mock *m)
{
	u16 holds = mock_ring_holds(m);

	m->counters[MOCK_NOTIFIES]++;
	mock_log(m, MOCK_E_NOTIFY, holds, !list_empty(&m->outstanding));
	if (m->set[MOCK_GONE] || mock_spend(m, MOCK_REFUSE_NOTIFY)) {
		m->counters[MOCK_REFUSED_NOTIFIES]++;
		mock_log(m, MOCK_E_REFUSED, 0, 0);
		return false;
	}
	if (!m->connected || !(m->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
		mock_violate(m, MOCK_V_EARLY_NOTIFY, m->status, 0);
		return true;
	}
	if (m->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return true;
	if (!holds) {
		mock_violate(m, MOCK_V_EMPTY_NOTIFY, 0, 0);
		mock_device_error(m);
		return true;
	}
	mock_check_overlap(m, holds);
	mock_take(m);
	mock_run(m);
	return true;
}

/* --------------------------------------------------------------- answers */

static void mock_push_used(struct mock *m, u32 id, u32 len)
{
	struct vring_used *used = m->vring.used;
	u16 idx = virtio16_to_cpu(&m->vdev, used->idx);
	struct vring_used_elem *elem = &used->ring[idx % m->vring.num];

	elem->id = cpu_to_virtio32(&m->vdev, id);
	elem->len = cpu_to_virtio32(&m->vdev, len);
	virtio_wmb(true);	/* the driver sees the entry before the index */
	WRITE_ONCE(used->idx, cpu_to_virtio16(&m->vdev, idx + 1));
}

static u32 mock_wrong_id(struct mock *m, u16 head)
{
	if (m->set[MOCK_BAD_ID] == 1)
		return m->vring.num;
	/* One past the two descriptors of a request: in the ring, but not given. */
	return (head + 2) % m->vring.num;
}

static void mock_check_untouched(struct mock *m, struct mock_request *r)
{
	__le32 request = *mock_memory(r->request), response = *mock_memory(r->response);

	if (request != r->seen_request)
		mock_violate(m, MOCK_V_TOUCHED_REQUEST, le32_to_cpu(r->seen_request),
			     le32_to_cpu(request));
	if (response != r->seen_response)
		mock_violate(m, MOCK_V_TOUCHED_RESPONSE, le32_to_cpu(r->seen_response),
			     le32_to_cpu(response));
}

/* The fault that was asked for has been given; "next" counts how often it still is. */
static void mock_fault_given(struct mock *m)
{
	if (m->set[MOCK_NEXT] > 0 && --m->set[MOCK_NEXT] == 0)
		mock_answer_defaults(m);
}

static void mock_answer(struct mock *m, struct mock_request *r)
{
	bool late = r->generation != m->generation;
	u32 id = m->set[MOCK_BAD_ID] ? mock_wrong_id(m, r->head) : r->head;
	s64 i;

	list_move_tail(&r->list, &m->spare);
	if (m->set[MOCK_LOSE]) {
		m->counters[MOCK_FORGOTTEN]++;
		mock_log(m, MOCK_E_LOST, r->head, 0);
		mock_fault_given(m);
		return;
	}
	mock_check_untouched(m, r);
	if (m->set[MOCK_WRITE_RESPONSE])
		*mock_memory(r->response) = cpu_to_le32((s32)m->set[MOCK_VALUE]);
	m->counters[late ? MOCK_LATE_ANSWERS : MOCK_ANSWERED]++;
	mock_log(m, late ? MOCK_E_LATE_ANSWER : MOCK_E_ANSWER, id, m->set[MOCK_VALUE]);
	if (m->connected) {
		if (late || m->set[MOCK_REPEAT] || m->set[MOCK_BAD_ID])
			m->confused = true;
		for (i = 0; i <= m->set[MOCK_REPEAT]; i++)
			mock_push_used(m, id, m->set[MOCK_USED_LEN]);
		if (!m->set[MOCK_NO_INTERRUPT])
			mock_raise_queue(m);
	}
	mock_fault_given(m);
}

/* A device that has stopped with an error answers nothing that came before its reset. */
static bool mock_stuck(struct mock *m, const struct mock_request *r)
{
	return m->set[MOCK_HOLD] || m->set[MOCK_GONE] ||
	       (r->generation == m->generation && (m->status & VIRTIO_CONFIG_S_NEEDS_RESET));
}

/* Answer what is due, and come back for the rest. */
void mock_run(struct mock *m)
{
	u64 now = ktime_get_ns(), next = U64_MAX;
	struct mock_request *r, *tmp;

	list_for_each_entry_safe(r, tmp, &m->outstanding, list) {
		if (mock_stuck(m, r))
			continue;
		if (r->due <= now)
			mock_answer(m, r);
		else
			next = min(next, r->due);
	}
	if (next != U64_MAX)
		hrtimer_start(&m->timer, ns_to_ktime(next), HRTIMER_MODE_ABS);
}

static enum hrtimer_restart mock_timer(struct hrtimer *timer)
{
	struct mock *m = container_of(timer, struct mock, timer);
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_run(m);
	spin_unlock_irqrestore(&m->lock, flags);
	return HRTIMER_NORESTART;
}

/* Whatever was outstanding is not the device's any more, and never answered. */
void mock_forget(struct mock *m)
{
	struct mock_request *r;

	list_for_each_entry(r, &m->outstanding, list) {
		m->counters[MOCK_FORGOTTEN]++;
		mock_log(m, MOCK_E_LOST, r->head, 0);
	}
	list_splice_init(&m->outstanding, &m->spare);
}

/* ------------------------------------------------------------------ life */

void mock_device_init(struct mock *m)
{
	unsigned int i;

	spin_lock_init(&m->lock);
	INIT_LIST_HEAD(&m->outstanding);
	INIT_LIST_HEAD(&m->spare);
	for (i = 0; i < ARRAY_SIZE(m->requests); i++)
		list_add(&m->requests[i].list, &m->spare);
	init_irq_work(&m->irq, mock_interrupt);
	hrtimer_setup(&m->timer, mock_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
}

/* The virtio device is gone, so nobody notifies. */
void mock_device_exit(struct mock *m)
{
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_forget(m);
	spin_unlock_irqrestore(&m->lock, flags);
	hrtimer_cancel(&m->timer);
	irq_work_sync(&m->irq);
}
