// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-pmem (virtio specification 1.3, section 5.19): persistent memory that
 * is a file on the host, and a virtqueue to ask the host to flush it.
 *
 * This file leads the life of a device: what exists when, and who may use it.
 *
 *	probe				remove (from below)
 *	  private data, slot		  free or leak the slot
 *	  virtqueue			  delete the virtqueue
 *	  device ready			  reset the device
 *	  notifiers			  unregister
 *	  bus and region		  unregister, flush once more
 *
 * Nothing is visible to others before the device can serve a flush, and it
 * can until nobody sees it any more.
 *
 * A queue has generations: freeze, reset and recover take it away, and restore
 * sets up the next. The driver core calls probe, remove, freeze and restore one
 * at a time; v->control adds recover, which an administrator asks for, and the
 * transport's reset.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kmemleak.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "compat.h"
#include "vpmem.h"

struct workqueue_struct *vpmem_wq;
enum vpmem_policy vpmem_default_policy = VPMEM_LATCH;

static int vpmem_policy_param_set(const char *val, const struct kernel_param *kp)
{
	int policy = sysfs_match_string(vpmem_policy_names, val);

	if (policy < 0)
		return policy;
	vpmem_default_policy = policy;
	return 0;
}

static int vpmem_policy_param_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", vpmem_policy_names[vpmem_default_policy]);
}

static const struct kernel_param_ops vpmem_policy_param_ops = {
	.set = vpmem_policy_param_set,
	.get = vpmem_policy_param_get,
};
module_param_cb(error_policy, &vpmem_policy_param_ops, NULL, 0644);
MODULE_PARM_DESC(error_policy,
		 "what a failed host flush does, for devices found later: latch (default) or report");

/* ---------------------------------------------------------- the device */

/* Where the memory is: the shared memory region if there is one, else the configuration. */
static int vpmem_read_range(struct virtio_device *vdev, u64 *start, u64 *size)
{
	struct virtio_shm_region shm;

	if (virtio_has_feature(vdev, VIRTIO_PMEM_F_SHMEM_REGION)) {
		if (!virtio_get_shm_region(vdev, &shm, VIRTIO_PMEM_SHMEM_REGION_ID)) {
			dev_err(&vdev->dev, "the device offers shared memory region %d but has none\n",
				VIRTIO_PMEM_SHMEM_REGION_ID);
			return -EINVAL;
		}
		*start = shm.addr;
		*size = shm.len;
	} else {
		virtio_cread_le(vdev, struct virtio_pmem_config, start, start);
		virtio_cread_le(vdev, struct virtio_pmem_config, size, size);
	}

	if (!*size) {
		dev_err(&vdev->dev, "the device has no memory: its size is 0\n");
		return -EINVAL;
	}
	if (*start + *size - 1 < *start) {
		dev_err(&vdev->dev, "the device's memory wraps: start %#llx, size %#llx\n",
			*start, *size);
		return -EINVAL;
	}
	return 0;
}

static struct virtqueue *vpmem_find_queue(struct virtio_device *vdev)
{
	struct virtqueue *vq;

	vq = virtio_find_single_vq(vdev, vpmem_engine_callback, "flush_queue");
	if (IS_ERR(vq)) {
		dev_err(&vdev->dev, "no flush queue: error %ld\n", PTR_ERR(vq));
		return vq;
	}
	/* A request is two descriptors. */
	if (virtqueue_get_vring_size(vq) < 2) {
		dev_err(&vdev->dev, "the flush queue has room for %u descriptors, 2 are needed\n",
			virtqueue_get_vring_size(vq));
		vdev->config->del_vqs(vdev);
		return ERR_PTR(-EINVAL);
	}
	return vq;
}

/*
 * Take the queue away from engine and device, if there is one: a restore that
 * failed has left none. Nobody answers a reset of a device that is gone.
 */
static void vpmem_delete_queue(struct vpmem *v)
{
	struct virtio_device *vdev = v->vdev;
	bool had_queue = v->vq;

	vpmem_detach_queue(v);
	if (vdev->config->get_status(vdev) != VPMEM_STATUS_GONE)
		virtio_reset_device(vdev);
	if (had_queue)
		vdev->config->del_vqs(vdev);
}

/*
 * A slot that the device has not returned can still be written by it, reset or
 * not: it is left to the device for good. kfree() takes no such thing back.
 */
static void vpmem_free_slot(struct vpmem *v)
{
	if (v->slot_state != VPMEM_SLOT_OURS) {
		dev_warn(&v->vdev->dev, "the device kept its request: leaking %zu bytes\n",
			 sizeof(*v->slot));
		kmemleak_not_leak(v->slot);
	} else {
		kfree(v->slot);
	}
}

