/* Where a command writes a model, as its options say. */
#ifndef ATH_CLI_TARGET_H
#define ATH_CLI_TARGET_H

#include "worker/model/save.h"

#define ATH_TARGET_LAYOUTS "auto|single|folder"

/* `layout` is the place among ATH_TARGET_LAYOUTS; auto goes by the ending. EINVAL where something
 * is there already that is not to be replaced. */
ATH_MUST ath_err ath_target_layout(const char *path, int64_t layout, bool force, ath_layout *out);

#endif
