#!/bin/bash
# A rank that is killed, stopped, loops, crashes or leaves early, in each phase of a run: within 10 s all
# others have ended, one sentence on stderr and one line in the log name that rank with its process, its
# host, its phase and its step, the command ends with 6, and no process is left. Then what happens to the
# processes above the ranks: mpirun is killed, the user's own mpirun, a second Ctrl-C.
#     test_watch.sh FAULTY_ATHANOR MAKE_PICTURES TRIALS|all [SEED]
# FAULTY_ATHANOR is the program with faulty_stage.c; TRIALS are drawn from all, which take ten minutes.
athanor=$1 make_pictures=$2 n_trials=$3 RANDOM=${4:-1}
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # of processes that are killed
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}detect_deadlocks=0:ignore_noninstrumented_modules=1"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

name=watch-$$
pids() { pgrep -f -- "--set name=$name" | grep -vx $$; }
trap 'pids | xargs -r kill -9; rm -rf "$work"' EXIT

pictures=()
for i in $(seq 6); do pictures+=("data/1_dog/$i.png" 64 64 "$i"); done
tiny_job "${pictures[@]}" <<'END'
data.buckets = {min = 64, max = 64}
train.steps = 5000
train.global_batch = 3
train.watch_seconds = 3
save = {state_minutes = 0.0001, every_epochs = 0}
sample = [{prompt = "a dog", steps = 1, size = 64}, {prompt = "a cat", steps = 1, size = 64}]
END

# gone: none of the run's processes is left, within 5 s
gone() {
    local _
    for _ in $(seq 50); do
        [ -z "$(pids)" ] && return
        sleep 0.1
    done
    ps -o pid,stat,args -p "$(pids | tr '\n' ',' | sed 's/,$//')"
    pids | xargs -r kill -9
    return 1
}

count_is() { [ "$(grep -cE -e "$2" "$1")" = "$3" ]; }
is_soon() { [ "$1" -le 10 ]; }
sentence='rank [0-9]+ \(process [0-9]+ on [^)]+\).*; all ranks end: '

# judged WHAT EXIT_CODE RANK HOW PLACE: what a run that has lost a rank leaves
judged() {
    local what=$1 code=$2
    check "$what: exit $code, wanted 6" test "$code" = 6
    check "$what: nobody is left" gone
    check "$what: says who and where" grep -qE \
        "rank $3 \(process [0-9]+ on $(uname -n)\) $4.*, last seen in $5.*; all ranks end: " err-run
    check "$what: once on stderr" count_is err-run "$sentence" 1
    check "$what: once in the log" count_is "runs/$name/log.txt" "error watch verdict=.*$sentence" 1
    [ "$failed" = 0 ] || cat err-run
}

# lose RANKS RANK STAGE STEP KIND HOW: a run whose rank meets its fault
lose() {
    local ranks=$1 rank=$2 stage=$3 step=$4 kind=$5 how=$6 what="$5 in $3, rank $2 of $1" code began
    rm -rf "runs/$name" fault
    FAULT_RANK=$rank FAULT_STAGE=$stage FAULT_STEP=$step FAULT_KIND=$kind "$athanor" train job.toml \
        --ranks "$ranks" --set name="$name" >out-run 2>err-run </dev/null
    code=$?
    began=$(stat -c %Y fault) || began=0
    check "$what: ended within 10 s" is_soon $(($(date +%s) - began))
    judged "$what" $code "$rank" "$how" "$stage"
    check "$what: a flight record" grep -qE "^$step |^-1 " "runs/$name/flight/rank-$(((rank + 1) % ranks)).txt"
}

stages=('start -1' 'cache -1' 'load 2' 'compute 2' 'reduce 2' 'update 2' 'record 2' 'save 2' 'sample -1')
kinds=('kill:was ended by signal 9' 'stop:(gave no sign of life|has not moved) for' 'exit:left '
    'loop:has not moved for' 'crash:was ended by signal 6')
trials=()
for stage in "${stages[@]}"; do
    for kind in "${kinds[@]}"; do
        for rank in 0 1; do trials+=("$stage;$kind;$rank"); done
    done
