/* Any bytes as a job file; where they are one, printed and read again it is the same job. The same
 * bytes as a packed job. */
#include "core/mem.h"
#include "proto/job.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

static void check_round_trip(const Athanor__Job *job)
{
    Athanor__Job *again = NULL;
    uint8_t *a = NULL, *b = NULL;
    size_t n_a = 0, n_b = 0;
    ath_str text = {0};

    ath_job_print(job, &text);
    ath_err err = ath_job_read_text(ath_str_text(&text), text.n, "printed", NULL, 0, &again);
    if (err) fprintf(stderr, "%s\n%s", ath_err_text(), ath_str_text(&text));
    ATH_ASSERT(!err);
    ATH_ASSERT(!ath_job_pack(job, &a, &n_a) && !ath_job_pack(again, &b, &n_b));
    ATH_ASSERT(n_a == n_b && memcmp(a, b, n_a) == 0);
    ath_mem_free(&a);
    ath_mem_free(&b);
    ath_job_free(&again);
    ath_str_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Athanor__Job *job = NULL;

    if (!ath_job_read_text((const char *)bytes, n, "job", NULL, 0, &job)) check_round_trip(job);
    ath_job_free(&job);
    if (!ath_job_unpack(bytes, n, &job)) {
        ath_str text = {0};
        ath_job_print(job, &text);
        ath_str_release(&text);
    }
    ath_job_free(&job);
    return 0;
}
