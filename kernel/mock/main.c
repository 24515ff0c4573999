// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_pmem_mock: virtio-pmem devices that misbehave on demand. For tests.
 *
 *	modprobe virtio_pmem_mock start=ADDRESS size=BYTES [devices=1|2]
 *
 * The memory must have been kept from the kernel with memmap=SIZE$ADDRESS; each
 * device gets an equal part. The parent of each virtio device is a platform
 * device, through which a suspend reaches the driver.
 *
 * This file leads the life of the devices. m->plug keeps plugging, unplugging,
 * freeze and restore apart, which can take long; debugfs outlives what is unplugged.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pm.h>
#include <linux/slab.h>

#include "compat.h"
#include "mock.h"

static unsigned long long start;
module_param(start, ullong, 0444);
MODULE_PARM_DESC(start, "where the memory is that memmap= has reserved");

static unsigned long long size;
module_param(size, ullong, 0444);
MODULE_PARM_DESC(size, "how much of it there is, in bytes, for all devices");

static unsigned int devices = 1;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "how many devices share it");

static struct mock *mocks[MOCK_MAX_DEVICES];
static struct dentry *root;

/* Set for the life of the platform device, and read in interrupts. */
struct mock *mock_of_parent(struct device *parent)
{
	return *(struct mock **)dev_get_platdata(parent);
}

/* -------------------------------------------------------- plug and unplug */

static void mock_release(struct device *dev)
{
	struct mock *m = to_mock(dev_to_virtio(dev));

	complete(&m->released);
}

static void mock_set_plugged(struct mock *m, bool plugged)
{
	mutex_lock(&m->present);
	m->plugged = plugged;
	mutex_unlock(&m->present);
}

/* The virtio device appears, as good as new. */
int mock_plug(struct mock *m)
{
	unsigned long flags;
	int err;

	mutex_lock(&m->plug);
	if (m->plugged) {
		mutex_unlock(&m->plug);
		return -EBUSY;
	}
	spin_lock_irqsave(&m->lock, flags);
	m->set[MOCK_GONE] = 0;
	m->status = 0;
	spin_unlock_irqrestore(&m->lock, flags);

	memset(&m->vdev, 0, sizeof(m->vdev));
	m->vdev.dev.release = mock_release;
	mock_transport_init(m);
	reinit_completion(&m->released);
	err = register_virtio_device(&m->vdev);
	if (err) {
		put_device(&m->vdev.dev);
		wait_for_completion(&m->released);
	}
	mock_set_plugged(m, !err);
	mutex_unlock(&m->plug);
	return err;
}

/* It disappears: its driver is unbound first, as on any bus. */
void mock_unplug(struct mock *m)
{
	mutex_lock(&m->plug);
	if (m->plugged) {
		mock_set_plugged(m, false);
		unregister_virtio_device(&m->vdev);
		wait_for_completion(&m->released);
		/* An interrupt that was raised before may still look at it. */
		irq_work_sync(&m->irq);
	}
	mutex_unlock(&m->plug);
}

static void mock_unplug_work(struct work_struct *work)
{
	mock_unplug(container_of(work, struct mock, unplug));
}

/* ------------------------------------------------------- power management */

/* Call one of the virtio core's functions as a transport does; probe and remove wait. */
int mock_call_core(struct mock *m, int (*call)(struct virtio_device *vdev))
{
	int err = -ENODEV;

	mutex_lock(&m->plug);
	if (m->plugged) {
		device_lock(&m->vdev.dev);
		WRITE_ONCE(m->in_core, true);
		err = call(&m->vdev);
		WRITE_ONCE(m->in_core, false);
		device_unlock(&m->vdev.dev);
	}
	mutex_unlock(&m->plug);
	return err;
}

/* A slot that is empty has nothing to suspend. */
static int mock_pm(struct device *dev, int (*call)(struct virtio_device *vdev))
{
	int err = mock_call_core(mock_of_parent(dev), call);

	return err == -ENODEV && !READ_ONCE(mock_of_parent(dev)->plugged) ? 0 : err;
}

