#!/bin/bash
# The program as its user sees it: what it prints where, and the exit code.   test_cli.sh ATHANOR
athanor=$1
passed=0 failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# expect CODE STREAM TEXT ARGUMENT...: athanor ARGUMENT... ends with CODE and says TEXT on STREAM
expect() {
    local code=$1 stream=$2 text=$3 got
    shift 3
    "$athanor" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = "$code" ] && grep -qF -e "$text" "$work/$stream"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED athanor $*: exit $got, wanted $code and \"$text\" on std$stream"
        sed 's/^/    /' "$work/out" "$work/err"
    fi
}

expect 0 out 'usage: athanor COMMAND' --help
expect 0 out '  help [COMMAND]         what there is' --help
expect 0 out '  --version              the version' --help
expect 0 out 'usage: athanor COMMAND' help
expect 0 out 'usage: athanor help [COMMAND]' help help
expect 0 out 'usage: athanor help [COMMAND]' help --help
expect 0 out 'athanor 0.' --version
expect 2 err 'no command; athanor --help lists them'
expect 2 err 'no command "hepl"; did you mean "help"?' hepl
expect 2 err 'no command "hepl"; did you mean "help"?' help hepl
expect 2 err 'no command "xyzzy"; athanor --help lists them' xyzzy
expect 2 err 'did you mean --version?' --versoin
expect 2 err 'help: 2 arguments; usage: athanor help [COMMAND]' help help help
expect 2 err 'no option --json' help --json
ATH_ISA=avx99 expect 2 err 'ATH_ISA' help
ATH_NONSENSE=1 expect 2 err 'ATH_NONSENSE' help
expect 0 out '  ATH_ISA' --help

"$athanor" --help >/dev/full 2>"$work/err"
if [ $? = 5 ] && grep -q 'No space left' "$work/err"; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED athanor --help on a full disk: wanted exit 5 and the reason"
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
