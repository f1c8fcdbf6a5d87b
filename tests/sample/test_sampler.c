/*
 * Samplers: the noise schedule and the tables of steps have the numbers that peers compute
 * (spec/adapters-and-formats 8.1 to 8.3), the samplers reach the golden numbers of its section 10
 * on a toy model, velocity is noise in another coat, and what cannot be is refused.
 */
#include "core/mem.h"
#include "tests/harness.h"
#include "worker/sample/sampler.h"
#include <math.h>

static ath_noise_schedule schedule;

static void check_schedule(void)
{
    static const struct {
        int time;
        double alpha_bar, sigma;
    } rows[] = {
        {0, 0.99915, 0.02916715815},       {1, 0.9982960278, 0.041314412},
        {10, 0.9904313091, 0.09829107438}, {50, 0.9515769028, 0.2255819445},
        {100, 0.8942234776, 0.3439312264}, {200, 0.7536920452, 0.5716658554},
        {300, 0.5905010588, 0.8327527035}, {400, 0.424483024, 1.164391177},
        {500, 0.2763326838, 1.618278826},  {600, 0.1607825705, 2.284639934},
        {700, 0.08252087061, 3.334388476}, {800, 0.03686961658, 5.111027658},
        {900, 0.01415114197, 8.346596615}, {999, 0.004660098513, 14.61464123},
    };

    ath_test_begin("schedule");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_NEAR(schedule.alpha_bar[rows[i].time], rows[i].alpha_bar, 1e-10);
        CHECK_NEAR(schedule.sigma[rows[i].time] / rows[i].sigma, 1, 1e-9);
        CHECK_NEAR(ath_time_of_sigma(&schedule, schedule.sigma[rows[i].time]), rows[i].time, 1e-9);
    }
    for (double t = 0; t <= 999; t += 0.37)
        CHECK_NEAR(ath_time_of_sigma(&schedule, ath_sigma_of_time(&schedule, t)), t, 1e-8);
    CHECK_NEAR(ath_time_of_sigma(&schedule, 0), 0, 0);
    CHECK_NEAR(ath_time_of_sigma(&schedule, 20), 999, 0);
    CHECK_NEAR(ath_sigma_of_time(&schedule, -1), schedule.sigma[0], 0);
    CHECK_NEAR(ath_sigma_of_time(&schedule, 1e9), schedule.sigma[999], 1e-12);
}

enum { N_ROW = 21 };

static void check_sigmas(ath_spacing spacing, ath_sampler sampler, const double *sigma)
{
    ath_steps steps;

    ath_test_begin(ath_spacing_name(spacing));
    CHECK_OK(ath_steps_init(&steps, &schedule, sampler, spacing, 20));
    CHECK_EQ(steps.n, 20);
    /* peers store the schedule in float and print six digits */
    for (int i = 0; i < N_ROW; i++) CHECK_NEAR(steps.sigma[i], sigma[i], 5e-7 + 6e-7 * sigma[i]);
}

static void check_tables(void)
{
    static const double uniform[N_ROW] = {
        14.614641, 10.746799, 8.081519, 6.204935, 4.855652, 3.865378, 3.123761,
        2.557166,  2.115658,  1.764822, 1.480581, 1.245813, 1.048142, 0.878428,
        0.729719,  0.596434,  0.473585, 0.355545, 0.232164, 0.029167, 0};
    static const double karras[N_ROW] = {
        14.614643, 11.725368, 9.340202, 7.383618, 5.789413, 4.499835, 3.464747,
        2.640841,  1.990916,  1.483211, 1.090786, 0.790946, 0.564722, 0.39639,
        0.273038,  0.184168,  0.121341, 0.07786,  0.048481, 0.029167, 0};
    static const double leading[N_ROW] = {
        11.028335, 8.390687, 6.5064,   5.134433, 4.116698, 3.347764, 2.756197,
        2.292855,  1.923444, 1.623693, 1.376179, 1.168216, 0.990409, 0.835653,
        0.698399,  0.574051, 0.458333, 0.346187, 0.228147, 0.041314, 0};

    check_sigmas(ATH_SPACING_UNIFORM, ATH_SAMPLER_EULER, uniform);
    check_sigmas(ATH_SPACING_AUTO, ATH_SAMPLER_EULER_A, uniform);
    check_sigmas(ATH_SPACING_KARRAS, ATH_SAMPLER_EULER, karras);
    check_sigmas(ATH_SPACING_AUTO, ATH_SAMPLER_DPMPP_2M, karras);
    check_sigmas(ATH_SPACING_LEADING, ATH_SAMPLER_EULER, leading);
}

