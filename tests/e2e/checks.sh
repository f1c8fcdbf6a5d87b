# What the tests of commands share, read by them: an empty folder to work in, checks that are counted.
# shellcheck shell=bash disable=SC2034
passed=0 failed=0
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# Open MPI leaks, and unloads its modules before the leak checker could name them in a suppression; its
# threads are none that the thread sanitizer sees through.
without_leaks() {
    ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS-} \
        TSAN_OPTIONS=detect_deadlocks=0:ignore_noninstrumented_modules=1:${TSAN_OPTIONS-} "$@"
}

# tiny_job [NAME WIDTH HEIGHT SEED ...]: base.safetensors, pictures in data/, and job.toml, which trains on
# them in a second; further keys, as in train.epochs = 3, come from the standard input.
tiny_job() {
    "$athanor" init --spec tiny base.safetensors && "$make_pictures" "$@" || exit 1
    {
        printf '%s\n' 'seed = 7' 'model.base = "base.safetensors"' 'model.spec = "tiny"' \
            'data.train = "data"' 'data.resolution = 64' 'adapter.rank = 2' \
            'train.mixed = "f32"' 'train.threads = 1'
        cat
    } >job.toml
}

check() {
    local what=$1
    shift
    if "$@" >out 2>err </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $what: $*"
        sed 's/^/    /' out err | tail -n 20
    fi
}
