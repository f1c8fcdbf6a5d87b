/*
 * A fiber is a stack on which threads of the block run one after another; one that waits keeps its
 * fiber, and the next thread gets another. So a kernel without barriers needs one fiber in all.
 * Fibers are kept from launch to launch. Directions follow the Thue-Morse sequence, so that two runs of
 * the same kernels, however many, soon differ in some.
 */
#include "tests/cuda/shim.h"

#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#if !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 0
#endif

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace
{

enum { MOST_THREADS = 1024, WARP = 32, STACK = 256 * 1024, GUARD = 4096, MOST_COPIES = 128 };
enum state { FRESH, READY, AT_BLOCK, AT_WARP, DONE };

struct fiber {
    ucontext_t context;
    char *stack;
    bool is_idle;
};

struct copy {
    void *to;
    const void *from; /* NULL: zeros */
    unsigned group;
};

struct thread {
    state at;
    unsigned mask; /* AT_WARP: whom it waits for */
    fiber *on;
    unsigned n_exchanges;
    char slot[2][SHIM_SLOT];  /* by turns: the last exchange is read while the next is written */
    copy copies[MOST_COPIES]; /* under way, in their order */
    unsigned n_copies, n_groups;
};

struct launch {
    void (*body)(const void *);
    const void *context;
    unsigned n_threads;
    bool is_backward; /* threads go on from the last to the first */
    char *shared;
    size_t shared_bytes;
};

thread threads[MOST_THREADS];
fiber *fibers[MOST_THREADS];
unsigned n_fibers, n_launches, n_begun;
launch now;
fiber *running;
unsigned self; /* the thread that runs */
ucontext_t scheduler;
const void *scheduler_stack;
size_t scheduler_bytes;

void leave_for_scheduler(fiber *from)
{
    void *fake = nullptr;

    if (__SANITIZE_ADDRESS__)
        __sanitizer_start_switch_fiber(&fake, scheduler_stack, scheduler_bytes);
    swapcontext(&from->context, &scheduler);
    if (__SANITIZE_ADDRESS__)
        __sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_bytes);
}

void go_on(fiber *to)
{
    void *fake = nullptr;

    running = to;
    if (__SANITIZE_ADDRESS__) __sanitizer_start_switch_fiber(&fake, to->stack, STACK);
    swapcontext(&scheduler, &to->context);
    if (__SANITIZE_ADDRESS__) __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

unsigned in_order(unsigned i)
{
    return now.is_backward ? now.n_threads - 1 - i : i;
}

void be(unsigned t)
{
    self = t;
    threadIdx = dim3(t);
}

/* Begins threads while there are fresh ones, of this launch and of later ones. */
void live()
{
    fiber *me = running;

    if (__SANITIZE_ADDRESS__)
        __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_bytes);
    for (;;) {
        while (n_begun < now.n_threads) {
            const unsigned t = in_order(n_begun++);
            threads[t].on = me;
            be(t);
            now.body(now.context);
            threads[t].at = DONE;
        }
        me->is_idle = true;
        leave_for_scheduler(me);
    }
}

void make_context(ucontext_t *context, char *stack)
{
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK;
    context->uc_link = nullptr;
    makecontext(context, live, 0);
    /* or the address sanitizer forgets, at every switch, what it knows of the stack that waited */
    context->uc_stack.ss_size = 0;
}

fiber *idle_fiber()
{
    for (unsigned i = 0; i < n_fibers; i++)
        if (fibers[i]->is_idle) return fibers[i];
    fiber *f = static_cast<fiber *>(calloc(1, sizeof *f));
    void *map =
        mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!f || map == MAP_FAILED || mprotect(map, GUARD, PROT_NONE) != 0) shim_fail("no stack");
    f->stack = static_cast<char *>(map) + GUARD;
    make_context(&f->context, f->stack);
    fibers[n_fibers++] = f;
    return f;
}

/* The lanes of a warp that wait for each other and are all there: they may go on. */
bool release_warp(unsigned first)
{
    bool any = false;

    for (unsigned t = first; t < first + WARP && t < now.n_threads; t++) {
        if (threads[t].at != AT_WARP) continue;
        const unsigned mask = threads[t].mask;
        bool all = mask >> (t - first) & 1;
        for (unsigned lane = 0; lane < WARP && all; lane++)
            if (mask >> lane & 1)
                all = first + lane < now.n_threads && threads[first + lane].at == AT_WARP &&
                      threads[first + lane].mask == mask;
        for (unsigned lane = 0; lane < WARP && all; lane++)
            if (mask >> lane & 1) threads[first + lane].at = READY;
        any = any || all;
    }
    return any;
}