/* First, second, last but one and last time, and where the sampler starts. */
static void check_times(ath_spacing spacing, ath_sampler sampler, int n, const double time[4],
                        double start)
{
    ath_steps steps;

    ath_test_begin(ath_spacing_name(spacing));
    CHECK_OK(ath_steps_init(&steps, &schedule, (ath_sampler)sampler, (ath_spacing)spacing, n));
    CHECK_NEAR(steps.time[0], time[0], 1e-9);
    CHECK_NEAR(steps.time[1], time[1], 5e-3);
    CHECK_NEAR(steps.time[steps.n - 2], time[2], 5e-3);
    CHECK_NEAR(steps.time[steps.n - 1], time[3], 1e-9);
    CHECK_NEAR(steps.start, start, 1e-12);
}

static void check_peers(void)
{
    const double most = schedule.sigma[999], whole = sqrt(1 + most * most);
    const double s951 = schedule.sigma[951];
    ath_steps steps;

    check_times(ATH_SPACING_LEADING, ATH_SAMPLER_DDIM, 20, (double[]){951, 901, 51, 1}, 1);
    check_times(ATH_SPACING_LEADING, ATH_SAMPLER_EULER, 20, (double[]){951, 901, 51, 1},
                sqrt(1 + s951 * s951));
    check_times(ATH_SPACING_LINSPACE, ATH_SAMPLER_EULER, 20, (double[]){999, 946.42, 52.58, 0},
                most);
    check_times(ATH_SPACING_LINSPACE, ATH_SAMPLER_DPMPP_2M, 20, (double[]){999, 949, 100, 50},
                whole);
    check_times(ATH_SPACING_TRAILING, ATH_SAMPLER_EULER, 20, (double[]){999, 949, 99, 49}, most);
    check_times(ATH_SPACING_DDIM, ATH_SAMPLER_DDIM, 20, (double[]){951, 901, 101, 51}, 1);
    check_times(ATH_SPACING_UNIFORM, ATH_SAMPLER_EULER, 20, (double[]){999, 946.42, 52.58, 0},
                most);
    check_times(ATH_SPACING_SGM_UNIFORM, ATH_SAMPLER_EULER, 20,
                (double[]){999, 949.05, 99.9, 49.95}, most);

    ath_test_begin("peers");
    CHECK_OK(ath_steps_init(&steps, &schedule, ATH_SAMPLER_DDIM, ATH_SPACING_LEADING, 20));
    CHECK_NEAR(steps.sigma[20], schedule.sigma[0], 0);
    CHECK_OK(ath_steps_init(&steps, &schedule, ATH_SAMPLER_DDIM, ATH_SPACING_DDIM, 20));
    CHECK_EQ(steps.n, 19);
    CHECK_NEAR(steps.sigma[19], schedule.sigma[1], 0);
    CHECK_OK(ath_steps_init(&steps, &schedule, ATH_SAMPLER_DDIM, ATH_SPACING_DDIM, 30));
    CHECK_EQ(steps.n, 30); /* 31 times: 33 does not divide 1000 */
    CHECK_OK(ath_steps_init(&steps, &schedule, ATH_SAMPLER_EULER, ATH_SPACING_EXPONENTIAL, 3));
    CHECK_NEAR(steps.sigma[1], sqrt(schedule.sigma[0] * most), 1e-12);
}

static void check_refused(ath_sampler sampler, ath_spacing spacing, int n, const char *says)
{
    ath_steps steps;

    CHECK_ERR(ath_steps_init(&steps, &schedule, (ath_sampler)sampler, (ath_spacing)spacing, n),
              ATH_EINVAL);
    CHECK_HAS(ath_err_text(), says);
}