static void vpmem_free(struct vpmem *v)
{
	WRITE_ONCE(v->vdev->priv, NULL);
	vpmem_stop(v);
	vpmem_free_slot(v);
	kfree(v);
}

/*
 * An answer that came while no driver was there has left a legacy interrupt
 * raised, which only a reset takes back: an I/O APIC, which had the line masked,
 * sees no edge of it any more, and none of ours after it.
 *
 * Indirect descriptors are allocated for each request; ours needs none (F4).
 */
static int vpmem_validate(struct virtio_device *vdev)
{
	virtio_reset_device(vdev);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	return vdev->config->finalize_features(vdev);
}

static int vpmem_probe(struct virtio_device *vdev)
{
	struct virtqueue *vq;
	struct vpmem *v;
	int err;

	if (!vdev->config->get) {
		dev_err(&vdev->dev, "the device's configuration cannot be read\n");
		return -EINVAL;
	}

	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v)
		return -ENOMEM;
	v->slot = kzalloc(sizeof(*v->slot), GFP_KERNEL);
	if (!v->slot) {
		kfree(v);
		return -ENOMEM;
	}
	v->vdev = vdev;
	v->name = dev_name(&vdev->dev);
	vpmem_engine_init(v);
	vpmem_control_init(v);
	WRITE_ONCE(vdev->priv, v);

	err = vpmem_read_range(vdev, &v->start, &v->size);
	if (err)
		goto err_free;
	vq = vpmem_find_queue(vdev);
	if (IS_ERR(vq)) {
		err = PTR_ERR(vq);
		goto err_free;
	}
	virtio_device_ready(vdev);
	vpmem_attach_queue(v, vq);

	err = vpmem_control_start(v);
	if (err)
		goto err_close;
	err = vpmem_region_create(v);
	if (err)
		goto err_stop;
	return 0;

err_stop:
	vpmem_control_stop(v);
err_close:
	vpmem_close(v);
	vpmem_delete_queue(v);
err_free:
	vpmem_free(v);
	return err;
}

static void vpmem_remove(struct virtio_device *vdev)
{
	struct vpmem *v = vdev->priv;

	vpmem_start_removal(v);
	vpmem_region_destroy(v);

	/* del_gendisk() writes dirty pages back after nd_pmem's last flush (F11). */
	if (!vpmem_is_broken(v) && vpmem_flush(v))
		dev_err(&vdev->dev, "%s: the last flush failed\n", v->name);

	vpmem_control_stop(v);
	vpmem_close(v);
	vpmem_delete_queue(v);
	put_device(v->region_dev);
	vpmem_free(v);
}

/*
 * In an interrupt, perhaps. A recover that ends after remove has begun lets these
 * come until the queue is gone, and in the next probe: so what is looked for is
 * looked at only with a queue, and vpmem_free() stops the look.
 */
static void vpmem_config_changed(struct virtio_device *vdev)
{
	struct vpmem *v = READ_ONCE(vdev->priv);
	struct vpmem_section s;

	if (!v)
		return;
	vpmem_lock(v, &s);
	v->config_changed = true;
	vpmem_unlock(v, &s);
	vpmem_look_soon(v);
}

/* The next generation of the queue. Returns why there is none, or VPMEM_REASON_NONE. */
static enum vpmem_reason vpmem_renew_queue(struct vpmem *v)
{
	struct virtio_device *vdev = v->vdev;
	struct virtqueue *vq;
	u64 start, size;

	if (vpmem_read_range(vdev, &start, &size))
		return VPMEM_REASON_GONE;
	if (start != v->start || size != v->size) {
		dev_err(&vdev->dev, "%s: the memory was %#llx+%#llx and is now %#llx+%#llx\n",
			v->name, v->start, v->size, start, size);
		return VPMEM_REASON_GONE;
	}
	vq = vpmem_find_queue(vdev);
	if (IS_ERR(vq))
		return VPMEM_REASON_VIRTQUEUE;
	virtio_device_ready(vdev);
	vpmem_attach_queue(v, vq);
	return VPMEM_REASON_NONE;
}

/* ----------------------------------------------------- suspend and reset */

/*
 * The device is the transport's until it is brought back. Whoever allocates here
 * must not have to wait for a flush, which gathers, to get memory: that is what
 * NOIO says.
 */
static void vpmem_lock_control(struct vpmem *v, unsigned int *noio)
{
	mutex_lock(&v->control);
	*noio = memalloc_noio_save();
}

static void vpmem_unlock_control(struct vpmem *v, unsigned int noio)
{
	memalloc_noio_restore(noio);
	mutex_unlock(&v->control);
}

