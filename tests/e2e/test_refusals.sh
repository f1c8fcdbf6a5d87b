#!/bin/bash
# What athanor train refuses: a job, data or a model that cannot be trained, a place that cannot be
# written; each with its sentence and code, and nothing is left of the run.
#     test_refusals.sh ATHANOR MAKE_PICTURES
athanor=$1 make_pictures=$2
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/checks.sh"

# refused CODE TEXT ARGUMENT...: and nothing is left of the run
refused() {
    local code=$1 text=$2 got
    shift 2
    "$athanor" train "$@" --set out=none >out 2>err </dev/null
    got=$?
    if [ $got = "$code" ] && grep -qF -e "$text" err && [ ! -e none ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED athanor train $*: exit $got, wanted $code and \"$text\""
        sed 's/^/    /' out err | tail -n 20
        rm -rf none
    fi
}

tiny_job data/1_dog/a.png 64 64 1 data/1_dog/b.png 96 64 2 <<'END'
data.buckets = {min = 48, max = 96, step = 16}
train.steps = 3
END
check 'a run' "$athanor" train job.toml --set name=there

refused 3 'did you mean' job.toml --set train.step=2
refused 3 'train.steps' job.toml --set train.steps=many
cat >deep.json <<'END'
{"text": {"vocab": 1000, "positions": 77, "width": 32, "inner": 64, "layers": 1, "heads": 4},
 "unet": {"in_channels": 4, "out_channels": 4, "width": [16, 16, 16, 16], "has_attention": [true, false, false, false],
          "blocks": 1, "heads": 4, "groups": 8, "context_width": 32},
 "vae": {"width": [16, 16, 16], "blocks": 1, "groups": 8, "channels": 3, "latents": 4, "scale": 0.18215}}
END
"$athanor" init --spec deep.json deep.safetensors || exit 1
refused 3 'wanted multiples of 32 for the model deep.safetensors; set data.buckets.step' job.toml \
    --set model.base=deep.safetensors --set data.buckets.step=8
refused 3 'CUDA' job.toml --set train.device=cuda

refused 4 'is LoRA' job.toml --set model.vae=runs/there/model/there.safetensors
refused 4 'none.pt: there is no such file' job.toml --set model.vae=none.pt
refused 3 'model.base is missing' job.toml --set model.base=
refused 4 "none.safetensors: there is no such file" job.toml --set model.base=none.safetensors
refused 4 'is LoRA' job.toml --set model.base=runs/there/model/there.safetensors
header='{"conditioner.embedders.1.model.ln_final.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
printf "\\x$(printf %x ${#header})\\0\\0\\0\\0\\0\\0\\0%s1234" "$header" >sdxl.safetensors
refused 4 'Stable Diffusion XL' job.toml --set model.base=sdxl.safetensors
refused 3 'learning rate 0' job.toml --set optimizer.unet_lr=0 --set optimizer.text_encoder_lr=0
refused 3 'a warm-up of 9 updates is longer than the run of 3' job.toml --set optimizer.warmup=9
refused 3 'too long for a folder' job.toml --set class_images.count=1 --set data.regularization=none_reg \
    --set class_images.prompt="$(printf 'x%.0s' {1..5000})"
mkdir empty
refused 4 'no pictures to train on' job.toml --set data.train=empty
refused 4 'there is no such folder' job.toml --set data.train=nowhere
mkdir -p torn/1_dog && head -c 300 data/1_dog/a.png >torn/1_dog/a.png
refused 4 'torn/1_dog/a.png' job.toml --set data.train=torn
"$athanor" train job.toml --set name=there --set seed=8 >/dev/null 2>there
check 'a run that is there' test $? = 3
check 'says so' grep -qF 'runs/there: this run is there already' there
"$athanor" train job.toml --set out=base.safetensors/runs >out 2>err
check 'no place for the run' test $? = 5
"$athanor" train job.toml --set out=/proc/runs >/dev/null 2>nowhere
check 'nothing can be written there' test $? = 5
check 'says where' grep -qF '/proc/runs: the folder cannot be made' nowhere
# what fails on one rank ends all, is said once, and leaves nothing
without_leaks "$athanor" train job.toml --ranks 3 --set data.train=torn --set data.regularization= \
    --set name=torn >/dev/null 2>torn.err
check 'exit of three ranks' test $? = 4
check 'said once' test "$(grep -c '^athanor:' torn.err)" = 1
check 'nothing is left' test ! -e runs/torn

echo "$passed passed, $failed failed"
[ $failed = 0 ]
