/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the mock share: a virtio-pmem device that lives in the
 * guest, does wrong what debugfs tells it to, and watches what the driver does.
 *
 *   main.c       modules and devices: parameters, plugging, power management
 *   transport.c  what the virtio core calls: status, features, queue, mappings
 *   device.c     the device's side of the ring: requests in, answers out
 *   control.c    debugfs: settings, actions, log, counters, violations
 *   bad-driver.c a driver that breaks one rule at a time, to prove the checks
 *
 * README.md describes the files in debugfs and the rules that are checked.
 */
#ifndef MOCK_H
#define MOCK_H

#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/virtio.h>
#include <linux/virtio_ring.h>
#include <linux/workqueue.h>

#define MOCK_MAX_DEVICES	2
#define MOCK_MAX_REQUESTS	16
#define MOCK_LOG_SIZE		512
#define MOCK_DELAY_MAX	(600 * USEC_PER_SEC)

/* What a device that is not there any more reads as. */
#define MOCK_ALL_ONES		0xff

/* Numbers that debugfs sets. Those up to MOCK_ANSWERS say what an answer is. */
enum mock_setting {
	MOCK_VALUE,
	MOCK_USED_LEN,
	MOCK_WRITE_RESPONSE,
	MOCK_REPEAT,
	MOCK_BAD_ID,
	MOCK_NO_INTERRUPT,
	MOCK_LOSE,
	MOCK_ANSWERS,
	MOCK_NEXT = MOCK_ANSWERS,
	MOCK_DELAY_US,
	MOCK_HOLD,
	MOCK_LATE_AFTER_RESET,
	MOCK_REFUSE_NOTIFY,
	MOCK_FAIL_SETUP,
	MOCK_FAIL_SETUP_TIMES,
	MOCK_HOLD_SETUP,
	MOCK_FAIL_DMA,
	MOCK_START,
	MOCK_SIZE,
	MOCK_SHM,
	MOCK_QUEUE_SIZE,
	MOCK_FEATURES,
	MOCK_GONE,
	MOCK_SETTINGS,
};

enum mock_counter {
	MOCK_NOTIFIES,
	MOCK_REQUESTS,
	MOCK_ANSWERED,
	MOCK_LATE_ANSWERS,	/* to requests from before a reset */
	MOCK_FORGOTTEN,		/* by a reset, or because "lose" said so */
	MOCK_OVERLAPS,		/* submitted while the device kept one from before a reset */
	MOCK_INTERRUPTS,
	MOCK_CONFIG_INTERRUPTS,
	MOCK_RESETS,
	MOCK_SETUPS,
	MOCK_FAILED_SETUPS,
	MOCK_REFUSED_NOTIFIES,
	MOCK_MAPPED,
	MOCK_UNMAPPED,
	MOCK_FAILED_MAPPINGS,
	MOCK_COUNTERS,
};

/* What a driver must not do; the texts are in control.c. */
enum mock_violation {
	MOCK_V_TWO_REQUESTS,
	MOCK_V_EMPTY_NOTIFY,
	MOCK_V_EARLY_NOTIFY,
	MOCK_V_CHAIN,
	MOCK_V_REQUEST_TYPE,
	MOCK_V_TOO_MANY,
	MOCK_V_TOUCHED_RESPONSE,
	MOCK_V_TOUCHED_REQUEST,
	MOCK_V_UNMAPPED,
	MOCK_V_STATUS_ORDER,
	MOCK_V_STATUS_CLEARED,
	MOCK_V_FEATURES_ORDER,
	MOCK_V_FEATURES_UNKNOWN,
	MOCK_V_QUEUE_ORDER,
	MOCK_V_QUEUE_TWICE,
	MOCK_V_DELETE_LIVE,
	MOCK_V_RESET_GONE,
	MOCK_V_CONFIG_WRITE,
	MOCK_V_CONFIG_RANGE,
	MOCK_V_CONFIG_SHM,
	MOCK_VIOLATIONS,
};

