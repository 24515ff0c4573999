// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: one table of files that set a number or do something, and three
 * that show what has happened. README.md describes each of them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "mock.h"

/* ----------------------------------------------------------------- the log */

static const char *const mock_event_names[MOCK_EVENTS][3] = {
	[MOCK_E_NOTIFY]		= { "notify", "ring-holds", "outstanding" },
	[MOCK_E_REFUSED]	= { "refused", NULL, NULL },
	[MOCK_E_TAKEN]		= { "taken", "id", "delay-us" },
	[MOCK_E_ANSWER]		= { "answer", "id", "value" },
	[MOCK_E_LATE_ANSWER]	= { "late-answer", "id", "value" },
	[MOCK_E_LOST]		= { "lost", "id", NULL },
	[MOCK_E_STATUS]		= { "status", "is", "by-device" },
	[MOCK_E_RESET]		= { "reset", "outstanding", NULL },
	[MOCK_E_FEATURES]	= { "features", "accepted", "offered" },
	[MOCK_E_SETUP]		= { "setup", "queue-size", "outstanding" },
	[MOCK_E_SETUP_FAILED]	= { "setup-failed", "error", "queues" },
	[MOCK_E_DELETE]		= { "delete", "status", "outstanding" },
	[MOCK_E_MAP_FAILED]	= { "map-failed", "left", NULL },
	[MOCK_E_SET]		= { "set", "file", "value" },
	[MOCK_E_VIOLATION]	= { "violation", "kind", NULL },
};

static const char *const mock_counter_names[MOCK_COUNTERS] = {
	[MOCK_NOTIFIES]			= "notifies",
	[MOCK_REQUESTS]			= "requests",
	[MOCK_ANSWERED]			= "answered",
	[MOCK_LATE_ANSWERS]		= "late_answers",
	[MOCK_FORGOTTEN]		= "forgotten",
	[MOCK_OVERLAPS]			= "overlaps",
	[MOCK_INTERRUPTS]		= "interrupts",
	[MOCK_CONFIG_INTERRUPTS]	= "config_interrupts",
	[MOCK_RESETS]			= "resets",
	[MOCK_SETUPS]			= "setups",
	[MOCK_FAILED_SETUPS]		= "failed_setups",
	[MOCK_REFUSED_NOTIFIES]		= "refused_notifies",
	[MOCK_MAPPED]			= "mapped",
	[MOCK_UNMAPPED]			= "unmapped",
	[MOCK_FAILED_MAPPINGS]		= "failed_mappings",
};

/* A name for tests, and what was wrong, with the two figures that go with it. */
static const char *const mock_violation_texts[MOCK_VIOLATIONS][2] = {
	[MOCK_V_TWO_REQUESTS] = { "two-requests",
		"more than one request outstanding: new ones, taken ones" },
	[MOCK_V_EMPTY_NOTIFY] = { "empty-notify", "notified with nothing in the ring" },
	[MOCK_V_EARLY_NOTIFY] = { "early-notify",
		"notified before DRIVER_OK or after a reset: status" },
	[MOCK_V_CHAIN] = { "chain",
		"not one 4-byte buffer to read and one to write: id, buffers" },
	[MOCK_V_REQUEST_TYPE] = { "request-type", "a request that is no flush: type" },
	[MOCK_V_TOO_MANY] = { "too-many", "more requests than any driver has: limit" },
	[MOCK_V_TOUCHED_RESPONSE] = { "touched-response",
		"the response changed while the device owned it: was, is" },
	[MOCK_V_TOUCHED_REQUEST] = { "touched-request",
		"the request changed while the device owned it: was, is" },
	[MOCK_V_UNMAPPED] = { "unmapped",
		"a buffer was unmapped while the device owned it: address" },
	[MOCK_V_STATUS_ORDER] = { "status-order",
		"a status bit was set before the one it follows: was, is" },
	[MOCK_V_STATUS_CLEARED] = { "status-cleared",
		"a status bit was cleared without a reset: was, is" },
	[MOCK_V_FEATURES_ORDER] = { "features-order",
		"features not written between DRIVER and FEATURES_OK: status" },
	[MOCK_V_FEATURES_UNKNOWN] = { "features-unknown",
		"features accepted that were not offered: accepted, offered" },
	[MOCK_V_QUEUE_ORDER] = { "queue-order",
		"queue set up before FEATURES_OK or after DRIVER_OK: status" },
	[MOCK_V_QUEUE_TWICE] = { "queue-twice", "queue set up while there is one: status" },
	[MOCK_V_DELETE_LIVE] = { "delete-live",
		"queue deleted while the device uses it: status" },
	[MOCK_V_RESET_GONE] = { "reset-gone",
		"reset of a device that is gone, for which PCI waits for ever: status" },
	[MOCK_V_CONFIG_WRITE] = { "config-write",
		"configuration written, which is the device's: offset, length" },
	[MOCK_V_CONFIG_RANGE] = { "config-range",
		"configuration read beyond its end: offset, length" },
	[MOCK_V_CONFIG_SHM] = { "config-shm",
		"start or size read though a shared memory region was agreed on: offset, length" },
};

