#!/bin/bash
# The wall clock does not matter: where it goes a day forward or back at each look, a run on three ranks under
# a watch, stopped and gone on with, has the digests, the losses and the uses of the run on one rank whose
# clock is right; nobody is blamed.
#     test_clock.sh FAULTY_ATHANOR MAKE_PICTURES
# FAULTY_ATHANOR is the program with faulty_clock.c.
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # of MPI

pictures=()
for i in $(seq 6); do pictures+=("data/1_dog/$i.png" 64 64 "$i"); done
tiny_job "${pictures[@]}" <<'END'
data.buckets = {min = 64, max = 64}
train.epochs = 4
train.global_batch = 3
train.watch_seconds = 30
save = {state_minutes = 0.0001, every_epochs = 0}
END

done_by() { "$athanor" curve "runs/$1" --json | sed -n '/"curve"/,$p' | grep -E '"(digest|loss|gradient_norm|uses)"'; }
has() { grep -qs "$1" runs/jumps/log.txt; }

check 'right' "$athanor" train job.toml --set name=whole
done_by whole >whole.done
check 'right: 8 steps' test "$(grep -c digest whole.done)" = 8

export CLOCK_JUMPS=1
"$athanor" train job.toml --ranks 3 --set name=jumps >out 2>jumps.err </dev/null &
until has first_step || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -TERM $!
wait $!
code=$?
check "jumps: exit $code: $(tail -n 2 jumps.err)" test $code = 75 -o $code = 0 # it may be done by then
check 'jumps: goes on' "$athanor" train job.toml --ranks 3 --set name=jumps
check 'jumps: days apart' test "$(cut -c 1-10 runs/jumps/log.txt | sort -u | wc -l)" -ge 3
check 'jumps: nobody is blamed' test "$(grep -cE 'warn watch|error watch' runs/jumps/log.txt)" = 0
unset CLOCK_JUMPS
done_by jumps >jumps.done
check 'jumps: the same weights' cmp whole.done jumps.done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
