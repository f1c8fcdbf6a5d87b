#!/bin/bash
# Weights that grow until nothing is finite any more (decay at a rising rate multiplies them by -2, -5, -8
# and so on): some step of the second epoch is the first to be skipped, whatever a build's rounding makes of
# it, and three later the run goes back to the end of the first epoch, once, with lower rates. The same
# digests, losses and uses on any number of ranks, when it was killed after that, and when it was allowed
# only at the resume. Where the lower rate does not help, none is wanted, or there is no checkpoint, the run
# ends with 7 and says so; going on from a checkpoint after that does not go back again.
#     test_rollback.sh FAULTY_ATHANOR MAKE_PICTURES
# FAULTY_ATHANOR is the program with faulty_stage.c.
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # of a process that is killed, and of MPI
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}detect_deadlocks=0:ignore_noninstrumented_modules=1"

"$athanor" init --spec tiny base.safetensors || exit 1
pictures=()
for i in $(seq 8); do pictures+=("data/1_dog/$i.png" 64 64 "$i"); done
"$make_pictures" "${pictures[@]}" || exit 1
cat >job.toml <<'END'
seed = 7
[model]
base = "base.safetensors"
spec = "tiny"
[data]
train = "data"
resolution = 16
cache = "cache"
[data.buckets]
min = 16
max = 16
step = 8
[adapter]
rank = 2
[train]
train_text_encoder = false
steps = 24
global_batch = 2
mixed = "f32"
threads = 1
ema_decay = 0.9
skip_limit = 3
rollback_rate = 0.01
[optimizer]
unet_lr = 2
schedule = "constant_with_warmup"
warmup = 8
weight_decay = 12
[save]
state_minutes = 0
every_epochs = 0
pin_every_epochs = 1
END

# What a run has done: of each step its rate, its digest, its loss and its norm; of each picture its uses.
done_by() { "$athanor" curve "runs/$1" --json | sed -n '/"curve"/,$p' | grep -E '"(unet_rate|digest|loss|gradient_norm|uses|skipped)"'; }
marks() { "$athanor" curve "runs/$1" --json | grep -c "\"$2\""; }

# train NAME WANTED OPTION ...: trains or goes on
train() {
    local name=$1 wanted=$2 code
    shift 2
    { "$athanor" train job.toml --set name="$name" "$@" >"$name.out" 2>"$name.err"; } 2>/dev/null # "Killed"
    code=$?
    check "$name: exit $code, wanted $wanted: $(head -c 400 "$name.err")" test $code = "$wanted"
}

train one 0
done_by one >one.done
check 'one: said' grep -qE 'step ([89]|1[01]): 3 steps in a row without a finite loss and gradient; going back to step 4, with learning rates times 0.01' one.err
check 'one: in the log' grep -q rolled_back= runs/one/log.txt
check 'one: in the curve' test "$(marks one 'rolled back')" = 1
check 'one: the rates before and after' test "$(grep -c -e '"unet_rate": 0.25,' -e '"unet_rate": 0.0125[0-9]*,' one.done)" = 2
check 'one: all steps count, none is skipped' test "$(grep -c '"skipped": false' one.done)" = 24
train three 0 --ranks 3
done_by three >three.done
check 'three: the same bits' cmp one.done three.done

# ---- killed once it went back: what it goes on from knows the rate ----
export FAULT_RANK=0 FAULT_STAGE=compute FAULT_STEP=14 FAULT_KIND=kill # later than it gets before
train killed 137
unset FAULT_RANK FAULT_STAGE FAULT_STEP FAULT_KIND
train killed 0 --ranks 2
check 'killed: went on from there' grep -q 'going on after step 12 of 24' killed.err
check 'killed: does not go back again' test "$(grep -c rolled_back= runs/killed/log.txt)" = 1
done_by killed >killed.done
check 'killed: the same bits' cmp one.done killed.done

# ---- not wanted; then wanted, of the run that is there ----
train two 7 --ranks 2 --set train.rollback_rate=0
check 'two: says why' grep -q 'not finite for 3 steps in a row (train.skip_limit), and train.rollback_rate is 0' two.err
check 'two: no weights with NaN' test ! -e runs/two/model/two.safetensors
train two 0
check 'two: the changed key is told' grep -q 'changed: train.rollback_rate was 0.0, is 0.01' two.err
done_by two >two.done
check 'two: the same bits' cmp one.done two.done

# ---- it does not help: weights still grow, but well beyond the next checkpoint ----
train again 7 --set train.rollback_rate=0.15
check 'again: says so' grep -q 'and the run had gone back once already' again.err
train again 7 --ranks 2 --set train.rollback_rate=0.15
check 'again: a resume knows it' grep -q 'and the run had gone back once already' again.err
check 'again: once' test "$(grep -c rolled_back= runs/again/log.txt)" = 1
train none 7 --set save.pin_every_epochs=0 --set train.skip_limit=1
check 'none: says so' grep -q 'no good checkpoint' none.err

echo "$passed passed, $failed failed"
[ $failed = 0 ]
