/*
 * The watch of ranks. The judge, with a clock of the test's own: who is gone, silent, stuck or in a knot is
 * named in time and not before, nobody is blamed who said farewell, waits, or slept with the judge; a slow rank is told of. The
 * watch itself, over real sockets against a rank 0: beats and verdicts arrive, strangers, garbage and a
 * wrong secret change nothing. The flight record: the last thousand steps, readable while it is written.
 */
#include "core/io/file.h"
#include "core/mem.h"
#include "core/pulse.h"
#include "core/time.h"
#include "tests/harness.h"
#include "worker/dist/flight.h"
#include "worker/dist/slow.h"
#include "worker/dist/verdict.h"
#include "worker/dist/watch_private.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MS = 1000 * 1000, LIMIT_MS = 1000, TICK_MS = 100, N = 3 };

/* ---- the judge ---- */

static ath_judge judge;
static ath_verdict found;
static int64_t clock_ms;

static uint64_t word_of(ath_stage stage, int64_t step, bool waits)
{
    ath_stage_step(step);
    ath_stage_enter(stage);
    ath_stage_wait(waits);
    return ath_stage_word();
}

static void begin(const char *name)
{
    static const char *const hosts[N] = {"alpha", "beta", "gamma"};

    ath_test_begin(name);
    ath_judge_release(&judge);
    clock_ms = 5000;
    found = (ath_verdict){0};
    CHECK_OK(ath_judge_init(&judge, N, (int64_t)LIMIT_MS * MS, clock_ms * MS));
    for (int32_t k = 0; k < N; k++) ath_judge_hello(&judge, k, 100 + k, hosts[k]);
}

/* Lets `ms` pass in ticks; at each, rank k tells word[k] (0: nothing) with a pulse that stands still. How
 * long it took until somebody was blamed; -1: nobody was. */
static int64_t pass(int64_t ms, const uint64_t word[N])
{
    for (int64_t t = TICK_MS; t <= ms; t += TICK_MS) {
        clock_ms += TICK_MS;
        ath_judge_tick(&judge, clock_ms * MS);
        for (int32_t k = 0; k < N; k++)
            if (word[k]) ath_judge_beat(&judge, k, word[k], 7);
        if (ath_judge_look(&judge, &found)) return t;
    }
    return -1;
}

static void test_left(void)
{
    const uint64_t w = word_of(ATH_STAGE_COMPUTE, 12, false);
    char text[ATH_VERDICT_TEXT];

    begin("a rank that left");
    CHECK_EQ(pass(500, (uint64_t[]){w, w, w}), -1);
    ath_judge_gone(&judge, 1);
    CHECK(ath_judge_is_pending(&judge));
    const int64_t took = pass(500, (uint64_t[]){w, 0, w});
    CHECK(took > 0 && took <= 300);
    CHECK_EQ(found.fate, ATH_FATE_LEFT);
    CHECK_EQ(found.rank, 1);
    CHECK_STR(
        ath_verdict_print(&found, "was ended by signal 9", text),
        "rank 1 (process 101 on beta) was ended by signal 9, last seen in compute of step 12; "
        "all ranks end: look there for the cause (memory, a crash), then go on with athanor "
        "resume");
    CHECK_HAS(ath_verdict_print(&found, NULL, text), "(process 101 on beta) left without");

    begin("the first that left is the cause");
    ath_judge_gone(&judge, 2);
    CHECK_EQ(pass(100, (uint64_t[]){w, w, 0}), -1);
    ath_judge_gone(&judge, 0);
    CHECK(pass(500, (uint64_t[]){0, w, 0}) > 0);
    CHECK_EQ(found.rank, 2);

    begin("farewell");
    ath_judge_bye(&judge, 1);
    ath_judge_gone(&judge, 1);
    CHECK(!ath_judge_is_pending(&judge));
    for (int i = 0; i < 5; i++)
        CHECK_EQ(pass(LIMIT_MS, (uint64_t[]){w + (uint64_t)i, 0, w + (uint64_t)i}), -1);
}

