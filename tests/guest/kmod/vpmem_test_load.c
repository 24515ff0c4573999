// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kernel threads that send flush bios until they are told to stop, and count
 * how each one ended. For tests only; progs/flush-load.c is the program for it.
 *
 *	/sys/kernel/debug/vpmem_test_load
 *		Each open file is a load of its own, of one kind of bio:
 *		write "PATH FLAGS LENGTH BLOCK THREADS": start so many threads.
 *			Each sends write bios to the block device PATH, one after
 *			the other, of LENGTH bytes (0 or 4096) to a block of its
 *			own from BLOCK on. FLAGS is "P" (REQ_PREFLUSH), "F"
 *			(REQ_FUA) or "PF".
 *		write "stop MS": send no more, and wait so long for what has been
 *			sent; -ETIMEDOUT if something is still unanswered.
 *		write "again": after a stop, end a bio once more, to see that it is
 *			counted.
 *		read: what has happened so far, in one line of NAME=NUMBER:
 *			calls	bios sent
 *			again	ends of a bio that had ended already
 *			absent	attempts to open PATH that failed
 *			unanswered  bios that have not ended yet
 *			oldest_us   age of the oldest of these
 *			max_us	the longest that a bio took
 *			first	threads that have opened PATH, or have failed to
 *			N=COUNT	how many ended with errno N; 0 is success
 *		close: like "stop 0".
 *
 * After an error a thread pauses and opens PATH anew, so that a device that
 * went away and came back gets its load back. Nothing freezes these threads: in
 * a suspend they go on until the driver lets them wait.
 *
 * A thread uses its bios in turn. One that ends twice does so while it rests, or
 * the end of its next use is the one too many: either way it is counted. Loads
 * are kept until the module goes, which a thread that waits prevents.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/path.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define MAX_THREADS	1024
#define BIOS		8	/* of each thread */
#define ERRNOS		134	/* the highest one is 133 */
#define PAUSE_MS	200	/* after an error */
#define ABSENT_MS	100	/* before another attempt to open */
#define LOAD_BLOCK	4096

enum { RESTING, SENT };

struct item {
	struct bio bio;
	struct bio_vec vec;
	struct worker *worker;
	atomic_t state;
};

struct worker {
	struct load *load;
	struct task_struct *task;
	wait_queue_head_t wait;
	unsigned int number;
	unsigned int next;	/* item */
	bool first;		/* has got so far */
	u64 sent_ns;		/* of the bio that is under way, or 0; the load's lock */
	struct item items[BIOS];
};

struct load {
	struct list_head list;
	struct path root;	/* a thread of the kernel's own may be an empty one */
	char path[128];
	blk_opf_t flags;
	unsigned int length;
	u64 block;
	struct page *page;
	bool stopping;
	wait_queue_head_t idle;
	atomic_t running;	/* threads */
	atomic64_t again;
	spinlock_t lock;	/* protects the counters below */
	u64 calls;
	u64 absent;
	u64 max_ns;
	u64 ends[ERRNOS];
	unsigned int threads;
	struct worker workers[];
};

static struct dentry *file;
static LIST_HEAD(loads);
static DEFINE_MUTEX(loads_lock);

/* ------------------------------------------------------------------ bios */

static void item_end(struct bio *bio)
{
	struct item *item = container_of(bio, struct item, bio);

	if (atomic_cmpxchg(&item->state, SENT, RESTING) == SENT)
		wake_up(&item->worker->wait);
	else
		atomic64_inc(&item->worker->load->again);
}

static void count(struct worker *w, int err)
{
	struct load *load = w->load;
	u64 took_ns = ktime_get_ns() - w->sent_ns;

	spin_lock(&load->lock);
	w->sent_ns = 0;
	load->calls++;
	load->ends[-err < ERRNOS ? -err : EIO]++;
	if (took_ns > load->max_ns)
		load->max_ns = took_ns;
	spin_unlock(&load->lock);
}