void mock_log(struct mock *m, enum mock_event event, s64 a, s64 b)
{
	struct mock_entry *e = &m->log[m->logged++ % MOCK_LOG_SIZE];

	e->ns = ktime_get_ns();
	e->event = event;
	e->a = a;
	e->b = b;
}

/* The kernel's log hears of the first one of each kind: that fails a test. */
void mock_violate(struct mock *m, enum mock_violation violation, s64 a, s64 b)
{
	mock_log(m, MOCK_E_VIOLATION, violation, 0);
	if (m->violations[violation]++)
		return;
	m->details[violation][0] = a;
	m->details[violation][1] = b;
	pr_err("violation: %s: %s %#llx %#llx\n", mock_violation_texts[violation][0],
	       mock_violation_texts[violation][1], a, b);
}

/* ---------------------------------------------------------------- settings */

static int mock_act_run(struct mock *m, s64 value)
{
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_run(m);
	spin_unlock_irqrestore(&m->lock, flags);
	return 0;
}

/* As virtio_pci does when it finds the device gone. Plugging may be busy for long. */
static int mock_act_break(struct mock *m, s64 value)
{
	int err = -ENODEV;

	mutex_lock(&m->present);
	if (m->plugged) {
		virtio_break_device(&m->vdev);
		err = 0;
	}
	mutex_unlock(&m->present);
	return err;
}

static int mock_act_gone(struct mock *m, s64 value)
{
	unsigned long flags;

	if (!value)
		return 0;
	spin_lock_irqsave(&m->lock, flags);
	mock_forget(m);
	spin_unlock_irqrestore(&m->lock, flags);
	mock_act_break(m, 1);
	return 0;
}

static int mock_act_needs_reset(struct mock *m, s64 value)
{
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_device_error(m);
	spin_unlock_irqrestore(&m->lock, flags);
	return 0;
}

static int mock_act_interrupt(struct mock *m, s64 value)
{
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_raise_queue(m);
	mock_raise_config(m);
	spin_unlock_irqrestore(&m->lock, flags);
	return 0;
}

static int mock_act_defaults(struct mock *m, s64 value)
{
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	mock_defaults(m);
	if (value > 1)
		m->set[MOCK_DELAY_US] = value;
	mock_run(m);
	spin_unlock_irqrestore(&m->lock, flags);
	return 0;
}

static int mock_act_freeze(struct mock *m, s64 value)
{
	return mock_call_core(m, virtio_device_freeze);
}

static int mock_act_restore(struct mock *m, s64 value)
{
	return mock_call_core(m, virtio_device_restore);
}

