#!/bin/bash
# Every finding of the doctor as its user meets it: a folder with one fault, the sentence of athanor
# check, and its exit code: 4 for what a run would be refused for, 0 for a warning. athanor train refuses
# the same with the same sentence.   test_check.sh ATHANOR MAKE_PICTURES
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"

kinds=0
# finding CODE KIND SENTENCE [OPTION ...]: of the folder `data`, which is then made anew
finding() {
    local code=$1 kind=$2 sentence=$3 got trained=4
    shift 3
    kinds=$((kinds + 1))
    "$athanor" check --deep --resolution 64 "$@" data >out 2>err
    got=$?
    "$athanor" check --deep --resolution 64 "$@" data --json >json 2>>err
    if [ "$code" = 4 ]; then
        "$athanor" train job.toml "${train[@]}" >trained 2>&1
        trained=$?
        grep -qF -e "$sentence" trained || trained=0
        [ ! -e runs ] || trained=there
    fi
    if [ $got = "$code" ] && [ $trained = 4 ] && grep -qF -e "$sentence" out &&
        grep -qF "\"kind\": \"$kind\"" json; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $kind: exit $got and $trained, wanted $code, 4 and \"$sentence\""
        sed 's/^/    /' out err trained | tail -n 20
    fi
    fresh
}

fresh() {
    rm -rf data trained && mkdir -p data/2_dog && cp one.png data/2_dog/a.png && train=()
}

"$make_pictures" one.png 64 64 1 two.png 64 64 2 small.png 48 64 3 long.png 256 64 4 || exit 1
printf '[model]\nbase = "none"\nspec = "tiny"\n[data]\ntrain = "data"\nresolution = 64\n' >job.toml
printf '[data.buckets]\nmin = 48\nmax = 96\nstep = 16\n[train]\nglobal_batch = 1\n' >>job.toml
fresh
check 'sound data' test "$("$athanor" check --deep --resolution 64 data | grep -c '0 errors, 0 warnings')" = 1

# ---- errors ----
rm data/2_dog/a.png
finding 4 NO_DATA 'no pictures to train on'
head -c 20 two.png >data/2_dog/b.png
finding 4 PICTURE_BROKEN 'this picture cannot be read'
cp two.png data/2_dog/a.jpg
finding 4 STEM_TWICE 'two pictures share a name, and so a caption'
echo dog >data/2_dog/a.png.txt
finding 4 CAPTION_NAME 'this caption is not picked up'
printf 'dog \303' >data/2_dog/a.txt
finding 4 CAPTION_BROKEN 'this caption is not UTF-8 text'
mkdir empty
train=(--set data.regularization=empty)
finding 4 REG_EMPTY 'no pictures in the regularization folder' --regularization empty
mkdir -p reg/1_dog && cp two.png reg/1_dog/c.png && cp two.png data/2_dog/b.png
train=(--set data.regularization=reg)
finding 4 REG_SMALL 'fewer regularization pictures than training pictures' --regularization reg

# ---- warnings ----
mkdir data/dogs && cp two.png data/dogs
finding 0 FOLDER_NAME 'this folder is not used: its name is not N_concept'
mkdir data/3_nothing
finding 0 FOLDER_EMPTY 'no pictures in this folder'
mkdir data/2_dog/more && cp two.png data/2_dog/more
finding 0 FOLDER_NESTED "folders within a concept's folder are not read"
cp two.png data
finding 0 LOOSE 'pictures beside the folders are not used'
cp two.png data/2_dog/b.bmp
finding 0 FORMAT 'pictures of this format are not read'
cp small.png data/2_dog/b.png
finding 0 PICTURE_SMALL 'smaller than the resolution: it is enlarged, and trains blur'
cp long.png data/2_dog/b.png
finding 0 ASPECT 'very long and narrow: much of it is cut off'
cp two.png data/2_dog/b.png && echo dog >data/2_dog/b.txt
finding 0 CAPTION_MISSING 'no caption, though others in the folder have one'
echo >data/2_dog/a.txt
finding 0 CAPTION_EMPTY 'the caption is empty: it trains the empty prompt'
printf 'dog\nmore\n' >data/2_dog/a.txt
finding 0 CAPTION_LINES 'the caption has several lines: only the first is used'
for ((i = 0; i < 80; i++)); do printf 'dog, '; done >data/2_dog/a.txt
finding 0 CAPTION_LONG 'the caption is too long: its end is cut off'
echo dog | tee data/2_dog/a.txt >data/2_dog/a.caption
finding 0 CAPTION_TWICE "another file is this picture's caption: this one is not used"
echo dog >data/2_dog/b.txt
finding 0 CAPTION_ORPHAN 'a caption without a picture'
echo dog >data/2_dog/a.txt
finding 0 TRIGGER_ABSENT 'the trigger is not in the caption' --trigger sks
finding 0 REG_FEW 'fewer regularization pictures than an epoch wants' --regularization reg
cp one.png data/2_dog/b.png
finding 0 ALIKE 'looks like another picture'

# each kind that the header lists was met
check 'every kind' test $kinds = "$(grep -cE '^    X\([A-Z_]+, (ERROR|WARNING),' "$here/../../coordinator/doctor.h")"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
