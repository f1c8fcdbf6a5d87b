#include "core/pulse.h"

_Atomic uint64_t ath_pulse_count;
