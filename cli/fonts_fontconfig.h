/* The machine's fonts, as cairo finds them. */
#ifndef ATH_CLI_FONTS_FONTCONFIG_H
#define ATH_CLI_FONTS_FONTCONFIG_H

/* Frees the lists that were read; the next text reads them again. */
void ath_fonts_release(void);

#endif
