/*
 * A GPU made of host memory, to find missing waits and stray pointers without a GPU.
 *
 * Work lies in its stream's queue until the host must wait; then pieces run one after another: of
 * the streams whose next piece waits for nothing unfinished, the one of highest priority goes on.
 * Priorities are drawn from the seed for a while that may be one piece or thousands, rather than a
 * fair draw each time: so a stream may run far ahead of the others, and a wait that is missing far
 * from its mark is found too. Work that nobody awaits stays where it is.
 *
 * Memory cannot be touched while no work runs, holds NaN bytes when fresh, ends at a guard page, and
 * is unmapped when released. Queues and staging have fixed room (a full one is a reason to wait), so
 * nothing is allocated after the streams are made, but by a capture.
 *
 * A graph is a list of pieces with a stream of its own for each captured one, a lane. A launch puts the
 * pieces into the lanes, whose heads wait for the launching stream, which in turn waits for their ends:
 * so they run in any order that the waits between them allow, beside other streams.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "core/mem.h"
#include "kernels/device_kind.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    QUEUE = ATH_TORTURE ? 64 : 1024,          /* pieces of work in a stream */
    STAGING = ATH_TORTURE ? 997 : 256 * 1024, /* bytes on their way to the device */
    REDRAW_LOG2 = 14, /* at most 2^13 pieces between two draws of priorities */
    LANES = 4,        /* streams of a capture */
    POISON = 0xff,
};

/* A point of a stream: its first n_put pieces. Streams are named by number because an event may
 * outlive them; number 0 is no stream, so {0} is over. Within a capture, which has a number too, the
 * number is the lane's, from 1. */
typedef struct mark {
    uint64_t stream;
    uint64_t n_put;
    uint64_t capture;
} mark;

struct sim_stream;

/* A launch has `run`, a copy `to` and `from`, a fill `to` alone; a wait has only `after`. */
typedef struct work {
    mark after;
    ath_work run;
    const void *arg;
    void *to;
    const void *from;
    size_t bytes;
    int byte;
    struct sim_stream *owner; /* in a lane: who launched it, and gets its errors */
} work;

typedef struct sim_stream {
    ath_stream base;
    struct sim_stream *next;
    uint64_t number, priority;
    uint64_t n_put, n_done; /* piece i lies in queue[i % QUEUE] */
    size_t staged;          /* bytes used; all are free again when the queue is empty */
    int32_t lane;           /* of the capture that it takes part in, from 1 */
    work queue[QUEUE];
    char staging[STAGING];
} sim_stream;

typedef struct sim_event {
    ath_event base;
    mark last;
} sim_event;

/* Pages [map, map + bytes) and a guard page; the buffer ends where the guard begins. */
typedef struct block {
    struct block *next;
    char *map;
    void *address;
    size_t bytes;
} block;

/* A captured piece; it waits for a mark within the capture. */
typedef struct item {
    int32_t lane;
    work work;
} item;

typedef struct sim_graph {
    ath_graph base;
    uint64_t number; /* of the capture */
    int32_t n_lanes;
    sim_stream *source[LANES], *lane[LANES]; /* what was captured, and what runs it */
    uint64_t n_of[LANES];                    /* pieces in a lane */
    uint64_t joined[LANES];                  /* those that the first lane waits for */
    item *items;
    int64_t n_items, items_room;
} sim_graph;

typedef struct sim_device {
    ath_device base;
    sim_graph *capture; /* that is under way */
    uint64_t n_captures;
    uint64_t random; /* state of splitmix64 */
    uint64_t n_streams;
    uint64_t n_to_redraw; /* pieces to run until priorities are drawn again */
    sim_stream *streams;
    block *blocks;
    size_t page;
} sim_device;

