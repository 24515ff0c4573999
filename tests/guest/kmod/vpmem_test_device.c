// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Do to a virtio device, and to a suspend, what no driver should have to expect.
 * For tests only.
 *
 *	/sys/kernel/debug/vpmem_test_device/notify
 *		write the name of a PCI device, "0000:00:04.0": notify the first
 *		queue of the virtio device on it once more, whatever the queue
 *		holds. The rest of its driver's state is left alone.
 *	/sys/kernel/debug/vpmem_test_device/suspend_ms
 *		how long the next suspends wait after drivers have been told of
 *		them and before anything is frozen; 0 at first.
 *	/sys/kernel/debug/vpmem_test_device/suspends
 *		how many there have been, from that moment on.
 *	/sys/kernel/debug/vpmem_test_device/leak
 *		write a number of bytes: allocate and forget them. A look for
 *		leaks that does not find this one finds none.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/suspend.h>
#include <linux/uaccess.h>
#include <linux/virtio.h>

static struct dentry *dir;
static u32 suspend_ms, suspends;

/* The children of a PCI device can be others too. */
static int notify_first_queue(struct device *dev, void *data)
{
	struct virtio_device *vdev;
	struct virtqueue *vq;
	bool done = false;

	if (!dev->bus || strcmp(dev->bus->name, "virtio"))
		return 0;
	vdev = dev_to_virtio(dev);
	device_lock(dev);
	vq = list_first_entry_or_null(&vdev->vqs, struct virtqueue, list);
	if (vq)
		done = virtqueue_notify(vq);
	device_unlock(dev);
	return done ? 1 : -ENODEV;
}

static ssize_t notify_write(struct file *file, const char __user *user, size_t size, loff_t *pos)
{
	unsigned int domain, bus, slot, function;
	struct pci_dev *pdev;
	char text[32];
	int done;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, user, size))
		return -EFAULT;
	text[size] = '\0';
	if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;
	done = device_for_each_child(&pdev->dev, NULL, notify_first_queue);
	pci_dev_put(pdev);
	if (done == 1)
		return size;
	return done ?: -ENODEV;
}

static const struct file_operations notify_ops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = notify_write,
};

static int leak_set(void *data, u64 size)
{
	void *lost = kmalloc(size, GFP_KERNEL);

	return lost ? 0 : -ENOMEM;
}

DEFINE_DEBUGFS_ATTRIBUTE(leak_ops, NULL, leak_set, "%llu\n");

static int pm_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == PM_SUSPEND_PREPARE) {
		suspends++;
		msleep(suspend_ms);
	}
	return NOTIFY_DONE;
}

/* After everyone else has been told. */
static struct notifier_block pm_notifier = {
	.notifier_call = pm_event,
	.priority = INT_MIN,
};

static int __init test_init(void)
{
	int err;

	err = register_pm_notifier(&pm_notifier);
	if (err)
		return err;
	dir = debugfs_create_dir("vpmem_test_device", NULL);
	debugfs_create_file("notify", 0200, dir, NULL, &notify_ops);
	debugfs_create_u32("suspend_ms", 0600, dir, &suspend_ms);
	debugfs_create_u32("suspends", 0400, dir, &suspends);
	debugfs_create_file("leak", 0200, dir, NULL, &leak_ops);
	return 0;
}
module_init(test_init);

static void __exit test_exit(void)
{
	debugfs_remove(dir);
	unregister_pm_notifier(&pm_notifier);
}
module_exit(test_exit);

MODULE_DESCRIPTION("Test: mistreat a virtio device");
MODULE_LICENSE("GPL");