static void check_all_counts(void)
{
    ath_steps steps;

    ath_test_begin("any number of steps");
    for (int spacing = 0; spacing < ATH_N_SPACINGS; spacing++)
        for (int sampler = 0; sampler < ATH_N_SAMPLERS; sampler++)
            for (int n = 2; n <= 400; n += 7) {
                CHECK_OK(ath_steps_init(&steps, &schedule, (ath_sampler)sampler,
                                        (ath_spacing)spacing, n));
                bool falls = steps.sigma[steps.n] >= 0;
                /* at time 0 diffusers' DDIM is already where it ends: its last step does nothing */
                if (sampler == ATH_SAMPLER_DDIM && spacing == ATH_SPACING_LINSPACE) steps.n--;
                for (int i = 0; i < steps.n; i++)
                    falls = falls && steps.sigma[i] > steps.sigma[i + 1] && steps.time[i] <= 999 &&
                            steps.time[i] >= 0;
                CHECK(falls);
            }
    check_refused(ATH_SAMPLER_EULER, ATH_SPACING_UNIFORM, 0, "steps: 0 with the spacing uniform");
    check_refused(ATH_SAMPLER_EULER, ATH_SPACING_KARRAS, 1001, "wanted 1..1000");
    check_refused(ATH_SAMPLER_DDIM, ATH_SPACING_AUTO, 1000, "leading, wanted 1..999");
    check_refused(ATH_SAMPLER_DDIM, ATH_SPACING_DDIM, 1, "at least 2");
    check_refused(ATH_SAMPLER_DPMPP_2M, ATH_SPACING_LINSPACE, 1000, "coincide");
    CHECK_OK(ath_steps_init(&steps, &schedule, ATH_SAMPLER_EULER, ATH_SPACING_AUTO, 1));
    CHECK_OK(ath_steps_init(&steps, &schedule, ATH_SAMPLER_DDIM, ATH_SPACING_AUTO, 1));
}

/* ---- the toy model: data of variance one, about which everything is known ---- */

typedef struct toy_model {
    ath_prediction prediction;
    int32_t n_asked, n_fresh;
    int32_t fail_at; /* the call that fails; 0: none */
} toy_model;

enum { N = 5 };

/* Noise sqrt(1 - alpha_bar) x, and velocity 0: picture and noise are equally likely. */
static ath_err predict(void *context, const float *x, double t, float *out)
{
    toy_model *toy = context;
    const double sigma = ath_sigma_of_time(&schedule, t);

    toy->n_asked++;
    ATH_NEED(toy->n_asked != toy->fail_at, ATH_ENAN, "toy: failed as told");
    for (int i = 0; i < N; i++) {
        const double noise = sigma / sqrt(1 + sigma * sigma) * (double)x[i];
        const double clean = ((double)x[i] * sqrt(1 + sigma * sigma) - sigma * noise);
        const double velocity = (noise - sigma * clean) / sqrt(1 + sigma * sigma);
        out[i] = (float)(toy->prediction == ATH_PREDICTS_NOISE ? noise : velocity);
    }
    return ATH_OK;
}

static ath_err half(void *context, float *out)
{
    ((toy_model *)context)->n_fresh++;
    for (int i = 0; i < N; i++) out[i] = 0.5f;
    return ATH_OK;
}

/* The outcome of one number that begins as 1 (as sigma, where the sampler starts from there). */
static double outcome(ath_sampler sampler, ath_spacing spacing, int n, double eta, toy_model *toy)
{
    float x[N] = {1, 1, -1, 0, 1};
    ath_steps steps = {0};

    CHECK_OK(ath_steps_init(&steps, &schedule, (ath_sampler)sampler, (ath_spacing)spacing, n));
    const ath_sampling s = {.sampler = sampler,
                            .steps = &steps,
                            .prediction = toy->prediction,
                            .eta = eta,
                            .predict = predict,
                            .fresh_noise = half,
                            .context = toy};
    CHECK_OK(ath_sampler_run(&s, N, x));
    CHECK_EQ(toy->n_asked, steps.n);
    CHECK_BITS(&x[0], &x[4], sizeof x[0]);
    return (double)x[0];
}