static void test_silent(void)
{
    const uint64_t w = word_of(ATH_STAGE_SAVE, 3, false), waits = word_of(ATH_STAGE_SAVE, 3, true);
    char text[ATH_VERDICT_TEXT];

    begin("a rank that is silent");
    CHECK_EQ(pass(300, (uint64_t[]){waits, waits, w}), -1);
    CHECK_EQ(pass(2L * LIMIT_MS, (uint64_t[]){waits, waits, 0}), LIMIT_MS);
    CHECK_EQ(found.fate, ATH_FATE_SILENT);
    CHECK_EQ(found.rank, 2);
    CHECK_HAS(ath_verdict_print(&found, NULL, text),
              "rank 2 (process 102 on gamma) gave no sign of life for 1.0 s, last seen in save of "
              "step 3; all ranks end: it is stopped");

    begin("a rank that is silent while the run goes on");
    CHECK_EQ(pass(300, (uint64_t[]){w, w, w}), -1);
    CHECK_EQ(pass(5L * LIMIT_MS, (uint64_t[]){w, w, 0}), -1);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(pass(TICK_MS, (uint64_t[]){i % 2 ? w : waits, i % 2 ? waits : w, 0}), -1);

    begin("the judge slept: nobody is to blame");
    CHECK_EQ(pass(300, (uint64_t[]){waits, w, w}), -1);
    clock_ms += 3600 * 1000;
    ath_judge_tick(&judge, clock_ms * MS);
    CHECK(!ath_judge_look(&judge, &found));
    CHECK_EQ(pass(500, (uint64_t[]){waits, w, w}), -1);

    begin("who never came is not judged");
    judge.rank[1].is_known = false;
    for (uint64_t i = 0; i < 5; i++) CHECK_EQ(pass(LIMIT_MS, (uint64_t[]){w + i, 0, w + i}), -1);
}

static void test_stuck(void)
{
    const uint64_t works = word_of(ATH_STAGE_COMPUTE, 4, false);
    const uint64_t waits = word_of(ATH_STAGE_REDUCE, 4, true);
    char text[ATH_VERDICT_TEXT];

    begin("long work that nobody waits for");
    CHECK_EQ(pass(5L * LIMIT_MS, (uint64_t[]){works, works, works}), -1);
    CHECK_EQ(pass(LIMIT_MS - TICK_MS, (uint64_t[]){waits, works, works}), -1);

    begin("a rank that others wait for");
    const int64_t took = pass(2L * LIMIT_MS, (uint64_t[]){waits, works, waits});
    CHECK(took >= LIMIT_MS && took <= LIMIT_MS + TICK_MS);
    CHECK_EQ(found.fate, ATH_FATE_STUCK);
    CHECK_EQ(found.rank, 1);
    CHECK_HAS(ath_verdict_print(&found, NULL, text),
              "rank 1 (process 101 on beta) has not moved for 1.0 s while others wait for it, last "
              "seen in compute of step 4; all ranks end: look at that host's disks");

    begin("slow, but it moves");
    for (int i = 0; i < 50; i++) {
        clock_ms += TICK_MS;
        ath_judge_tick(&judge, clock_ms * MS);
        ath_judge_beat(&judge, 0, waits, 1);
        ath_judge_beat(&judge, 1, works, (uint64_t)i); /* its pulse goes */
        ath_judge_beat(&judge, 2, waits, 1);
        CHECK(!ath_judge_look(&judge, &found));
    }

    begin("all wait for each other");
    const uint64_t before = word_of(ATH_STAGE_UPDATE, 3, true);
    CHECK_EQ(pass(2L * LIMIT_MS - TICK_MS, (uint64_t[]){waits, before, waits}), -1);
    CHECK(pass(5L * TICK_MS, (uint64_t[]){waits, before, waits}) > 0);
    CHECK_EQ(found.fate, ATH_FATE_KNOT);
    CHECK_EQ(found.rank, 1);
    CHECK_HAS(ath_verdict_print(&found, NULL, text), "have waited for each other");
}

/* ---- slow ranks ---- */

/* Jitter of up to 12 %, the same each time. */
static double jitter(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return 1 + 0.12 * (double)(*state >> 8) / (1 << 24);
}

