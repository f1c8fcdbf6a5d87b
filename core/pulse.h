/*
 * A count that moves while this process works: with each step of a network, each message that arrived, each
 * file that was opened. Who wants to know whether it still does looks at it from another thread. Work in
 * the background moves it too, but ends soon where nobody takes what it makes. Any thread; costs an addition.
 */
#ifndef ATH_CORE_PULSE_H
#define ATH_CORE_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

extern _Atomic uint64_t ath_pulse_count;

static inline void ath_pulse(void)
{
    atomic_fetch_add_explicit(&ath_pulse_count, 1, memory_order_relaxed);
}

#endif
