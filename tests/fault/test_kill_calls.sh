#!/bin/bash
# A run that is killed at each of its calls that change a file in turn, in the midst of a write, before any
# other: gone on with, it ends with the digests, the losses and the uses of every picture of the run that
# nobody touched.
#     test_kill_calls.sh FAULTY_ATHANOR MAKE_PICTURES STRIDE
# FAULTY_ATHANOR is the program with faulty_call.c. Of writes, most of which are of tensors that lie side by
# side, each STRIDE-th; ten times as many of the others.
athanor=$1 make_pictures=$2 stride=$3
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # of processes that are killed

tiny_job data/2_dog/a.png 64 64 1 data/1_cat/c.png 64 96 2 <<'END'
data.buckets = {min = 48, max = 96, step = 16}
data.cache = "cache"
train.epochs = 2
train.global_batch = 2
train.micro_batch = 1
train.train_unet = false
save = {state_minutes = 0.000001, pin_every_epochs = 2, keep = 1}
END

# What a run has done: of each step its digest, its loss and its norm; of each picture its uses.
done_by() { "$athanor" curve "runs/$1" --json | sed -n '/"curve"/,$p' | grep -E '"(digest|loss|gradient_norm|uses)"'; }
train() { { "$athanor" train job.toml --set name="$1" >"$1.out" 2>"$1.err"; } 2>/dev/null; } # "Killed"

check 'untouched' train whole
done_by whole >whole.done
check 'untouched: 4 steps' test "$(grep -c digest whole.done)" = 4

# each KIND STRIDE: kills at every STRIDE-th call of that kind, until a run ends by itself
each() {
    local kind=$1 stride=$2 k code n=0
    for ((k = 1; ; k += stride)); do
        name=$kind-$k
        rm -rf cache
        declare -x "$kind=$k"
        train "$name"
        code=$?
        declare +x "$kind"
        [ $code = 0 ] && break # it has no such call
        n=$((n + 1))
        check "$name: exit $code, wanted 137" test $code = 137
        check "$name: goes on to its end: $(tail -n 2 "$name.err")" train "$name"
        done_by "$name" >"$name.done"
        check "$name: the same weights" cmp whole.done "$name.done"
        [ $failed = 0 ] || { cat "$name.err"; break; }
        rm -rf "runs/$name" "$name".*
    done
    check "$kind: $n kills" test $n -gt 3
    echo "$kind: $n kills, up to the $((k - stride))th"
}
each FAULT_CALL $(((stride + 9) / 10))
each FAULT_WRITE "$stride"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