/* The step at which rank 1 is told of, where it is `factor` times slower; -1: nobody was. */
static int32_t told_at(int32_t n_steps, double factor)
{
    double seconds[N], times = 0;
    uint32_t state = 1;
    ath_slow slow = {0};
    int32_t at = -1;

    CHECK_OK(ath_slow_init(&slow, N));
    for (int32_t i = 0; i < n_steps && at < 0; i++) {
        for (int32_t k = 0; k < N; k++) seconds[k] = jitter(&state) * (k == 1 ? factor : 1);
        if (i % 40 == 0) seconds[2] *= 10; /* once in a while anybody may be late */
        if (i % 3 == 0) seconds[0] = 0;    /* has no micro-batch */
        const int32_t rank = ath_slow_step(&slow, seconds, &times);
        if (rank < 0) continue;
        CHECK_EQ(rank, 1);
        CHECK_NEAR(times, factor, 0.13 * factor);
        at = i;
    }
    for (int32_t i = 0; at >= 0 && i < 100; i++) { /* it goes on: is not told again */
        for (int32_t k = 0; k < N; k++) seconds[k] = k == 1 ? factor : 1;
        CHECK_EQ(ath_slow_step(&slow, seconds, &times), -1);
    }
    ath_slow_release(&slow);
    return at;
}

static void test_slow(void)
{
    ath_slow slow = {0};

    ath_test_begin("a slow rank");
    CHECK_EQ(told_at(10000, 1), -1);
    CHECK_EQ(told_at(10000, 1.1), -1);
    const int32_t at = told_at(50, 1.5);
    CHECK(at >= 25 && at < 50);
    CHECK(told_at(50, 3) <= 26);
    CHECK_OK(ath_slow_init(&slow, N));
    double times = 0;
    for (int i = 0; i < 100; i++) { /* alone it is no measure, and does not spoil one */
        CHECK_EQ(ath_slow_step(&slow, (double[]){0, 5, 0}, &times), -1);
        const int32_t rank = ath_slow_step(&slow, (double[]){1, 2, 1}, &times);
        CHECK(rank == (i == 25 ? 1 : -1));
    }
    ath_slow_release(&slow);
    for (int i = 1; i <= 2; i++) {
        ath_mem_fail_from(i);
        CHECK_ERR(ath_slow_init(&slow, N), ATH_ENOMEM);
        ath_mem_fail_from(0);
    }
}

/* ---- the word ---- */

static void test_word(void)
{
    char text[ATH_PLACE_TEXT];

    ath_test_begin("the word");
    ath_stage_step(-1);
    ath_stage_enter(ATH_STAGE_CACHE);
    CHECK_STR(ath_place_print(ath_stage_place(ath_stage_word()), text), "in cache");
    ath_stage_step(1000000000);
    ath_stage_enter(ATH_STAGE_REDUCE);
    ath_stage_bucket(41);
    ath_stage_wait(true);
    CHECK_STR(ath_place_print(ath_stage_place(ath_stage_word()), text),
              "in reduce of step 1000000000 (bucket 41), waiting for others");
    const uint64_t pulse = atomic_load(&ath_pulse_count);
    ath_stage_wait(false);
    CHECK(atomic_load(&ath_pulse_count) != pulse);
    ath_stage_enter(ATH_STAGE_UPDATE);
    CHECK_STR(ath_place_print(ath_stage_place(ath_stage_word()), text),
              "in update of step 1000000000");
    ath_place_print(ath_stage_place(UINT64_MAX), text); /* whatever comes over the network */
    CHECK_HAS(text, "in ?");
}

/* ---- over sockets ---- */

static struct {
    _Atomic bool is_there;
    ath_verdict v;
} ended;

static void take_end(void *context, const ath_verdict *v)
{
    (void)context;
    ended.v = *v;
    atomic_store(&ended.is_there, true);
}

static ath_watch_seat seat;
static ath_watch *watch;

static void start_watch(int32_t limit_ms)
{
    ath_watch_opts o = {.size = N, .limit_ns = (int64_t)limit_ms * MS, .end = take_end};

    atomic_store(&ended.is_there, false);
    CHECK_OK(ath_watch_listen(true, &seat, &o.listen_fd));
    o.seat = seat;
    CHECK_OK(ath_watch_begin(&o, &watch));
}

