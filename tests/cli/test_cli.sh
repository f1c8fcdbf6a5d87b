#!/bin/bash
# The program as its user sees it: what it prints where, and the exit code.   test_cli.sh ATHANOR
athanor=$1
passed=0 failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# expect CODE STREAM TEXT ARGUMENT...: athanor ARGUMENT... ends with CODE and says TEXT on STREAM
expect() {
    local code=$1 stream=$2 text=$3 got
    shift 3
    "$athanor" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = "$code" ] && grep -qF -e "$text" "$work/$stream"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED athanor $*: exit $got, wanted $code and \"$text\" on std$stream"
        sed 's/^/    /' "$work/out" "$work/err"
    fi
}

expect 0 out 'usage: athanor COMMAND' --help
expect 0 out '  help [COMMAND]         what there is' --help
expect 0 out '  --version              the version' --help
expect 0 out 'usage: athanor COMMAND' help
expect 0 out 'usage: athanor help [COMMAND]' help help
expect 0 out 'usage: athanor help [COMMAND]' help --help
expect 0 out '[data.buckets]' help job
expect 0 out 'a whole number, 1 to 4096; default 32' help job
expect 0 out 'athanor 0.' --version
expect 2 err 'no command; athanor --help lists them'
expect 2 err 'no command "hepl"; did you mean "help"?' hepl
expect 2 err 'no command "hepl"; did you mean "help"?' help hepl
expect 2 err 'no command "xyzzy"; athanor --help lists them' xyzzy
expect 2 err 'did you mean --version?' --versoin
expect 2 err 'help: 2 arguments; usage: athanor help [COMMAND]' help help help
expect 2 err 'no option --json' help --json
ATH_ISA=avx99 expect 2 err 'ATH_ISA' help
ATH_NONSENSE=1 expect 2 err 'ATH_NONSENSE' help
expect 0 out '  ATH_ISA' --help

# Two pictures of 8x8, one with a caption; then what a person may get wrong.
mkdir -p "$work/data/2_dog"
for name in a b; do
    base64 -d >"$work/data/2_dog/$name.png" <<<'iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQAAAADsdIMmAAAAC0lEQVR42mNgQAUAABAAAaoZ+IIAAAAASUVORK5CYII='
done
printf 'a dog, grass\n' >"$work/data/2_dog/a.txt"
printf 'name = "dogs"\n[model]\nbase = "none"\n[data]\ntrain = "%s/data"\n[train]\nepochs = 3\nglobal_batch = 2\n' "$work" >"$work/job.toml"
expect 2 err 'check: 0 arguments; usage: athanor check JOB|FOLDER' check
expect 4 err 'there is no such folder' check "$work/nowhere"
expect 0 out '0 errors, 3 warnings' check "$work/data"
expect 0 out '"kind": "PICTURE_SMALL"' check --json "$work/data"
expect 0 out '"cat" is not in "a dog, grass"' check --trigger cat "$work/data"
expect 0 out '2_dog/b.png: "dog" is used' check "$work/job.toml"
expect 0 out '2_dog/b.png: 2_dog/a.png, 0 of 64 bits differ' check --deep "$work/data"
expect 0 out '  steps                    6  of 2 samples: 2 micro-batches of 1' plan "$work/job.toml"
expect 0 out '  steps last about ' plan "$work/job.toml"
expect 0 out '"steps": 6' plan --json --ranks 2 "$work/job.toml"
expect 0 out 'shards of 2 ranks' plan --ranks 2 "$work/job.toml"
expect 0 out '"steps": 4' plan --json --set train.epochs=2 --set name="cats" "$work/job.toml"
expect 3 err 'did you mean' plan --set train.step=2 "$work/job.toml"
expect 3 err '--set' check --set train.steps "$work/job.toml"
expect 2 err '--ranks' plan --ranks 0 "$work/job.toml"
expect 4 err 'none.toml' plan "$work/none.toml"
head -c 40 "$work/data/2_dog/a.png" >"$work/data/2_dog/c.png"
expect 4 err 'a run would be refused for 1 error' check "$work/data"
expect 4 out 'error: this picture cannot be read' check "$work/job.toml"
expect 4 err '2_dog/c.png: ' plan "$work/job.toml"
rm "$work/data/2_dog/c.png"

mkdir -p "$work/run"
printf 'torn' >"$work/run/curve.log"
expect 0 out 'too short: 0 steps so far, and a judgement wants 20.' curve "$work/run"
expect 0 out '4 bytes at the end of the log are no whole record' curve "$work/run/curve.log"
expect 0 out '"steps_done": 0' curve --json "$work/run" "$work/run"
expect 0 out 'too short' curve --png "$work/run/c.png" --h5 "$work/run/c.h5" --tensorboard "$work/run/tb" "$work/run"
expect 2 err '--tensorboard, --h5 and --sheet take one run, found 2' curve --h5 "$work/c.h5" "$work/run" "$work/run"
expect 4 err '/samples: no samples here' curve --sheet "$work/c.png" "$work/run"
expect 5 err '/proc/none' curve --png /proc/none/c.png "$work/run"
expect 4 err '/data/curve.log: there is no such file' curve "$work/data"
expect 2 err 'curve: 0 arguments; usage: athanor curve RUN ...' curve

"$athanor" --help >/dev/full 2>"$work/err"
if [ $? = 5 ] && grep -q 'No space left' "$work/err"; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED athanor --help on a full disk: wanted exit 5 and the reason"
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
