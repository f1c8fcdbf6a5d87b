#include "tests/ops/opcheck.h"

#include <stdio.h>
#include <string.h>

/* What a call is made of besides its operands. */
typedef struct door {
    const ath_op *op;
    ath_report *report;
    const void *attr;
} door;

/* The call must fail with that error, in a sentence that begins with the op's name. */
static void refused(const door *d, const ath_desc *in, ath_err wanted, const char *what, int i)
{
    ath_desc out[ATH_MAX_OUT], saved[ATH_MAX_SAVED];
    char head[64];

    ath_err_clear();
    const ath_err err = ath_op_infer(d->op, d->attr, in, out, saved);
    snprintf(head, sizeof head, "%s: %s: ", ath_err_name(wanted), d->op->name);
    ath_report_check(d->report, err == wanted && strncmp(ath_err_text(), head, strlen(head)) == 0,
                     "%s %d: wanted \"%s...\", got %s", what, i, head,
                     err ? ath_err_text() : "no error");
}

/* Operand i of a good call made bad in every way that is wrong for any op. */
static void check_operand(const door *d, const ath_case *c, const ath_desc *good, int i)
{
    ath_desc in[ATH_MAX_IN];

    memcpy(in, good, sizeof in);
    if (!(d->op->optional >> i & 1)) {
        in[i] = (ath_desc){0};
        refused(d, in, ATH_EMISSING, "without operand", i);
    }
    if (good[i].dtype == ATH_NONE) return;
    in[i] = good[i];
    in[i].dtype = good[i].dtype == ATH_I32 ? ATH_F32 : ATH_I32;
    refused(d, in, ATH_EDTYPE, "other dtype of operand", i);
    in[i] = good[i];
    in[i].n_dim = ATH_MAX_DIMS + 1;
    refused(d, in, ATH_ESHAPE, "too many axes of operand", i);
    for (int k = 0; k < good[i].n_dim; k++) {
        in[i] = good[i];
        in[i].dim[k] = 0;
        refused(d, in, ATH_ESHAPE, "no elements in operand", i);
        in[i].dim[k] = (int64_t)INT32_MAX + 1;
        refused(d, in, ATH_ESHAPE, "too many elements in operand", i);
    }
    if (i > 0 && c->in[i].kind && strchr("AOW", c->in[i].kind)) {
        in[i] = good[i];
        in[i].dtype = ATH_BF16; /* beside f32 */
        refused(d, in, ATH_EDTYPE, "bf16 among f32, operand", i);
    }
}

static void check_line(const ath_case *c, const ath_setup *s, ath_report *r)
{
    ath_setup line = *s;
    int32_t attr[ATH_ATTR_WORDS] = {0};
    ath_desc in[ATH_MAX_IN] = {0};

    line.c = c;
    ath_case_describe(&line, ATH_F32, attr, in);
    refused(&(door){s->op, r, c->attr ? attr : NULL}, in, c->refusal, c->name, 0);
}

ath_err ath_mode_refuse(const ath_setup *s, ath_report *r)
{
    int32_t attr[ATH_ATTR_WORDS] = {0};
    ath_desc good[ATH_MAX_IN] = {0}, out[ATH_MAX_OUT], saved[ATH_MAX_SAVED];
    const void *given = s->c->attr ? attr : NULL;

    ath_case_describe(s, ATH_F32, attr, good);
    ATH_TRY(ath_op_infer(s->op, given, good, out, saved));
    refused(&(door){s->op, r, given ? NULL : attr}, good, ATH_EINVAL, "attributes", 0);
    for (int i = 0; i < s->op->n_in; i++) check_operand(&(door){s->op, r, given}, s->c, good, i);
    for (int i = 0; i < ath_n_refusals; i++)
        if (strcmp(ath_refusals[i].op, s->op->name) == 0) check_line(&ath_refusals[i], s, r);
    return ATH_OK;
}
