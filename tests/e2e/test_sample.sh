#!/bin/bash
# athanor sample as its user sees it, with a tiny model: the same pictures on one rank and on two, the
# WebUI's text in them, prompts from a file, and refusals.   test_sample.sh ATHANOR
athanor=$1
# shellcheck source=tests/e2e/checks.sh
. "$(dirname "$0")/checks.sh"
cp "$here/../reference/lora_tiny.safetensors" . || exit 1

# refused CODE TEXT ARGUMENT...
refused() {
    local code=$1 text=$2 got
    shift 2
    "$athanor" sample "$@" >out 2>err </dev/null
    got=$?
    if [ $got = "$code" ] && grep -qF -e "$text" err; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED athanor sample $*: exit $got, wanted $code and \"$text\""
        sed 's/^/    /' out err
    fi
}

count_is() { [ "$(find "$1" -name '*.png' | wc -l)" = "$2" ]; }
differ() { ! cmp -s "$1" "$2"; }

check init "$athanor" init --spec tiny tiny.safetensors
cat >prompts.txt <<'END'
# two prompts
a red fox in the snow --n blurry --w 64 --h 64 --s 20 --d 42
(a castle:1.3) on a hill --w 64 --h 72 --s 20 --l 1 --ss dpmsolver++ --d 7
END
args=(--model tiny.safetensors --count 2)
check 'one rank' "$athanor" sample "${args[@]}" --prompts prompts.txt --out one
check 'four pictures' count_is one 4
check 'two ranks' without_leaks "$athanor" sample "${args[@]}" --prompts prompts.txt --out two \
    --ranks 2
for name in 00000-42 00001-43 00002-7 00003-8; do
    check 'equal on one and two ranks' cmp "one/$name.png" "two/$name.png"
done
check 'seeds differ' differ one/00000-42.png one/00001-43.png
hash=$(sha256sum tiny.safetensors | cut -c 1-10)
check 'prompt' grep -qaF 'a red fox in the snow' one/00000-42.png
check 'negative prompt' grep -qaF 'Negative prompt: blurry' one/00000-42.png
check 'parameters' grep -qaF "Steps: 20, Sampler: Euler a, Schedule type: Uniform, CFG scale: 7, Seed: 43, Size: 64x64, Model hash: $hash, Model: tiny" one/00001-43.png
check 'sampler of a line' grep -qaF 'Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 1, Seed: 7' \
    one/00002-7.png

small=(--model tiny.safetensors --size 16x24 --steps 2)
check 'batch' "$athanor" sample "${small[@]}" --prompt cat --count 3 --batch 2 --seed 9 --out batch
check 'batch of three' count_is batch 3
check 'place in the batch' grep -qaF 'Batch size: 2, Batch pos: 1' batch/00001-10.png
check 'no hash' "$athanor" sample "${small[@]}" --prompt cat --no-hash --dtype bf16 --out bare
check 'no hash' differ /dev/null bare/00000-0.png
check 'no hash in it' bash -c '! grep -qa "Model hash" bare/00000-0.png'
for sampler in ddim euler euler_a dpmpp_2m; do
    check "$sampler" "$athanor" sample "${small[@]}" --prompt cat --sampler $sampler --out $sampler
done
check 'samplers differ' differ euler/00000-0.png ddim/00000-0.png
check 'LoRA' "$athanor" sample "${small[@]}" --prompt cat --lora lora_tiny.safetensors --out lora
check 'LoRA changes' differ euler_a/00000-0.png lora/00000-0.png
lora_hash=$("$athanor" inspect --json lora_tiny.safetensors | sed -n 's/.*sshs_model_hash": "\(.\{12\}\).*/\1/p')
check 'LoRA is named' grep -qaF "Lora hashes: \"lora_tiny: $lora_hash\"" lora/00000-0.png
inspected=$("$athanor" inspect lora_tiny.safetensors)
check 'its sizes' test "${inspected#*: LoRA, 91 modules, rank 2 to 4, alpha 1 to 2}" != "$inspected"
check 'what it was trained with' test "${inspected#*  trained    step 25 of 40}" != "$inspected"
check 'two LoRA' "$athanor" sample "${small[@]}" --prompt cat --out twice \
    --lora lora_tiny.safetensors:0.5,lora_tiny.safetensors:-0.5
check 'joins a launcher' without_leaks env OMPI_ALLOW_RUN_AS_ROOT=1 \
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -q --oversubscribe -n 2 \
    "$athanor" sample "${small[@]}" --prompt cat --count 2 --out joined
check 'joins a launcher' count_is joined 2

refused 2 'name one with --model' --prompt cat
refused 2 'nothing to draw' --model tiny.safetensors
refused 2 'exclude each other' --model tiny.safetensors --prompt cat --prompts prompts.txt
refused 2 'the size is 20x24, wanted multiples of 8' "${small[@]}" --prompt cat --size 20x24
refused 2 '--size is "big", wanted WxH' "${small[@]}" --prompt cat --size big
refused 2 '--cfg is "-1"' "${small[@]}" --prompt cat --cfg -1
refused 2 'wanted 1..999' "${small[@]}" --prompt cat --steps 1000 --sampler ddim
refused 2 'clip skip 3: the text encoder has 2 layers' "${small[@]}" --prompt cat --clip-skip 3
refused 4 'no such file' --model none.safetensors --prompt cat
refused 4 'no such file' "${small[@]}" --prompts none.txt
refused 4 'is Stable Diffusion 1.x, single file; wanted a LoRA' "${small[@]}" --prompt cat \
    --lora tiny.safetensors
head -c 9000 lora_tiny.safetensors >cut.safetensors
refused 4 'cut.safetensors' "${small[@]}" --prompt cat --lora cut.safetensors
refused 2 'the weight is 1e+06' "${small[@]}" --prompt cat --lora lora_tiny.safetensors:1e6
refused 2 'the prompt has "<lora:fox:0.8>"' "${small[@]}" --prompt 'cat <lora:fox:0.8>'
refused 2 'a name is empty' "${small[@]}" --prompt cat --lora lora_tiny.safetensors,
refused 5 'is not a folder' "${small[@]}" --prompt cat --out prompts.txt
refused 5 'the one above it is missing' "${small[@]}" --prompt cat --out a/b/c
echo 'cat --ss heun' >heun.txt
refused 4 'heun.txt:1: no sampler "heun"' "${small[@]}" --prompts heun.txt
echo '# nothing' >empty.txt
refused 4 'there is no prompt in it' "${small[@]}" --prompts empty.txt

# A rank that fails fails all, with the same code.
mkdir blocked && mkdir blocked/00001-1.png
without_leaks "$athanor" sample "${small[@]}" --prompt cat --count 2 --out blocked --ranks 2 \
    >out 2>err </dev/null
if [ $? = 5 ] && grep -q 'rank 1: blocked' err; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED a rank that cannot write: wanted exit 5 and 'rank 1: blocked'"
    sed 's/^/    /' out err
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
