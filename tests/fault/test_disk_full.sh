#!/bin/bash
# A disk without room, as the largest size that a file may have: what must be written and cannot be ends
# the run with 5 and names the file; a checkpoint that cannot be written is told, and the run goes on and
# delivers its model. Nothing half-written is left.   test_disk_full.sh ATHANOR MAKE_PICTURES
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/../e2e/checks.sh"

tiny_job data/1_dog/a.png 64 64 1 data/1_dog/b.png 64 64 2 <<'END'
data.buckets = {min = 64, max = 64}
train.epochs = 2
save.state_minutes = 0.0001
END

# train_within KIB NAME: no file may grow beyond; what would is refused and does not end the process
train_within() {
    (
        trap '' XFSZ
        ulimit -f "$1"
        exec "$athanor" train job.toml --set name="$2"
    ) >"$2.out" 2>"$2.err"
}
no_leftovers() { [ -z "$(find runs cache -name '.*.tmp' 2>/dev/null)" ]; }

train_within 40 cached
check 'the cache has no room' test $? = 5
check 'says which file' grep -qF 'File too large' cached.err
check 'nothing is left of it' no_leftovers
check 'nor of the run' test ! -e runs/cached

train_within 200 unsaved
check 'checkpoints have no room' test $? = 0
check 'says which file' grep -qE 'step-0000000[12]\.h5.*: File too large' unsaved.err
check 'in the log, too' grep -q 'File too large' runs/unsaved/log.txt
check 'nothing is left of them' no_leftovers
check 'the model is there' test -s runs/unsaved/model/unsaved.safetensors

train_within 40 unmade
check 'the model has no room' test $? = 5
check 'says which file' grep -q 'unmade.*safetensors.*: File too large' unmade.err
check 'nothing is left of it' no_leftovers

echo "$passed passed, $failed failed"
[ $failed = 0 ]
