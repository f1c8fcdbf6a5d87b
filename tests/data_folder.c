/* nftw is of the XSI part of POSIX. */
#define _XOPEN_SOURCE 700

#include "tests/data_folder.h"

#include "core/io/file.h"
#include "core/mem.h"
#include "core/rng.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

ath_err ath_data_folder_make(ath_data_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "/tmp/ath_test_data_XXXXXX");
    return ath_sys(mkdtemp(folder->path) ? 0 : -1, folder->path);
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void ath_data_folder_remove(ath_data_folder *folder)
{
    nftw(folder->path, drop, 16, FTW_DEPTH | FTW_PHYS);
}

const char *ath_data_path(const ath_data_folder *folder, const char *name, char path[ATH_TEST_PATH])
{
    snprintf(path, ATH_TEST_PATH, "%s/%s", folder->path, name);
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0777);
        *at = '/';
    }
    return path;
}

const char *ath_data_at(const ath_data_folder *folder, const char *name)
{
    static char text[4][ATH_TEST_PATH];
    static int i;

    i = (i + 1) % 4;
    snprintf(text[i], sizeof text[i], "%s/%s", folder->path, name);
    return text[i];
}

ath_err ath_data_put(const ath_data_folder *folder, const char *name, const void *bytes, size_t n)
{
    char path[ATH_TEST_PATH];

    return ath_file_publish(ath_data_path(folder, name, path), bytes, n);
}

ath_err ath_data_put_text(const ath_data_folder *folder, const char *name, const char *text)
{
    return ath_data_put(folder, name, text, strlen(text));
}

/* Waves over the whole picture, so that it looks the same when it is scaled. */
static uint8_t shade(double x, double y, const uint32_t word[4])
{
    double sum = 0;

    for (int i = 0; i < 4; i++) {
        double fx = 1 + word[i] % 5, fy = 1 + word[i] / 8 % 5, at = word[i] / 64 % 100 / 16.0;
        sum += sin(fx * 4 * x + fy * 4 * y + at);
    }
    return (uint8_t)(128 + 30 * sum);
}

ath_err ath_data_put_picture(const ath_data_folder *folder, const char *name, int32_t width,
                             int32_t height, uint32_t look)
{
    char path[ATH_TEST_PATH];
    ath_image image = {.width = width, .height = height};
    const uint32_t counter[4] = {look}, key[2] = {0};
    uint32_t word[4];

    ath_philox(counter, key, word);
    ATH_TRY(ATH_NEW((int64_t)width * height * 3, "picture", &image.rgb));
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            memset(image.rgb + 3 * ((int64_t)y * width + x),
                   shade((double)x / width, (double)y / height, word), 3);
    ath_err err = ath_png_write(ath_data_path(folder, name, path), &image, NULL, NULL);
    ath_image_release(&image);
    return err;
}