/* What could not be restored is broken, and can be recovered. */
static int vpmem_bring_back(struct vpmem *v)
{
	enum vpmem_reason reason;
	unsigned int noio;

	vpmem_lock_control(v, &noio);
	reason = vpmem_renew_queue(v);
	if (reason)
		vpmem_break(v, reason);
	vpmem_unpark(v);
	vpmem_unlock_control(v, noio);
	return reason ? -EIO : 0;
}

/*
 * Requests gather until restore: a suspend fails none and loses none (F11, F12).
 * A recover takes this way too, and has done all of it already.
 */
static int __maybe_unused vpmem_freeze(struct virtio_device *vdev)
{
	struct vpmem *v = vdev->priv;
	unsigned int noio;
	int err;

	if (READ_ONCE(v->recoverer) == current)
		return 0;
	vpmem_lock_control(v, &noio);
	err = vpmem_park(v, VPMEM_SUSPEND);
	if (err) {
		dev_err(&vdev->dev, "%s: the host does not answer a flush: not suspending\n",
			v->name);
		vpmem_unpark(v);
	} else {
		vpmem_delete_queue(v);
		vpmem_look_soon(v);
	}
	vpmem_unlock_control(v, noio);
	return err;
}

static int __maybe_unused vpmem_restore(struct virtio_device *vdev)
{
	struct vpmem *v = vdev->priv;

	if (READ_ONCE(v->recoverer) == current) {
		v->renewed = vpmem_renew_queue(v);
		return v->renewed ? -EIO : 0;
	}
	return vpmem_bring_back(v);
}

/*
 * The transport is about to reset the device, whatever we say: a request that
 * the device keeps is lost. Unlike a suspend, a reset can meet an unbind of the
 * virtio device, so it takes the lock that probe and remove are called with.
 */
static int __maybe_unused vpmem_reset_prepare(struct virtio_device *vdev)
{
	unsigned int noio;
	struct vpmem *v;

	device_lock(&vdev->dev);
	v = vdev->priv;
	if (v) {
		vpmem_lock_control(v, &noio);
		if (vpmem_park(v, VPMEM_RESET))
			vpmem_break(v, VPMEM_REASON_TIMEOUT);
		vpmem_delete_queue(v);
		vpmem_look_soon(v);
		vpmem_unlock_control(v, noio);
	}
	device_unlock(&vdev->dev);
	return 0;
}

static int __maybe_unused vpmem_reset_done(struct virtio_device *vdev)
{
	int err = 0;

	device_lock(&vdev->dev);
	if (vdev->priv)
		err = vpmem_bring_back(vdev->priv);
	device_unlock(&vdev->dev);
	return err;
}

/* ------------------------------------------------------------- recover */

/*
 * Take the queue away if a reset is all that helps, and wait for the request that
 * the device has not returned: on a queue that is well through its ring, after a
 * reset in the memory that the device then writes. A device that forgets its
 * requests at a reset, as the specification wants, never writes it; the next
 * recover goes on without (R5 makes that safe). Returns 0, or
 * -ETIMEDOUT	no answer for stall_timeout_ms;
 * -EINTR	a signal came;
 * -ENODEV	the driver is being unbound;
 * -EBUSY	the system is being shut down;
 * -EIO		the region broke meanwhile.
 */
static int vpmem_await_old_answer(struct vpmem *v)
{
	unsigned long end = jiffies + msecs_to_jiffies(READ_ONCE(v->stall_timeout_ms));
	enum vpmem_slot_state state;

	for (;;) {
		vpmem_reap_all(v);
		if (v->vq && (READ_ONCE(v->slot_state) >= VPMEM_SLOT_LOST ||
			      virtqueue_is_broken(v->vq) || vpmem_needs_reset(v)))
			vpmem_delete_queue(v);
		state = READ_ONCE(v->slot_state);
		if ((state == VPMEM_SLOT_LOST || state == VPMEM_SLOT_GIVEN_UP) && !v->vq &&
		    vpmem_slot_is_written(v)) {
			vpmem_judge_written(v);
			state = VPMEM_SLOT_JUDGED;
		}

		if (READ_ONCE(v->state) != VPMEM_RECOVERING)
			return -EIO;
		if (READ_ONCE(v->leaving))
			return -ENODEV;
		if (READ_ONCE(v->deadline))
			return -EBUSY;
		if (state != VPMEM_SLOT_IN_RING && state != VPMEM_SLOT_LOST)
			return 0;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		if (msleep_interruptible(VPMEM_ANSWER_LOOK_MS))
			return -EINTR;
	}
}

/* Negotiate anew, and set up a queue with a slot that no old answer reaches. */
static enum vpmem_reason vpmem_renew_device(struct vpmem *v, struct vpmem_slot **fresh)
{
	struct virtio_device *vdev = v->vdev;
	struct vpmem_section s;
	int err;

