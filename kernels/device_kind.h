/*
 * What a kind of device provides: the functions behind device.h. Arguments were checked there:
 * ranges lie within their buffers, everything belongs to one device. A kind's own device, stream,
 * event and graph begin with these structs and are made by it.
 */
#ifndef ATH_KERNELS_DEVICE_KIND_H
#define ATH_KERNELS_DEVICE_KIND_H

#include "kernels/device.h"
#include <stdatomic.h>

typedef ath_err (*ath_work)(const void *arg);

typedef struct ath_device_kind {
    const char *name;
    bool is_host, is_poisoned;
    void (*destroy)(ath_device *device);
    ath_err (*buf_create)(ath_device *device, size_t bytes, const char *what, void **out);
    void (*buf_release)(ath_device *device, void *address);
    ath_err (*stream_create)(ath_device *device, ath_stream **out);
    void (*stream_destroy)(ath_stream *stream); /* waits for its work */
    ath_err (*event_create)(ath_device *device, ath_event **out);
    void (*event_destroy)(ath_event *event);
    ath_err (*event_record)(ath_event *event, ath_stream *stream);
    ath_err (*stream_wait)(ath_stream *stream, ath_event *event);
    ath_err (*stream_sync)(ath_stream *stream); /* leaves errors of the work latched */
    ath_err (*stream_launch)(ath_stream *stream, ath_work run, const void *arg);
    ath_err (*buf_write)(ath_stream *stream, void *to, const void *host, size_t bytes);
    ath_err (*buf_read)(ath_stream *stream, const void *from, void *host,
                        size_t bytes); /* after sync */
    ath_err (*buf_fill)(ath_stream *stream, void *to, int byte, size_t bytes);
    ath_err (*mirror_create)(ath_device *device, void *address, size_t bytes, const char *what,
                             void **out);
    void (*mirror_release)(ath_device *device, void *host);
    ath_err (*mirror_upload)(ath_stream *stream, void *to, const void *host, size_t bytes);
    /* All five, or none. */
    bool (*stream_is_captured)(const ath_stream *stream);
    ath_err (*capture_begin)(ath_stream *stream);
    ath_err (*capture_end)(ath_stream *stream, ath_graph **out); /* out NULL: never fails */
    ath_err (*graph_launch)(ath_graph *graph, ath_stream *stream);
    void (*graph_destroy)(ath_graph *graph);
} ath_device_kind;

struct ath_device {
    const ath_device_kind *kind;
    _Atomic int64_t n_live; /* buffers, streams, events, mirrors and graphs */
    _Atomic int64_t n_run;
};

enum { ATH_STREAM_TEXT = 1024 };

struct ath_stream {
    ath_device *device;
    ath_err err; /* the first error of its work, not yet reported */
    char text[ATH_STREAM_TEXT];
};

struct ath_event {
    ath_device *device;
};

struct ath_graph {
    ath_device *device;
};

/* Runs one piece of work of the stream and latches its error; drops it while one is latched. */
void ath_stream_run(ath_stream *stream, ath_work run, const void *arg);

#endif
