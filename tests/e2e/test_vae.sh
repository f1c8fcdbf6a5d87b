#!/bin/bash
# model.vae and sample --vae: pictures are encoded by another autoencoder and drawn with it, a whole model
# gets it.   test_vae.sh ATHANOR MAKE_PICTURES
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/checks.sh"

tiny_job data/1_dog/a.png 64 64 1 data/1_dog/b.png 64 64 2 <<'END'
data.buckets = {min = 64, max = 64}
train.steps = 1
train.train_text_encoder = false
adapter.kind = "none"
END
digest() { "$athanor" curve "runs/$1" --json | grep '"digest"'; }

"$athanor" init --spec tiny --seed 9 other.safetensors && "$athanor" convert other.safetensors other
check 'its own' "$athanor" train job.toml --set name=own
check 'another' "$athanor" train job.toml --set name=vae --set model.vae=other/vae
check 'from a whole model' "$athanor" train job.toml --set name=vae2 --set model.vae=other.safetensors
check 'other latents, other weights' bash -c '! cmp -s <(echo "$1") <(echo "$2")' - \
    "$(digest own)" "$(digest vae)"
check 'the same from either' cmp <(digest vae) <(digest vae2)
draw() { "$athanor" sample --size 64x64 --steps 2 --prompt dog --no-hash --out "drawn_$1" --model "${@:2}"; }
check 'with its own' draw own runs/vae/model/vae.safetensors
check 'with another' draw vae runs/own/model/own.safetensors --vae other/vae
check 'given twice' draw same runs/vae/model/vae.safetensors --vae other.safetensors
check 'the saved model has it' cmp drawn_own/*.png drawn_same/*.png
check 'it changes pictures' bash -c '! cmp -s drawn_own/*.png drawn_vae/*.png'

echo "$passed passed, $failed failed"
[ $failed = 0 ]
