// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Submit bios that userspace cannot ask for, and tell what became of them. For
 * tests only.
 *
 *	/sys/kernel/debug/vpmem_test_bio/submit
 *		"PATH SECTOR LENGTH FLAGS BYTE COUNT": COUNT write bios to the
 *		block device PATH, each of LENGTH bytes (0 to 4096) of the value
 *		BYTE (hexadecimal), one behind the other from SECTOR on. FLAGS
 *		is "-", "P" (REQ_PREFLUSH), "F" (REQ_FUA) or "PF". The write
 *		returns when submit_bio() has, for all of them; what is with the
 *		device by then is not waited for.
 *	/sys/kernel/debug/vpmem_test_bio/result
 *		of the newest write to submit: "submitted=N ended=N again=N
 *		failed=N status=ERRNO": bios that were submitted, that ended,
 *		that ended more than once, and that ended with an error; and the
 *		first error, as a negative errno, or 0.
 *
 * Jobs are kept until the module goes, so that a bio which ends twice is
 * counted and does no harm. A bio that has not ended keeps the module loaded.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define MAX_COUNT 4096

struct item {
	struct bio bio;
	struct bio_vec vec;
	struct job *job;
	atomic_t ends;
};

struct job {
	struct list_head list;
	struct file *file;		/* open until the last bio has ended */
	struct page *page;
	unsigned int count;
	atomic_t left;
	atomic_t submitted;
	atomic_t ended;
	atomic_t again;
	atomic_t failed;
	atomic_t status;
	struct item items[];
};

static struct dentry *dir;
static LIST_HEAD(jobs);			/* newest first */
static DEFINE_MUTEX(jobs_lock);

static void item_end(struct bio *bio)
{
	struct item *item = container_of(bio, struct item, bio);
	struct job *job = item->job;

	if (atomic_inc_return(&item->ends) > 1) {
		atomic_inc(&job->again);
		return;
	}
	if (bio->bi_status) {
		atomic_cmpxchg(&job->status, 0, blk_status_to_errno(bio->bi_status));
		atomic_inc(&job->failed);
	}
	atomic_inc(&job->ended);
	if (atomic_dec_and_test(&job->left)) {
		fput(job->file);
		module_put(THIS_MODULE);
	}
}

static struct job *job_new(const char *path, unsigned int count, unsigned char byte)
{
	struct job *job;

	job = kvzalloc(struct_size(job, items, count), GFP_KERNEL);
	if (!job)
		return ERR_PTR(-ENOMEM);
	job->count = count;
	atomic_set(&job->left, count);
	job->page = alloc_page(GFP_KERNEL);
	if (!job->page) {
		kvfree(job);
		return ERR_PTR(-ENOMEM);
	}
	memset(page_address(job->page), byte, PAGE_SIZE);
	job->file = filp_open(path, O_RDWR | O_LARGEFILE, 0);
	if (!IS_ERR(job->file) && !S_ISBLK(file_inode(job->file)->i_mode)) {
		fput(job->file);
		job->file = ERR_PTR(-ENOTBLK);
	}
	if (IS_ERR(job->file)) {
		void *error = ERR_CAST(job->file);

		__free_page(job->page);
		kvfree(job);
		return error;
	}
	return job;
}

static void job_submit(struct job *job, sector_t sector, unsigned int length, blk_opf_t flags)
{
	struct block_device *bdev = I_BDEV(job->file->f_mapping->host);
	unsigned int i;

	__module_get(THIS_MODULE);	/* until the last bio has ended */
	for (i = 0; i < job->count; i++) {
		struct item *item = &job->items[i];

		item->job = job;
		bio_init(&item->bio, bdev, &item->vec, 1, REQ_OP_WRITE | flags);
		item->bio.bi_iter.bi_sector = sector + i * (u64)length / SECTOR_SIZE;
		item->bio.bi_end_io = item_end;
		if (length)
			__bio_add_page(&item->bio, job->page, length, 0);
		atomic_inc(&job->submitted);
		submit_bio(&item->bio);
	}
}

static ssize_t submit_write(struct file *file, const char __user *user, size_t size, loff_t *pos)
{
	char text[256], path[128], letters[8];
	unsigned int length, byte, count;
	unsigned long long sector;
	blk_opf_t flags = 0;
	struct job *job;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, user, size))
		return -EFAULT;
	text[size] = '\0';
	if (sscanf(text, "%127s %llu %u %7s %x %u", path, &sector, &length, letters, &byte,
		   &count) != 6)
		return -EINVAL;
	if (length > PAGE_SIZE || length % SECTOR_SIZE || !count || count > MAX_COUNT)
		return -EINVAL;
	if (strchr(letters, 'P'))
		flags |= REQ_PREFLUSH;
	if (strchr(letters, 'F'))
		flags |= REQ_FUA;

	job = job_new(path, count, byte);
	if (IS_ERR(job))
		return PTR_ERR(job);
	mutex_lock(&jobs_lock);
	list_add(&job->list, &jobs);
	mutex_unlock(&jobs_lock);
	job_submit(job, sector, length, flags);
	return size;
}

static const struct file_operations submit_ops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = submit_write,
};

static ssize_t result_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	struct job *job;
	char text[128];
	int n = 0;

	mutex_lock(&jobs_lock);
	job = list_first_entry_or_null(&jobs, struct job, list);
	if (job)
		n = scnprintf(text, sizeof(text),
			      "submitted=%d ended=%d again=%d failed=%d status=%d\n",
			      atomic_read(&job->submitted), atomic_read(&job->ended),
			      atomic_read(&job->again), atomic_read(&job->failed),
			      atomic_read(&job->status));
	mutex_unlock(&jobs_lock);
	return simple_read_from_buffer(user, size, pos, text, n);
}

static const struct file_operations result_ops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = result_read,
};

static int __init test_init(void)
{
	dir = debugfs_create_dir("vpmem_test_bio", NULL);
	debugfs_create_file("submit", 0200, dir, NULL, &submit_ops);
	debugfs_create_file("result", 0400, dir, NULL, &result_ops);
	return 0;
}
module_init(test_init);

static void __exit test_exit(void)
{
	struct job *job, *next;

	debugfs_remove(dir);
	list_for_each_entry_safe(job, next, &jobs, list) {
		__free_page(job->page);
		kvfree(job);
	}
}
module_exit(test_exit);

MODULE_DESCRIPTION("Test: submit chosen bios");
MODULE_LICENSE("GPL");
