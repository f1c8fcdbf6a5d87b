#!/bin/bash
# The demo's pictures: emoji of Debian's font are drawn on white with Unicode's names as captions, the
# same bytes each time; wrong words, fonts and lists are refused with the mend. A sheet holds what its
# list says.     test_pictures.sh EMOJI SHEET
set -uo pipefail
emoji=$1 sheet=$2
font=/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf list=/usr/share/unicode/emoji/emoji-test.txt
[ -e $font ] && [ -e $list ] || { echo "no emoji here: scripts/setup demo" && exit 77; }
home=$(mktemp -d)
trap 'rm -r "$home"' EXIT
cd "$home" || exit 1
failed=0 passed=0
check() { # check WHAT COMMAND...
    if "${@:2}"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED $1"; fi
}
refuses() { # refuses CODE TEXT COMMAND...
    "${@:3}" >out 2>err
    local code=$?
    check "exit code $code of ${*:3}, wanted $1" [ $code = "$1" ]
    check "$(cat err), wanted: $2" grep -qF -- "$2" err
}
pixel() { # pixel FILE X Y: red green blue
    python3 - "$@" <<'EOF'
import sys, zlib, struct
data = open(sys.argv[1], 'rb').read()
at, packed = 8, b''
while at < len(data):
    n, kind = struct.unpack('>I4s', data[at:at + 8])
    if kind == b'IHDR': width, height, bits, colour = struct.unpack('>IIBB', data[at + 8:at + 18])
    if kind == b'IDAT': packed += data[at + 8:at + 8 + n]
    at += 12 + n
raw, k = zlib.decompress(packed), {2: 3, 6: 4}[colour]
above = bytes(width * k)
for y in range(int(sys.argv[3]) + 1):
    how, row = raw[y * (width * k + 1)], bytearray(raw[y * (width * k + 1) + 1:][:width * k])
    for i in range(len(row)):
        a, b, c = (row[i - k] if i >= k else 0), above[i], (above[i - k] if i >= k else 0)
        near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        row[i] = (row[i] + (0, a, b, (a + b) // 2, near)[how]) & 255
    above = bytes(row)
print(*above[int(sys.argv[2]) * k:][:3])
EOF
}
close_to() { # close_to "R G B" R G B, by 40 each
    read -r r g b <<<"$1"
    [ $((r - $2)) -lt 40 ] && [ $(($2 - r)) -lt 40 ] && [ $((g - $3)) -lt 40 ] &&
        [ $(($3 - g)) -lt 40 ] && [ $((b - $4)) -lt 40 ] && [ $(($4 - b)) -lt 40 ]
}

check 'cats and a heart' "$emoji" --out a cat-face 'red heart' --size 64
check 'nine cats, a heart' [ "$(ls a/*.png | wc -l) $(ls a/*.txt | wc -l)" = '10 10' ]
check 'caption of 1F63B' [ "$(cat a/1F63B.txt)" = 'smiling cat with heart-eyes' ]
check 'caption of 2764, which has a variation selector' [ "$(cat a/2764.txt)" = 'red heart' ]
check 'the heart is red' close_to "$(pixel a/2764.png 32 32)" 240 60 60
check 'its corner is white' close_to "$(pixel a/2764.png 0 0)" 255 255 255
check 'again' "$emoji" --out b --size 64 --caption 'a drawing of ' cat-face 'red heart'
check 'same bytes' cmp a/1F63B.png b/1F63B.png
check 'caption with words before it' [ "$(cat b/2764.txt)" = 'a drawing of red heart' ]
refuses 2 'no emoji and no subgroup is called "blue cat"' "$emoji" --out a 'blue cat'
refuses 2 'say where to with --out DIR' "$emoji" cat-face
refuses 4 'install the package fonts-noto-color-emoji' "$emoji" --out a --font none.ttf cat-face
refuses 4 'wanted emoji-test.txt' "$emoji" --out a --list a/2764.txt cat-face
refuses 5 'none/a' "$emoji" --out none/a cat-face

# Fontconfig keeps what it has read: no leak of ours.
export ASAN_OPTIONS=detect_leaks=0
printf '\theart\tcat\nrow\ta/2764.png\ta/1F63B.png\n\tcat\nnext\ta/1F63B.png\n' >list
check 'a sheet' "$sheet" sheet.png list
check 'heart in its first column' close_to "$(pixel sheet.png 182 84)" 240 60 60
check 'cat in its second' close_to "$(pixel sheet.png 254 104)" 252 194 31
check 'and in the next row' close_to "$(pixel sheet.png 182 220)" 252 194 31
printf 'row\tnone.png\n' >list
refuses 4 'none.png: file not found' "$sheet" sheet.png list
printf 'only a label\n' >list
refuses 4 'there is no picture in it' "$sheet" sheet.png list
echo "$passed passed, $failed failed"
[ $failed = 0 ]
