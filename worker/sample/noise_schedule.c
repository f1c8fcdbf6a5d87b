#include "worker/sample/noise_schedule.h"

#include <math.h>
#include <stddef.h>

static const double last_time = ATH_TIMES - 1;

void ath_noise_schedule_init(ath_noise_schedule *s)
{
    const double first = sqrt(0.00085), last = sqrt(0.012);
    double product = 1;

    for (int i = 0; i < ATH_TIMES; i++) {
        const double root = first + i * (last - first) / last_time;
        product *= 1 - root * root;
        s->alpha_bar[i] = product;
        s->sigma[i] = sqrt((1 - product) / product);
        s->log_sigma[i] = log(s->sigma[i]);
    }
}

/* Between two times of the table, linear; t is held within it. */
static double between(const double *table, double t)
{
    if (!(t > 0)) return table[0];
    if (t >= last_time) return table[ATH_TIMES - 1];
    const int i = (int)t;
    const double w = t - i;
    return (1 - w) * table[i] + w * table[i + 1];
}

double ath_sigma_of_time(const ath_noise_schedule *s, double t)
{
    if (t == floor(t) && t >= 0 && t <= last_time) return s->sigma[(int)t];
    return exp(between(s->log_sigma, t));
}

double ath_time_of_sigma(const ath_noise_schedule *s, double sigma)
{
    const double wanted = log(sigma);
    int low = 0, high = ATH_TIMES - 1;

    if (!(wanted > s->log_sigma[low])) return low;
    if (wanted >= s->log_sigma[high]) return high;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (s->log_sigma[middle] <= wanted)
            low = middle;
        else
            high = middle;
    }
    return low + (wanted - s->log_sigma[low]) / (s->log_sigma[high] - s->log_sigma[low]);
}

const char *ath_spacing_name(ath_spacing spacing)
{
    static const char *const names[] = {
#define NAME(name, text, webui) text,
        ATH_SPACING_MAP(NAME)
#undef NAME
    };
    ATH_ASSERT((size_t)spacing < ATH_N_SPACINGS);
    return names[spacing];
}

const char *ath_spacing_webui(ath_spacing spacing)
{
    static const char *const names[] = {
#define NAME(name, text, webui) webui,
        ATH_SPACING_MAP(NAME)
#undef NAME
    };
    ATH_ASSERT((size_t)spacing < ATH_N_SPACINGS);
    return names[spacing];
}

ath_spacing ath_spacing_resolve(ath_spacing spacing, ath_sampler sampler)
{
    if (spacing != ATH_SPACING_AUTO) return spacing;
    switch (sampler) {
    case ATH_SAMPLER_DDIM:
        return ATH_SPACING_LEADING;
    case ATH_SAMPLER_EULER:
    case ATH_SAMPLER_EULER_A:
        return ATH_SPACING_UNIFORM;
    case ATH_SAMPLER_DPMPP_2M:
        return ATH_SPACING_KARRAS;
    case ATH_N_SAMPLERS:
        break;
    }
    ATH_ASSERT(!"a sampler");
}

/* Number i of n from a to b, both ends among them; a alone where n is 1. */
static double even(double a, double b, int32_t i, int32_t n)
{
    if (i == 0) return a;
    return i == n - 1 ? b : a + i * (b - a) / (n - 1);
}

static void put_times(ath_steps *steps, const ath_noise_schedule *s)
{
    for (int32_t i = 0; i < steps->n; i++) steps->sigma[i] = ath_sigma_of_time(s, steps->time[i]);
}

static void put_sigmas(ath_steps *steps, const ath_noise_schedule *s)
{
    for (int32_t i = 0; i < steps->n; i++) steps->time[i] = ath_time_of_sigma(s, steps->sigma[i]);
}

static void even_in_time(ath_steps *steps, const ath_noise_schedule *s, int32_t n)
{
    for (int32_t i = 0; i < steps->n; i++) steps->time[i] = even(last_time, 0, i, n);
    put_times(steps, s);
}

static void karras(ath_steps *steps, const ath_noise_schedule *s)
{
    const double rho = 7, most = pow(s->sigma[ATH_TIMES - 1], 1 / rho);
    const double least = pow(s->sigma[0], 1 / rho);

    for (int32_t i = 0; i < steps->n; i++)
        steps->sigma[i] = pow(even(most, least, i, steps->n), rho);
    put_sigmas(steps, s);
}

static void exponential(ath_steps *steps, const ath_noise_schedule *s)
{
    const double most = s->log_sigma[ATH_TIMES - 1], least = s->log_sigma[0];

    for (int32_t i = 0; i < steps->n; i++) steps->sigma[i] = exp(even(most, least, i, steps->n));
    put_sigmas(steps, s);
}

/* diffusers counts one step more, and leaves it out, for the DPM family. */
static void leading(ath_steps *steps, const ath_noise_schedule *s, ath_sampler sampler)
{
    const int32_t n = steps->n, is_dpm = sampler == ATH_SAMPLER_DPMPP_2M;
    const int32_t stride = ATH_TIMES / (n + is_dpm);

    for (int32_t i = 0; i < n; i++)
        steps->time[i] = fmin((n - 1 - i + is_dpm) * stride + 1, last_time);
    put_times(steps, s);
}

