#!/bin/bash
# libathanor_cuda.so beside the program, where no GPU is: it opens, so that all it calls back into is
# there, and the program says what lacks.   test_library.sh ATHANOR MAKE_PICTURES
athanor=$(realpath "$1") make_pictures=$(realpath "$2")
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
unset ATH_CUDA_LIBRARY

nvidia-smi -L >/dev/null 2>&1 && exit 77 # this machine could do it

tiny_job data/1_dog/a.png 64 64 1 data/1_dog/b.png 64 64 2 <<'END'
data.buckets = {min = 64, max = 64}
train.steps = 1
train.global_batch = 1
END

check 'the backend is there' test -f "$(dirname "$athanor")/libathanor_cuda.so"
check 'trains' "$athanor" train job.toml --set name=auto
check 'on the CPU, which is said' test "$(grep -cx 'no GPU, using cpu' out)" = 1
"$athanor" train job.toml --set name=none --set train.device=cuda >out 2>err </dev/null
code=$?
check "exit $code, wanted 3; what lacks: $(head -n 1 err)" \
    test "$code:$(grep -cE 'no NVIDIA driver|driver is too old|no GPU' err)" = 3:1
check 'nothing is left' test ! -e runs/none

echo "$passed passed, $failed failed"
[ $failed = 0 ]
