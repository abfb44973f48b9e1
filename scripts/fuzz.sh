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

each=20s json=()
while [ $# -gt 0 ]; do
    case $1 in
        --time) [ $# -ge 2 ] || misuse "--time needs a value"; each=$2; shift ;;
        --json) json=(-json) ;;
        -h | --help) usage; exit 0 ;;
        -*) misuse "unknown argument $1" ;;
        *) break ;;
    esac
    shift
done
go=$root/toolchain/go/bin/go # from scripts/bootstrap.sh, where the system's is too old
[ -x "$go" ] || go=go
cd "$root"

broken=()
while IFS=: read -r file line; do
    target=${line#func } target=${target%%(*}
    if [ $# -gt 0 ] && [[ " $* " != *" $target "* ]]; then
        continue
    fi
    # Making every new input as small as it can be would take most of the time.
    "$go" test -run=NONE -fuzz="^$target\$" -fuzztime="$each" -fuzzminimizetime=1s "${json[@]}" "./$(dirname "$file")" || broken+=("$target")
done < <(grep -r --include='*_test.go' '^func Fuzz' cmd econ internal llama | sort)
if [ ${#broken[@]} -gt 0 ]; then
    echo "fuzz: broken: ${broken[*]}" >&2
    exit 1
fi
