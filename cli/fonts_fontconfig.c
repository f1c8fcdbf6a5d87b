#include "cli/fonts_fontconfig.h"

#include <fontconfig/fontconfig.h>

void ath_fonts_release(void)
{
    FcFini();
}