static int __maybe_unused mock_pm_suspend(struct device *dev)
{
	return mock_pm(dev, virtio_device_freeze);
}

static int __maybe_unused mock_pm_resume(struct device *dev)
{
	return mock_pm(dev, virtio_device_restore);
}

static SIMPLE_DEV_PM_OPS(mock_pm_ops, mock_pm_suspend, mock_pm_resume);

/* The platform driver is there for power management only. */
static int mock_probe(struct platform_device *pdev)
{
	return 0;
}

static struct platform_driver mock_driver = {
	.probe = mock_probe,
	.driver.name = KBUILD_MODNAME,
	.driver.pm = &mock_pm_ops,
};

/* ------------------------------------------------------------------ life */

static void mock_destroy(struct mock *m)
{
	flush_work(&m->unplug);
	mock_unplug(m);
	mock_device_exit(m);
	platform_device_unregister(m->pdev);
	kvfree(m);
}

static struct mock *mock_create(unsigned int number)
{
	struct platform_device *pdev;
	struct mock *m;
	int err;

	m = kvzalloc(sizeof(*m), GFP_KERNEL);
	if (!m)
		return ERR_PTR(-ENOMEM);
	m->size = size / devices;
	m->start = start + number * m->size;
	mutex_init(&m->plug);
	mutex_init(&m->present);
	init_completion(&m->released);
	INIT_WORK(&m->unplug, mock_unplug_work);
	mock_device_init(m);
	mock_defaults(m);

	pdev = platform_device_register_data(NULL, KBUILD_MODNAME, number, &m, sizeof(m));
	if (IS_ERR(pdev)) {
		kvfree(m);
		return ERR_CAST(pdev);
	}
	m->pdev = pdev;
	err = mock_plug(m);
	if (err) {
		mock_destroy(m);
		return ERR_PTR(err);
	}
	return m;
}

static bool mock_range_good(void)
{
	if (!devices || devices > MOCK_MAX_DEVICES || !size ||
	    !IS_ALIGNED(start, PAGE_SIZE) || !IS_ALIGNED(size / devices, PAGE_SIZE) ||
	    start + size < start) {
		pr_err("start=, size= and devices= make no range of memory\n");
		return false;
	}
	if (region_intersects(start, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	    REGION_DISJOINT) {
		pr_err("%#llx+%#llx is in use by the kernel: boot with memmap=\n", start, size);
		return false;
	}
	return true;
}

static void mock_exit_all(void)
{
	unsigned int i;

	/* The files first, because what they do must not run into the end. */
	for (i = 0; i < MOCK_MAX_DEVICES; i++)
		if (mocks[i])
			mock_control_exit(mocks[i]);
	for (i = 0; i < MOCK_MAX_DEVICES; i++)
		if (mocks[i])
			mock_destroy(mocks[i]);
	debugfs_remove(root);
	platform_driver_unregister(&mock_driver);
}

static int __init mock_init(void)
{
	struct mock *m;
	unsigned int i;
	int err;

	if (!mock_range_good())
		return -EINVAL;
	err = platform_driver_register(&mock_driver);
	if (err)
		return err;
	root = debugfs_create_dir(KBUILD_MODNAME, NULL);
	for (i = 0; i < devices; i++) {
		m = mock_create(i);
		if (IS_ERR(m)) {
			err = PTR_ERR(m);
			goto err_exit;
		}
		err = mock_control_init(m, root, i);
		if (err) {
			mock_destroy(m);
			goto err_exit;
		}
		mocks[i] = m;
	}
	return 0;

err_exit:
	mock_exit_all();
	return err;
}
module_init(mock_init);

static void __exit mock_exit(void)
{
	mock_exit_all();
}
module_exit(mock_exit);

MODULE_DESCRIPTION("Test: virtio-pmem devices that misbehave on demand");
MODULE_LICENSE("GPL");
