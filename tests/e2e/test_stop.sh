#!/bin/bash
# Signals as a scheduler and a person send them: at any moment of a run, once or often, on one rank and
# on two, the command ends with 75 within seconds and nothing of what was made is lost; a second
# interrupt ends it at once.   test_stop.sh ATHANOR MAKE_PICTURES
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/checks.sh"

pictures=()
for i in $(seq 40); do pictures+=("data/1_dog/$i.png" 64 64 "$i"); done
tiny_job "${pictures[@]}" <<'END'
data.buckets = {min = 64, max = 64}
train.steps = 5000
train.global_batch = 2
save.every_epochs = 0
END

# Signals go to the command itself, not to a function around it (checks.sh tells why leaks are left out).
export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS-}
export TSAN_OPTIONS=detect_deadlocks=0:ignore_noninstrumented_modules=1:${TSAN_OPTIONS-}

# until_there FILE TEXT: waits till the run got there
until_there() {
    local i
    for ((i = 0; i < 1200; i++)); do
        grep -qs -e "$2" "$1" && return
        sleep 0.05
    done
    return 1
}

extra=()
# stop NAME RANKS SIGNALS WHEN...: starts a run, sends the signals once WHEN succeeds; its exit code
stop() {
    local name=$1 ranks=$2 signals=$3 pid number
    shift 3
    "$athanor" train job.toml --set name="$name" --set data.cache="cache-$name" \
        --ranks "$ranks" "${extra[@]}" >"$name.out" 2>"$name.err" </dev/null &
    pid=$!
    "$@" || echo "FAILED $name: never got there"
    for number in $signals; do kill -s "$number" $pid 2>/dev/null; done
    wait $pid
}

ends() {
    local wanted=$1 name=$2 got
    shift
    stop "$@"
    got=$?
    check "$name: exit $got, wanted $wanted: $(tail -n 2 "$name.err")" test $got = "$wanted"
}

trained() { check "$1: saved" test -n "$(ls "runs/$1/model" 2>/dev/null)"; }
in_steps() { until_there "runs/$1/log.txt" first_step; }
in_cache() { until_there "runs/$1/log.txt" 'ready=model'; }

# in_mask NAME: waits till the run's mask of signals of that name has TERM, bit 14. The shell that is to
# become the program has masks of its own, so that is looked at first.
in_mask() {
    local i mask program
    program=$(readlink -f "$athanor")
    for ((i = 0; i < 300; i++)); do
        if [ "$(readlink "/proc/$pid/exe")" = "$program" ]; then
            mask=$(sed -n "s/^$1:.*\(....\)\$/\1/p" "/proc/$pid/status")
            ((0x$mask & 0x4000)) && return
        fi
        sleep 0.02
    done
    return 1
}
is_caught() { in_mask SigCgt; }
# At once: the supervisor has signals blocked, the ranks are not up yet.
is_caught_by_none() { in_mask SigBlk; }

for signal in USR1 USR2 TERM INT; do
    ends 75 "step-$signal" 1 "$signal" in_steps "step-$signal"
    trained "step-$signal"
done
ends 75 twice 1 'TERM TERM USR1 TERM' in_steps twice
trained twice
# each step ends an epoch, whose checkpoint is for ever: the stop does not take the pin away
extra=(--set train.global_batch=40 --set save.pin_every_epochs=1)
ends 75 pinned 1 TERM in_steps pinned
newest=$(find runs/pinned/checkpoints -name '*.manifest' | sort | tail -n 1)
check 'pinned: still is' grep -qx 'pinned 1' "$newest"
extra=()
ends 75 caching 1 'TERM TERM' in_cache caching
check 'caching: says so' grep -q 'stopped by a signal' caching.err
check 'caching: a run to go on with' test -e runs/caching/job.toml
resumed() { "$athanor" resume runs/caching >resumed.out 2>resumed.err & pid=$!; in_steps caching; kill -s TERM $pid; wait $pid; }
resumed
code=$?
check "caching: goes on, to $code" test $code = 75 -a -n "$(ls runs/caching/checkpoints)"
ends 75 early 1 'TERM USR2' is_caught
SLURM_JOB_END_TIME=$(($(date +%s) + 60)) ends 75 limit 1 '' true

# ---- pictures that a stop left out are drawn when the run goes on ----
cp job.toml plain.toml
for i in 1 2 3; do printf '[[sample]]\nprompt = "a dog"\nseed = %d\nsteps = 3\nsize = 64\n' "$i"; done >>job.toml
extra=(--set train.steps=2 --set save.every_steps=1)
ends 75 drawing 1 TERM until_there runs/drawing/samples/000001-00.png ''
check 'drawing: one is left out' test ! -e runs/drawing/samples/000001-02.png
# once more, at the last pictures: they are all that is left to do
again() { "$athanor" resume runs/drawing >drawing.out 2>drawing.err & pid=$!; until_there runs/drawing/samples/000002-00.png ''; kill -s TERM $pid; wait $pid; }
again
code=$?
check "drawing: $code at the last pictures" test $code = 75 -a ! -e runs/drawing/samples/000002-02.png
check 'drawing: goes on' "$athanor" resume runs/drawing
check 'drawing: all are there' test "$(find runs/drawing/samples -name '*.png' | wc -l)" = 9
ends 75 drawing-first 1 TERM until_there runs/drawing-first/samples/000000-00.png ''
check 'drawing-first: nothing but them' test ! -e runs/drawing-first/checkpoints -a ! -e runs/drawing-first/samples/000000-02.png
extra=()
mv plain.toml job.toml

# ---- two ranks: mpirun's supervisor passes signals on, names a lost rank, leaves nobody behind ----
ends 75 two 2 'TERM TERM USR2' in_steps two
trained two
ends 75 two-caching 2 TERM in_cache two-caching
ends 75 two-early 2 INT is_caught_by_none
of_job() { pgrep -f -- "$athanor train job.toml --set name=$1 " | grep -vx "$2"; }
# The second process of a run that is a rank: not mpirun, not the supervisor.
rank_of() { of_job "$1" "$2" | while read -r p; do [ "$(readlink "/proc/$p/exe")" = "$athanor" ] && echo "$p"; done | tail -n 1; }
gone() {
    local i
    for ((i = 0; i < 100; i++)); do
        [ -z "$(of_job "$1" none)" ] && return
        sleep 0.1
    done
    of_job "$1" none
    return 1
}
kill_rank() { in_steps lost && kill -9 "$(rank_of lost "$pid")"; }
ends 6 lost 2 '' kill_rank
check 'lost: says who' grep -qE 'rank [01] .* signal 9' lost.err
check 'lost: nobody is left' gone lost
ends 137 headless 2 KILL in_steps headless
check 'headless: nobody is left' gone headless

echo "$passed passed, $failed failed"
[ $failed = 0 ]
