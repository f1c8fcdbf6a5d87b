#!/bin/bash
# scripts/test counts right and says how to repeat what failed: run in a pretended tree whose cmake,
# ctest and checks do as they are told.
source=$(cd "$(dirname "$0")/../.." && pwd)
passed=0 failed=0
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
mkdir "$tree"/{bin,scripts,tools}
cp "$source/scripts/test" "$tree/scripts/"

# program PATH LINE...
program() {
    printf '%s\n' '#!/bin/bash' "${@:2}" >"$tree/$1"
    chmod +x "$tree/$1"
}
program scripts/setup 'exit ${SETUP:-0}'
program bin/cmake '[[ $* != *${BROKEN:-none}* ]] || { echo "it does not compile"; exit 1; }'
# one test that passes and one that does as TEST says: run or fail
program bin/ctest 'echo "3 passed, 4 failed"; mkdir -p "$2"; [ -z "$TEST" ] || cat >"$2/tests.xml" <<END
	<testcase name="test_a" classname="test_a" time="0" status="run">
		<system-out>1 passed, 0 failed
</system-out>
	</testcase>
	<testcase name="test_b" classname="test_b" time="0" status="${TEST%%,*}">
		<skipped message="${TEST##*,}"/>
END'
for tool in check_format check_includes check_sizes check_names check_clang; do
    program tools/$tool "[ \"\${CHECK-}\" != $tool ] || { echo this is wrong; exit \${CODE:-1}; }"
done

# expect CODE LAST_LINE TEXT ARGUMENT...
expect() {
    local code=$1 last=$2 text=$3 out got
    shift 3
    out=$(PATH=$tree/bin:/usr/bin:/bin "$tree/scripts/test" "$@" 2>&1 </dev/null)
    got=$?
    if [ $got = "$code" ] && [ "${out##*$'\n'}" = "$last" ] && [[ $out == *"$text"* ]] &&
        [ "$(grep -cE '^[0-9]+ passed, [0-9]+ failed' <<<"$out")" = 1 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED scripts/test $*: exit $got, wanted $code, \"$text\" and \"$last\":"
        sed 's/^/    /' <<<"$out"
    fi
    rm -rf "$tree"/build-*
}

# two tests each in dev, torture and tsan, what clang says, four checks
export TEST=run
expect 0 '6 passed, 0 failed' 'no nvcc'
expect 0 '11 passed, 0 failed' 'build-tsan' --ci
expect 0 '2 passed, 0 failed' build-torture --torture
TEST=fail expect 1 '8 passed, 3 failed' "FAILED: ctest --test-dir build-dev --output-on-failure -R '^test_b\$'" --ci
TEST=notrun expect 1 '1 passed, 1 failed' "FAILED: ctest --test-dir build-tsan" --tsan
TEST=disabled expect 0 '1 passed, 0 failed, 1 skipped' build-tsan --tsan
TEST=notrun,SKIP_RETURN_CODE=77 expect 0 '1 passed, 0 failed, 1 skipped' build-tsan --tsan
TEST='' expect 1 '0 passed, 1 failed' 'FAILED: ctest --test-dir build-tsan' --tsan
BROKEN='--build --preset dev' expect 1 '9 passed, 1 failed' 'it does not compile' --ci
CHECK=check_clang expect 1 '10 passed, 1 failed' 'FAILED: tools/check_clang build-tsan' --ci
CHECK=check_names expect 1 '5 passed, 1 failed' 'FAILED: tools/check_names build-dev'
CHECK=check_format CODE=77 expect 0 '5 passed, 0 failed, 1 skipped' tools/check_format

SETUP=1 PATH=$tree/bin:$PATH "$tree/scripts/test" >/dev/null 2>&1
[ $? = 1 ] && passed=$((passed + 1)) || { failed=$((failed + 1)) && echo "FAILED: goes on without setup"; }

echo "$passed passed, $failed failed"
[ $failed = 0 ]
