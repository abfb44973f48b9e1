#!/usr/bin/env bash
# Compares ./bench with llama-bench on the same model, in alternating pairs.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    cat <<'USAGE'
usage: scripts/compare-llama-bench.sh [option...]

Measures decode (128 tokens at depth 256) and prefill (512 tokens) with ./bench
and with llama-bench of the same pinned engine, built here for this host (with
--gpu on the same libraries as ours). The two take turns in going first, with
the same threads and the same environment. Prints every pair and the geometric
mean of ours over theirs with a bootstrap 95 % interval. Run `make cpu` (or
`make cuda`) before.

  --model FILE        GGUF file (default: a synthetic gpt2, made at first use)
  --pairs N           default 20
  --threads N         default: the physical cores
  --metric M          only decode, or only prefill
  --gpu               on the CUDA device, after make cuda
  --env K=V           environment of both sides; may be repeated
  --llama-bench FILE  use this binary instead of building one
  --out FILE.csv      the raw times (default: a new file in results)
USAGE
}

say() { echo "compare-llama-bench: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }
# shellcheck source=scripts/peers/peer.bash
source "$root/scripts/peers/peer.bash"

model='' pairs=20 threads='' gpu=0 peer='' out='' environment=() metrics=(decode prefill)
while [ $# -gt 0 ]; do
    case $1 in
        --gpu) gpu=1 ;;
        -h | --help) usage; exit 0 ;;
        --model | --pairs | --threads | --metric | --env | --llama-bench | --out)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --model) model=$2 ;;
                --pairs) count "$1" "$2" 2; pairs=$2 ;;
                --threads) count "$1" "$2" 1; threads=$2 ;;
                --metric) [[ $2 == decode || $2 == prefill ]] || misuse "--metric is decode or prefill, not $2"; metrics=("$2") ;;
                --env) [[ $2 == [A-Za-z_]*=* ]] || misuse "--env needs NAME=VALUE, not $2"; environment+=("$2") ;;
                --llama-bench) peer=$2 ;;
                --out) out=$2 ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done

prepare compare-llama-bench llama-bench
pick_model

ours() { env "${environment[@]}" "$bench" probe --model "$model" --device "$device" --threads "$threads" --json "$@"; }
peer() { env "${environment[@]}" "$peer" -m "$model" -ngl "$layers" -t "$threads" -fa 1 -o json "$@"; }

# measure SIDE METRIC: prints the milliseconds of each repetition. One of decode
# starts from a prefill, which llama-bench does only for the first in a process:
# hence one a process. Prefill has one warm-up and three repetitions, back to back
# on both sides; without CUDA graphs, which would catch prefills that follow one
# another but never those of real use, with decode between them.
measure() {
    local environment=("${environment[@]}")
    [ "$2" = decode ] || environment+=(GGML_CUDA_DISABLE_GRAPHS=1)
    case $1-$2 in
        ours-decode) ours --prompt 256 --gen 128 --reps 1 ;;
        ours-prefill) ours --prompt 512 --gen 0 --reps 3 ;;
        peer-decode) peer -p 0 -n 128 -d 256 -r 1 ;;
        peer-prefill) peer -p 512 -n 0 -r 3 ;;
    esac >"$answer" 2>"$errors" || return
    case $1 in
        ours) array "$2_ms" ;;
        peer) array samples_ns | awk '{ printf "%.6f\n", $1 / 1e6 }' ;;
    esac
}

declare -A tokens=([decode]=128 [prefill]=512)
mkdir -p "$(dirname "$out")"
echo pair,metric,side,position,rep,tokens,ms >"$out"
for ((pair = 1; pair <= pairs; pair++)); do
    if ((pair % 2)); then order=(ours peer); else order=(peer ours); fi
    for metric in "${metrics[@]}"; do
        for position in 0 1; do
            side=${order[position]}
            if ! times=$(measure "$side" "$metric"); then
                tail -n 20 "$errors" "$answer" >&2
                die "pair $pair: no $metric times from $side; what it said is above"
            fi
            rep=0
            for ms in $times; do
                echo "$pair,$metric,$side,$((position + 1)),$((++rep)),${tokens[$metric]},$ms" >>"$out"
            done
        done
    done
    say "pair $pair of $pairs"
done
summary text
