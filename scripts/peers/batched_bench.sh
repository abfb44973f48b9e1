#!/usr/bin/env bash
# Compares ./bench with llama-batched-bench on the same model, in alternating pairs.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)

usage() {
    cat <<'USAGE'
usage: scripts/peers/batched_bench.sh [option...]

Measures the decode and the prefill of several sequences at once with ./bench
and with llama-batched-bench of the same pinned engine, built here for this host
(with --gpu on the same libraries as ours). The two take turns in going first,
with the same shape, threads and environment, each after a warm-up of the same
shape in the same process. Prints every pair, in tokens of all sequences, and the
geometric mean of ours over theirs with a bootstrap 95 % interval. Run
`make cpu` (or `make cuda`) before.

  --model FILE    GGUF file (default: a synthetic gpt2, made at first use)
  --batch LIST    batch sizes, default 1,2,4,8
  --prompt N      prompt tokens of each sequence, default 128
  --gen N         decode steps, default 32
  --pairs N       of each batch size, default 10
  --threads N     default: the physical cores
  --kv-unified    one buffer for the cells of all sequences
  --gpu           on the CUDA device, after make cuda
  --env K=V       environment of both sides; may be repeated
  --peer FILE     use this binary instead of building one
  --out FILE.csv  the raw times (default: a new file in results)
USAGE
}

say() { echo "batched_bench: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }
# shellcheck source=scripts/peers/peer.bash
source "$root/scripts/peers/peer.bash"

model='' batches=1,2,4,8 prompt=128 gen=32 pairs=10 threads='' gpu=0 peer='' out='' environment=() unified=() peer_unified=()
while [ $# -gt 0 ]; do
    case $1 in
        --gpu) gpu=1 ;;
        --kv-unified) unified=(--kv-unified) peer_unified=(--kv-unified) ;;
        -h | --help) usage; exit 0 ;;
        --model | --batch | --prompt | --gen | --pairs | --threads | --env | --peer | --out)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --model) model=$2 ;;
                --batch) [[ $2 =~ ^[1-9][0-9]*(,[1-9][0-9]*)*$ ]] || misuse "--batch needs numbers with commas between, not $2"; batches=$2 ;;
                --prompt) count "$1" "$2" 1; prompt=$2 ;;
                --gen) count "$1" "$2" 1; gen=$2 ;;
                --pairs) count "$1" "$2" 2; pairs=$2 ;;
                --threads) count "$1" "$2" 1; threads=$2 ;;
                --env) [[ $2 == [A-Za-z_]*=* ]] || misuse "--env needs NAME=VALUE, not $2"; environment+=("$2") ;;
                --peer) peer=$2 ;;
                --out) out=$2 ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done

prepare batched-bench llama-batched-bench
pick_model

# measure SIDE BATCH: sets prefill and decode, in milliseconds of all sequences.
# The peer runs the shape twice and the second counts, as ours has one warm-up.
measure() {
    local ctx=$(($2 * ((prompt + gen + 255) / 256) * 256))
    case $1 in
        ours) env "${environment[@]}" "$bench" probe --model "$model" --device "$device" --threads "$threads" --json \
            --batch "$2" --prompt "$prompt" --gen "$gen" --reps 1 "${unified[@]}" ;;
        peer) env "${environment[@]}" "$peer" -m "$model" -ngl "$layers" -t "$threads" -fa on -c "$ctx" \
            -npp "$prompt" -ntg "$gen" -npl "$2,$2" --output-format jsonl "${peer_unified[@]}" ;;
    esac >"$answer" 2>"$errors" || return
    case $1 in
        ours) prefill=$(number '"prefill_ms":\[') decode=$(number '"decode_ms":\[') ;;
        peer) prefill=$(number '"t_pp": ' 1000) decode=$(number '"t_tg": ' 1000) ;;
    esac
    [ -n "$prefill" ] && [ -n "$decode" ]
}

# number BEFORE [FACTOR]: the number after the last BEFORE in $answer, times FACTOR.
number() { grep -o "$1[0-9.e+-]*" "$answer" | tail -n 1 | sed "s/$1//" | awk -v f="${2:-1}" '{ printf "%.6f\n", $1 * f }'; }

mkdir -p "$(dirname "$out")"
echo pair,metric,side,position,rep,tokens,ms >"$out"
for ((pair = 1; pair <= pairs; pair++)); do
    if ((pair % 2)); then order=(ours peer); else order=(peer ours); fi
    for batch in ${batches//,/ }; do
        for position in 0 1; do
            side=${order[position]}
            if ! measure "$side" "$batch"; then
                tail -n 20 "$errors" "$answer" >&2
                die "pair $pair: no times of batch $batch from $side; what it said is above"
            fi
            echo "$pair,decode of batch $batch,$side,$((position + 1)),1,$((batch * gen)),$decode" >>"$out"
            echo "$pair,prefill of batch $batch,$side,$((position + 1)),1,$((batch * prompt)),$prefill" >>"$out"
        done
    done
    say "pair $pair of $pairs"
done
summary text