static int mock_act_reset_prepare(struct mock *m, s64 value)
{
	return mock_call_core(m, virtio_device_reset_prepare);
}

static int mock_act_reset_done(struct mock *m, s64 value)
{
	return mock_call_core(m, virtio_device_reset_done);
}

static int mock_act_unplug(struct mock *m, s64 value)
{
	unsigned long flags;

	if (!READ_ONCE(m->plugged))
		return -ENODEV;
	if (value == 1) {	/* by surprise */
		spin_lock_irqsave(&m->lock, flags);
		m->set[MOCK_GONE] = 1;
		spin_unlock_irqrestore(&m->lock, flags);
		mock_act_gone(m, 1);
	}
	queue_work(system_long_wq, &m->unplug);
	return 0;
}

static int mock_act_replug(struct mock *m, s64 value)
{
	flush_work(&m->unplug);
	return mock_plug(m);
}

#define MOCK_ACTION	MOCK_SETTINGS	/* a file that does something and sets nothing */

static const struct mock_file {
	const char *name;
	enum mock_setting setting;
	s64 min, max, good;
	int (*act)(struct mock *m, s64 value);	/* after the number was set */
} mock_files[] = {
	{ "value",		MOCK_VALUE,		S32_MIN, S32_MAX, 0 },
	{ "used_len",		MOCK_USED_LEN,		0, U32_MAX, 4 },
	{ "write_response",	MOCK_WRITE_RESPONSE,	0, 1, 1 },
	{ "repeat",		MOCK_REPEAT,		0, 8, 0 },
	{ "bad_id",		MOCK_BAD_ID,		0, 2, 0 },
	{ "no_interrupt",	MOCK_NO_INTERRUPT,	0, 1, 0 },
	{ "lose",		MOCK_LOSE,		0, 1, 0 },
	{ "next",		MOCK_NEXT,		0, S32_MAX, 0 },
	{ "delay_us",		MOCK_DELAY_US,		0, MOCK_DELAY_MAX, 0 },
	{ "hold",		MOCK_HOLD,		0, 1, 0, mock_act_run },
	{ "late_after_reset",	MOCK_LATE_AFTER_RESET,	0, 1, 0 },
	{ "refuse_notify",	MOCK_REFUSE_NOTIFY,	-1, S32_MAX, 0 },
	{ "fail_setup",		MOCK_FAIL_SETUP,	0, MAX_ERRNO, 0 },
	{ "fail_setup_times",	MOCK_FAIL_SETUP_TIMES,	-1, S32_MAX, -1 },
	{ "hold_setup",		MOCK_HOLD_SETUP,	0, 1, 0 },
	{ "fail_dma",		MOCK_FAIL_DMA,		-1, S32_MAX, 0 },
	{ "start",		MOCK_START,		0, S64_MAX, 0 },
	{ "size",		MOCK_SIZE,		0, S64_MAX, 0 },
	{ "shm",		MOCK_SHM,		0, 2, 0 },
	{ "queue_size",		MOCK_QUEUE_SIZE,	0, 1024, 128 },
	{ "features",		MOCK_FEATURES,		0, S64_MAX,
	  BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) },
	{ "gone",		MOCK_GONE,		0, 1, 0, mock_act_gone },
	{ "break_queue",	MOCK_ACTION,		1, 1, 0, mock_act_break },
	{ "needs_reset",	MOCK_ACTION,		1, 1, 0, mock_act_needs_reset },
	{ "interrupt",		MOCK_ACTION,		1, 1, 0, mock_act_interrupt },
	{ "defaults",		MOCK_ACTION,		1, MOCK_DELAY_MAX, 0, mock_act_defaults },
	{ "freeze",		MOCK_ACTION,		1, 1, 0, mock_act_freeze },
	{ "restore",		MOCK_ACTION,		1, 1, 0, mock_act_restore },
	{ "reset_prepare",	MOCK_ACTION,		1, 1, 0, mock_act_reset_prepare },
	{ "reset_done",		MOCK_ACTION,		1, 1, 0, mock_act_reset_done },
	{ "unplug",		MOCK_ACTION,		1, 2, 0, mock_act_unplug },
	{ "replug",		MOCK_ACTION,		1, 1, 0, mock_act_replug },
};