	if (vpmem_is_gone(v))
		return VPMEM_REASON_GONE;
	if (v->slot_state != VPMEM_SLOT_OURS) {
		vpmem_free_slot(v);
		vpmem_lock(v, &s);
		v->slot = *fresh;
		WRITE_ONCE(v->slot_state, VPMEM_SLOT_OURS);
		vpmem_unlock(v, &s);
		*fresh = NULL;
	}

	/* Not to be taken for a device that its driver gave up. */
	virtio_reset_device(vdev);
	v->renewed = VPMEM_REASON_VIRTQUEUE;
	WRITE_ONCE(v->recoverer, current);
	err = vpmem_renegotiate(vdev);
	WRITE_ONCE(v->recoverer, NULL);
	return err ? v->renewed : VPMEM_REASON_NONE;
}

/* What a recover does to the device. Sets @reason if the region stays broken. */
static int vpmem_recover_device(struct vpmem *v, struct vpmem_slot **fresh,
				enum vpmem_reason *reason)
{
	struct device *dev = &v->vdev->dev;
	struct vpmem_section s;
	int err;

	*reason = READ_ONCE(v->reason);
	if (vpmem_is_gone(v)) {
		*reason = VPMEM_REASON_GONE;
		return -ENODEV;
	}
	err = vpmem_await_old_answer(v);
	if (err == -ETIMEDOUT) {
		dev_err(dev, "%s: no answer to the old flush: recover once more to go on without\n",
			v->name);
		vpmem_lock(v, &s);
		if (v->slot_state != VPMEM_SLOT_OURS)
			WRITE_ONCE(v->slot_state, VPMEM_SLOT_GIVEN_UP);
		vpmem_unlock(v, &s);
		*reason = VPMEM_REASON_TIMEOUT;
	}
	if (err)
		return err;

	*reason = v->vq ? VPMEM_REASON_NONE : vpmem_renew_device(v, fresh);
	return *reason ? -EIO : 0;
}

/*
 * Make a broken region serve requests again; nothing to do for any other. What
 * gathers meanwhile is flushed. Returns 0, -EBUSY while the system suspends or
 * shuts down, -ENOMEM, or what vpmem_await_old_answer() does: then the region is
 * broken still, and -ENODEV is also a device that is not there any more.
 */
int vpmem_recover(struct vpmem *v)
{
	enum vpmem_reason reason;
	struct vpmem_slot *fresh;
	unsigned int noio;
	int err, end;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL);
	if (!fresh)
		return -ENOMEM;
	err = mutex_lock_interruptible(&v->control);
	if (err)
		goto out_free;
	noio = memalloc_noio_save();
	err = vpmem_begin_recovery(v);
	if (err > 0) {
		err = vpmem_recover_device(v, &fresh, &reason);
		end = vpmem_end_recovery(v, reason);
		err = err ?: end;
	}
	vpmem_unlock_control(v, noio);
out_free:
	kfree(fresh);
	return err;
}

static const struct virtio_device_id vpmem_ids[] = {
	{ VIRTIO_ID_PMEM, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, vpmem_ids);

static unsigned int vpmem_features[] = {
	VIRTIO_PMEM_F_SHMEM_REGION,
};

static struct virtio_driver vpmem_driver = {
	.feature_table		= vpmem_features,
	.feature_table_size	= ARRAY_SIZE(vpmem_features),
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= vpmem_ids,
	.validate		= vpmem_validate,
	.probe			= vpmem_probe,
	.remove			= vpmem_remove,
	.config_changed		= vpmem_config_changed,
#ifdef CONFIG_PM_SLEEP	/* the members are there only then */
	.freeze			= vpmem_freeze,
	.restore		= vpmem_restore,
#endif
#if VPMEM_RESET_CALLBACKS
	.reset_prepare		= vpmem_reset_prepare,
	.reset_done		= vpmem_reset_done,
#endif
};

static int __init vpmem_init(void)
{
	int err;

	/* Retries of a flush must get on while memory is being reclaimed. */
	vpmem_wq = alloc_workqueue("virtio_pmem", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!vpmem_wq)
		return -ENOMEM;
	err = register_virtio_driver(&vpmem_driver);
	if (err)
		destroy_workqueue(vpmem_wq);
	return err;
}
module_init(vpmem_init);

static void __exit vpmem_exit(void)
{
	unregister_virtio_driver(&vpmem_driver);
	destroy_workqueue(vpmem_wq);
}
module_exit(vpmem_exit);

MODULE_DESCRIPTION("virtio-pmem with gathered flushes, statistics and events");
MODULE_VERSION(VPMEM_VERSION);
MODULE_LICENSE("GPL");
