#include "cli/target.h"

#include "worker/model/folder.h"
#include <sys/stat.h>

ath_err ath_target_layout(const char *path, int64_t layout, bool force, ath_layout *out)
{
    struct stat s;
    const bool is_there = lstat(path, &s) == 0;
    const ath_layout found = layout == 0 ? ath_layout_of(path) : (ath_layout)(layout - 1);

    ATH_NEED(!is_there || force, ATH_EINVAL, "%s: is there already; --force replaces it", path);
    ATH_NEED(!is_there || ath_folder_is(path) == (found == ATH_LAYOUT_FOLDER), ATH_EINVAL,
             "%s: is %s, which a %s cannot replace", path,
             found == ATH_LAYOUT_FOLDER ? "no folder" : "a folder",
             found == ATH_LAYOUT_FOLDER ? "folder" : "file");
    *out = found;
    return ATH_OK;
}
