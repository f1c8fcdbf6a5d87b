/*
 * Devices: memory, streams, events. Three kinds: host (streams run at once), sim (a GPU made of
 * host memory: work runs late, in seeded random order within the rules of events; fresh and freed
 * memory is NaN), and cuda.
 *
 * Memory of a device is touched only by work in a stream. The host looks with ath_buf_read and
 * writes with ath_buf_write; it never follows a device pointer. One host thread at a time; of host and
 * cuda several, each with streams of its own.
 */
#ifndef ATH_KERNELS_DEVICE_H
#define ATH_KERNELS_DEVICE_H

#include "core/err.h"
#include <stdint.h>

typedef struct ath_device ath_device;
typedef struct ath_stream ath_stream;
typedef struct ath_event ath_event;

/* A block of device memory, aligned to 64. A value: copying it copies no bytes. {0} is empty. */
typedef struct ath_buf {
    ath_device *device;
    void *address;
    size_t bytes;
} ath_buf;

/* Host memory, streams run at once. */
ATH_MUST ath_err ath_device_create_host(ath_device **out);

/* A simulated device. `seed` orders the work of different streams. */
ATH_MUST ath_err ath_device_create_sim(uint64_t seed, ath_device **out);

/* All streams, events, buffers, mirrors and graphs must be gone. Accepts NULL, clears. */
void ath_device_destroy(ath_device **device);

const char *ath_device_name(const ath_device *device);

/* True where buffers are plain memory that the host may touch while no work runs (host). */
bool ath_device_is_host(const ath_device *device);

/* True where fresh and dead memory is to be filled with NaN (sim): ath_buf_poison does it. */
bool ath_device_is_poisoned(const ath_device *device);

/* Launched work that has run so far: tests show with it that nothing ran early. */
int64_t ath_device_n_run(const ath_device *device);

/* `what` names the purpose in the error. Release: the work that touches the buffer must be over. */
ATH_MUST ath_err ath_buf_create(ath_device *device, size_t bytes, const char *what, ath_buf *out);
void ath_buf_release(ath_buf *buf);

/* Destroy waits for the work of the stream; its errors are lost. */
ATH_MUST ath_err ath_stream_create(ath_device *device, ath_stream **out);
void ath_stream_destroy(ath_stream **stream);

ATH_MUST ath_err ath_event_create(ath_device *device, ath_event **out);
void ath_event_destroy(ath_event **event);

/* Marks this point of the stream; a later wait on the event waits for the last mark before it. A
 * wait on an event never recorded waits for nothing. */
ATH_MUST ath_err ath_event_record(ath_event *event, ath_stream *stream);
/* Work put into the stream from now on starts after the event's last mark. */
ATH_MUST ath_err ath_stream_wait(ath_stream *stream, ath_event *event);
/* Blocks the host until all work of the stream is done; returns the first error of that work. From
 * an error until it is returned here the stream drops its work; waits count as fulfilled. */
ATH_MUST ath_err ath_stream_sync(ath_stream *stream);

/* Puts run(arg) into the stream: at once (host), later (sim); on cuda run itself launches kernels
 * into the stream. `arg` must stay valid until the stream was synchronized. */
ATH_MUST ath_err ath_stream_launch(ath_stream *stream, ath_err (*run)(const void *arg),
                                   const void *arg);

/* In stream order. Write takes a copy of `host` before it returns; read is ath_stream_sync first,
 * errors included. ATH_EINVAL where the range does not lie within the buffer. */
ATH_MUST ath_err ath_buf_write(ath_stream *stream, ath_buf buf, size_t offset, const void *host,
                               size_t bytes);
ATH_MUST ath_err ath_buf_read(ath_stream *stream, ath_buf buf, size_t offset, void *host,
                              size_t bytes);
ATH_MUST ath_err ath_buf_zero(ath_stream *stream, ath_buf buf, size_t offset, size_t bytes);
/* Fills with NaN bytes (0xff) on poisoned devices, nothing elsewhere. */
ATH_MUST ath_err ath_buf_poison(ath_stream *stream, ath_buf buf, size_t offset, size_t bytes);

/* ---- mirrors: what the host writes anew for each run ---- */

/* Host memory as large as a buffer, from which the device fetches by itself. A value, as ath_buf is. */
typedef struct ath_mirror {
    ath_buf buf; /* borrowed */
    void *host;
} ath_mirror;

ATH_MUST ath_err ath_mirror_create(ath_buf buf, const char *what, ath_mirror *out);
/* Before its buffer, after the work that uploads. */
void ath_mirror_release(ath_mirror *mirror);
/* In stream order, all of it in one copy. The host lets it be until the stream was synchronized. */
ATH_MUST ath_err ath_mirror_upload(const ath_mirror *mirror, ath_stream *stream);

/* ---- graphs: the work of several streams, launched as one ---- */

typedef struct ath_graph ath_graph;

/* False for devices that have nothing to gain: ath_capture_begin refuses with ENOTSUP. */
bool ath_device_captures(const ath_device *device);

/*
 * From begin to end, what is put into the stream is noted down and not done; a stream that waits for
 * an event recorded there takes part from then on. At the end each of those must have been waited for
 * by the first one, after its last work (EINVAL); so must no wait reach across the border. Launches
 * (on cuda their functions run now, and never again), fills, uploads, records and waits are captured;
 * writes, reads and synchronizing are refused with EINVAL. One capture at a time in a thread.
 */
ATH_MUST ath_err ath_capture_begin(ath_stream *stream);
ATH_MUST ath_err ath_capture_end(ath_stream *stream, ath_graph **out);
/* Ends it on an error's path: nothing comes of it. */
void ath_capture_discard(ath_stream *stream);

/* Puts all of it into the stream as one piece of work, whose parts wait for each other as they did when
 * captured, and for nothing else. What the arguments of its work point to is read again. */
ATH_MUST ath_err ath_graph_launch(ath_graph *graph, ath_stream *stream);
/* Waits for its work. Accepts NULL, clears. */
void ath_graph_destroy(ath_graph **graph);

#endif
