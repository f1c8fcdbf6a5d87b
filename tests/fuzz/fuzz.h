/*
 * A fuzz target: a program over one input that must not crash, whatever the input. A check of its own
 * fails by ATH_ASSERT. Built by the preset "fuzz" it looks for new inputs (scripts/fuzz); in every
 * other build replay.c gives it those of tests/fuzz/corpus/<target>.
 */
#ifndef ATH_TESTS_FUZZ_FUZZ_H
#define ATH_TESTS_FUZZ_FUZZ_H

#include "core/err.h"

/* The name is libFuzzer's. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