bool release_block()
{
    for (unsigned t = 0; t < now.n_threads; t++)
        if (threads[t].at != AT_BLOCK && threads[t].at != DONE) return false;
    for (unsigned t = 0; t < now.n_threads; t++)
        if (threads[t].at == AT_BLOCK) threads[t].at = READY;
    return true;
}

bool release()
{
    bool any = false;

    for (unsigned first = 0; first < now.n_threads; first += WARP) any = release_warp(first) || any;
    return any || release_block();
}

/* Lets every thread that may run do so; false where all are done. */
bool run_ready()
{
    bool any = false;

    while (n_begun < now.n_threads) {
        fiber *f = idle_fiber();
        f->is_idle = false;
        go_on(f);
        any = true;
    }
    for (unsigned i = 0; i < now.n_threads; i++) {
        const unsigned t = in_order(i);
        if (threads[t].at != READY) continue;
        be(t);
        go_on(threads[t].on);
        any = true;
    }
    return any;
}

bool is_done()
{
    for (unsigned t = 0; t < now.n_threads; t++)
        if (threads[t].at != DONE) return false;
    return true;
}

void run_block()
{
    n_begun = 0;
    memset(now.shared, 0xff, now.shared_bytes);
    for (unsigned t = 0; t < now.n_threads; t++) {
        threads[t].at = FRESH;
        threads[t].n_exchanges = 0;
        threads[t].n_copies = threads[t].n_groups = 0;
    }
    for (run_ready(); !is_done(); run_ready())
        if (!release()) shim_fail("threads wait for each other at different barriers");
    for (unsigned t = 0; t < now.n_threads; t++)
        if (threads[t].n_copies) shim_fail("a block ends with copies under way");
}

void wait_at(state barrier, unsigned mask)
{
    fiber *me = threads[self].on;

    threads[self].at = barrier;
    threads[self].mask = mask;
    leave_for_scheduler(me);
}

} // namespace

void shim_fail(const char *what)
{
    fprintf(stderr, "shim: block %u %u %u, thread %u: %s\n", blockIdx.x, blockIdx.y, blockIdx.z,
            self, what);
    abort();
}

void shim_sync_block()
{
    wait_at(AT_BLOCK, 0);
}

void shim_sync_warp(unsigned mask)
{
    if (!(mask >> self % WARP & 1)) shim_fail("not in its own mask");
    threads[self].n_exchanges++;
    wait_at(AT_WARP, mask);
}

void *shim_slot()
{
    return threads[self].slot[threads[self].n_exchanges % 2];
}

const void *shim_slot_of(unsigned lane)
{
    const unsigned t = self / WARP * WARP + lane;

    if (t >= now.n_threads) shim_fail("reads a lane that is not there");
    return threads[t].slot[(threads[self].n_exchanges + 1) % 2];
}

void shim_copy(void *to, const void *from, bool is_there)
{
    thread *t = &threads[self];

    if ((uintptr_t)to % 16 != 0 || (is_there && (uintptr_t)from % 16 != 0))
        shim_fail("a copy between places that are not at multiples of 16");
    if (t->n_copies == MOST_COPIES) shim_fail("more copies under way than the shim can hold");
    memset(to, 0xff, 16);
    t->copies[t->n_copies++] = {to, is_there ? from : nullptr, t->n_groups};
}

void shim_copy_commit()
{
    threads[self].n_groups++;
}

void shim_copy_wait(unsigned n_groups)
{
    thread *t = &threads[self];
    unsigned n_left = 0;

    for (unsigned i = 0; i < t->n_copies; i++) {
        const copy c = t->copies[i];
        if (c.group + n_groups >= t->n_groups)
            t->copies[n_left++] = c;
        else if (c.from)
            memcpy(c.to, c.from, 16);
        else
            memset(c.to, 0, 16);
    }
    t->n_copies = n_left;
}

void *shim_shared()
{
    return now.shared;
}

void shim_run(dim3 grid, unsigned n_threads, size_t shared, void (*body)(const void *),
              const void *context)
{
    if (n_threads == 0 || n_threads > MOST_THREADS)
        shim_fail("a block of 1 to 1024 threads wanted");
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) shim_fail("a grid without blocks");
    if (grid.y > 65535 || grid.z > 65535) shim_fail("a grid of more than 65535 in y or z");
    if (shared > 227 * 1024) shim_fail("more shared memory than a block may have");
    now = {body,
           context,
           n_threads,
           __builtin_parity(n_launches++) == 1,
           static_cast<char *>(malloc(shared + 1)),
           shared};
    if (!now.shared) shim_fail("no memory");
    gridDim = grid;
    blockDim = dim3(n_threads);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = dim3(x, y, z);
                run_block();
            }
    free(now.shared);
}