static int dial(void)
{
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = seat.port, .sin_addr = {seat.address[0]}};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(connect(fd, (const struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

static ath_watch_message message(uint32_t kind, int32_t rank)
{
    ath_watch_message m;

    memset(&m, 0, sizeof m);
    m.kind = kind;
    m.rank = rank;
    m.process = 200 + rank;
    memcpy(m.secret, seat.secret, sizeof m.secret);
    memcpy(m.host, "delta", 6);
    return m;
}

static void put(int fd, const void *bytes, size_t n)
{
    CHECK(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static int join_as(int32_t rank)
{
    const ath_watch_message m = message(ATH_WATCH_HELLO, rank);
    const int fd = dial();

    put(fd, &m, sizeof m);
    return fd;
}

/* The other end closes, within 2 s, whatever it sends before. */
static bool is_closed(int fd)
{
    char bytes[512];

    for (struct pollfd p = {.fd = fd, .events = POLLIN}; poll(&p, 1, 2000) == 1;)
        if (recv(fd, bytes, sizeof bytes, 0) <= 0) return true;
    return false;
}

/* Its next message of a kind. */
static bool hears(int fd, uint32_t kind, ath_watch_message *m)
{
    for (struct pollfd p = {.fd = fd, .events = POLLIN}; poll(&p, 1, 2000) == 1;) {
        if (recv(fd, m, sizeof *m, MSG_WAITALL) != (ssize_t)sizeof *m) return false;
        if (m->kind == kind) return true;
    }
    return false;
}

static bool ends(void)
{
    for (int i = 0; i < 300 && !atomic_load(&ended.is_there); i++) ath_time_sleep_ns(10L * MS);
    return atomic_load(&ended.is_there);
}

static void test_strangers(void)
{
    ath_watch_message m = message(ATH_WATCH_HELLO, 1);

    ath_test_begin("strangers are shown the door");
    start_watch(4000);
    int fd = dial();
    char garbage[sizeof m];
    for (size_t i = 0; i < sizeof garbage; i++) garbage[i] = (char)(i * 37 + 1);
    put(fd, garbage, sizeof garbage);
    CHECK(is_closed(fd));
    close(fd);
    for (int i = 0; i < ATH_WATCH_SECRET; i += 5) { /* a wrong secret */
        fd = dial();
        m = message(ATH_WATCH_HELLO, 1);
        m.secret[i] ^= 1;
        put(fd, &m, sizeof m);
        CHECK(is_closed(fd));
        close(fd);
    }
    const int32_t no_ranks[] = {0, -1, N, 1 << 30};
    for (size_t i = 0; i < sizeof no_ranks / sizeof *no_ranks; i++) {
        fd = join_as(no_ranks[i]);
        CHECK(is_closed(fd));
        close(fd);
    }
    const uint32_t no_hellos[] = {ATH_WATCH_BEAT, ATH_WATCH_BYE, ATH_WATCH_VERDICT};
    for (size_t i = 0; i < sizeof no_hellos / sizeof *no_hellos; i++) {
        fd = dial();
        m = message(no_hellos[i], 1);
        put(fd, &m, sizeof m);
        CHECK(is_closed(fd));
        close(fd);
    }

    ath_test_begin("a second one of that rank, and what ranks do not send");
    const int one = join_as(1);
    CHECK(hears(one, ATH_WATCH_BEAT, &m));
    fd = join_as(1);
    CHECK(is_closed(fd));
    close(fd);
    const int two = join_as(2);
    m = message(ATH_WATCH_VERDICT, 2);
    CHECK(hears(two, ATH_WATCH_BEAT, &m));
    CHECK(!atomic_load(&ended.is_there));
    CHECK_EQ(m.rank, 0);
    ath_watch_stop(&watch, ATH_OK);
    CHECK(hears(one, ATH_WATCH_BYE, &m));
    CHECK(!atomic_load(&ended.is_there));
    close(one);
    close(two);
}

static void test_over_sockets(void)
{
    ath_watch_message m;

    ath_test_begin("a rank's connection ends");
    start_watch(4000);
    int one = join_as(1), two = join_as(2);
    CHECK(hears(one, ATH_WATCH_BEAT, &m));
    m = message(ATH_WATCH_BEAT, 1);
    m.word = word_of(ATH_STAGE_SAMPLE, 9, false);
    put(one, &m, 7); /* in pieces */
    ath_time_sleep_ns(20L * MS);
    put(one, (const char *)&m + 7, sizeof m - 7);
    close(one);
    CHECK(ends());
    CHECK_EQ(ended.v.fate, ATH_FATE_LEFT);
    CHECK_EQ(ended.v.rank, 1);
    CHECK_EQ(ended.v.process, 201);
    CHECK_EQ(ended.v.word, m.word);
    CHECK_STR(ended.v.host, "delta");
    CHECK(hears(two, ATH_WATCH_VERDICT, &m));
    CHECK_EQ(m.verdict.rank, 1);
    close(two);
    ath_watch_stop(&watch, ATH_OK);

    ath_test_begin("a rank is silent");
    word_of(ATH_STAGE_REDUCE, 1, true); /* rank 0's, which waits */
    start_watch(400);
    one = join_as(1);
    two = join_as(2);
    m = message(ATH_WATCH_BYE, 2);
    put(two, &m, sizeof m);
    close(two);
    CHECK(ends());
    CHECK_EQ(ended.v.fate, ATH_FATE_SILENT);
    CHECK_EQ(ended.v.rank, 1);
    close(one);
    ath_watch_stop(&watch, ATH_OK);
}

/* A rank above 0: reaches rank 0, hears its verdict. Without a rank 0 it is not watched. */
static void test_other_rank(void)
{
    ath_watch_opts o = {.size = N, .rank = 1, .limit_ns = (int64_t)4000 * MS, .end = take_end};
    ath_watch_message m;

    ath_test_begin("a rank above 0");
    atomic_store(&ended.is_there, false);
    o.listen_fd = -1;
    int listening = -1;
    CHECK_OK(ath_watch_listen(false, &o.seat, &listening));
    o.seat.address[0] = htonl(INADDR_LOOPBACK); /* whatever this machine's are */
    CHECK_OK(ath_watch_begin(&o, &watch));
    struct pollfd p = {.fd = listening, .events = POLLIN};
    CHECK(poll(&p, 1, 5000) == 1);
    const int fd = accept(listening, NULL, NULL);
    CHECK(hears(fd, ATH_WATCH_HELLO, &m));
    CHECK_EQ(m.rank, 1);
    CHECK(memcmp(m.secret, o.seat.secret, sizeof m.secret) == 0);
    CHECK(hears(fd, ATH_WATCH_BEAT, &m));
    m = message(ATH_WATCH_VERDICT, 0);
    m.verdict = (ath_verdict){.fate = ATH_FATE_STUCK, .rank = 2};
    put(fd, &m, sizeof m);
    CHECK(ends());
    CHECK_EQ(ended.v.rank, 2);
    close(fd);
    ath_watch_stop(&watch, ATH_OK);

    ath_test_begin("rank 0 is gone");
    atomic_store(&ended.is_there, false);
    CHECK_OK(ath_watch_begin(&o, &watch));
    CHECK(poll(&p, 1, 5000) == 1);
    close(accept(listening, NULL, NULL));
    CHECK(ends());
    CHECK_EQ(ended.v.rank, 0);
    CHECK_EQ(ended.v.fate, ATH_FATE_LEFT);
    ath_watch_stop(&watch, ATH_OK);
    close(listening);

    ath_test_begin("it never comes");
    CHECK_OK(ath_watch_begin(&o, &watch));
    ath_watch_stop(&watch, ath_raise(ATH_EIO, "the disk"));
    CHECK_HAS(ath_err_text(), "the disk"); /* still to be said */
    ath_watch_stop(&watch, ATH_OK);        /* none */
}

static void test_memory(void)
{
    ath_watch_opts o = {.size = N, .rank = 1, .limit_ns = (int64_t)1000 * MS, .end = take_end};

    ath_test_begin("no memory");
    o.listen_fd = -1;
    o.seat.port = 1;
    ath_err err = ATH_ENOMEM;
    for (int i = 1; err; i++) {
        const int64_t held = ath_mem_get_stats().n_held;
        ath_mem_fail_from(i);
        err = ath_watch_begin(&o, &watch);
        ath_mem_fail_from(0);
        if (err) CHECK_EQ(ath_mem_get_stats().n_held, held);
        CHECK(err == ATH_OK || err == ATH_ENOMEM);
    }
    ath_watch_stop(&watch, ATH_OK);
}

/* ---- flight record, verdict ---- */

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t n = 0;

    CHECK_OK(ath_file_read(path, 1 << 20, &text, &n));
    return text;
}

static int count_lines(const char *text)
{
    int n = 0;

    for (; *text; text++) n += *text == '\n';
    return n;
}

static void test_flight(const char *folder)
{
    char path[ATH_PATH_BYTES];

    ath_test_begin("flight record");
    ath_stage_wait(false);
    for (int64_t i = 0; i < 2500; i++) {
        ath_stage_step(i);
        ath_stage_enter(ATH_STAGE_COMPUTE);
        ath_stage_enter(ATH_STAGE_RECORD);
        ath_flight_result(0.25, (double)i);
    }
    ath_stage_enter(ATH_STAGE_SAVE);
    const int64_t n_asked = ath_mem_get_stats().n_asked;
    CHECK_OK(ath_flight_write(folder, 5, "a reason"));
    CHECK_EQ(ath_mem_get_stats().n_asked, n_asked);
    snprintf(path, sizeof path, "%s/flight/rank-5.txt", folder);
    char *text = read_text(path);
    CHECK_HAS(text, "# rank 5, process ");
    CHECK_HAS(text, "in save of step 2499: a reason\n");
    CHECK_HAS(text,
              "step began start cache load compute reduce update record save sample end loss norm");
    CHECK_EQ(count_lines(text), 3 + ATH_FLIGHT_STEPS);
    CHECK_HAS(text, "\n1500 ");
    CHECK(strstr(text, "\n1499 ") == NULL);
    CHECK_HAS(text, " 0.25 2499\n");
    ath_mem_free(&text);
    CHECK_ERR(ath_flight_write("/proc/none", 0, ""), ATH_EIO);
}

static void test_claim(const char *folder)
{
    char path[ATH_PATH_BYTES];

    ath_test_begin("a verdict is said once");
    snprintf(path, sizeof path, "%s/log.txt", folder);
    CHECK_OK(ath_file_publish(path, "first\n", 6));
    CHECK(ath_verdict_claim(folder, "it was rank 1"));
    CHECK(!ath_verdict_claim(folder, "it was rank 2"));
    char *text = read_text(path);
    CHECK_HAS(text, "Z error watch verdict=\"it was rank 1\"\n");
    CHECK_EQ(count_lines(text), 2);
    ath_mem_free(&text);
    snprintf(path, sizeof path, "%s/flight/verdict.txt", folder);
    text = read_text(path);
    CHECK_STR(text, "it was rank 1\n");
    ath_mem_free(&text);
    ath_verdict_forget(folder);
    CHECK(ath_verdict_claim(folder, "another run"));
    CHECK(ath_verdict_claim("/proc/none", "nowhere to write"));
}

static void remove_all(const char *folder)
{
    static const char *const names[] = {"flight/rank-5.txt", "flight/verdict.txt", "log.txt",
                                        "flight", ""};
    char path[ATH_PATH_BYTES];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
}

int main(void)
{
    char folder[] = "/tmp/test_watch.XXXXXX";

    test_word();
    test_left();
    test_silent();
    test_stuck();
    ath_judge_release(&judge);
    test_slow();
    test_strangers();
    test_over_sockets();
    test_other_rank();
    test_memory();
    CHECK(mkdtemp(folder) != NULL);
    test_flight(folder);
    test_claim(folder);
    remove_all(folder);
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
    return ath_test_end();
}
