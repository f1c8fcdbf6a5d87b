/*
 * Data that is part of the program: CLIP's merge list, which scripts/setup fetches, and the named
 * characters of HTML. Lines of text, each with its line end; no terminator.
 */
#ifndef ATH_CORE_TEXT_BLOBS_H
#define ATH_CORE_TEXT_BLOBS_H

/* "left right": the pairs in the order of their ranks. */
extern const char ath_merges[], ath_merges_end[];

/* "name code", up to three codes in hexadecimal; sorted by name. */
extern const char ath_entities[], ath_entities_end[];

#endif