/* Send one bio and wait for its end, however long that takes. */
static int call(struct worker *w, struct file *device)
{
	struct block_device *bdev = I_BDEV(device->f_mapping->host);
	struct item *item = &w->items[w->next++ % BIOS];
	struct load *load = w->load;
	int err;

	bio_init(&item->bio, bdev, &item->vec, 1, REQ_OP_WRITE | load->flags);
	item->bio.bi_iter.bi_sector = (load->block + w->number) * (LOAD_BLOCK / SECTOR_SIZE);
	item->bio.bi_end_io = item_end;
	if (load->length)
		__bio_add_page(&item->bio, load->page, load->length, 0);
	atomic_set(&item->state, SENT);
	WRITE_ONCE(w->sent_ns, ktime_get_ns());
	submit_bio(&item->bio);
	wait_event_idle(w->wait, atomic_read_acquire(&item->state) == RESTING);
	err = blk_status_to_errno(item->bio.bi_status);
	count(w, err);
	return err;
}

static struct file *open_device(struct load *load)
{
	struct file *device = file_open_root(&load->root, load->path,
					     O_RDWR | O_LARGEFILE, 0);

	if (!IS_ERR(device) && S_ISBLK(file_inode(device)->i_mode))
		return device;
	if (!IS_ERR(device))
		fput(device);
	spin_lock(&load->lock);
	load->absent++;
	spin_unlock(&load->lock);
	return NULL;
}

static int work(void *data)
{
	struct worker *w = data;
	struct load *load = w->load;
	struct file *device = NULL;

	while (!READ_ONCE(load->stopping)) {
		if (!device) {
			device = open_device(load);
			WRITE_ONCE(w->first, true);
			if (!device) {
				msleep(ABSENT_MS);
				continue;
			}
		}
		if (call(w, device)) {
			fput(device);
			device = NULL;
			msleep(PAUSE_MS);
		}
		cond_resched();
	}
	if (device)
		fput(device);
	if (atomic_dec_and_test(&load->running))
		wake_up(&load->idle);
	module_put_and_kthread_exit(0);
	return 0;
}

/* ----------------------------------------------------------------- loads */

static struct load *load_new(const char *text)
{
	char path[128], letters[8];
	unsigned int length, threads, i, n;
	unsigned long long block;
	struct load *load;

	if (sscanf(text, "%127s %7s %u %llu %u", path, letters, &length, &block, &threads) != 5 ||
	    (length && length != LOAD_BLOCK) || !threads || threads > MAX_THREADS)
		return ERR_PTR(-EINVAL);
	load = kvzalloc(struct_size(load, workers, threads), GFP_KERNEL);
	if (!load)
		return ERR_PTR(-ENOMEM);
	load->page = alloc_page(GFP_KERNEL);
	if (!load->page) {
		kvfree(load);
		return ERR_PTR(-ENOMEM);
	}
	memset(page_address(load->page), 0x5a, PAGE_SIZE);
	get_fs_root(current->fs, &load->root);
	strscpy(load->path, path, sizeof(load->path));
	if (strchr(letters, 'P'))
		load->flags |= REQ_PREFLUSH;
	if (strchr(letters, 'F'))
		load->flags |= REQ_FUA;
	load->length = length;
	load->block = block;
	load->threads = threads;
	spin_lock_init(&load->lock);
	init_waitqueue_head(&load->idle);
	for (i = 0; i < threads; i++) {
		load->workers[i].load = load;
		load->workers[i].number = i;
		init_waitqueue_head(&load->workers[i].wait);
		for (n = 0; n < BIOS; n++)
			load->workers[i].items[n].worker = &load->workers[i];
	}
	return load;
}

static void load_free(struct load *load)
{
	path_put(&load->root);
	__free_page(load->page);
	kvfree(load);
}

/* All threads, or none: those that are there go before they have begun. */
static int load_start(struct load *load)
{
	struct worker *w;
	unsigned int i;

	for (i = 0; i < load->threads; i++) {
		w = &load->workers[i];
		w->task = kthread_create(work, w, "vpmem_load/%u", i);
		if (IS_ERR(w->task)) {
			int err = PTR_ERR(w->task);

			while (i--)
				kthread_stop(load->workers[i].task);
			return err;
		}
	}
	atomic_set(&load->running, load->threads);
	for (i = 0; i < load->threads; i++) {
		__module_get(THIS_MODULE);
		wake_up_process(load->workers[i].task);
	}
	return 0;
}

