#!/bin/bash
# Models through the program: init, convert, inspect. The same seed is the same model in either
# layout; there and back gives the same file; damaged and foreign files are refused with exit 4 and one
# sentence, and leave nothing behind.   test_convert.sh ATHANOR
athanor=$1
passed=0 failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

note() { # note OK TEXT
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $2"
    fi
}

# expect CODE STREAM TEXT ARGUMENT...: athanor ARGUMENT... ends with CODE and says TEXT on STREAM
expect() {
    local code=$1 stream=$2 text=$3 got
    shift 3
    "$athanor" "$@" >out 2>err </dev/null
    got=$?
    [ $got = "$code" ] && grep -qF -e "$text" $stream
    note $? "athanor $*: exit $got, wanted $code and \"$text\" on std$stream; $(head -c 400 err)"
}

# ok ARGUMENT...: athanor ARGUMENT... does its work without a word
ok() {
    "$athanor" "$@" >out 2>err </dev/null
    local got=$?
    [ $got = 0 ] && [ ! -s out ] && [ ! -s err ]
    note $? "athanor $*: exit $got, wanted 0 and silence; $(head -c 400 out err)"
}

same() { cmp -s "$1" "$2" && note 0 || note 1 "$1 is not $2"; }
unlike() { cmp -s "$1" "$2" && note 1 "$1 is $2" || note 0; }

# ---- there and back ----
ok init a.safetensors --spec tiny --seed 3
ok init b --spec tiny --seed 3
ok convert a.safetensors c
ok convert c d.safetensors
ok convert b e.safetensors
diff -r b c >/dev/null
note $? 'init of a folder is not init of a file, converted'
same a.safetensors d.safetensors
same a.safetensors e.safetensors
ok init again.safetensors --spec tiny --seed 3
same a.safetensors again.safetensors
ok init other.safetensors --spec tiny --seed 4
unlike a.safetensors other.safetensors

# ---- types ----
for dtype in fp16 bf16; do
    ok convert a.safetensors $dtype.safetensors --dtype $dtype
    ok convert a.safetensors $dtype-folder --dtype $dtype
    ok convert $dtype-folder $dtype-back.safetensors
    same $dtype.safetensors $dtype-back.safetensors
    ok init $dtype-init.safetensors --spec tiny --seed 3 --dtype $dtype
    same $dtype.safetensors $dtype-init.safetensors
    ok convert $dtype.safetensors $dtype-wide.safetensors --dtype fp32
    ok convert $dtype-wide.safetensors $dtype-again.safetensors --dtype $dtype
    same $dtype.safetensors $dtype-again.safetensors
done
expect 0 out 'types      F16 368' inspect fp16.safetensors
expect 0 out 'types      BF16 368' inspect bf16-folder

# ---- what is there already ----
expect 2 err 'a.safetensors: is there already; --force replaces it' init a.safetensors --spec tiny
expect 2 err 'b: is there already' convert a.safetensors b
ok convert other.safetensors b --force
ok convert b b.safetensors
same other.safetensors b.safetensors
expect 2 err 'b: is a folder, which a file cannot replace' \
    convert a.safetensors b --layout single --force
ok convert a.safetensors odd-name --layout single
same a.safetensors odd-name
ok convert a.safetensors a.safetensors --force
same a.safetensors d.safetensors

# ---- specs ----
echo '{"text":{"vocab":600,"positions":20,"width":24,"inner":40,"layers":3,"heads":2},"unet":{' \
    '"in_channels":3,"out_channels":3,"width":[16,32,32],"has_attention":[false,true,true],' \
    '"blocks":3,"heads":2,"groups":8,"context_width":24},"vae":{"width":[8,16,24],"blocks":1,' \
    '"groups":8,"channels":3,"latents":3,"scale":0.5}}' >odd.json
