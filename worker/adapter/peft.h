/* What peft notes in the metadata of its files. */
#ifndef ATH_ADAPTER_PEFT_H
#define ATH_ADAPTER_PEFT_H

/* The alpha of a layer of this rank, from the JSON text of "lora_adapter_metadata" (NULL: none);
 * `part` is "unet" or "text_encoder". The rank where nothing is said: a scale of 1. */
double ath_peft_alpha(const char *json, const char *part, double rank);

#endif