static int load_create(struct file *f, const char *text)
{
	struct load *load;
	int err;

	if (f->private_data)
		return -EBUSY;
	load = load_new(text);
	if (IS_ERR(load))
		return PTR_ERR(load);
	err = load_start(load);
	if (err) {
		load_free(load);
		return err;
	}
	list_add(&load->list, &loads);
	f->private_data = load;
	return 0;
}

static int load_stop(struct load *load, unsigned int ms)
{
	long left;

	if (!load)
		return -EINVAL;
	WRITE_ONCE(load->stopping, true);
	left = wait_event_interruptible_timeout(load->idle, !atomic_read(&load->running),
						msecs_to_jiffies(ms));
	return left > 0 ? 0 : left ?: -ETIMEDOUT;
}

static int load_again(struct load *load)
{
	if (!load || atomic_read(&load->running))
		return -EBUSY;
	item_end(&load->workers[0].items[0].bio);
	return 0;
}

/* ------------------------------------------------------------------ file */

static int load_open(struct inode *inode, struct file *f)
{
	f->private_data = NULL;
	return 0;
}

static int load_release(struct inode *inode, struct file *f)
{
	struct load *load = f->private_data;

	if (load)
		WRITE_ONCE(load->stopping, true);
	return 0;
}

static ssize_t load_write(struct file *f, const char __user *user, size_t size, loff_t *pos)
{
	unsigned int ms;
	char text[256];
	int err;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, user, size))
		return -EFAULT;
	text[size] = '\0';
	if (sscanf(text, "stop %u", &ms) == 1)
		return load_stop(f->private_data, ms) ?: size;
	if (sysfs_streq(text, "again"))
		return load_again(f->private_data) ?: size;
	mutex_lock(&loads_lock);
	err = load_create(f, text);
	mutex_unlock(&loads_lock);
	return err ?: size;
}

static int report(struct load *load, char *text, int size)
{
	unsigned int unanswered = 0, first = 0, i;
	u64 now = ktime_get_ns(), oldest = 0, sent;
	int n;

	spin_lock(&load->lock);
	for (i = 0; i < load->threads; i++) {
		first += READ_ONCE(load->workers[i].first);
		sent = READ_ONCE(load->workers[i].sent_ns);
		if (!sent)
			continue;
		unanswered++;
		if (sent < now)
			oldest = max(oldest, now - sent);
	}
	n = scnprintf(text, size, "calls=%llu again=%lld absent=%llu unanswered=%u ",
		      load->calls + unanswered, atomic64_read(&load->again), load->absent,
		      unanswered);
	n += scnprintf(text + n, size - n, "oldest_us=%llu max_us=%llu first=%u",
		       div_u64(oldest, NSEC_PER_USEC), div_u64(load->max_ns, NSEC_PER_USEC),
		       first);
	for (i = 0; i < ERRNOS; i++)
		if (load->ends[i])
			n += scnprintf(text + n, size - n, " %u=%llu", i, load->ends[i]);
	spin_unlock(&load->lock);
	return n + scnprintf(text + n, size - n, "\n");
}

static ssize_t load_read(struct file *f, char __user *user, size_t size, loff_t *pos)
{
	char text[1024];

	if (!f->private_data)
		return -EINVAL;
	return simple_read_from_buffer(user, size, pos, text,
				       report(f->private_data, text, sizeof(text)));
}

static const struct file_operations load_ops = {
	.owner = THIS_MODULE,
	.open = load_open,
	.release = load_release,
	.write = load_write,
	.read = load_read,
	.llseek = default_llseek,
};

static int __init test_init(void)
{
	file = debugfs_create_file("vpmem_test_load", 0600, NULL, NULL, &load_ops);
	return PTR_ERR_OR_ZERO(file);
}
module_init(test_init);

static void __exit test_exit(void)
{
	struct load *load, *next;

	debugfs_remove(file);
	list_for_each_entry_safe(load, next, &loads, list)
		load_free(load);
}
module_exit(test_exit);

MODULE_DESCRIPTION("Test: flush bios all the time");
MODULE_LICENSE("GPL");
