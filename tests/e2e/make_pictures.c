/* Pictures for the scripts here:   make_pictures NAME WIDTH HEIGHT LOOK ...   below the folder it is
 * started in; equal looks look alike at any size. */
#include "tests/data_folder.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const ath_data_folder here = {"."};

    for (int i = 1; i + 3 < argc; i += 4) {
        const int32_t width = (int32_t)strtol(argv[i + 1], NULL, 10);
        const int32_t height = (int32_t)strtol(argv[i + 2], NULL, 10);
        const uint32_t look = (uint32_t)strtoul(argv[i + 3], NULL, 10);
        if (!ath_data_put_picture(&here, argv[i], width, height, look)) continue;
        fprintf(stderr, "%s\n", ath_err_text());
        return 1;
    }
    return 0;
}
