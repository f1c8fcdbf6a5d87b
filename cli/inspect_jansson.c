#include "cli/inspect.h"

#include <jansson.h>

/* A text that is not UTF-8, as a path may be, has no JSON: its key is left out. */

static int put(const char *text, size_t n, void *to)
{
    ath_str_put(to, text, n);
    return 0;
}

static json_t *dtypes(const ath_inspect *x)
{
    json_t *object = json_object();

    for (int i = 0; i < ATH_N_ST_DTYPES; i++)
        if (x->n_of[i])
            json_object_set_new(object, ath_st_dtype_name((ath_st_dtype)i),
                                json_integer(x->n_of[i]));
    return object;
}

static json_t *metadata(const ath_inspect *x)
{
    json_t *object = json_object();
    const char *value = NULL;

    for (int64_t i = 0; x->n_files == 1 && i < ath_st_meta_count(x->file[0]); i++) {
        const char *key = ath_st_meta_get(x->file[0], i, &value);
        json_object_set_new(object, key, json_string(value));
    }
    return object;
}

static json_t *keys(const ath_inspect *x)
{
    json_t *array = json_array();

    for (int f = 0; f < x->n_files; f++)
        for (int64_t i = 0; i < ath_st_count(x->file[f]); i++) {
            const ath_st_tensor *t = ath_st_get(x->file[f], i);
            json_t *shape = json_array(), *row = json_object();
            for (int32_t k = 0; k < t->n_dim; k++)
                json_array_append_new(shape, json_integer(t->dim[k]));
            if (x->label[f][0]) json_object_set_new(row, "part", json_string(x->label[f]));
            json_object_set_new(row, "key", json_string(t->name));
            json_object_set_new(row, "dtype", json_string(ath_st_dtype_name(t->dtype)));
            json_object_set_new(row, "shape", shape);
            json_array_append_new(array, row);
        }
    return array;
}

static json_t *adapter(const ath_inspect *x)
{
    json_t *object = json_object();

    json_object_set_new(object, "modules", json_integer(x->n_modules));
    if (x->rank_max) {
        json_object_set_new(object, "rank_min", json_integer(x->rank_min));
        json_object_set_new(object, "rank_max", json_integer(x->rank_max));
    }
    if (x->n_alphas) {
        json_object_set_new(object, "alpha_min", json_real(x->alpha_min));
        json_object_set_new(object, "alpha_max", json_real(x->alpha_max));
    }
    return object;
}

ath_err ath_inspect_print_json(const ath_inspect *x, bool has_keys, ath_str *to)
{
    json_t *o = json_object();

    json_object_set_new(o, "path", json_string(x->path));
    json_object_set_new(o, "kind", json_string(x->word));
    json_object_set_new(o, "text", json_string(x->text));
    if (x->n_modules) json_object_set_new(o, "adapter", adapter(x));
    if (x->is_model) {
        json_object_set_new(o, "complete", json_boolean(x->refusal.n == 0));
        if (x->refusal.n) json_object_set_new(o, "refusal", json_string(ath_str_text(&x->refusal)));
    }
    json_object_set_new(o, "tensors", json_integer(x->n_tensors));
    json_object_set_new(o, "values", json_integer(x->n_values));
    json_object_set_new(o, "bytes", json_integer((json_int_t)x->bytes));
    json_object_set_new(o, "dtypes", dtypes(x));
    json_object_set_new(o, "metadata", metadata(x));
    if (has_keys) json_object_set_new(o, "keys", keys(x));
    const int result = json_dump_callback(o, put, to, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(o);
    ATH_NEED(result == 0, ATH_ENOMEM, "%s: no memory for the JSON text", x->path);
    ath_str_put(to, "\n", 1);
    return ATH_OK;
}
