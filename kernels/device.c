#include "kernels/device.h"

#include "core/mem.h"
#include "kernels/device_kind.h"
#include <stdio.h>

void ath_stream_run(ath_stream *stream, ath_work run, const void *arg)
{
    if (stream->err) return;
    stream->device->n_run++;
    stream->err = run(arg);
    if (stream->err) snprintf(stream->text, sizeof stream->text, "%s", ath_err_text());
}

void ath_device_destroy(ath_device **device)
{
    if (!*device) return;
    ATH_ASSERT((*device)->n_live == 0);
    (*device)->kind->destroy(*device);
    *device = NULL;
}

const char *ath_device_name(const ath_device *device)
{
    return device->kind->name;
}

bool ath_device_is_host(const ath_device *device)
{
    return device->kind->is_host;
}

bool ath_device_is_poisoned(const ath_device *device)
{
    return device->kind->is_poisoned;
}

int64_t ath_device_n_run(const ath_device *device)
{
    return device->n_run;
}

ath_err ath_buf_create(ath_device *device, size_t bytes, const char *what, ath_buf *out)
{
    void *address = NULL;

    ATH_TRY(device->kind->buf_create(device, bytes, what, &address));
    *out = (ath_buf){device, address, bytes};
    device->n_live++;
    return ATH_OK;
}

void ath_buf_release(ath_buf *buf)
{
    if (buf->device) {
        buf->device->kind->buf_release(buf->device, buf->address);
        buf->device->n_live--;
    }
    *buf = (ath_buf){0};
}

ath_err ath_stream_create(ath_device *device, ath_stream **out)
{
    ATH_TRY(device->kind->stream_create(device, out));
    (*out)->device = device;
    device->n_live++;
    return ATH_OK;
}

void ath_stream_destroy(ath_stream **stream)
{
    if (!*stream) return;
    (*stream)->device->n_live--;
    (*stream)->device->kind->stream_destroy(*stream);
    *stream = NULL;
}

ath_err ath_event_create(ath_device *device, ath_event **out)
{
    ATH_TRY(device->kind->event_create(device, out));
    (*out)->device = device;
    device->n_live++;
    return ATH_OK;
}

void ath_event_destroy(ath_event **event)
{
    if (!*event) return;
    (*event)->device->n_live--;
    (*event)->device->kind->event_destroy(*event);
    *event = NULL;
}

static ath_err need_same_device(const ath_event *event, const ath_stream *stream)
{
    ATH_NEED(event->device == stream->device, ATH_EINVAL,
             "event of %s in a stream of %s: two devices", ath_device_name(event->device),
             ath_device_name(stream->device));
    return ATH_OK;
}

ath_err ath_event_record(ath_event *event, ath_stream *stream)
{
    ATH_TRY(need_same_device(event, stream));
    return stream->device->kind->event_record(event, stream);
}

ath_err ath_stream_wait(ath_stream *stream, ath_event *event)
{
    ATH_TRY(need_same_device(event, stream));
    return stream->device->kind->stream_wait(stream, event);
}

ath_err ath_stream_sync(ath_stream *stream)
{
    ATH_TRY(stream->device->kind->stream_sync(stream));
    ath_err err = stream->err;
    stream->err = ATH_OK;
    return err ? ath_err_restore(err, stream->text) : ATH_OK;
}

ath_err ath_stream_launch(ath_stream *stream, ath_work run, const void *arg)
{
    return stream->device->kind->stream_launch(stream, run, arg);
}

/* The address of a range that lies within the buffer. */
static ath_err find_range(const ath_stream *stream, ath_buf buf, size_t offset, size_t bytes,
                          char **out)
{
    ATH_NEED(buf.device == stream->device, ATH_EINVAL, "buffer and stream are of two devices");
    ATH_NEED(offset <= buf.bytes && bytes <= buf.bytes - offset, ATH_EINVAL,
             "bytes %zu to %zu + %zu of a buffer of %zu", offset, offset, bytes, buf.bytes);
    *out = (char *)buf.address + offset;
    return ATH_OK;
}

ath_err ath_buf_write(ath_stream *stream, ath_buf buf, size_t offset, const void *host,
                      size_t bytes)
{
    char *to = NULL;

    ATH_TRY(find_range(stream, buf, offset, bytes, &to));
    return bytes ? stream->device->kind->buf_write(stream, to, host, bytes) : ATH_OK;
}

ath_err ath_buf_read(ath_stream *stream, ath_buf buf, size_t offset, void *host, size_t bytes)
{
    char *from = NULL;

    ATH_TRY(find_range(stream, buf, offset, bytes, &from));
    ATH_TRY(ath_stream_sync(stream));
    return bytes ? stream->device->kind->buf_read(stream, from, host, bytes) : ATH_OK;
}

static ath_err fill(ath_stream *stream, ath_buf buf, size_t offset, int byte, size_t bytes)
{
    char *to = NULL;

    ATH_TRY(find_range(stream, buf, offset, bytes, &to));
    return bytes ? stream->device->kind->buf_fill(stream, to, byte, bytes) : ATH_OK;
}

ath_err ath_buf_zero(ath_stream *stream, ath_buf buf, size_t offset, size_t bytes)
{
    return fill(stream, buf, offset, 0, bytes);
}

ath_err ath_buf_poison(ath_stream *stream, ath_buf buf, size_t offset, size_t bytes)
{
    return ath_device_is_poisoned(stream->device) ? fill(stream, buf, offset, 0xff, bytes) : ATH_OK;
}
