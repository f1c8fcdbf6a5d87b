#!/bin/bash
# A run that is killed at any moment goes on to the same weights: kill -9 of one of its processes, or of
# all, at random instants, half of them while a checkpoint is written; resumed on another number of
# ranks, half of them killed once more. Each trial must end with the digests, the losses and the uses of
# every picture of the run that nobody touched, in every step, and leave no process behind.
#     test_kill.sh ATHANOR MAKE_PICTURES TRIALS [SEED]
athanor=$1 make_pictures=$2 n_trials=$3 RANDOM=${4:-1}
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # of processes that are killed
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}detect_deadlocks=0:ignore_noninstrumented_modules=1"

tiny_job data/2_dog/a.png 64 64 1 data/2_dog/b.png 96 64 2 data/1_cat/c.png 64 96 3 <<'END'
data.buckets = {min = 48, max = 96, step = 16}
train.epochs = 3
train.global_batch = 2
train.micro_batch = 1
train.ema_decay = 0.9
optimizer.unet_lr = 1e-3
optimizer.text_encoder_lr = 5e-4
save.state_minutes = 0.0001
save.pin_every_epochs = 2
END

# What a run has done: of each step its digest, its loss and its norm; of each picture its uses.
done_by() { "$athanor" curve "runs/$1" --json | sed -n '/"curve"/,$p' | grep -E '"(digest|loss|gradient_norm|uses)"'; }

pids() { pgrep -f -- "$name( |\$)" | grep -vx $$; }

# gone: none of the run's processes is left, within 10 s
gone() {
    for _ in $(seq 100); do
        [ -z "$(pids)" ] && return 0
        sleep 0.1
    done
    ps -o pid,stat,args -p "$(pids | tr '\n' ',' | sed 's/,$//')" >out
    pids | xargs -r kill -9
    return 1
}

# kill_soon: at a random instant, or as soon as a checkpoint is being written
kill_soon() {
    local victims
    if [ $((RANDOM % 2)) = 0 ]; then
        for _ in $(seq 400); do
            compgen -G "runs/$name/checkpoints/.step-*" >/dev/null && break
            sleep 0.005
        done
    else
        sleep "$((RANDOM % 4)).$((RANDOM % 1000))"
    fi
    mapfile -t victims < <(pids)
    [ ${#victims[@]} = 0 ] && return # it had ended before
    if [ $((RANDOM % 3)) = 0 ]; then
        kill -9 "${victims[@]}" 2>/dev/null
    else
        kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null
    fi
}

# The same command, whatever there is: a run is begun, gone on with, or done already.
start() { "$athanor" train job.toml --ranks $((1 + RANDOM % 4)) --set name="$name" >"$name.log" 2>&1; }

check 'untouched' "$athanor" train job.toml --set name=whole
done_by whole >whole.done
check 'it has digests' test "$(grep -c digest whole.done)" -gt 5
check 'a checkpoint is pinned' test -e runs/whole/checkpoints/step-00000006.manifest
"$athanor" resume runs/whole >again
check 'done already' test $? = 0
check 'says where the file is' grep -qx runs/whole/model/whole.safetensors again

for trial in $(seq "$n_trials"); do
    name=kill-$$-${trial}x
    for _ in $(seq $((1 + RANDOM % 2))); do
        { start; } 2>/dev/null & # which would tell of the killed
        starter=$!
        kill_soon
        wait $starter 2>/dev/null
        check "trial $trial: no process is left" gone
    done
    start
    check "trial $trial: goes on to its end" test $? = 0
    done_by "$name" >"$name.done"
    check "trial $trial: the same weights" cmp whole.done "$name.done"
    [ $failed = 0 ] || { cat "$name.log"; break; }
    rm -rf "runs/$name" "$name".*
done

# ---- what is damaged is noticed, named, and the one before is used ----
name=damaged
"$athanor" train job.toml --set name=damaged >out 2>&1 &
starter=$!
until compgen -G 'runs/damaged/checkpoints/*3.manifest' >/dev/null || ! kill -0 $starter 2>/dev/null; do sleep 0.01; done
kill -9 $starter
wait $starter 2>/dev/null
newest=$(find runs/damaged/checkpoints -name '*.h5' | sort | tail -n 1)
printf 'x' | dd of="$newest" bs=1 seek=9000 conv=notrunc 2>/dev/null
"$athanor" resume runs/damaged --ranks 2 >/dev/null 2>named
check 'goes on' test $? = 0
check 'names what is bad' grep -qE "${newest##*/}: (tensor .* is damaged|the file is damaged)" named
done_by damaged >damaged.done
check 'the same weights' cmp whole.done damaged.done

# ---- another job ----
"$athanor" train job.toml --set name=whole --set train.max_norm=9 >out 2>other
check 'another job is refused' test $? = 3
check 'says what changed' grep -qF 'train.max_norm was 1.0, is 9.0' other
check 'how often it is saved may change' "$athanor" train job.toml --set name=whole --set save.keep=5
"$athanor" resume nowhere >out 2>other
check 'no run' test $? = 4
mkdir -p runs/odd && touch runs/odd/mine
"$athanor" train job.toml --set name=odd >out 2>other
check 'a folder that is no run' test $? = 3
check 'says so' grep -qF 'runs/odd: this is there already and is no run' other

echo "$passed passed, $failed failed"
[ $failed = 0 ]
