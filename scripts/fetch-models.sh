#!/usr/bin/env bash
# Gets checkpoints of the study from Hugging Face and converts them to F16 GGUF.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
table=$root/scripts/models.tsv

usage() {
    cat <<USAGE
usage: scripts/fetch-models.sh [--download-only] [--dir DIR] [--python PATH] [--force] NAME...

Downloads the checkpoint NAME at the commit that scripts/models.tsv pins, checks
every file against the hash the server declares for it, and converts it to
DIR/NAME-f16.gguf with the converter of the pinned llama.cpp. The downloaded
files stay in DIR/hf/NAME. Run again after an interruption: whole files are
kept and a part of a file is continued.

  --download-only  stop before the conversion
  --dir DIR        where models live (default: models beside scripts)
  --python PATH    convert with this interpreter, which has torch and
                   transformers, instead of building build/venv
  --force          replace a GGUF file that is already there

Environment: HF_TOKEN for gated or private checkpoints; HF_ENDPOINT for a
mirror (default https://huggingface.co).

Names: $(awk '!/^#/ { printf "%s%s", sep, $1; sep = ", " }' "$table")
USAGE
}

say() { echo "fetch-models: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }

download_only=0 force=0 dir=$root/models python='' names=()
while [ $# -gt 0 ]; do
    case $1 in
        --download-only) download_only=1 ;;
        --force) force=1 ;;
        --dir | --python)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            [ "$1" = --dir ] && dir=$2 || python=$2
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        -*) misuse "unknown flag $1" ;;
        *) names+=("$1") ;;
    esac
    shift
done
[ ${#names[@]} -gt 0 ] || misuse "which model?"
for name in "${names[@]}"; do
    awk -v n="$name" '$1 == n { found = 1 } END { exit !found }' "$table" || misuse "no model is called $name"
done
for tool in curl sha256sum "${python:-python3}"; do
    command -v "$tool" >/dev/null || die "$tool is not installed; run scripts/bootstrap.sh"
done

endpoint=${HF_ENDPOINT:-https://huggingface.co}
endpoint=${endpoint%/}
progress=()
[ ! -t 2 ] || progress=(--no-silent --progress-bar)

# The token goes to curl through a file descriptor: neither ps nor a trace of
# the arguments shows it, and curl drops it when it is sent on to another host.
token_header() { [ -z "${HF_TOKEN-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$HF_TOKEN"; }

# get URL FILE [curl option...]: prints the HTTP status, 000 for none.
get() {
    local url=$1 file=$2
    shift 2
    curl --config <(token_header) --fail --location --silent --show-error --connect-timeout 30 \
        --speed-limit 1000 --speed-time 60 --write-out '%{http_code}' --output "$file" "$@" "$url"
}

# refused STATUS WHAT: ends the script if asking again cannot help.
refused() {
    case $1 in
        401 | 403) die "$2: the server says $1. If $repo is gated or private, accept its terms at $endpoint/$repo and set HF_TOKEN to a token that may read it" ;;
        404) die "$2: the server says 404. Check the repository and commit of $name in scripts/models.tsv" ;;
    esac
}

# listing JSON: prints "sha256|blob HASH SIZE FILE" for each file a conversion
# reads. Large files (LFS) are declared by the SHA-256 of their content, small
# ones by their git blob id. Other formats of the same weights, and copies in
# subfolders, are left out.
listing() {
    "${python:-python3}" - "$1" <<'PY'
import fnmatch, json, re, sys
wanted = ["config*.json", "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json",
          "vocab.json", "merges.txt", "model*.safetensors", "model*.safetensors.index.json"]
for entry in json.load(open(sys.argv[1])):
    path = entry["path"]
    if entry["type"] != "file" or not re.fullmatch(r"[A-Za-z0-9._-]+", path):
        continue
    if any(fnmatch.fnmatchcase(path, w) for w in wanted):
        lfs = entry.get("lfs")
        print(*(("sha256", lfs["oid"], lfs["size"]) if lfs else ("blob", entry["oid"], entry["size"])), path)
PY
}

# intact KIND HASH SIZE FILE: whether FILE has what the server declares.
intact() {
    local have
    [ -f "$4" ] && [ "$(stat -c %s "$4")" = "$3" ] || return 1
    case $1 in
        sha256) have=$(sha256sum <"$4") ;;
        blob) have=$({ printf 'blob %s\0' "$3"; cat "$4"; } | sha1sum) ;;
    esac
    [ "${have%% *}" = "$2" ]
}