static uint64_t draw(sim_device *d)
{
    uint64_t z = d->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void protect(sim_device *d, int access)
{
    for (block *b = d->blocks; b; b = b->next) ATH_ASSERT(mprotect(b->map, b->bytes, access) == 0);
}

static bool is_over(const sim_device *d, mark m)
{
    for (const sim_stream *s = d->streams; s; s = s->next)
        if (s->number == m.stream) return s->n_done >= m.n_put;
    return true;
}

static bool is_runnable(const sim_device *d, const sim_stream *s)
{
    return s->n_done < s->n_put && is_over(d, s->queue[s->n_done % QUEUE].after);
}

/* For a while whose length is drawn too, evenly on a logarithmic scale. */
static void draw_priorities(sim_device *d)
{
    for (sim_stream *s = d->streams; s; s = s->next) s->priority = draw(d);
    d->n_to_redraw = (uint64_t)1 << draw(d) % REDRAW_LOG2;
}

/* A mark is always older than the wait for it, so the oldest piece of all can always run. */
static sim_stream *pick(sim_device *d)
{
    sim_stream *best = NULL;

    for (sim_stream *s = d->streams; s; s = s->next)
        if (is_runnable(d, s) && (!best || s->priority > best->priority)) best = s;
    ATH_ASSERT(best);
    return best;
}

static void carry_out(sim_stream *s, const work *w)
{
    if (w->owner) s = w->owner;
    if (w->run)
        ath_stream_run(&s->base, w->run, w->arg);
    else if (s->base.err)
        return;
    else if (w->from)
        memcpy(w->to, w->from, w->bytes);
    else if (w->to)
        memset(w->to, w->byte, w->bytes);
}

/* The host waits until the stream has at most `left` pieces. */
static void run_until(sim_stream *awaited, uint64_t left)
{
    sim_device *d = (sim_device *)awaited->base.device;

    if (awaited->n_put - awaited->n_done <= left) return;
    protect(d, PROT_READ | PROT_WRITE);
    while (awaited->n_put - awaited->n_done > left) {
        if (d->n_to_redraw-- == 0) draw_priorities(d);
        sim_stream *s = pick(d);
        carry_out(s, &s->queue[s->n_done++ % QUEUE]);
        if (s->n_done == s->n_put) s->staged = 0;
    }
    protect(d, PROT_NONE);
}

/* A full queue runs down to half of it: opening and closing the memory for every piece is slow. */
static void make_room(sim_stream *s)
{
    if (s->n_put - s->n_done == QUEUE) run_until(s, QUEUE / 2);
}

static void put(sim_stream *s, work w)
{
    make_room(s);
    s->queue[s->n_put++ % QUEUE] = w;
}

/* Into the capture that the stream takes part in. */
static ath_err note(sim_stream *s, work w)
{
    sim_graph *g = ((sim_device *)s->base.device)->capture;

    ATH_TRY(ath_mem_grow(&g->items, g->n_items, &g->items_room, sizeof *g->items, "captured work"));
    g->items[g->n_items++] = (item){s->lane, w};
    g->n_of[s->lane - 1]++;
    return ATH_OK;
}

static ath_err submit(sim_stream *s, work w)
{
    if (s->lane) return note(s, w);
    put(s, w);
    return ATH_OK;
}

static ath_err stream_create(ath_device *device, ath_stream **out)
{
    sim_device *d = (sim_device *)device;
    sim_stream *s = NULL;

    ATH_TRY(ATH_NEW(1, "simulated stream", &s));
    s->number = ++d->n_streams;
    s->next = d->streams;
    d->streams = s;
    *out = &s->base;
    return ATH_OK;
}

static void stream_destroy(ath_stream *stream)
{
    sim_device *d = (sim_device *)stream->device;
    sim_stream *s = (sim_stream *)stream, **link = &d->streams;

    run_until(s, 0);
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    ath_mem_drop(s);
}

static ath_err event_create(ath_device *device, ath_event **out)
{
    sim_event *e = NULL;

    (void)device;
    ATH_TRY(ATH_NEW(1, "simulated event", &e));
    *out = &e->base;
    return ATH_OK;
}

static void event_destroy(ath_event *event)
{
    ath_mem_drop(event);
}

static ath_err event_record(ath_event *event, ath_stream *stream)
{
    const sim_stream *s = (const sim_stream *)stream;
    const sim_graph *g = ((const sim_device *)stream->device)->capture;

    ((sim_event *)event)->last = s->lane
                                     ? (mark){(uint64_t)s->lane, g->n_of[s->lane - 1], g->number}
                                     : (mark){s->number, s->n_put, 0};
    return ATH_OK;
}

/* A stream that waits for captured work takes part. */
static ath_err join(sim_graph *g, sim_stream *s)
{
    if (s->lane) return ATH_OK;
    ATH_NEED(g->n_lanes < LANES, ATH_ELIMIT, "sim: more than %d streams in a capture", LANES);
    g->source[g->n_lanes++] = s;
    s->lane = g->n_lanes;
    return ATH_OK;
}

static ath_err wait_captured(sim_graph *g, sim_stream *s, mark m)
{
    ATH_NEED(g && m.capture == g->number, ATH_EINVAL,
             m.capture ? "sim: a stream waits for work of a capture that is over"
                       : "sim: a captured stream waits for work outside of the capture");
    ATH_TRY(join(g, s));
    if (s->lane == 1 && m.n_put > g->joined[m.stream - 1]) g->joined[m.stream - 1] = m.n_put;
    return note(s, (work){.after = m});
}

static ath_err stream_wait(ath_stream *stream, ath_event *event)
{
    sim_stream *s = (sim_stream *)stream;
    const mark m = ((sim_event *)event)->last;

    if (m.stream && (m.capture || s->lane))
        return wait_captured(((sim_device *)stream->device)->capture, s, m);
    return submit(s, (work){.after = m});
}

static ath_err stream_sync(ath_stream *stream)
{
    run_until((sim_stream *)stream, 0);
    return ATH_OK;
}

static ath_err stream_launch(ath_stream *stream, ath_work run, const void *arg)
{
    return submit((sim_stream *)stream, (work){.run = run, .arg = arg});
}

/* Through staging, in as many pieces as fit. */
static ath_err buf_write(ath_stream *stream, void *to, const void *host, size_t bytes)
{
    sim_stream *s = (sim_stream *)stream;

    for (size_t at = 0; at < bytes;) {
        if (s->staged == STAGING) run_until(s, 0);
        make_room(s);
        size_t n = bytes - at < STAGING - s->staged ? bytes - at : STAGING - s->staged;
        char *copy = s->staging + s->staged;
        memcpy(copy, (const char *)host + at, n);
        s->staged += n;
        put(s, (work){.to = (char *)to + at, .from = copy, .bytes = n});
        at += n;
    }
    return ATH_OK;
}

static ath_err buf_read(ath_stream *stream, const void *from, void *host, size_t bytes)
{
    sim_device *d = (sim_device *)stream->device;

    protect(d, PROT_READ);
    memcpy(host, from, bytes);
    protect(d, PROT_NONE);
    return ATH_OK;
}

static ath_err buf_fill(ath_stream *stream, void *to, int byte, size_t bytes)
{
    return submit((sim_stream *)stream, (work){.to = to, .byte = byte, .bytes = bytes});
}

static ath_err mirror_create(ath_device *device, void *address, size_t bytes, const char *what,
                             void **out)
{
    (void)device;
    (void)address;
    return ath_mem_new(bytes, 1, what, out);
}

static void mirror_release(ath_device *device, void *host)
{
    (void)device;
    ath_mem_drop(host);
}

static ath_err mirror_upload(ath_stream *stream, void *to, const void *host, size_t bytes)
{
    return submit((sim_stream *)stream, (work){.to = to, .from = host, .bytes = bytes});
}

/* ---- graphs ---- */

static bool stream_is_captured(const ath_stream *stream)
{
    return ((const sim_stream *)stream)->lane != 0;
}

static ath_err capture_begin(ath_stream *stream)
{
    sim_device *d = (sim_device *)stream->device;
    sim_graph *g = NULL;

    ATH_NEED(!d->capture, ATH_EINVAL, "sim: a second capture was to begin");
    ATH_TRY(ATH_NEW(1, "simulated graph", &g));
    g->number = ++d->n_captures;
    d->capture = g;
    return join(g, (sim_stream *)stream);
}

static void graph_destroy(ath_graph *graph)
{
    sim_graph *g = (sim_graph *)graph;

    for (int32_t i = 0; i < g->n_lanes; i++)
        if (g->lane[i]) stream_destroy(&g->lane[i]->base);
    ath_mem_free(&g->items);
    ath_mem_drop(g);
}

static ath_err make_lanes(ath_device *device, sim_graph *g)
{
    for (int32_t i = 0; i < g->n_lanes; i++) {
        ath_stream *lane = NULL;
        ATH_NEED(i == 0 || g->joined[i] == g->n_of[i], ATH_EINVAL,
                 "sim: a capture ends before its first stream waits for all others");
        ATH_TRY(stream_create(device, &lane));
        lane->device = device;
        g->lane[i] = (sim_stream *)lane;
    }
    return ATH_OK;
}

static ath_err capture_end(ath_stream *stream, ath_graph **out)
{
    sim_device *d = (sim_device *)stream->device;
    sim_graph *g = d->capture;
    const bool is_first = g->source[0] == (sim_stream *)stream;
    ath_err err = ATH_OK;

    d->capture = NULL;
    for (int32_t i = 0; i < g->n_lanes; i++) g->source[i]->lane = 0;
    if (out && is_first) ATH_TRY_OUT(make_lanes(stream->device, g));
    if (out && !is_first) err = ath_raise(ATH_EINVAL, "sim: a capture ends in another stream");
    if (out && !err) {
        *out = &g->base;
        return ATH_OK;
    }
out:
    graph_destroy(&g->base);
    return err;
}

static ath_err graph_launch(ath_graph *graph, ath_stream *stream)
{
    sim_stream *s = (sim_stream *)stream;
    sim_graph *g = (sim_graph *)graph;
    const mark begin = {s->number, s->n_put, 0};
    uint64_t base[LANES];

    for (int32_t i = 0; i < g->n_lanes; i++) {
        put(g->lane[i], (work){.after = begin});
        base[i] = g->lane[i]->n_put;
    }
    for (int64_t i = 0; i < g->n_items; i++) {
        work w = g->items[i].work;
        const uint64_t after = w.after.stream;
        if (after) w.after = (mark){g->lane[after - 1]->number, base[after - 1] + w.after.n_put, 0};
        w.owner = s;
        put(g->lane[g->items[i].lane - 1], w);
    }
    for (int32_t i = 0; i < g->n_lanes; i++)
        put(s, (work){.after = {g->lane[i]->number, g->lane[i]->n_put, 0}});
    return ATH_OK;
}

static ath_err map_pages(sim_device *d, size_t bytes, const char *what, block *b)
{
    ATH_NEED(bytes <= SIZE_MAX / 2, ATH_ENOMEM, "%s: no memory for %zu bytes", what, bytes);
    b->bytes = (bytes / d->page + 1) * d->page;
    b->map =
        mmap(NULL, b->bytes + d->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ATH_NEED(b->map != MAP_FAILED, ATH_ENOMEM, "%s: no memory for %zu bytes", what, bytes);
    memset(b->map, POISON, b->bytes);
    ATH_ASSERT(mprotect(b->map, b->bytes + d->page, PROT_NONE) == 0);
    b->address = b->map + b->bytes - (bytes + ATH_MEM_ALIGN - 1) / ATH_MEM_ALIGN * ATH_MEM_ALIGN;
    return ATH_OK;
}

static ath_err buf_create(ath_device *device, size_t bytes, const char *what, void **out)
{
    sim_device *d = (sim_device *)device;
    block *b = NULL;
    ath_err err = ATH_OK;

    ATH_TRY_OUT(ATH_NEW(1, what, &b));
    ATH_TRY_OUT(map_pages(d, bytes, what, b));
    b->next = d->blocks;
    d->blocks = b;
    *out = b->address;
    b = NULL;
out:
    ath_mem_free(&b);
    return err;
}

static void buf_release(ath_device *device, void *address)
{
    sim_device *d = (sim_device *)device;
    block **link = &d->blocks;

    while ((*link)->address != address) link = &(*link)->next;
    block *b = *link;
    *link = b->next;
    ATH_ASSERT(munmap(b->map, b->bytes + d->page) == 0);
    ath_mem_drop(b);
}

static void destroy(ath_device *device)
{
    ath_mem_drop(device);
}

static const ath_device_kind sim = {
    .name = "sim",
    .is_poisoned = true,
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
    .stream_is_captured = stream_is_captured,
    .capture_begin = capture_begin,
    .capture_end = capture_end,
    .graph_launch = graph_launch,
    .graph_destroy = graph_destroy,
};

ath_err ath_device_create_sim(uint64_t seed, ath_device **out)
{
    sim_device *d = NULL;

    ATH_TRY(ATH_NEW(1, "device", &d));
    d->base.kind = &sim;
    d->random = seed;
    d->page = (size_t)sysconf(_SC_PAGESIZE);
    *out = &d->base;
    return ATH_OK;
}
