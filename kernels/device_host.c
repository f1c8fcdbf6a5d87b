/* Host memory; work runs at once, so an event is always over when somebody waits for it. */
#include "core/mem.h"
#include "kernels/device_kind.h"
#include <string.h>

static void destroy(ath_device *device)
{
    ath_mem_drop(device);
}

static ath_err buf_create(ath_device *device, size_t bytes, const char *what, void **out)
{
    (void)device;
    return ath_mem_new(bytes, 1, what, out);
}

static void buf_release(ath_device *device, void *address)
{
    (void)device;
    ath_mem_drop(address);
}

static ath_err stream_create(ath_device *device, ath_stream **out)
{
    (void)device;
    return ATH_NEW(1, "stream", out);
}

static void stream_destroy(ath_stream *stream)
{
    ath_mem_drop(stream);
}

static ath_err event_create(ath_device *device, ath_event **out)
{
    (void)device;
    return ATH_NEW(1, "event", out);
}

static void event_destroy(ath_event *event)
{
    ath_mem_drop(event);
}

static ath_err event_record(ath_event *event, ath_stream *stream)
{
    (void)event;
    (void)stream;
    return ATH_OK;
}

static ath_err stream_wait(ath_stream *stream, ath_event *event)
{
    (void)stream;
    (void)event;
    return ATH_OK;
}

static ath_err stream_sync(ath_stream *stream)
{
    (void)stream;
    return ATH_OK;
}

static ath_err stream_launch(ath_stream *stream, ath_work run, const void *arg)
{
    ath_stream_run(stream, run, arg);
    return ATH_OK;
}

static ath_err buf_write(ath_stream *stream, void *to, const void *host, size_t bytes)
{
    if (!stream->err) memcpy(to, host, bytes);
    return ATH_OK;
}

static ath_err buf_read(ath_stream *stream, const void *from, void *host, size_t bytes)
{
    (void)stream;
    memcpy(host, from, bytes);
    return ATH_OK;
}

static ath_err buf_fill(ath_stream *stream, void *to, int byte, size_t bytes)
{
    if (!stream->err) memset(to, byte, bytes);
    return ATH_OK;
}

/* A mirror is the buffer itself: nothing is to be fetched. */
static ath_err mirror_create(ath_device *device, void *address, size_t bytes, const char *what,
                             void **out)
{
    (void)device;
    (void)bytes;
    (void)what;
    *out = address;
    return ATH_OK;
}

static void mirror_release(ath_device *device, void *of)
{
    (void)device;
    (void)of;
}

static ath_err mirror_upload(ath_stream *stream, void *to, const void *from, size_t bytes)
{
    (void)stream;
    (void)to;
    (void)from;
    (void)bytes;
    return ATH_OK;
}

static const ath_device_kind host = {
    .name = "host",
    .is_host = true,
    .destroy = destroy,
    .buf_create = buf_create,
    .buf_release = buf_release,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .stream_wait = stream_wait,
    .stream_sync = stream_sync,
    .stream_launch = stream_launch,
    .buf_write = buf_write,
    .buf_read = buf_read,
    .buf_fill = buf_fill,
    .mirror_create = mirror_create,
    .mirror_release = mirror_release,
    .mirror_upload = mirror_upload,
};

ath_err ath_device_create_host(ath_device **out)
{
    ath_device *device = NULL;

    ATH_TRY(ATH_NEW(1, "device", &device));
    device->kind = &host;
    *out = device;
    return ATH_OK;
}