/* Euler takes times between the whole ones, and there sigma itself is linear, not its logarithm. */
static void linspace(ath_steps *steps, const ath_noise_schedule *s, ath_sampler sampler)
{
    const bool is_dpm = sampler == ATH_SAMPLER_DPMPP_2M, is_ddim = sampler == ATH_SAMPLER_DDIM;

    for (int32_t i = 0; i < steps->n; i++) {
        const double t = even(last_time, 0, i, steps->n + is_dpm);
        steps->time[i] = is_dpm || is_ddim ? rint(t) : t;
        steps->sigma[i] = between(s->sigma, steps->time[i]);
    }
}

static void trailing(ath_steps *steps, const ath_noise_schedule *s)
{
    for (int32_t i = 0; i < steps->n; i++)
        steps->time[i] = rint(ATH_TIMES - i * ((double)ATH_TIMES / steps->n)) - 1;
    put_times(steps, s);
}

/* Times 1, 1 + stride, ...; the lowest is where the last step ends, not where one begins. Where the
 * stride does not divide 1000 there are more of them than steps were asked for. */
static ath_err webui_ddim(ath_steps *steps, const ath_noise_schedule *s)
{
    const int32_t stride = ATH_TIMES / steps->n, n = (ATH_TIMES - 1) / stride + 1;

    ATH_NEED(steps->n >= 2, ATH_EINVAL,
             "steps: %d with the spacing ddim, which asks the network once less: at least 2",
             steps->n);
    steps->n = n - 1;
    for (int32_t i = 0; i < n - 1; i++)
        steps->time[i] = fmin((double)(n - 1 - i) * stride + 1, last_time);
    put_times(steps, s);
    steps->sigma[n - 1] = s->sigma[1];
    return ATH_OK;
}

/* diffusers begins with noise of variance one, or with what is nearest to it in sampler's terms; the
 * WebUI's Euler and DPM++ with pure noise of the first sigma. */
static double start_of(const ath_steps *steps, ath_sampler sampler, ath_spacing spacing)
{
    const double first = steps->sigma[0], whole = sqrt(1 + first * first);
    const bool is_dpm = sampler == ATH_SAMPLER_DPMPP_2M;

    if (sampler == ATH_SAMPLER_DDIM) return 1;
    if (spacing == ATH_SPACING_LEADING) return whole;
    if (spacing == ATH_SPACING_LINSPACE || spacing == ATH_SPACING_TRAILING)
        return is_dpm ? whole : first;
    return first;
}

/* The step of second order divides by the distance of the one before. */
static ath_err check_falling(const ath_steps *steps, ath_spacing spacing)
{
    for (int32_t i = 0; i < steps->n; i++)
        ATH_NEED(
            steps->sigma[i] > steps->sigma[i + 1], ATH_EINVAL,
            "steps: %d are too many for dpmpp_2m with the spacing %s: steps %d and %d coincide",
            steps->n, ath_spacing_name(spacing), i, i + 1);
    return ATH_OK;
}

ath_err ath_steps_init(ath_steps *steps, const ath_noise_schedule *s, ath_sampler sampler,
                       ath_spacing spacing, int32_t n)
{
    spacing = ath_spacing_resolve(spacing, sampler);
    const int32_t most = ATH_TIMES - (spacing == ATH_SPACING_LEADING);

    ATH_NEED(n >= 1 && n <= most, ATH_EINVAL, "steps: %d with the spacing %s, wanted 1..%d", n,
             ath_spacing_name(spacing), most);
    *steps = (ath_steps){.n = n};
    switch (spacing) {
    case ATH_SPACING_UNIFORM:
        even_in_time(steps, s, n);
        break;
    case ATH_SPACING_SGM_UNIFORM:
        even_in_time(steps, s, n + 1);
        break;
    case ATH_SPACING_KARRAS:
        karras(steps, s);
        break;
    case ATH_SPACING_EXPONENTIAL:
        exponential(steps, s);
        break;
    case ATH_SPACING_LEADING:
        leading(steps, s, sampler);
        if (sampler == ATH_SAMPLER_DDIM) steps->sigma[n] = s->sigma[0];
        break;
    case ATH_SPACING_LINSPACE:
        linspace(steps, s, sampler);
        if (sampler == ATH_SAMPLER_DDIM) steps->sigma[n] = s->sigma[0];
        break;
    case ATH_SPACING_TRAILING:
        trailing(steps, s);
        if (sampler == ATH_SAMPLER_DDIM) steps->sigma[n] = s->sigma[0];
        break;
    case ATH_SPACING_DDIM:
        ATH_TRY(webui_ddim(steps, s));
        break;
    case ATH_SPACING_AUTO:
    case ATH_N_SPACINGS:
        ATH_ASSERT(!"a spacing");
    }
    steps->start = start_of(steps, sampler, spacing);
    return sampler == ATH_SAMPLER_DPMPP_2M ? check_falling(steps, spacing) : ATH_OK;
}
