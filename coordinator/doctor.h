/*
 * The doctor: what is wrong with a data set, each finding with its place and its mend. An error is
 * what a run would be refused for, a warning what a person should know.
 */
#ifndef ATH_COORDINATOR_DOCTOR_H
#define ATH_COORDINATOR_DOCTOR_H

#include "coordinator/scan.h"

/* name, severity, what is found, how to mend it */
#define ATH_FINDING_MAP(X)                                                                         \
    X(NO_DATA, ERROR, "no pictures to train on",                                                   \
      "put them into a folder named N_concept here, such as 10_dog; N is how often an epoch "      \
      "shows them")                                                                                \
    X(PICTURE_BROKEN, ERROR, "this picture cannot be read", "replace it or take it out")           \
    X(STEM_TWICE, ERROR, "two pictures share a name, and so a caption",                            \
      "rename one of them or take it out")                                                         \
    X(CAPTION_NAME, ERROR, "this caption is not picked up", "rename it as shown")                  \
    X(CAPTION_BROKEN, ERROR, "this caption is not UTF-8 text", "save it as UTF-8")                 \
    X(REG_EMPTY, ERROR, "no pictures in the regularization folder",                                \
      "put them into a folder named N_concept there, such as 1_dog, or leave the folder out")      \
    X(REG_SMALL, ERROR, "fewer regularization pictures than training pictures",                    \
      "make more class images, as many as repeats x images is best")                               \
    X(FOLDER_NAME, WARNING, "this folder is not used: its name is not N_concept",                  \
      "name it like 10_dog; N is how often an epoch shows its pictures")                           \
    X(FOLDER_EMPTY, WARNING, "no pictures in this folder", "fill it or take it out")               \
    X(FOLDER_NESTED, WARNING, "folders within a concept's folder are not read",                    \
      "move its pictures up, or make it a folder N_concept of its own")                            \
    X(LOOSE, WARNING, "pictures beside the folders are not used",                                  \
      "move them into a folder named N_concept, such as 10_dog")                                   \
    X(FORMAT, WARNING, "pictures of this format are not read", "save it as PNG, JPEG or WebP")     \
    X(PICTURE_SMALL, WARNING, "smaller than the resolution: it is enlarged, and trains blur",      \
      "use a larger original or take it out")                                                      \
    X(ASPECT, WARNING, "very long and narrow: much of it is cut off", "crop it by hand")           \
    X(CAPTION_MISSING, WARNING, "no caption, though others in the folder have one",                \
      "write one; the folder's concept stands in for it")                                          \
    X(CAPTION_EMPTY, WARNING, "the caption is empty: it trains the empty prompt",                  \
      "write it, or delete the file to use the folder's concept")                                  \
    X(CAPTION_LINES, WARNING, "the caption has several lines: only the first is used",             \
      "join them")                                                                                 \
    X(CAPTION_LONG, WARNING, "the caption is too long: its end is cut off",                        \
      "shorten it or raise train.tokens (75, 150, 225)")                                           \
    X(CAPTION_TWICE, WARNING, "another file is this picture's caption: this one is not used",      \
      "delete one of them")                                                                        \
    X(CAPTION_ORPHAN, WARNING, "a caption without a picture",                                      \
      "give it its picture's name or delete it")                                                   \
    X(TRIGGER_ABSENT, WARNING, "the trigger is not in the caption", "put it in, best in front")    \
    X(REG_FEW, WARNING, "fewer regularization pictures than an epoch wants: some come repeatedly", \
      "make more class images, as many as repeats x images is best")                               \
    X(ALIKE, WARNING, "looks like another picture", "keep one, unless both are wanted")

typedef enum ath_finding_kind {
#define ATH_FINDING_ENUM(name, severity, found, mend) ATH_FINDING_##name,
    ATH_FINDING_MAP(ATH_FINDING_ENUM)
#undef ATH_FINDING_ENUM
        ATH_N_FINDINGS
} ath_finding_kind;

typedef enum ath_severity {
    ATH_SEVERITY_ERROR,
    ATH_SEVERITY_WARNING,
    ATH_N_SEVERITIES
} ath_severity;

typedef struct ath_finding_text {
    const char *name; /* "stem_twice" */
    ath_severity severity;
    const char *found, *mend;
} ath_finding_text;
const ath_finding_text *ath_finding_describe(ath_finding_kind kind);

typedef struct ath_finding {
    ath_finding_kind kind;
    const char *path;
    const char *detail; /* numbers, the other file; may be "" */
} ath_finding;

typedef struct ath_tag {
    const char *text;
    int64_t n; /* captions it is in */
} ath_tag;

typedef struct ath_doctor_rule {
    int32_t side;          /* of the resolution, the shorter one */
    int64_t n_tokens;      /* of a caption: 75, 150, 225 */
    const char *trigger;   /* "": none */
    const char *separator; /* of tags */
    bool is_deep;          /* decodes every picture: finds broken and alike ones */
} ath_doctor_rule;

/* {0} is an empty one. */
typedef struct ath_diagnosis {
    ath_finding *finding; /* errors first, then by kind, then by path */
    int64_t n_findings, n_of[ATH_N_SEVERITIES];
    ath_tag *tag; /* of training captions, most frequent first */
    int64_t n_tags;
    int64_t room_findings, room_tags;
    ath_arena arena;
} ath_diagnosis;

/* Findings are no failure: only what keeps it from looking is one. */
ATH_MUST ath_err ath_doctor_examine(const ath_scan *scan, const ath_doctor_rule *rule,
                                    ath_diagnosis *out);
void ath_diagnosis_release(ath_diagnosis *diagnosis);

#endif