done
if [ "$n_trials" != all ]; then
    trials=()
    first=$((RANDOM % ${#stages[@]}))
    for i in $(seq 0 $((n_trials - 1))); do # each phase and each kind in turn
        trials+=("${stages[(first + i) % ${#stages[@]}]};${kinds[i % ${#kinds[@]}]};$((RANDOM % 2))")
    done
fi
for trial in "${trials[@]}"; do
    IFS=';' read -r stage kind rank <<<"$trial"
    # shellcheck disable=SC2086
    lose $((2 + RANDOM % 2)) "$rank" $stage "${kind%%:*}" "${kind#*:}"
    [ $failed = 0 ] || break
done

# ---- in the background ----
# begin COMMAND...: a run in the background that is in its steps
begin() {
    local _
    rm -rf "runs/$name"
    "$@" "$athanor" train job.toml "${extra[@]}" --set name="$name" >out-run 2>err-run </dev/null &
    pid=$!
    for _ in $(seq 600); do
        grep -qs first_step "runs/$name/log.txt" && return
        sleep 0.05
    done
    return 1
}

extra=(--ranks 2)
begin env || check 'mpirun is killed: it began' false
pgrep -P "$pid" | xargs kill -9
wait "$pid"
check 'mpirun is killed: exit 6' test $? = 6
check 'mpirun is killed: says so' grep -qE 'mpirun \(process [0-9]+\) was ended by signal 9; all ranks end' err-run
check 'mpirun is killed: no rank is blamed' count_is err-run 'rank [0-9]' 0
check 'mpirun is killed: nobody is left' gone

# without the watch the supervisor says what it knows
extra=(--ranks 2 --set train.watch_seconds=0)
begin env FAULT_RANK=1 FAULT_STAGE=reduce FAULT_STEP=3 FAULT_KIND=kill || check 'not watched: it began' false
wait "$pid"
check 'not watched: exit 6' test $? = 6
check 'not watched: once on stderr' count_is err-run "$sentence" 1
check 'not watched: says who' grep -qE "rank 1 \(process [0-9]+ on $(uname -n)\) was ended by signal 9; all" err-run
check 'not watched: once in the log' count_is "runs/$name/log.txt" "error watch verdict=.*$sentence" 1
check 'not watched: nobody is left' gone

extra=(--ranks 3)
begin env --default-signal=INT || check 'a second Ctrl-C: it began' false
kill -INT "$pid"
sleep 0.05
kill -INT "$pid"
wait "$pid"
check "a second Ctrl-C: exit $?" test $? != 6
check 'a second Ctrl-C: nobody is blamed' count_is err-run 'rank [0-9]' 0
check 'a second Ctrl-C: nobody is left' gone

extra=()
export FAULT_RANK=1 FAULT_STAGE=reduce FAULT_STEP=3 FAULT_KIND=loop
begin mpirun -q -n 2 --oversubscribe --bind-to none
wait "$pid"
judged "one's own mpirun" $? 1 'has not moved for' 'reduce of step 3'

# A rank that is only slow is told of, once, and nothing ends for it. It takes half a minute.
if [ "$n_trials" = all ]; then
    unset FAULT_RANK FAULT_STAGE FAULT_STEP FAULT_KIND
    extra=(--ranks 2 --set train.global_batch=2 --set save.state_minutes=0)
    begin env FAULT_RANK=1 FAULT_STAGE=compute FAULT_STEP=0 FAULT_KIND=slow || check 'slow: it began' false
    for _ in $(seq 1200); do
        grep -qs slow_rank "runs/$name/log.txt" && break
        sleep 0.05
    done
    kill -TERM "$pid"
    wait "$pid"
    check "slow: stopped by us" test $? = 75
    check 'slow: named once' count_is "runs/$name/log.txt" 'warn watch slow_rank=1 ' 1
    check 'slow: nobody else is' count_is "runs/$name/log.txt" 'warn watch|error watch' 1
    check 'slow: who is where' grep -qE "info watch rank=1 process=[0-9]+ host=$(uname -n)" "runs/$name/log.txt"
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
