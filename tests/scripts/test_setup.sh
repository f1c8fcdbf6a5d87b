#!/bin/bash
# scripts/setup against a pretended dpkg, apt-get, id and sudo: it installs what is missing and only
# that, once; it only tells with --check; a failure of apt is its own.
setup=$(cd "$(dirname "$0")/../.." && pwd)/scripts/setup
passed=0 failed=0
fake=$(mktemp -d) || exit 1
trap 'rm -rf "$fake"' EXIT

cat >"$fake/dpkg-query" <<END
#!/bin/bash
grep -qx "\${!#}" $fake/installed && echo -n installed
END
cat >"$fake/apt-get" <<END
#!/bin/bash
echo "\$*" >>$fake/asked
[ ! -e $fake/broken ] || exit 100
for word; do [[ \$word == -* || \$word == *=* ]] || echo "\$word" >>$fake/installed; done
END
cat >"$fake/id" <<END
#!/bin/bash
cat $fake/user
END
cat >"$fake/sudo" <<END
#!/bin/bash
touch $fake/sudone
exec "\$@"
END
chmod +x "$fake"/*

# given USER PACKAGE...: a machine with these
given() {
    rm -f "$fake"/{asked,sudone,broken}
    echo "$1" >"$fake/user"
    shift
    printf '%s\n' "$@" >"$fake/installed"
}

# expect CODE TEXT ARGUMENT...
expect() {
    local code=$1 text=$2 out got
    shift 2
    out=$(PATH=$fake:/usr/bin:/bin "$setup" "$@" 2>&1 </dev/null)
    got=$?
    check "setup $*: exit $got, wanted $code and \"$text\": $out" \
        test $got = "$code" -a "${out/"$text"/}" != "$out"
}

check() {
    local says=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED $says"; fi
}

given 0 gcc cmake
expect 1 'missing: libc6-dev ninja-build' --check
check 'nothing is installed by --check' test ! -e "$fake/asked"
expect 0 'installed libc6-dev ninja-build' build
check 'what is there is not asked for' test -z "$(grep -wE 'gcc|cmake|clang' "$fake/asked")"
expect 0 'packages are here' build
expect 0 'installed clang '
rm "$fake/asked"
expect 0 'packages are here'
check 'the second run asks apt for nothing' test ! -e "$fake/asked"
check 'root needs no sudo' test ! -e "$fake/sudone"

given 0 gcc
touch "$fake/broken"
expect 100 'missing: libc6-dev'

given 1000 gcc
expect 0 'installed libc6-dev'
check 'a user asks sudo' test -e "$fake/sudone"

expect 2 'scripts/setup build' --nonsense
expect 0 'scripts/setup build' --help

echo "$passed passed, $failed failed"
[ $failed = 0 ]
