/*
 * Model specs as text: a JSON object of our own, as `init --spec FILE` takes it and as it stands in
 * the metadata of single files under ATH_SPEC_KEY, and the config.json files of a diffusers folder.
 */
#ifndef ATH_MODEL_CONFIG_H
#define ATH_MODEL_CONFIG_H

#include "core/str.h"
#include "worker/model/spec.h"

#define ATH_SPEC_KEY "athanor.spec"

/* Numbers that make a model: widths divisible by groups and heads, parts that fit each other.
 * EFORMAT says what was found in `from`, and what is wanted. */
ATH_MUST ath_err ath_spec_check(const char *from, const ath_model_spec *spec);

/* Reads a spec. `from` names the text in errors. */
ATH_MUST ath_err ath_spec_parse(const char *from, const char *text, size_t n, ath_model_spec *out);
void ath_spec_print(const ath_model_spec *spec, ath_str *to); /* on one line, always the same */

/* Reads the config.json of a part into its place in the spec. What says that it is another network
 * than those of Stable Diffusion 1.x is refused by key, found, wanted. */
ATH_MUST ath_err ath_config_parse(const char *from, ath_part part, const char *text, size_t n,
                                  ath_model_spec *out);

/* The config.json of a part, that of the scheduler, the two of the tokenizer, and model_index.json, as
 * diffusers and transformers read them. */
void ath_config_print(const ath_model_spec *spec, ath_part part, ath_str *to);
void ath_config_print_scheduler(ath_str *to);
void ath_config_print_tokenizer(const ath_model_spec *spec, ath_str *to);
void ath_config_print_special_tokens(ath_str *to);
void ath_config_print_index(ath_str *to);

#endif
