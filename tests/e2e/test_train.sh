#!/bin/bash
# athanor train as its user sees it, with a tiny model: the same weights at every step on any number of
# ranks, the steps and uses that the plan says, files that others of our commands open, class images.
#     test_train.sh ATHANOR MAKE_PICTURES [RANKS...]     compared with one rank; 2 3 4 unless given
athanor=$1 make_pictures=$2 counts=("${@:3}")
[ ${#counts[@]} != 0 ] || counts=(2 3 4)
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/checks.sh"

# run NAME RANKS ARGUMENT...: a short run of the job
run() {
    local name=$1 ranks=$2
    shift 2
    check "run $name" without_leaks "$athanor" train job.toml --ranks "$ranks" --set name="$name" "$@"
}

# The numbers of a run, for comparing: one line a step.
steps() { "$athanor" curve "runs/$1" --json >"$1.json" && grep -E '"(digest|step|samples)"' "$1.json"; }

# two concepts, repeats, three buckets of which two end raggedly
tiny_job data/2_dog/a.png 64 64 1 data/2_dog/b.png 96 64 2 \
    data/1_cat/c.png 64 96 3 data/1_cat/d.png 70 64 4 data/1_cat/e.png 64 64 5 \
    reg/1_animal/u.png 64 64 6 reg/1_animal/v.png 96 64 7 reg/1_animal/w.png 64 96 8 \
    reg/1_animal/x.png 64 64 9 reg/1_animal/y.png 64 64 10 reg/1_animal/z.png 96 64 11 <<'END'
data.regularization = "reg"
data.flip = true
data.shuffle_tags = true
data.buckets = {min = 48, max = 96, step = 16}
adapter.alpha = 2
train.steps = 3
train.global_batch = 6
train.micro_batch = 2
optimizer.unet_lr = 1e-3
optimizer.text_encoder_lr = 5e-4
save = {every_epochs = 0, dtype = "f32"}
END
echo 'a brown dog, sitting, grass' >data/2_dog/a.txt

# ---- one recipe, one result ----
check 'one rank' "$athanor" train job.toml --set name=f32-1
for n in "${counts[@]}"; do run "f32-$n" "$n"; done
for n in 1 3; do run bf16-$n $n --set train.mixed=bf16; done
for n in "${counts[@]}"; do
    check "equal on $n ranks" cmp <(steps f32-1) <(steps "f32-$n")
done
check 'bf16, equal on 3 ranks' cmp <(steps bf16-1) <(steps bf16-3)
check 'bf16 is not f32' bash -c '! cmp -s f32-1.json bf16-1.json'
check 'steps tell of digests' test "$(steps f32-1 | grep -c digest)" = 3
check 'a LoRA' "$athanor" inspect runs/f32-1/model/f32-1.safetensors
check 'loads where pictures are drawn' "$athanor" sample --model base.safetensors --size 64x64 \
    --steps 2 --prompt dog --lora runs/f32-1/model/f32-1.safetensors --out drawn
for file in job.toml plan.txt log.txt curve.log curve.h5 samples model; do
    check "$file" test -e runs/f32-1/$file
done
find cache runs -name '*.h5' >h5.txt
check 'a cache and curves' test "$(wc -l <h5.txt)" -ge $((${#counts[@]} + 4))
while read -r file; do check "h5dump $file" h5dump "$file"; done <h5.txt
check 'the run has its own job' "$athanor" plan runs/f32-1/job.toml

# ---- the library's own sum: nearly the same losses, and the curve says so ----
run fast 3 --set train.reduce=fast
losses() { sed -n '/"curve"/,$ s/^ *"loss": \([^,]*\),*$/\1/p' "$1.json" | head -c 99999; }
steps fast >/dev/null
check 'fast: the losses of exact' bash -c 'paste <(echo "$1") <(echo "$2") |
    awk "{ d = \$1 - \$2; if (d * d > 1e-10 * \$1 * \$1) bad = 1 } END { exit bad || NR < 3 }"' - \
    "$(losses f32-1)" "$(losses fast)"
check 'said by the curve' bash -c '"$0" curve runs/fast | grep -q "reduced fast"' "$athanor"
check 'and by its numbers' grep -q '"reduce": "fast"' fast.json

# threads that have no core of their own are told of, and change nothing else
cores=$(env -u OMP_NUM_THREADS nproc)
check 'more threads than cores' without_leaks "$athanor" train job.toml --ranks 2 --set name=many \
    --set train.steps=1 --set train.threads=$((cores + 1))
mv err many.err
check 'says so' grep -qF "2 ranks of $((cores + 1)) threads share the $cores cores" many.err

# ---- the budget: a whole epoch, as planned ----
whole=(--set train.epochs=1)
run whole 2 "${whole[@]}"
check plan "$athanor" plan job.toml --json "${whole[@]}"
mv out plan.json
value() { sed -n "s/^ *\"$1\": \([^,]*\),*$/\1/p" "$2"; }
samples=0
steps whole >/dev/null
for n in $(sed -n '/"curve"/,$ s/^ *"samples": \([0-9]*\),*$/\1/p' whole.json); do
    samples=$((samples + n))
done
check 'samples as planned' test "$samples" = "$(value samples plan.json)"
check 'steps as planned' test "$(value steps_done whole.json)" = "$(value steps plan.json)"
for rate in $(value unet plan.json | sort -u); do
    check "rate $rate as planned" grep -qF "\"unet_rate\": $rate" whole.json
done
# each training picture as often as its folder says; as many of the regularization set in all
uses() { grep -A 1 "\"path\": \"$1" whole.json | sed -n 's/^ *"uses": \([0-9]*\).*/\1/p' | sort -n | tr '\n' ' '; }
check 'repeats' test "$(uses data/2_dog)$(uses data/1_cat)" = '2 2 1 1 1 '
check 'regularization in turns' test "$(uses reg/)" = '1 1 1 1 1 2 '

# ---- a full fine-tune of the U-Net with an average, samples by all ranks, captions' states ----
cat job.toml - >full.toml <<'END'
[[sample]]
prompt = "a dog"
size = 64
steps = 2
[[sample]]
prompt = "a cat"
size = [72, 64]
steps = 2
sampler = "ddim"
END
full=(full.toml --set adapter.kind=none --set train.train_text_encoder=false
    --set train.ema_decay=0.9 --set train.steps=2 --set save.every_steps=1 --set data.shuffle_tags=false)
check 'full, one rank' "$athanor" train "${full[@]}"
check 'full, two ranks' without_leaks "$athanor" train "${full[@]}" --ranks 2 --set out=two
for file in model/full-step00000001.safetensors model/full.safetensors \
    samples/000000-00.png samples/000000-01.png samples/000001-01.png samples/000002-00.png; do
    check "$file" test -e runs/full/$file
done
for file in runs/full/samples/*.png; do
    check "equal on two ranks" cmp "$file" "two/full/samples/${file##*/}"
done
check 'model, equal on two ranks' cmp <(tail -c 100000 runs/full/model/full.safetensors) \
    <(tail -c 100000 two/full/model/full.safetensors)
check 'training changes pictures' bash -c \
    '! cmp -s runs/full/samples/000000-00.png runs/full/samples/000002-00.png'
check 'a model that is drawn with' "$athanor" sample --model runs/full/model/full.safetensors \
    --size 64x64 --steps 2 --prompt dog --out drawn

# ---- class images: what lacks is drawn, by all ranks, and takes part ----
class=(--set class_images.count=7 --set class_images.prompt="an animal" --set train.steps=1)
class_hash() {
    "$athanor" plan job.toml --json "${class[@]}" --set data.regularization="$1" --ranks 3 | grep -E '"(hash|steps)"'
}
class_hash made/drawn_reg >hash_early
check 'no folder yet' test ! -e made
"$athanor" check job.toml --deep "${class[@]}" --set data.regularization=made/drawn_reg/ >checked
check 'check counts them' test $? = 0
check 'and says so' grep -qF '7 of these are class images that the run draws first' checked
mkdir -p some/1_zoo some/1_an\ animal && cp reg/1_animal/[uv].png some/1_zoo && cp reg/1_animal/w.png some/1_an\ animal/00004.png
class_hash some >hash_some_early
run some 1 "${class[@]}" --set data.regularization=some
check 'numbered on' bash -c 'ls some/1_an\ animal | tr "\n" " " | grep -qx "0000[4-8].png .*00008.png "'
check 'some of them are foreseen' cmp hash_some_early <(class_hash some)
run class 2 "${class[@]}" --set data.regularization=made/drawn_reg
check 'seven class images' test "$(find made/drawn_reg/1_an\ animal -name '*.png' | wc -l)" = 7
run again 1 "${class[@]}" --set data.regularization=made/drawn_reg
check 'the plan foresaw them' cmp hash_early <(class_hash made/drawn_reg)
check 'none is drawn twice' test "$(find made/drawn_reg -name '*.png' | wc -l)" = 7

echo "$passed passed, $failed failed"
[ $failed = 0 ]
