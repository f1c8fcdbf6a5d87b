/* Saying a verdict once, whoever came to it: ranks, or the supervisor. For worker/dist alone. */
#ifndef ATH_DIST_VERDICT_H
#define ATH_DIST_VERDICT_H

#include <stdbool.h>

/* Writes `sentence` into a run's folder: flight/verdict.txt, and a line in log.txt. False where one
 * stands there already: then it was said. A folder that cannot be written to does not keep it silent. */
bool ath_verdict_claim(const char *folder, const char *sentence);

/* A run begins or goes on: the last one's is of no account any more. */
void ath_verdict_forget(const char *folder);

#endif