ok init odd.safetensors --spec odd.json --dtype fp16
ok convert odd.safetensors odd
ok convert odd odd-back.safetensors
same odd.safetensors odd-back.safetensors
sed 's/"groups":8,"context/"groups":7,"context/' odd.json >bad.json
expect 4 err 'bad.json: a U-Net width is 16, wanted a multiple of groups (7)' \
    init x.safetensors --spec bad.json
expect 4 err 'nothing.json: there is no such file' init x.safetensors --spec nothing.json

# ---- what is refused: exit 4, one sentence, nothing written ----
head -c 100000 a.safetensors >short.safetensors
expect 4 err 'short.safetensors: ' convert short.safetensors x.safetensors
{ head -c 20 a.safetensors && printf '\377' && tail -c +22 a.safetensors; } >flipped.safetensors
expect 4 err 'flipped.safetensors: ' convert flipped.safetensors x.safetensors
for damage in 'hole:begins at byte 4, wanted 0' 'overlap:begins at byte 0, wanted 4' \
    'duplicate:duplicate'; do
    case ${damage%%:*} in
    hole) header='{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' ;;
    overlap) header='{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' ;;
    duplicate) header='{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' ;;
    esac
    { printf "\\x$(printf %x ${#header})"'\0\0\0\0\0\0\0%s\0\0\0\0\0\0\0\0' "$header"; } >bad.safetensors
    expect 4 err "${damage#*:}" convert bad.safetensors x.safetensors
done
sed 's/first_stage_model.quant_conv.bias/conditioner.embedders.0.bias...../' a.safetensors >xl.safetensors
expect 4 err 'xl.safetensors: is Stable Diffusion XL, wanted the whole' convert xl.safetensors x
sed 's/"first_stage_model.quant_conv.bias"/"first_stage_model.quant_conv.bios"/' a.safetensors >missing.safetensors
expect 4 err '"first_stage_model.quant_conv.bias" is missing, wanted [8] for the vae' \
    convert missing.safetensors x
header='{"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},"lora_unet_mid_block_attentions_0_proj_in.alpha":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'
{ printf "\\x$(printf %x ${#header})"'\0\0\0\0\0\0\0%s\0\0\200\77\0\0\0\0\0\0\0\0' "$header"; } >lora.safetensors
expect 4 err 'lora.safetensors: is LoRA, wanted the whole of a Stable Diffusion 1.x model' \
    convert lora.safetensors x.safetensors
[ ! -e x ] && [ ! -e x.safetensors ] && [ -z "$(find . -name '*.tmp')" ]
note $? 'something was left behind'

# ---- inspect ----
expect 0 out 'a.safetensors: Stable Diffusion 1.x, single file' inspect a.safetensors
expect 0 out '  complete   yes' inspect a.safetensors
expect 0 out 'd.safetensors: Stable Diffusion 1.x, single file' inspect d.safetensors
expect 0 out 'b: Stable Diffusion 1.x, diffusers folder' inspect b
expect 0 out '  values     1012539' inspect b
expect 0 out 'lora.safetensors: LoRA, 1 module, rank 2, alpha 1' inspect lora.safetensors
expect 0 out '"rank_max": 2' inspect lora.safetensors --json
expect 0 out '  complete   no: EMISSING: missing.safetensors: "first_stage_model.quant' \
    inspect missing.safetensors
expect 0 out '  F32  [32,4,3,3] model.diffusion_model.input_blocks.0.0.weight' inspect --keys a.safetensors
expect 0 out '"kind": "sd1"' inspect --json a.safetensors
expect 0 out '"key": "model.diffusion_model.out.2.bias"' inspect --json --keys a.safetensors
expect 4 err 'short.safetensors' inspect short.safetensors
expect 4 err 'nothing.safetensors: there is no such file' inspect nothing.safetensors
if command -v python3 >/dev/null; then
    "$athanor" inspect --json --keys b | python3 -c 'import json, sys; assert len(json.load(sys.stdin)["keys"]) == 368'
    note $? 'inspect --json is not JSON with 368 keys'
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
