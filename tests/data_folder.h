/* A data folder for tests, made in /tmp and taken away again: pictures, captions, anything. */
#ifndef ATH_TESTS_DATA_FOLDER_H
#define ATH_TESTS_DATA_FOLDER_H

#include "core/io/image.h"

enum { ATH_TEST_PATH = 512 };

typedef struct ath_data_folder {
    char path[64];
} ath_data_folder;

ath_err ath_data_folder_make(ath_data_folder *folder);
void ath_data_folder_remove(ath_data_folder *folder);

/* `name` under the folder into `path`, with the folders it needs. */
const char *ath_data_path(const ath_data_folder *folder, const char *name,
                          char path[ATH_TEST_PATH]);

/* The same without making folders, in one of four texts in turn. */
const char *ath_data_at(const ath_data_folder *folder, const char *name);

ath_err ath_data_put(const ath_data_folder *folder, const char *name, const void *bytes, size_t n);
ath_err ath_data_put_text(const ath_data_folder *folder, const char *name, const char *text);

/* A PNG (whatever its name) of that size; pictures of equal `look` look alike at any size. */
ath_err ath_data_put_picture(const ath_data_folder *folder, const char *name, int32_t width,
                             int32_t height, uint32_t look);

#endif
