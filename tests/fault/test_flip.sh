#!/bin/bash
# One bit of one trained weight turns over in the memory of one of three ranks: the run ends with 6 before
# another update, names that rank, and goes on, on fewer ranks, to the digests, the losses and the uses of
# the run that nobody touched.
#     test_flip.sh FAULTY_ATHANOR MAKE_PICTURES
# FAULTY_ATHANOR is the program with faulty_memory.c.
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # of MPI
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}detect_deadlocks=0:ignore_noninstrumented_modules=1"

tiny_job data/1_dog/a.png 64 64 1 data/1_dog/b.png 64 64 2 data/1_dog/c.png 64 64 3 <<'END'
data.buckets = {min = 64, max = 64}
train.steps = 6
train.global_batch = 3
save = {state_minutes = 0, every_epochs = 0, pin_every_epochs = 2}
END

done_by() { "$athanor" curve "runs/$1" --json | sed -n '/"curve"/,$p' | grep -E '"(digest|loss|gradient_norm|uses)"'; }
train() { "$athanor" train job.toml --set name="$1" --ranks "$2" >"$1.out" 2>"$1.err"; }

check 'untouched' train whole 1
done_by whole >whole.done
check 'untouched: 6 steps' test "$(grep -c digest whole.done)" = 6

for rank in 0 1 2; do
    name=flip-$rank
    FLIP_RANK=$rank FLIP_STEP=3 train $name 3
    code=$?
    check "$name: exit $code, wanted 6: $(tail -n 2 $name.err)" test $code = 6
    check "$name: named" grep -q "in the memory of rank $rank the trained weights changed by themselves" $name.err
    check "$name: no step since" test "$(done_by $name | grep -c digest)" = 3
    check "$name: goes on" train $name 2
    check "$name: from the checkpoint before" grep -q 'going on after step 2 of 6' $name.err
    done_by $name >$name.done
    check "$name: the same weights" cmp whole.done $name.done
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
