/*
 * Cleaning of text before CLIP's tokenizer sees it: what ftfy.fix_text does by default, without its
 * repair of wrongly decoded text, then lower case.
 *
 * White space is left as it is: to the tokenizer one is as good as many, and nothing.
 */
#ifndef ATH_CORE_TEXT_CLEAN_H
#define ATH_CORE_TEXT_CLEAN_H

#include "core/text/runes.h"

/* Rounds that a line is given to come to rest; only entities within entities take more than three. */
enum { ATH_CLEAN_ROUNDS = 64 };

/* Appends the clean form of `text` to `out`. Linear time. */
ATH_MUST ath_err ath_text_clean(const ath_runes *text, ath_runes *out);

#endif
