#include "worker/dist/flight.h"

#include "core/io/file.h"
#include "core/time.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A line, as words that another thread may read at any time: step + 1, then the bits of doubles. The one
 * line that the main thread begins while others are written is never among those. */
enum { STEP, WALL, LOSS, NORM, SECONDS, N_WORDS = SECONDS + ATH_N_STAGES, ROOM = 1024, LINE = 512 };
_Static_assert(ROOM > (int)ATH_FLIGHT_STEPS, "a line to spare");

static _Atomic uint64_t ring[ROOM][N_WORDS];
static _Atomic int64_t newest; /* its number; from 0 */
static ath_stage current;      /* of the main thread, as is the next */
static int64_t since_ns;

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t get(int64_t line, int word)
{
    return atomic_load_explicit(&ring[line % ROOM][word], memory_order_relaxed);
}

static double get_real(int64_t line, int word)
{
    const uint64_t bits = get(line, word);
    double value = 0;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static void set(int64_t line, int word, uint64_t value)
{
    atomic_store_explicit(&ring[line % ROOM][word], value, memory_order_relaxed);
}

/* What has passed, to the stage that it was spent in. */
static void account(void)
{
    const int64_t now = ath_time_mono_ns(), line = atomic_load(&newest);
    const double spent = since_ns ? (double)(now - since_ns) * 1e-9 : 0;

    if (!since_ns) set(line, WALL, (uint64_t)ath_time_wall_ns());
    set(line, SECONDS + (int)current, bits_of(get_real(line, SECONDS + (int)current) + spent));
    since_ns = now;
}

void ath_flight_step(int64_t step)
{
    account();
    const int64_t line = atomic_load(&newest) + 1;
    for (int i = 0; i < N_WORDS; i++) set(line, i, 0);
    set(line, STEP, (uint64_t)(step + 1));
    set(line, WALL, (uint64_t)ath_time_wall_ns());
    atomic_store(&newest, line);
}

void ath_flight_enter(ath_stage stage)
{
    account();
    current = stage;
}

void ath_flight_result(double loss, double norm)
{
    const int64_t line = atomic_load(&newest);

    set(line, LOSS, bits_of(loss));
    set(line, NORM, bits_of(norm));
}

static ath_err put_head(ath_publish *file, int32_t rank, const char *why)
{
    char host[64] = "", place[ATH_PLACE_TEXT], line[LINE];

    gethostname(host, sizeof host - 1);
    int n = snprintf(line, sizeof line, "# rank %" PRId32 ", process %d on %s, %s: %.256s\n", rank,
                     (int)getpid(), host, ath_place_print(ath_stage_place(ath_stage_word()), place),
                     why);
    ATH_TRY(ath_publish_put(file, line, (size_t)n));
    n = snprintf(line, sizeof line, "# seconds in each phase\nstep began");
    for (int i = 0; i < ATH_N_STAGES; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, " %s", ath_stage_name((ath_stage)i));
    n += snprintf(line + n, sizeof line - (size_t)n, " loss norm\n");
    return ath_publish_put(file, line, (size_t)n);
}

static int print_line(int64_t i, char line[LINE])
{
    char wall[ATH_TIME_TEXT];
    int n = snprintf(line, LINE, "%" PRId64 " %s", (int64_t)get(i, STEP) - 1,
                     ath_time_print((int64_t)get(i, WALL), wall));

    for (int k = 0; k < ATH_N_STAGES; k++)
        n += snprintf(line + n, (size_t)(LINE - n), " %.6f", get_real(i, SECONDS + k));
    return n + snprintf(line + n, (size_t)(LINE - n), " %.9g %.9g\n", get_real(i, LOSS),
                        get_real(i, NORM));
}

static ath_err put_all(ath_publish *file, int32_t rank, const char *why)
{
    static char block[16 * LINE]; /* one thread at a time writes: the run has ended */
    const int64_t last = atomic_load(&newest);
    size_t n = 0;

    ATH_TRY(put_head(file, rank, why));
    for (int64_t i = last < ATH_FLIGHT_STEPS ? 0 : last - ATH_FLIGHT_STEPS + 1; i <= last; i++) {
        char line[LINE];
        const size_t length = (size_t)print_line(i, line);
        if (n + length > sizeof block) {
            ATH_TRY(ath_publish_put(file, block, n));
            n = 0;
        }
        memcpy(block + n, line, length);
        n += length;
    }
    return ath_publish_put(file, block, n);
}

ath_err ath_flight_write(const char *folder, int32_t rank, const char *why)
{
    char path[ATH_PATH_BYTES];
    ath_publish file = {.fd = -1};
    ath_err err = ATH_OK;

    ATH_TRY(ath_path_print(path, "%s/flight", folder));
    ATH_TRY(ath_folder_make(path));
    ATH_TRY(ath_path_print(path, "%s/flight/rank-%" PRId32 ".txt", folder, rank));
    ATH_TRY_OUT(ath_publish_begin(&file, path));
    ATH_TRY_OUT(put_all(&file, rank, why));
    ATH_TRY_OUT(ath_publish_commit(&file));
out:
    ath_publish_discard(&file);
    return err;
}