# download KIND HASH SIZE FILE: puts the verified FILE into $files.
download() {
    local kind=$1 hash=$2 size=$3 file=$4 part=$files/$4.part status had now idle=0
    intact "$kind" "$hash" "$size" "$files/$file" && return
    say "$name: $file ($(numfmt --to=iec "$size"))"
    touch "$part"
    while now=$(stat -c %s "$part") && [ "$now" -lt "$size" ]; do
        had=$now
        status=$(get "$endpoint/$repo/resolve/$revision/$file" "$part" --continue-at - "${progress[@]}") && continue
        refused "$status" "$file"
        now=$(stat -c %s "$part")
        # A server that cannot continue answers 200 to a request for a range.
        if [ "$had" -gt 0 ] && [ "$now" = "$had" ] && [ "$status" = 200 ]; then
            : >"$part"
        fi
        # Only attempts that bring nothing count, so a poor line gets there.
        if [ "$now" -gt "$had" ]; then idle=0; else idle=$((idle + 1)); fi
        [ $idle -lt 4 ] || die "$file: stopped at $now of $size bytes. Check the network, or name a mirror in HF_ENDPOINT, and run the same command again to continue"
        sleep $idle
    done
    if ! intact "$kind" "$hash" "$size" "$part"; then
        rm -f "$part"
        die "$file: what came does not have the declared $kind hash $hash; it was thrown away. Run the same command again, or another mirror if it comes back wrong"
    fi
    mv "$part" "$files/$file"
}

# fetch: downloads every file of $name into $files.
fetch() {
    local list status missing
    mkdir -p "$files"
    list=$(mktemp "$files/.listing.XXXXXX")
    scratch+=("$list" "$list.tsv")
    if ! status=$(get "$endpoint/api/models/$repo/tree/$revision?recursive=1" "$list"); then
        refused "$status" "$repo"
        die "$repo: no list of files from $endpoint (status $status). Check the network, or name a mirror in HF_ENDPOINT, and run again"
    fi
    listing "$list" >"$list.tsv" || die "$repo: $endpoint answered with something that is not a list of files"
    for missing in config.json .safetensors; do
        grep -q -- "$missing\$" "$list.tsv" || die "$repo at $revision has no $missing: check scripts/models.tsv"
    done

    local need free
    need=$(awk '{ n += $3 } END { print n }' "$list.tsv")
    need=$((need - $(du -sb "$files" | cut -f1)))
    free=$(df --output=avail -B1 "$files" | tail -n 1)
    [ "$need" -lt "$free" ] || die "$name: $(numfmt --to=iec "$need") still to download, $(numfmt --to=iec "$free") free in $dir. Make room, or choose another disk with --dir"

    local kind hash size file
    while read -r kind hash size file; do
        download "$kind" "$hash" "$size" "$file" </dev/null
    done <"$list.tsv"
    say "$name: $repo at $revision is complete in $files"
}

# interpreter: leaves a Python that can run the converter in $python.
interpreter() {
    local venv=$root/build/venv requirements=$engine/requirements/requirements-convert_hf_to_gguf.txt stamp
    if [ -n "$python" ]; then
        "$python" -c 'import torch, transformers' || die "$python lacks torch or transformers: leave --python away to have build/venv made"
        return
    fi
    python=$venv/bin/python
    stamp=$(cat "$engine"/requirements/*.txt | sha256sum)
    [ "$(cat "$venv/.requirements" 2>/dev/null)" != "$stamp" ] || return 0
    say "making build/venv for the converter"
    python3 -m venv "$venv" || die "python3 cannot make a virtual environment; run scripts/bootstrap.sh (Debian and Ubuntu: python3-venv)"
    "$python" -m pip install --quiet -r "$requirements" || die "pip could not install $requirements. Check the network and run again, or pass --python with an interpreter that has torch and transformers"
    echo "$stamp" >"$venv/.requirements"
}

convert() {
    local tmp=$dir/.$name-f16.gguf.$$
    scratch+=("$tmp")
    "$root/scripts/fetch-llama.sh"
    interpreter
    say "$name: converting to F16 GGUF"
    "$python" "$engine/convert_hf_to_gguf.py" "$files" --outtype f16 --outfile "$tmp" >&2 ||
        die "$name: the converter failed; its message is above. The download is kept in $files"
    [ -s "$tmp" ] || die "$name: the converter said nothing was wrong but wrote no file"
    echo "$source" >"$gguf.source"
    mv "$tmp" "$gguf"
    say "$name: $gguf"
}

scratch=()
trap 'rm -f "${scratch[@]}"' EXIT
engine=$root/third_party/llama.cpp
mkdir -p "$dir"
for name in "${names[@]}"; do
    read -r _ repo revision < <(awk -v n="$name" '$1 == n' "$table")
    files=$dir/hf/$name
    gguf=$dir/$name-f16.gguf
    source="$repo $revision"
    if [ $download_only = 0 ] && [ $force = 0 ] && [ -e "$gguf" ]; then
        [ "$(cat "$gguf.source" 2>/dev/null)" = "$source" ] ||
            die "$gguf is there but was not made from $source: move it away, or replace it with --force"
        say "$name: $gguf is there"
        continue
    fi
    fetch
    [ $download_only = 1 ] || convert
done
