/*
 * Checkpoints that torch.save wrote (.ckpt, .pt, .bin): a zip archive of stored members and a pickle
 * that says which tensor lies where. Only the pickle instructions and names that rebuild tensors in
 * dicts are understood; whatever would run code is refused by its name (ATH_EFORMAT).
 */
#ifndef ATH_CORE_IO_TORCH_H
#define ATH_CORE_IO_TORCH_H

#include "core/io/safetensors.h"

/* Maps and checks a file. Its tensors, found in nested dicts (a top-level "state_dict" is entered
 * without its name, other levels join their keys with dots), are given out like those of a
 * safetensors file, in the order of the dicts and without metadata; nothing is copied but what is not
 * contiguous. Numbers, texts, lists and what lies in them are passed over; so are the few classes that
 * the checkpoints of Stable Diffusion 1 name beside their tensors. */
ATH_MUST ath_err ath_torch_open(const char *path, ath_st **out);
ATH_MUST ath_err ath_torch_open_bytes(const char *name, const void *bytes, size_t n, ath_st **out);

/* Opens either kind by its first bytes. What torch saved before 1.6 is refused with words. */
ATH_MUST ath_err ath_tensors_open(const char *path, ath_st **out);

#endif
