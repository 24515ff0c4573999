// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio_pmem_bad: a driver that commits one sin at its probe, and then wants
 * nothing more of the device. For tests: the mock has to see each of them.
 *
 *	modprobe virtio_pmem_bad sin=NAME
 *
 * The name of a sin is that of the violation which the mock reports for it.
 * Some need the device prepared: what comes late after a reset, or is answered
 * only after a while, see README.md.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "compat.h"
#include "mock.h"

static char *sin = "";
module_param(sin, charp, 0444);
MODULE_PARM_DESC(sin, "what to do wrong");

/* How long the device may take, before which nothing that it may write is let go. */
#define BAD_WAIT_MS	200

struct bad_buffers {
	__le32 request;
	__le32 pad[15];
	__le32 response[2];
};

static struct bad_buffers *buffers;

static void bad_callback(struct virtqueue *vq)
{
	unsigned int len;

	while (virtqueue_get_buf(vq, &len))
		;
}

static struct virtqueue *bad_find(struct virtio_device *vdev)
{
	struct virtqueue *vq = virtio_find_single_vq(vdev, bad_callback, "flush_queue");

	if (IS_ERR(vq))
		pr_err("no queue: %ld\n", PTR_ERR(vq));
	return vq;
}

static struct virtqueue *bad_setup(struct virtio_device *vdev)
{
	struct virtqueue *vq = bad_find(vdev);

	if (!IS_ERR(vq))
		virtio_device_ready(vdev);
	return vq;
}

static void bad_add(struct virtqueue *vq, u32 type, size_t response)
{
	struct scatterlist in, out, *sgs[] = { &out, &in };

	buffers->request = cpu_to_le32(type);
	sg_init_one(&out, &buffers->request, sizeof(buffers->request));
	sg_init_one(&in, &buffers->response, response);
	if (virtqueue_add_sgs(vq, sgs, 1, 1, buffers, GFP_KERNEL))
		pr_err("the ring takes no request\n");
}

static void bad_submit(struct virtqueue *vq, u32 type, size_t response)
{
	bad_add(vq, type, response);
	virtqueue_kick(vq);
}

static void bad_flush(struct virtqueue *vq)
{
	bad_submit(vq, VIRTIO_PMEM_REQ_TYPE_FLUSH, sizeof(struct virtio_pmem_resp));
}

/* ------------------------------------------------------- the sins, by name */

static void sin_two_requests(struct virtio_device *vdev)
{
	struct virtqueue *vq = bad_setup(vdev);

	bad_add(vq, VIRTIO_PMEM_REQ_TYPE_FLUSH, sizeof(struct virtio_pmem_resp));
	bad_flush(vq);
}

static void sin_empty_notify(struct virtio_device *vdev)
{
	virtqueue_notify(bad_setup(vdev));
}

static void sin_early_notify(struct virtio_device *vdev)
{
	bad_flush(bad_find(vdev));
}

static void sin_chain(struct virtio_device *vdev)
{
	bad_submit(bad_setup(vdev), VIRTIO_PMEM_REQ_TYPE_FLUSH, sizeof(buffers->response));
}

static void sin_request_type(struct virtio_device *vdev)
{
	bad_submit(bad_setup(vdev), 1, sizeof(struct virtio_pmem_resp));
}

static void sin_too_many(struct virtio_device *vdev)
{
	struct virtqueue *vq = bad_setup(vdev);
	unsigned int i;

	for (i = 0; i <= MOCK_MAX_REQUESTS; i++)
		bad_flush(vq);
}

static void sin_touched_response(struct virtio_device *vdev)
{
	bad_flush(bad_setup(vdev));
	buffers->response[0] = ~buffers->response[0];
}

static void sin_touched_request(struct virtio_device *vdev)
{
	bad_flush(bad_setup(vdev));
	buffers->request = cpu_to_le32(1);
}

static void sin_unmapped(struct virtio_device *vdev)
{
	struct virtqueue *vq = bad_setup(vdev);

	bad_flush(vq);
	virtio_reset_device(vdev);
	virtqueue_detach_unused_buf(vq);
}

static void sin_status_order(struct virtio_device *vdev)
{
	virtio_reset_device(vdev);
	vdev->config->set_status(vdev, VIRTIO_CONFIG_S_DRIVER_OK);
}

