#!/bin/bash
# Signals at any moment: USR1, USR2, TERM or INT, once or twice, at a random instant or as soon as
# pictures are cached, the first step is done or a checkpoint is being written, to a run of one to three
# ranks. Each ends with 75 (or 0, where it was done) within 10 s; its newest checkpoint is of its last
# step; gone on with, it ends with the digests of the run that nobody touched.
#     test_signals.sh ATHANOR MAKE_PICTURES TRIALS [SEED]
athanor=$1 make_pictures=$2 n_trials=$3 RANDOM=${4:-1}
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
# Signals go to the command itself, not to a function around it (checks.sh tells why leaks are left out).
export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS-}
export TSAN_OPTIONS=detect_deadlocks=0:ignore_noninstrumented_modules=1:${TSAN_OPTIONS-}

pictures=()
for i in $(seq 10); do pictures+=("data/1_dog/$i.png" 64 64 "$i"); done
tiny_job "${pictures[@]}" <<'END'
data.buckets = {min = 64, max = 64}
train.epochs = 2
train.global_batch = 2
train.micro_batch = 1
save.state_minutes = 0.0001
END

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
done_by() { "$athanor" curve "runs/$1" --json | sed -n '/"curve"/,$p' | grep -E '"(digest|loss)"'; }
start() { "$athanor" train job.toml --set name="$name" --set data.cache="cache-$name" --ranks "$1"; }
gone() {
    local i
    for ((i = 0; i < 100; i++)); do
        pgrep -f -- "name=$name " >/dev/null || return 0
        sleep 0.1
    done
    return 1
}

# within MS COMMAND...: waits so long at most until it succeeds, or the run has ended
within() {
    local end=$(($(now_ms) + $1))
    shift
    until "$@"; do
        [ "$(now_ms)" -lt $end ] && kill -0 "$pid" 2>/dev/null || return
        sleep 0.005
    done
}
# Whether the program takes signals already: TERM, bit 14, is caught, or blocked until all ranks are up.
# The shell that becomes the program has masks of its own, so that is looked at first.
is_listening() {
    local mask masks
    [ "$(readlink "/proc/$pid/exe")" = "$program" ] || return
    mapfile -t masks < <(sed -n 's/^Sig\(Blk\|Cgt\):.*\(....\)$/\2/p' "/proc/$pid/status" 2>/dev/null)
    for mask in "${masks[@]}"; do
        ((0x$mask & 0x4000)) && return 0
    done
    return 1
}
has_logged() { grep -qs -e "$1" "runs/$name/log.txt"; }
is_saving() { compgen -G "runs/$name/checkpoints/.step-*" >/dev/null; }

program=$(readlink -f "$athanor")
name=whole
began=$(now_ms)
check 'untouched' start 1
whole_ms=$(($(now_ms) - began))
done_by whole >whole.done
check 'untouched: 10 steps' test "$(grep -c digest whole.done)" = 10

# signal MOMENT RANKS: a run that gets a signal or two; sets code and ms, from the first one on
signal() {
    local signals=(USR1 USR2 TERM INT) pid began
    "$athanor" train job.toml --set name="$name" --set data.cache="cache-$name" --ranks "$2" \
        >"$name.out" 2>"$name.err" </dev/null &
    pid=$!
    within 20000 is_listening
    case $1 in
    0) ;; # at once
    1) within 20000 has_logged 'ready=model' ;;
    2) within 20000 has_logged first_step ;;
    3) within 20000 is_saving ;;
    4) sleep "$(printf '%d.%03d' $((RANDOM % whole_ms / 1000)) $((RANDOM % 1000)))" ;;
    esac
    began=$(now_ms)
    kill -s "${signals[RANDOM % 4]}" $pid 2>/dev/null
    if [ $((RANDOM % 2)) = 0 ]; then
        sleep 0.0$((RANDOM % 10))
        kill -s "${signals[RANDOM % 3]}" $pid 2>/dev/null # INT again would end it at once
    fi
    wait $pid
    code=$?
    ms=$(($(now_ms) - began))
}

# of_last_step: the newest checkpoint is of the last step in the curve
of_last_step() {
    local steps newest
    steps=$(done_by "$name" | grep -c digest)
    newest=$(find "runs/$name/checkpoints" -name '*.manifest' -printf '%f\n' 2>/dev/null | sort | tail -n 1)
    echo "$steps steps, $newest"
    [ "$steps" = 0 ] || [ "$newest" = "$(printf 'step-%08d.manifest' "$steps")" ]
}

worst=0 stopped=0
for trial in $(seq "$n_trials"); do
    name=signal-$$-${trial}x moment=$((RANDOM % 5)) ranks=$((1 + RANDOM % 3))
    signal $moment $ranks
    what="trial $trial, moment $moment, $ranks ranks"
    [ "$ms" -gt $worst ] && worst=$ms
    [ $code = 75 ] && stopped=$((stopped + 1))
    if [ $moment -lt 3 ] || [ $code != 0 ]; then # the others may come at its very end
        check "$what: exit $code: $(tail -n 2 "$name.err")" test $code = 75
    fi
    check "$what: $ms ms" test "$ms" -lt 10000
    check "$what: no process is left" gone
    [ ! -e "runs/$name/curve.log" ] || check "$what: saved" of_last_step
    check "$what: goes on to its end" start $((1 + RANDOM % 3))
    done_by "$name" >"$name.done"
    check "$what: the same weights" cmp whole.done "$name.done"
    [ $failed = 0 ] || { cat "$name.err"; break; }
    rm -rf "runs/$name" "cache-$name" "$name".*
done

echo "$n_trials signals, $stopped stopped a run, the worst within $worst ms"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