/* All numbers as they are for a device in order; its memory is where it really is. */
void mock_defaults(struct mock *m)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mock_files); i++)
		if (mock_files[i].setting != MOCK_ACTION)
			m->set[mock_files[i].setting] = mock_files[i].good;
	m->set[MOCK_START] = m->start;
	m->set[MOCK_SIZE] = m->size;
}

/* The same for those that say what an answer is. */
void mock_answer_defaults(struct mock *m)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mock_files); i++)
		if (mock_files[i].setting < MOCK_ANSWERS)
			m->set[mock_files[i].setting] = mock_files[i].good;
}

/* Whether a fault with a count is to happen now: so many times, or always (-1). */
bool mock_spend(struct mock *m, enum mock_setting setting)
{
	if (!m->set[setting])
		return false;
	if (m->set[setting] > 0)
		m->set[setting]--;
	return true;
}

static ssize_t mock_file_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	const struct mock_file_ref *ref = file->private_data;
	unsigned long flags;
	char text[32];
	int len;

	if (ref->file->setting == MOCK_ACTION)
		return -EACCES;
	spin_lock_irqsave(&ref->m->lock, flags);
	len = scnprintf(text, sizeof(text), "%lld\n", ref->m->set[ref->file->setting]);
	spin_unlock_irqrestore(&ref->m->lock, flags);
	return simple_read_from_buffer(user, size, pos, text, len);
}

static ssize_t mock_file_write(struct file *file, const char __user *user, size_t size,
			       loff_t *pos)
{
	const struct mock_file_ref *ref = file->private_data;
	const struct mock_file *f = ref->file;
	struct mock *m = ref->m;
	unsigned long flags;
	long long value;
	int err;

	err = kstrtoll_from_user(user, size, 0, &value);
	if (err)
		return err;
	if (value < f->min || value > f->max ||
	    (f->setting == MOCK_QUEUE_SIZE && value & (value - 1)))
		return -EINVAL;

	spin_lock_irqsave(&m->lock, flags);
	mock_log(m, MOCK_E_SET, f - mock_files, value);
	if (f->setting != MOCK_ACTION)
		m->set[f->setting] = value;
	spin_unlock_irqrestore(&m->lock, flags);

	err = f->act ? f->act(m, value) : 0;
	return err ?: size;
}

static const struct file_operations mock_file_ops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = mock_file_read,
	.write = mock_file_write,
	.llseek = default_llseek,
};

/* ----------------------------------------------------------- what there was */

static void mock_show_entry(struct seq_file *s, const struct mock_entry *e)
{
	const char *const *names = mock_event_names[e->event];

	seq_printf(s, "%llu %s", div_u64(e->ns, NSEC_PER_USEC), names[0]);
	if (e->event == MOCK_E_SET)
		seq_printf(s, " %s=%lld", mock_files[e->a].name, e->b);
	else if (e->event == MOCK_E_VIOLATION)
		seq_printf(s, " %s", mock_violation_texts[e->a][0]);
	else if (names[1])
		seq_printf(s, " %s=%lld", names[1], e->a);
	if (names[2] && e->event != MOCK_E_SET)
		seq_printf(s, " %s=%lld", names[2], e->b);
	seq_putc(s, '\n');
}

