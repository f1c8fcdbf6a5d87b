/* Between the parts of the torch reader: the archive, the pickle in it, the tensors it describes. */
#ifndef ATH_CORE_IO_TORCH_PRIVATE_H
#define ATH_CORE_IO_TORCH_PRIVATE_H

#include "core/arena.h"
#include "core/io/safetensors.h"

/* An archive of stored members: names and bytes lie in the file. */

typedef struct ath_zip_member {
    const char *name; /* n_name bytes, not terminated */
    size_t n_name;
    const uint8_t *bytes;
    size_t n;
    uint32_t crc;
} ath_zip_member;

typedef struct ath_zip {
    const char *file; /* its name */
    int64_t n;
    const ath_zip_member *member; /* by name */
} ath_zip;

/* Reads the directory (also a zip64 one) into `arena`. Compressed or encrypted members, members outside
 * the file and names that occur twice are ATH_EFORMAT. */
ATH_MUST ath_err ath_zip_read(const char *file, const uint8_t *bytes, size_t n, ath_arena *arena,
                              ath_zip *out);
const ath_zip_member *ath_zip_find(const ath_zip *zip, const char *name, size_t n_name);
ATH_MUST ath_err ath_zip_check_crc(const ath_zip *zip, const ath_zip_member *member);

/* What a pickle says, as data: nothing is called. Values are indices; a container is a chain of cells
 * and may contain itself. */

typedef enum ath_pickle_kind {
    ATH_PICKLE_NONE,
    ATH_PICKLE_INT, /* booleans too */
    ATH_PICKLE_TEXT,
    ATH_PICKLE_TUPLE,
    ATH_PICKLE_LIST,
    ATH_PICKLE_DICT, /* key, value, key, value, ... */
    ATH_PICKLE_GLOBAL,
    ATH_PICKLE_STORAGE,
    ATH_PICKLE_TENSOR,
    ATH_PICKLE_OTHER, /* harmless, and nothing to us */
    ATH_N_PICKLE_KINDS
} ath_pickle_kind;

typedef struct ath_pickle_value {
    ath_pickle_kind kind;
    int32_t what; /* GLOBAL: row of the table of names; STORAGE, TENSOR: ath_st_dtype */
    union {
        int64_t number;
        struct {
            const char *text; /* in the pickle, not terminated */
            int64_t n;
        } text;
        struct {
            int32_t first, last, n; /* cells; -1: none */
        } items;
        struct {
            const uint8_t *bytes;
            int64_t n;
        } storage;
        struct {
            int32_t storage, offset, size, stride; /* values of the right kinds */
        } tensor;
    } as;
} ath_pickle_value;

typedef struct ath_pickle_cell {
    int32_t value, next;
} ath_pickle_cell;

typedef struct ath_pickle {
    ath_pickle_value *value;
    ath_pickle_cell *cell;
    int64_t n_values, room_values, n_cells, room_cells;
    int32_t top; /* what it all is */
} ath_pickle;

/* Interprets member data.pkl; storages are looked up under `root` (with its slash). `out` is {0} before
 * and released by the caller, on failure too. */
ATH_MUST ath_err ath_pickle_read(const ath_zip *zip, const ath_zip_member *pickle, const char *root,
                                 size_t n_root, ath_pickle *out);
void ath_pickle_release(ath_pickle *pickle);

/* "a list", for messages. */
const char *ath_pickle_kind_name(ath_pickle_kind kind);

#endif
