#!/bin/bash
# scripts/setup against a pretended dpkg, apt-get, id, sudo and pip, in a tree of its own: it installs
# what is missing and only that, once, and fetches the merge list once; it only tells with --check; a
# failure of apt or pip is its own; a list that is not the one wanted is refused.
setup=$(cd "$(dirname "$0")/../.." && pwd)/scripts/setup
passed=0 failed=0
fake=$(mktemp -d) || exit 1
trap 'rm -rf "$fake"' EXIT

# A list to be fetched: a header, 48894 pairs, more. A tree whose setup wants these pairs.
tree=$fake/tree list=$fake/tree/data/clip/merges.txt
mkdir -p "$tree/scripts" "$fake/open_clip"
(echo '#version' && seq -f 'a %.0f' 50000) | gzip >"$fake/open_clip/bpe_simple_vocab_16e6.txt.gz"
(cd "$fake" && cmake -E tar cf fake.whl --format=zip open_clip) || exit 1
sha=$(seq -f 'a %.0f' 48894 | sha256sum | cut -c 1-64)
sed "s/^merges_sha256=.*/merges_sha256=$sha/" "$setup" >"$tree/scripts/setup"
setup=$tree/scripts/setup
chmod +x "$setup"

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
cat >"$fake/python3" <<END
#!/bin/bash
grep -qx python3-pip $fake/installed || exit 1
[ "\$3" = download ] || exit 0
echo "\$*" >>$fake/piped
[ ! -e $fake/offline ] || exit 7
while [ "\$1" != --dest ]; do shift; done
cp $fake/fake.whl "\$2/open_clip_torch-0-py3-none-any.whl"
END
chmod +x "$fake"/{dpkg-query,apt-get,id,sudo,python3}

# given USER PACKAGE...: a machine with these, the merge list too
given() {
    rm -f "$fake"/{asked,sudone,broken,piped,offline}
    mkdir -p "${list%/*}"
    seq -f 'a %.0f' 48894 >"$list"
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
expect 0 'installed fonts-noto-color-emoji unicode-data' demo
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

given 0 python3-pip
expect 1 'missing: gcc' --check
check 'a list that is here is not missing' test -z "$("$setup" --check | grep merges)"
rm -r "$tree/data"
expect 1 'missing: data/clip/merges.txt' data --check
check 'nothing is fetched by --check' test ! -e "$fake/piped" -a ! -e "$list"
expect 0 'wrote data/clip/merges.txt' data
check 'the list is the one wanted' test "$(sha256sum <"$list" | cut -c 1-64)" = "$sha"
check 'only the wheel is fetched' grep -q -- '--no-deps --only-binary :all: .*open_clip_torch==' "$fake/piped"
check 'nothing is left beside it' test "$(ls "${list%/*}")" = merges.txt
check 'apt is not asked where pip is here' test ! -e "$fake/asked"
rm "$fake/piped"
expect 0 'and the merge list' data
check 'the second run fetches nothing' test ! -e "$fake/piped"
echo >>"$list"
expect 1 'missing: data/clip/merges.txt' data --check
expect 0 'wrote data/clip/merges.txt' data

given 0
rm -r "$tree/data"
expect 0 'wrote data/clip/merges.txt' build
check 'pip comes from apt where it is missing' grep -qx python3-pip "$fake/installed"
expect 0 'and the merge list' build

given 0 python3-pip
rm -r "$tree/data"
touch "$fake/offline"
expect 7 'pip download' data
check 'no list after a failure' test ! -e "$list"
rm "$fake/offline"
sed -i "s/$sha/${sha//[0-9]/0}/" "$setup"
expect 1 "SHA-256 is $sha" data
check 'no list that is not the one wanted' test ! -e "$list"

expect 2 'scripts/setup build' --nonsense
expect 0 'scripts/setup build' --help

echo "$passed passed, $failed failed"
[ $failed = 0 ]