static int mock_log_show(struct seq_file *s, void *data)
{
	struct mock *m = s->private;
	struct mock_entry *copy;
	unsigned long flags;
	u64 at, end;

	copy = kvmalloc(sizeof(m->log), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	spin_lock_irqsave(&m->lock, flags);
	memcpy(copy, m->log, sizeof(m->log));
	end = m->logged;
	spin_unlock_irqrestore(&m->lock, flags);

	at = end > MOCK_LOG_SIZE ? end - MOCK_LOG_SIZE : 0;
	for (; at < end; at++)
		mock_show_entry(s, &copy[at % MOCK_LOG_SIZE]);
	kvfree(copy);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mock_log);

static int mock_counters_show(struct seq_file *s, void *data)
{
	struct mock *m = s->private;
	unsigned int i, outstanding = 0;
	u64 counters[MOCK_COUNTERS];
	struct list_head *entry;
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	memcpy(counters, m->counters, sizeof(counters));
	list_for_each(entry, &m->outstanding)
		outstanding++;
	spin_unlock_irqrestore(&m->lock, flags);
	for (i = 0; i < MOCK_COUNTERS; i++)
		seq_printf(s, "%s %llu\n", mock_counter_names[i], counters[i]);
	seq_printf(s, "outstanding %u\n", outstanding);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mock_counters);

static int mock_device_show(struct seq_file *s, void *data)
{
	struct mock *m = s->private;
	bool plugged = READ_ONCE(m->plugged);

	seq_printf(s, "name %s\nplugged %d\nstatus %d\nfeatures %llu\nqueue %u\n",
		   plugged ? dev_name(&m->vdev.dev) : "-", plugged, m->status, m->features,
		   m->connected ? m->vring.num : 0);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mock_device);

static int mock_violations_show(struct seq_file *s, void *data)
{
	struct mock *m = s->private;
	unsigned int i;

	for (i = 0; i < MOCK_VIOLATIONS; i++)
		if (m->violations[i])
			seq_printf(s, "%s %llu %s %#llx %#llx\n", mock_violation_texts[i][0],
				   m->violations[i], mock_violation_texts[i][1],
				   m->details[i][0], m->details[i][1]);
	return 0;
}

static int mock_violations_open(struct inode *inode, struct file *file)
{
	return single_open(file, mock_violations_show, inode->i_private);
}

/* Any write forgets them. */
static ssize_t mock_violations_write(struct file *file, const char __user *user, size_t size,
				     loff_t *pos)
{
	struct mock *m = file_inode(file)->i_private;
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	memset(m->violations, 0, sizeof(m->violations));
	spin_unlock_irqrestore(&m->lock, flags);
	return size;
}

static const struct file_operations mock_violations_fops = {
	.owner = THIS_MODULE,
	.open = mock_violations_open,
	.read = seq_read,
	.write = mock_violations_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* ------------------------------------------------------------------ life */

int mock_control_init(struct mock *m, struct dentry *root, unsigned int number)
{
	char name[8];
	unsigned int i;
	umode_t mode;

	m->refs = kcalloc(ARRAY_SIZE(mock_files), sizeof(*m->refs), GFP_KERNEL);
	if (!m->refs)
		return -ENOMEM;
	snprintf(name, sizeof(name), "%u", number);
	m->dir = debugfs_create_dir(name, root);
	for (i = 0; i < ARRAY_SIZE(mock_files); i++) {
		m->refs[i] = (struct mock_file_ref) { m, &mock_files[i] };
		mode = mock_files[i].setting == MOCK_ACTION ? 0200 : 0600;
		debugfs_create_file(mock_files[i].name, mode, m->dir, &m->refs[i],
				    &mock_file_ops);
	}
	debugfs_create_file("log", 0400, m->dir, m, &mock_log_fops);
	debugfs_create_file("counters", 0400, m->dir, m, &mock_counters_fops);
	debugfs_create_file("device", 0400, m->dir, m, &mock_device_fops);
	debugfs_create_file("violations", 0600, m->dir, m, &mock_violations_fops);
	return 0;
}

void mock_control_exit(struct mock *m)
{
	debugfs_remove(m->dir);
	kfree(m->refs);
}
