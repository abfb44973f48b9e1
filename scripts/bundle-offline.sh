#!/usr/bin/env bash
# Packs everything that a build needs into one archive for a host without network.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
limit_mib=60

usage() {
    cat <<USAGE
usage: scripts/bundle-offline.sh [--out FILE.tar.xz]

Packs the last commit, the pinned llama.cpp sources with the three tokenizers,
the Go modules (vendor) and the Go toolchain of this host (toolchain/go) into
dist/phasebench-offline.tar.xz, at most $limit_mib MiB. Where it is unpacked, on
the same kind of processor, make finds all of them and fetches nothing; a C++
compiler, cmake and make (and nvcc for CUDA) have to be there.
COMMIT in the archive names the commit.
USAGE
}

say() { echo "bundle-offline: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }

out=$root/dist/phasebench-offline.tar.xz
while [ $# -gt 0 ]; do
    case $1 in
        --out) [ $# -ge 2 ] || misuse "--out needs a value"; out=$2; shift ;;
        -h | --help) usage; exit 0 ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done
go=$root/toolchain/go/bin/go # from scripts/bootstrap.sh, where the system's is too old
[ -x "$go" ] || go=go
for tool in git "$go" xz; do
    command -v "$tool" >/dev/null || die "$tool is not installed; run scripts/bootstrap.sh"
done
mkdir -p "$(dirname "$out")"
out=$(realpath "$out")
cd "$root"
[ -z "$(git status --porcelain)" ] || say "packing the last commit: changes that are not committed stay out"
scripts/fetch-llama.sh

stage=$(mktemp -d)
trap 'rm -rf "$stage" "$out.part"' EXIT
tree=$stage/phasebench
mkdir -p "$tree"
git archive HEAD | tar -x -C "$tree"
git rev-parse HEAD >"$tree/COMMIT"

# The marker names the lock file by its hash, so that fetch-llama.sh in the
# bundle takes the sources as they are.
engine=third_party/llama.cpp
[ "$(cat $engine/.phasebench-lock)" = "$(sha256sum <"$tree/$engine.lock" | cut -d' ' -f1)" ] ||
    die "the last commit pins another llama.cpp than $engine has: commit third_party/llama.cpp.lock"
# Left out: user interfaces, and compute backends other than the two we build.
tar -c --exclude="$engine/tools/ui" --exclude="$engine/tools/server" \
    --exclude="$engine/ggml/src/ggml-"{cann,et,hexagon,metal,opencl,openvino,sycl,virtgpu,vulkan,webgpu} \
    $engine | tar -x -C "$tree"

(cd "$tree" && "$go" mod vendor)

# Only what builds, vets and tests programs: no tests and test data of the
# toolchain itself, no sources of its commands.
goroot=$("$go" env GOROOT) arch=$("$go" env GOARCH)
mkdir -p "$tree/toolchain/go"
tools=(asm cgo compile link vet)
tar -c -h -C "$goroot" --exclude=testdata --exclude='*_test.go' --exclude=src/cmd \
    LICENSE PATENTS VERSION bin/go bin/gofmt lib/time pkg/include src "${tools[@]/#/pkg/tool/linux_$arch/}" |
    tar -x -C "$tree/toolchain/go"
printf '%s\n' GOPROXY=off GOSUMDB=off GOTOOLCHAIN=local >"$tree/toolchain/go/go.env"

# Every package that our own import, also for tests, must be in there.
(cd "$tree" && env -u GOROOT -u GOFLAGS GOPROXY=off GOTOOLCHAIN=local \
    toolchain/go/bin/go list -deps -test ./... >/dev/null) || die "the bundle lacks packages; they are named above"

for part in toolchain/go third_party/llama.cpp vendor .; do
    [ ! -d "$tree/$part" ] || say "$(du -sm "$tree/$part" | cut -f1) MiB $part"
done
# The time of the commit and a fixed order: the same commit, the same archive.
tar -c -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" phasebench |
    xz -T2 -6 >"$out.part"
bytes=$(stat -c %s "$out.part")
[ "$bytes" -le $((limit_mib << 20)) ] || die "the archive has $((bytes >> 20)) MiB, more than $limit_mib: what grew?"
mv "$out.part" "$out"
say "$out: $((bytes >> 10)) KiB"
