#!/usr/bin/env bash
# Compares the perplexity that ./bench finds with that of llama-perplexity.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)

usage() {
    cat <<'USAGE'
usage: scripts/peers/perplexity.sh [option...]

Scores one text with ./bench quality and with llama-perplexity of the same pinned
engine, built here for this host (with --gpu on the same libraries as ours), on
the same model file, cut into the same chunks, with each of the cache types.
Prints both perplexities and their relative difference, and fails when that is
above 0.1 %. Random weights do, since only the two programs are compared. Run
`make cpu` (or `make cuda`) before.

  --model FILE    GGUF file (default: a synthetic gpt2, made at first use)
  --text FILE     plain text (default: the prompts of this repository in a row)
  --kv-type LIST  cache types, default f16,q8_0
  --ctx N         tokens of a chunk, default 512
  --chunks N      default: all of the text
  --threads N     default: the physical cores
  --gpu           on the CUDA device, after make cuda
  --peer FILE     use this binary instead of building one
USAGE
}

say() { echo "perplexity: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }
# shellcheck source=scripts/peers/peer.bash
source "$root/scripts/peers/peer.bash"

model='' text='' types=f16,q8_0 ctx=512 chunks='' threads='' gpu=0 peer=''
while [ $# -gt 0 ]; do
    case $1 in
        --gpu) gpu=1 ;;
        -h | --help) usage; exit 0 ;;
        --model | --text | --kv-type | --ctx | --chunks | --threads | --peer)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --model) model=$2 ;;
                --text) text=$2 ;;
                --kv-type) [[ $2 =~ ^[a-z0-9_]+(,[a-z0-9_]+)*$ ]] || misuse "--kv-type needs names with commas between, not $2"; types=$2 ;;
                --ctx) count "$1" "$2" 8; ctx=$2 ;;
                --chunks) count "$1" "$2" 1; chunks=$2 ;;
                --threads) count "$1" "$2" 1; threads=$2 ;;
                --peer) peer=$2 ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done

prepare perplexity llama-perplexity
pick_model
if [ -z "$text" ]; then
    text=$root/build/compare/prompts.txt
    mkdir -p "$root/build/compare"
    cat "$root"/internal/prompt/corpus/*.txt >"$text"
fi
[ -f "$text" ] || die "no text file $text"

# measure SIDE TYPE: prints the perplexity and its standard error.
measure() {
    case $1 in
        ours)
            "$bench" quality "$model" --text "$text" --kv-type "$2" --ctx "$ctx" --chunks "${chunks:-0}" \
                --device "$device" --threads "$threads" --allow-synthetic --json >"$answer" 2>"$errors" || return
            sed -n 's/.*"perplexity":{"value":\([0-9.e+-]*\),"se":\([0-9.e+-]*\),.*/\1 \2/p' "$answer"
            ;;
        peer)
            "$peer" -m "$model" -f "$text" -c "$ctx" --chunks "${chunks:--1}" -ngl "$layers" -t "$threads" \
                -fa auto -ctk "$2" -ctv "$2" >"$answer" 2>"$errors" || return
            sed -n 's/.*Final estimate: PPL = \([0-9.]*\) +\/- \([0-9.]*\).*/\1 \2/p' "$answer" "$errors"
            ;;
    esac
}

far=0
printf '%-8s %22s %22s %12s\n' cache ours llama-perplexity difference
for type in ${types//,/ }; do
    for side in ours peer; do
        if ! value=$(measure "$side" "$type") || [ -z "$value" ]; then
            tail -n 20 "$errors" "$answer" >&2
            die "no perplexity with a $type cache from $side; what it said is above"
        fi
        read -r "${side}_ppl" "${side}_se" <<<"$value"
    done
    # shellcheck disable=SC2154 # read sets the four
    awk -v type="$type" -v a="$ours_ppl" -v ae="$ours_se" -v b="$peer_ppl" -v be="$peer_se" 'BEGIN {
        d = a / b - 1
        printf "%-8s %12.4f ± %8.4f %12.4f ± %8.4f %+11.7f%%\n", type, a, ae, b, be, 100 * d
        exit (d < 0 ? -d : d) > 0.001
    }' || far=1
done
[ "$far" = 0 ] || die "they differ by more than 0.1 %"
