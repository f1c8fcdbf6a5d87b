#!/bin/bash
# scripts/demo without its ten minutes: bash reads it, its help says what it does, wrong words and a
# folder that is there are refused before anything is installed; its emoji are in Unicode's list and
# its jobs can be planned, each picture used equally often in every step.   test_demo.sh ATHANOR EMOJI
athanor=$1 emoji=$2
cd "$(dirname "$0")/../.." || exit 1
root=$PWD demo=$PWD/scripts/demo passed=0 failed=0
home=$(mktemp -d)
trap 'rm -r "$home"' EXIT
check() { # check WHAT COMMAND...
    if "${@:2}"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED $1"; fi
}
expect() { # expect CODE TEXT ARGUMENT...
    local out code
    out=$("$demo" "${@:3}" 2>&1 </dev/null)
    code=$?
    check "exit code $code of demo ${*:3}, wanted $1" [ $code = "$1" ]
    check "demo ${*:3} says: $out, wanted: $2" grep -qF -- "$2" <<<"$out"
}

check 'bash reads it' bash -n "$demo"
expect 0 'scripts/demo [FOLDER]' --help
expect 2 'scripts/demo [FOLDER]' --fast
expect 2 'scripts/demo [FOLDER]' a b
mkdir "$home/there"
expect 2 'is there already; remove it' "$home/there"

if [ -e /usr/share/unicode/emoji/emoji-test.txt ]; then
    eval "$(sed -n '/^base_emoji=(/,/)$/p' "$demo")"
    cd "$home" && mkdir -p train/base train/cats || exit 1
    check 'its emoji are in the list' "$emoji" --size 16 --out train/base/4_emoji "${base_emoji[@]}"
    check 'its cats are' "$emoji" --size 16 --out train/cats/10_cat cat-face
    check 'two dozen' [ "$(ls train/base/4_emoji/*.png | wc -l)" = 24 ]
    for job in base cats; do
        "$athanor" plan "$root/examples/demo/$job.toml" --ranks 2 >plan || cat plan
        check "a plan of $job.toml" grep -q '2 micro-batches' plan
    done
    check 'the base can be made' "$athanor" init fresh.safetensors --vae box \
        --spec "$root/examples/demo/base.json"
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
