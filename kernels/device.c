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

static bool is_captured(const ath_stream *stream)
{
    return ath_device_captures(stream->device) && stream->device->kind->stream_is_captured(stream);
}

static ath_err need_no_capture(const ath_stream *stream, const char *what)
{
    ATH_NEED(!is_captured(stream), ATH_EINVAL, "%s while its work is captured", what);
    return ATH_OK;
}

ath_err ath_stream_sync(ath_stream *stream)
{
    ATH_TRY(need_no_capture(stream, "a stream was to be synchronized"));
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
    ATH_TRY(need_no_capture(stream, "a stream was to write"));
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

/* ---- mirrors ---- */

ath_err ath_mirror_create(ath_buf buf, const char *what, ath_mirror *out)
{
    void *host = NULL;

    ATH_TRY(buf.device->kind->mirror_create(buf.device, buf.address, buf.bytes, what, &host));
    *out = (ath_mirror){buf, host};
    buf.device->n_live++;
    return ATH_OK;
}

void ath_mirror_release(ath_mirror *mirror)
{
    ath_device *device = mirror->buf.device;

    if (device) {
        device->kind->mirror_release(device, mirror->host);
        device->n_live--;
    }
    *mirror = (ath_mirror){0};
}

ath_err ath_mirror_upload(const ath_mirror *mirror, ath_stream *stream)
{
    char *to = NULL;

    ATH_TRY(find_range(stream, mirror->buf, 0, mirror->buf.bytes, &to));
    return stream->device->kind->mirror_upload(stream, to, mirror->host, mirror->buf.bytes);
}

/* ---- graphs ---- */

bool ath_device_captures(const ath_device *device)
{
    return device->kind->capture_begin != NULL;
}

ath_err ath_capture_begin(ath_stream *stream)
{
    ath_device *d = stream->device;

    ATH_NEED(ath_device_captures(d), ATH_ENOTSUP, "the %s device captures no work", d->kind->name);
    ATH_TRY(need_no_capture(stream, "a capture was to begin"));
    return d->kind->capture_begin(stream);
}

ath_err ath_capture_end(ath_stream *stream, ath_graph **out)
{
    ath_device *d = stream->device;
    ath_graph *graph = NULL;

    ATH_NEED(is_captured(stream), ATH_EINVAL, "a capture ends that never began");
    ATH_TRY(d->kind->capture_end(stream, &graph));
    graph->device = d;
    d->n_live++;
    *out = graph;
    return ATH_OK;
}

void ath_capture_discard(ath_stream *stream)
{
    if (is_captured(stream)) ATH_ASSERT(stream->device->kind->capture_end(stream, NULL) == ATH_OK);
}

ath_err ath_graph_launch(ath_graph *graph, ath_stream *stream)
{
    ATH_NEED(graph->device == stream->device, ATH_EINVAL,
             "a graph of %s in a stream of %s: two devices", ath_device_name(graph->device),
             ath_device_name(stream->device));
    ATH_TRY(need_no_capture(stream, "a graph was to be launched"));
    return graph->device->kind->graph_launch(graph, stream);
}

void ath_graph_destroy(ath_graph **graph)
{
    if (!*graph) return;
    (*graph)->device->n_live--;
    (*graph)->device->kind->graph_destroy(*graph);
    *graph = NULL;
}
