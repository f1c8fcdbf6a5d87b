#!/bin/bash
# The checks of the house find what they are for, and nothing in a clean tree.
tools=$(cd "$(dirname "$0")/../../tools" && pwd)
passed=0 failed=0
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT

# expect CODE TEXT COMMAND...
expect() {
    local code=$1 text=$2 out got
    shift 2
    out=$("$@" 2>&1)
    got=$?
    if [ $got = "$code" ] && [[ $out == *"$text"* ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $*: exit $got, wanted $code and \"$text\":"
        sed 's/^/    /' <<<"$out"
    fi
}

# file PATH LINE...
file() {
    mkdir -p "$(dirname "$tree/$1")"
    printf '%s\n' "${@:2}" >"$tree/$1"
}

file core/a.c '#include "core/a.h"' '#include <stdio.h>'
file core/a_xxhash.c '#include <xxhash.h>'
file worker/graph/b.c '#include "kernels/op.h"' '#include "worker/graph/b.h"'
file kernels/c.cu '#include <cuda_fp16.h>'
file proto/d.h '#include <protobuf-c/protobuf-c.h>'
file proto/d_tomlplusplus.cpp '#include <toml++/toml.h>' '#include <vector>' '#include "proto/d.h"'
expect 0 ', 0 wrong' "$tools/check_includes" "$tree"
file proto/d.cpp '#include <toml++/toml.h>'
expect 1 'proto/d.cpp:1: <toml++/toml.h> belongs in files named *_tomlplusplus.c' \
    "$tools/check_includes" "$tree"
rm "$tree/proto/d.cpp"
file core/a.c '#include "kernels/op.h"'
expect 1 'core/a.c:1: "kernels/op.h": core may include only core' "$tools/check_includes" "$tree"
file core/a.c '' '#  include <xxhash.h>'
expect 1 'core/a.c:2: <xxhash.h> belongs in files named *_xxhash.c' "$tools/check_includes" "$tree"
file core/a.c '#include "b.h"'
expect 1 'write "folder/file.h" from the root' "$tools/check_includes" "$tree"
file core/a.c
file worker/graph/b.c '#include "worker/model/unet.h"'
expect 1 'worker/graph may include only' "$tools/check_includes" "$tree"
rm -r "${tree:?}"/*
expect 1 '0 files' "$tools/check_includes" "$tree"

lines() { yes '    f();' | head -n "$1"; }
file core/a.c 'int f(int a, int (*b)(int, int, int), int c,' '      int d, int e, int g)' '{' "$(lines 70)" '}'
expect 0 '1 functions, 0 wrong' "$tools/check_sizes" "$tree"
file core/a.c 'int f(void)' '{' "$(lines 71)" '}'
expect 1 'core/a.c:2: f has 71 lines, at most 70' "$tools/check_sizes" "$tree"
file core/a.c 'int f(int a, int b, int c, int d,' '      int e, int g, int h)' '{' '}'
expect 1 'core/a.c:3: f has 7 parameters, at most 6' "$tools/check_sizes" "$tree"
file core/a.c 'int f(void)' '{' '}' "$(yes '' | head -n 900 | sed 's/^/int x;/')"
expect 1 'core/a.c: 903 lines, at most 800' "$tools/check_sizes" "$tree"

# library_of FILE LINE...: liba.a of one file
library_of() {
    file "$@"
    (cd "$tree" && rm -f liba.a && gcc -w -x c -c "$1" -o "$1.o" && ar rc liba.a "$1.o")
}
library() { library_of a.c "$@"; }
library 'static int f(void) { return 1; }' 'int ath_f(void) { return f(); }'
expect 0 '1 libraries, 1 names, 0 wrong' "$tools/check_names" "$tree"
library_of a.pb-c.c 'int athanor__f(void) { return 1; }'
expect 0 '1 libraries, 1 names, 0 wrong' "$tools/check_names" "$tree"
library_of a.cpp 'int _ZN1a1bEv(void) { return 1; }'
expect 0 '1 libraries, 1 names, 0 wrong' "$tools/check_names" "$tree"
library 'int athanor__f(void) { return 1; }'
expect 1 'a.c.o: athanor__f has external linkage without ath_' "$tools/check_names" "$tree"
library 'int f(void) { return 1; }'
expect 1 'a.c.o: f has external linkage without ath_' "$tools/check_names" "$tree"
library 'int ath_common;' 'int other;'
expect 1 'a.c.o: other has external linkage' "$tools/check_names" "$tree"
library 'void *malloc(unsigned long);' 'void *ath_f(void) { return malloc(9); }'
expect 1 'a.c.o: calls malloc: use core/mem.h' "$tools/check_names" "$tree"
rm "$tree"/*.a

# commands ARGUMENTS_OF_GCC...: what CMake writes of a build of a.c
commands() {
    printf '[\n{\n  "directory": "%s",\n  "command": "/usr/bin/gcc %s -o a.o -c %s/a.c",\n  "file": "x"\n}\n]\n' \
        "$tree" "$1" "$tree" >"$tree/compile_commands.json"
}
commands '-Wall -DTEXT=\\\"a\\\"'
file a.c 'int ath_f(void);' 'int ath_f(void) { return TEXT[0]; }'
expect 0 'check_clang: 1 files' "$tools/check_clang" "$tree"
file a.c 'int ath_f(int x);' 'int ath_f(int x) { return (x = x); }'
expect 1 'a.c:2:' "$tools/check_clang" "$tree"
file a.c 'int ath_f(void);' 'int ath_f(void) { return other(); }'
expect 1 'a.c:2:' "$tools/check_clang" "$tree"
expect 1 'is not configured' "$tools/check_clang" "$tree/none"
printf '[\n]\n' >"$tree/compile_commands.json"
expect 1 '0 files' "$tools/check_clang" "$tree"
rm "$tree/compile_commands.json"
expect 1 '0 libraries' "$tools/check_names" "$tree"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
