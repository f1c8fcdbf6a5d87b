/* What check and plan print, for programs: JSON of one object, keys sorted as written. */
#ifndef ATH_CLI_REPORT_H
#define ATH_CLI_REPORT_H

#include "coordinator/doctor.h"
#include "core/str.h"

/* For people. */
void ath_report_diagnosis(const ath_scan *scan, const ath_diagnosis *diagnosis, ath_str *to);

/* For programs: {root, regularization, pictures, folders, errors, warnings, findings, tags}. */
ATH_MUST ath_err ath_report_diagnosis_json(const ath_scan *scan, const ath_diagnosis *diagnosis,
                                           ath_str *to);

#endif
