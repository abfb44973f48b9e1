#!/usr/bin/env bash
# Gives every fuzz target random inputs for a while. Go keeps an input that
# breaks one under testdata/fuzz of its package, where every later test tries it.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    cat <<USAGE
usage: scripts/fuzz.sh [--time 20s] [--json] [TARGET...]

Runs the fuzz targets that are named, e.g. FuzzLoad, or all, each for that long.
--json prints what go test -json does, for scripts/reliability.
USAGE
}

misuse() { echo "fuzz: $*" >&2; usage >&2; exit 2; }

each=20s json=
while [ $# -gt 0 ]; do
    case $1 in
        --time) [ $# -ge 2 ] || misuse "--time needs a value"; each=$2; shift ;;
        --json) json=yes ;;
        -h | --help) usage; exit 0 ;;
        -*) misuse "unknown argument $1" ;;
        *) break ;;
    esac
    shift
done
go=$root/toolchain/go/bin/go # from scripts/bootstrap.sh, where the system's is too old
[ -x "$go" ] || go=go
cd "$root"

binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
trap 'exit 130' INT
cache=$("$go" env GOCACHE)/fuzz # where go test keeps what it found, too

# Fuzzes target $2 of the package in $1. An interrupt ends it: Go may take the
# deadline of -fuzztime for a failure of the target (golang/go#75804), and go
# test, interrupted, fails whatever the target did.
fuzz() {
    local package
    package=$("$go" list "./$1") || return
    "$go" test -c -o "$binary" -fuzz="^$2\$" "./$1" || return
    [ "$json" ] || echo "== $2 of $1"
    # Making every new input as small as it can be would take most of the time.
    (cd "$1" && timeout --foreground --preserve-status --signal=INT --kill-after=1m "$each" "$binary" -test.run=NONE -test.fuzz="^$2\$" \
        -test.fuzzcachedir="$cache/$package" -test.fuzzminimizetime=1s ${json:+-test.v=test2json} 2>&1) |
        if [ "$json" ]; then "$go" tool test2json -t -p "$package"; else cat; fi
}

broken=()
while IFS=: read -r file line; do
    target=${line#func } target=${target%%(*}
    if [ $# -gt 0 ] && [[ " $* " != *" $target "* ]]; then
        continue
    fi
    fuzz "$(dirname "$file")" "$target" || broken+=("$target of $(dirname "$file")")
done < <(grep -r --include='*_test.go' '^func Fuzz' cmd econ internal llama | sort)
if [ ${#broken[@]} -gt 0 ]; then
    printf 'fuzz: broken: %s\n' "${broken[@]}" >&2
    exit 1
fi