static void check_golden(void)
{
    static const struct {
        int n;
        ath_spacing spacing;
        double euler, dpmpp_2m, euler_a;
    } rows[] = {
        {5, ATH_SPACING_UNIFORM, 0.7179451599, 1.2545924876, 0.6105711285},
        {5, ATH_SPACING_KARRAS, 0.6821612176, 1.0608609492, 0.5256194624},
        {20, ATH_SPACING_UNIFORM, 0.9291232282, 1.0571447027, 1.8417397462},
        {20, ATH_SPACING_KARRAS, 0.9207234460, 1.0095995908, 1.6345778773},
    };
    static const struct {
        int n;
        ath_spacing spacing;
        double out;
    } ddim[] = {
        {5, ATH_SPACING_LEADING, 0.7801353576},
        {5, ATH_SPACING_DDIM, 0.7801927738},
        {20, ATH_SPACING_LEADING, 0.9368588830},
        {20, ATH_SPACING_DDIM, 0.9369278337},
    };
    static const double bound = 1e-6;

    ath_test_begin("golden");
    for (int p = 0; p < 2; p++) {
        const ath_prediction as = p ? ATH_PREDICTS_VELOCITY : ATH_PREDICTS_NOISE;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            toy_model a = {.prediction = as}, b = a, c = a;
            const int n = rows[i].n;
            CHECK_NEAR(outcome(ATH_SAMPLER_EULER, rows[i].spacing, n, 0, &a), rows[i].euler, bound);
            CHECK_NEAR(outcome(ATH_SAMPLER_DPMPP_2M, rows[i].spacing, n, 0, &b), rows[i].dpmpp_2m,
                       bound);
            CHECK_NEAR(outcome(ATH_SAMPLER_EULER_A, rows[i].spacing, n, 1, &c), rows[i].euler_a,
                       bound);
            CHECK_EQ(a.n_fresh + b.n_fresh, 0);
            CHECK_EQ(c.n_fresh, n - 1); /* every step but the last */
        }
        for (size_t i = 0; i < sizeof ddim / sizeof *ddim; i++) {
            toy_model a = {.prediction = as};
            CHECK_NEAR(outcome(ATH_SAMPLER_DDIM, ddim[i].spacing, ddim[i].n, 0, &a), ddim[i].out,
                       bound);
            CHECK_EQ(a.n_fresh, 0);
        }
    }
}

/* DDIM with eta 1: the variance that it takes away it adds again. By hand for one step. */
static void check_eta(void)
{
    toy_model t = {.prediction = ATH_PREDICTS_NOISE};
    const double a = schedule.alpha_bar[1], b = schedule.alpha_bar[0];
    const double fresh = sqrt((1 - b) / (1 - a) * (1 - a / b));
    const double noise = sqrt(1 - a), clean = (1 - (1 - a)) / sqrt(a);
    const double wanted = sqrt(b) * clean + sqrt(1 - b - fresh * fresh) * noise + 0.5 * fresh;

    ath_test_begin("eta");
    CHECK_NEAR(outcome(ATH_SAMPLER_DDIM, ATH_SPACING_LEADING, 1, 1, &t), wanted, 1e-7);
    CHECK_EQ(t.n_fresh, 1);
}

static void check_failures(void)
{
    float x[N] = {1};
    toy_model t = {.fail_at = 3};
    ath_steps steps;

    ath_test_begin("failures");
    CHECK_OK(ath_steps_init(&steps, &schedule, ATH_SAMPLER_EULER_A, ATH_SPACING_AUTO, 5));
    ath_sampling s = {.sampler = ATH_SAMPLER_EULER_A,
                      .steps = &steps,
                      .eta = 1,
                      .predict = predict,
                      .fresh_noise = half,
                      .context = &t};
    CHECK_ERR(ath_sampler_run(&s, N, x), ATH_ENAN);
    CHECK_EQ(t.n_asked, 3);
    CHECK_ERR(ath_sampler_run(&s, 0, x), ATH_EINVAL);
    s.fresh_noise = NULL;
    CHECK_ERR(ath_sampler_run(&s, N, x), ATH_EINVAL);
    CHECK_HAS(ath_err_text(), "euler_a");
    for (int i = 1; i <= 2; i++) {
        ath_mem_fail_from(i);
        CHECK_ERR(ath_sampler_run(&s, N, x), ATH_ENOMEM);
        ath_mem_fail_from(0);
    }
    CHECK_EQ(ath_mem_get_stats().n_held, 0);
}

int main(void)
{
    ath_noise_schedule_init(&schedule);
    check_schedule();
    check_tables();
    check_peers();
    check_all_counts();
    check_golden();
    check_eta();
    check_failures();
    return ath_test_end();
}