static void sin_status_cleared(struct virtio_device *vdev)
{
	vdev->config->set_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static void sin_features_order(struct virtio_device *vdev)
{
	vdev->config->finalize_features(vdev);
}

static void sin_features_unknown(struct virtio_device *vdev)
{
	__virtio_set_bit(vdev, 5);
	vdev->config->finalize_features(vdev);
	__virtio_clear_bit(vdev, 5);
}

static void sin_queue_order(struct virtio_device *vdev)
{
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER_OK);
	bad_find(vdev);
}

static void sin_queue_twice(struct virtio_device *vdev)
{
	bad_find(vdev);
	virtio_find_single_vq(vdev, bad_callback, "flush_queue");
}

static void sin_delete_live(struct virtio_device *vdev)
{
	bad_setup(vdev);
	vdev->config->del_vqs(vdev);
}

static void sin_reset_gone(struct virtio_device *vdev)
{
	unsigned int i;

	for (i = 0; i < 1000 && vdev->config->get_status(vdev) != MOCK_ALL_ONES; i++)
		msleep(20);
	virtio_reset_device(vdev);
}

static void sin_config_write(struct virtio_device *vdev)
{
	u64 start = 0;

	virtio_cwrite_le(vdev, struct virtio_pmem_config, start, &start);
}

static void sin_config_range(struct virtio_device *vdev)
{
	u64 beyond;

	vdev->config->get(vdev, sizeof(struct virtio_pmem_config), &beyond, sizeof(beyond));
}

static void sin_config_shm(struct virtio_device *vdev)
{
	u64 start;

	virtio_cread_le(vdev, struct virtio_pmem_config, start, &start);
}

static const struct {
	const char *name;
	void (*commit)(struct virtio_device *vdev);
} sins[] = {
	{ "two-requests",	sin_two_requests },
	{ "empty-notify",	sin_empty_notify },
	{ "early-notify",	sin_early_notify },
	{ "chain",		sin_chain },
	{ "request-type",	sin_request_type },
	{ "too-many",		sin_too_many },
	{ "touched-response",	sin_touched_response },
	{ "touched-request",	sin_touched_request },
	{ "unmapped",		sin_unmapped },
	{ "status-order",	sin_status_order },
	{ "status-cleared",	sin_status_cleared },
	{ "features-order",	sin_features_order },
	{ "features-unknown",	sin_features_unknown },
	{ "queue-order",	sin_queue_order },
	{ "queue-twice",	sin_queue_twice },
	{ "delete-live",	sin_delete_live },
	{ "reset-gone",		sin_reset_gone },
	{ "config-write",	sin_config_write },
	{ "config-range",	sin_config_range },
	{ "config-shm",		sin_config_shm },
};

/* ------------------------------------------------------------------ life */

/* What a probe that fails leaves behind must be in order. */
static void bad_clean_up(struct virtio_device *vdev)
{
	msleep(BAD_WAIT_MS);
	if (vdev->config->get_status(vdev) != MOCK_ALL_ONES)
		virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
}

static int bad_probe(struct virtio_device *vdev)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sins); i++) {
		if (strcmp(sin, sins[i].name))
			continue;
		sins[i].commit(vdev);
		bad_clean_up(vdev);
		pr_info("committed %s\n", sin);
		return -ENODEV;
	}
	pr_err("no sin is called %s\n", sin);
	return -EINVAL;
}

static void bad_remove(struct virtio_device *vdev)
{
}

/* Not in a table of aliases: nothing loads this by itself. */
static const struct virtio_device_id bad_ids[] = {
	{ VIRTIO_ID_PMEM, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static unsigned int bad_features[] = {
	VIRTIO_PMEM_F_SHMEM_REGION,
};

static struct virtio_driver bad_driver = {
	.feature_table		= bad_features,
	.feature_table_size	= ARRAY_SIZE(bad_features),
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= bad_ids,
	.probe			= bad_probe,
	.remove			= bad_remove,
};

static int __init bad_init(void)
{
	int err;

	buffers = kzalloc(sizeof(*buffers), GFP_KERNEL);
	if (!buffers)
		return -ENOMEM;
	err = register_virtio_driver(&bad_driver);
	if (err)
		kfree(buffers);
	return err;
}
module_init(bad_init);

static void __exit bad_exit(void)
{
	unregister_virtio_driver(&bad_driver);
	kfree(buffers);
}
module_exit(bad_exit);

MODULE_DESCRIPTION("Test: breaks the rules of virtio-pmem, one at a time");
MODULE_LICENSE("GPL");