enum mock_event {
	MOCK_E_NOTIFY,
	MOCK_E_REFUSED,
	MOCK_E_TAKEN,
	MOCK_E_ANSWER,
	MOCK_E_LATE_ANSWER,
	MOCK_E_LOST,
	MOCK_E_STATUS,
	MOCK_E_RESET,
	MOCK_E_FEATURES,
	MOCK_E_SETUP,
	MOCK_E_SETUP_FAILED,
	MOCK_E_DELETE,
	MOCK_E_MAP_FAILED,
	MOCK_E_SET,
	MOCK_E_VIOLATION,
	MOCK_EVENTS,
};

struct mock_entry {
	u64 ns;
	enum mock_event event;
	s64 a, b;
};

/* A request that the device has taken and not yet answered. */
struct mock_request {
	struct list_head list;		/* m->outstanding, oldest first, or m->spare */
	u32 generation;			/* of the device when it was taken */
	u16 head;
	dma_addr_t request, response;
	__le32 seen_request, seen_response;
	u64 due;			/* when it is to be answered, CLOCK_MONOTONIC ns */
};

struct mock_file;

struct mock_file_ref {
	struct mock *m;
	const struct mock_file *file;
};

struct mock {
	struct platform_device *pdev;	/* the parent of the virtio device */
	struct dentry *dir;
	struct mock_file_ref *refs;
	u64 start, size;		/* the memory that is really there */

	/* Plugging, unplugging, freeze and restore: one at a time. */
	struct mutex plug;
	struct virtio_device vdev;	/* registered while plugged */
	struct completion released;
	struct work_struct unplug;
	struct mutex present;		/* held for a moment only: plugged, and its use */
	bool plugged;

	/* All below is protected by the lock, which interrupts take. */
	spinlock_t lock;
	s64 set[MOCK_SETTINGS];
	bool in_core;			/* the core's own freeze or restore is running */
	u8 status;
	bool features_written;
	u64 features;			/* as the driver has accepted them */
	u32 generation;			/* number of resets */
	struct virtqueue *vq;
	void *pages;
	struct vring vring;
	bool connected;			/* the device uses the ring */
	u16 last_avail;
	bool confused;			/* an id was returned that was not due */
	struct list_head outstanding, spare;
	struct mock_request requests[MOCK_MAX_REQUESTS];
	bool queue_pending, config_pending;
	u64 counters[MOCK_COUNTERS];
	u64 violations[MOCK_VIOLATIONS];
	s64 details[MOCK_VIOLATIONS][2];	/* of the first one of each kind */
	u64 logged;
	struct mock_entry log[MOCK_LOG_SIZE];

	/* Own locking. */
	struct hrtimer timer;		/* the next answer is due */
	struct irq_work irq;		/* the device's interrupt */
};

static inline struct mock *to_mock(struct virtio_device *vdev)
{
	return container_of(vdev, struct mock, vdev);
}

/* main.c */
struct mock *mock_of_parent(struct device *parent);
int mock_plug(struct mock *m);
void mock_unplug(struct mock *m);
int mock_call_core(struct mock *m, int (*call)(struct virtio_device *vdev));

/* transport.c */
void mock_transport_init(struct mock *m);

/* device.c: with the lock held, but for init and exit */
void mock_device_init(struct mock *m);
void mock_device_exit(struct mock *m);
bool mock_notified(struct mock *m);
void mock_run(struct mock *m);
void mock_forget(struct mock *m);
void mock_raise_queue(struct mock *m);
void mock_raise_config(struct mock *m);
void mock_device_error(struct mock *m);
bool mock_owns(struct mock *m, dma_addr_t addr);

/* control.c: with the lock held, but for init and exit */
int mock_control_init(struct mock *m, struct dentry *root, unsigned int number);
void mock_control_exit(struct mock *m);
void mock_defaults(struct mock *m);
void mock_answer_defaults(struct mock *m);
bool mock_spend(struct mock *m, enum mock_setting setting);
void mock_log(struct mock *m, enum mock_event event, s64 a, s64 b);
void mock_violate(struct mock *m, enum mock_violation violation, s64 a, s64 b);

#endif /* MOCK_H */
