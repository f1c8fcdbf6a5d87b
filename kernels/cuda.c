#define _POSIX_C_SOURCE 200809L /* readlink */
#include "kernels/cuda.h"

#include "core/var.h"
#include "kernels/ops.h"
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char FILE_NAME[] = "libathanor_cuda.so";

static const ath_cuda_library *library;
static int32_t n_gpus;

void ath_cuda_install(const ath_cuda_library *installed)
{
    library = installed;
}

const ath_kernel *ath_cuda_kernel(const ath_op *op, ath_pass pass)
{
    for (int i = 0; library && i < ATH_N_OPS; i++) {
        if (ath_ops[i] != op || !library->ops[i]) continue;
        const ath_kernel *kernel = pass == ATH_FWD ? &library->ops[i]->fwd : &library->ops[i]->bwd;
        return kernel->run ? kernel : NULL;
    }
    return NULL;
}

/* Where the variable says, else beside the program. */
static ath_err find_file(char path[PATH_MAX])
{
    const char *given = ath_var_get(ATH_VAR_CUDA_LIBRARY).text;

    if (*given) {
        ATH_NEED(snprintf(path, PATH_MAX, "%s", given) < PATH_MAX, ATH_ENOTSUP,
                 "ATH_CUDA_LIBRARY: a path of %zu bytes", strlen(given));
        return ATH_OK;
    }
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof FILE_NAME);
    ATH_NEED(n > 0, ATH_ENOTSUP, "%s: the program's own folder is not to be found", FILE_NAME);
    path[n] = 0;
    memcpy(strrchr(path, '/') + 1, FILE_NAME, sizeof FILE_NAME);
    return ATH_OK;
}

static ath_err load(const char *path, const ath_cuda_library **out)
{
    ath_cuda_entry_fn *entry = NULL;

    ATH_NEED(access(path, R_OK) == 0, ATH_ENOTSUP,
             "%s is not there: this athanor was built without CUDA", path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ATH_NEED(handle, ATH_ENOTSUP, "the CUDA backend does not load: %s", dlerror());
    void *symbol = dlsym(handle, ATH_CUDA_ENTRY);
    ATH_NEED(symbol, ATH_ENOTSUP, "%s: no %s in it", path, ATH_CUDA_ENTRY);
    memcpy(&entry, &symbol, sizeof entry); /* POSIX's way from an object to a function */
    *out = entry();
    ATH_NEED((*out)->abi == ath_cuda_abi(), ATH_ENOTSUP,
             "%s belongs to another build of athanor: build both again", path);
    return ATH_OK;
}

ath_err ath_cuda_open(void)
{
    const ath_cuda_library *loaded = NULL;
    char path[PATH_MAX];
    int32_t n = 0;

    if (library) return ATH_OK;
    ATH_TRY(find_file(path));
    ATH_TRY(load(path, &loaded));
    ATH_TRY(loaded->count(&n));
    ATH_NEED(n > 0, ATH_ENOTSUP, "no GPU on this machine");
    library = loaded;
    n_gpus = n;
    return ATH_OK;
}

int32_t ath_cuda_n_gpus(void)
{
    return n_gpus;
}

ath_err ath_device_create_cuda(int32_t gpu, ath_device **out)
{
    ATH_NEED(library, ATH_ENOTSUP, "no CUDA backend was opened");
    ATH_NEED(0 <= gpu && gpu < n_gpus, ATH_EINVAL, "GPU %" PRId32 " of %" PRId32, gpu, n_gpus);
    return library->device_create(gpu, out);
}
