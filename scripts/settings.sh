#!/usr/bin/env bash
# Measures what each setting of the engine gives, in alternating pairs with and without it.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

# name | environment | flags of `bench probe` | what it is
on_both='
flash-off | | --flash-attn off | no flash attention
host-argmax | | --argmax host | the greedy token is chosen on the host
ubatch-128 | | --ubatch 128 | 128 tokens to a compute graph
ubatch-64 | | --ubatch 64 | 64 tokens to a compute graph
no-mmap | | --mmap=false | the model file is read, not mapped
kv-unified | | --kv-unified | one KV buffer for all sequences'
on_cpu='
one-thread | | --threads 1 | a single CPU thread'
on_gpu='
split-argmax | | --argmax graph-split | the greedy token is chosen in two passes
graph-opt | GGML_CUDA_GRAPH_OPT=1 | | branches of a CUDA graph on streams of their own
no-graphs | GGML_CUDA_DISABLE_GRAPHS=1 | | every kernel launched by itself
no-fusion | GGML_CUDA_DISABLE_FUSION=1 | | no fused kernels
no-pdl | GGML_CUDA_PDL=0 | | kernels do not start before the last has ended
no-pinned | GGML_CUDA_NO_PINNED=1 | | host buffers are not pinned
four-threads | | --threads 4 | four CPU threads beside the GPU'

usage() {
    cat <<USAGE
usage: scripts/settings.sh [option...]

Runs ./bench probe with one setting of the engine changed and with none, in
pairs that take turns in going first, each side a process of its own: the engine
reads its environment once. Prints a Markdown table of the rate with the setting
over the rate without, the geometric mean with its bootstrap 95 % interval, for
prefill and decode, and of the tokens that were sampled: a setting with which the
engine does not sample the same twice makes it compute something wrong, however
fast it is. Run \`make cpu\` (or \`make cuda\`) before.

The raw times go to a CSV file pair by pair, and hashes of the tokens to one
beside it. With the same --out a call that was
cut goes on where it was.

  --models LIST     default $study,
                    as synthetic stand-ins, made at first use
  --models-dir DIR  take DIR/MODEL-f16.gguf instead
  --settings LIST   only these (default: all of the device; see --list)
  --env K=V         environment of both sides, e.g. of the best setting so far;
                    may be repeated
  --shape P+G       prompt and generated tokens, default 256+128
  --pairs N         of each model and setting, default 5
  --gpu             on the CUDA device, after make cuda
  --out FILE.csv    the raw times (default: a new file in results)
  --list            print the settings
USAGE
}

say() { echo "settings: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }
# shellcheck source=scripts/peers/peer.bash
source "$root/scripts/peers/peer.bash"

models=$study dir='' names='' environment=() shape=256+128 pairs=5 threads='' gpu=0 out='' list=0
while [ $# -gt 0 ]; do
    case $1 in
        --gpu) gpu=1 ;;
        --list) list=1 ;;
        -h | --help) usage; exit 0 ;;
        --models | --models-dir | --settings | --env | --shape | --pairs | --out)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --models) models=$2 ;;
                --models-dir) dir=$2 ;;
                --settings) names=$2 ;;
                --env) [[ $2 == [A-Za-z_]*=* ]] || misuse "--env needs NAME=VALUE, not $2"; environment+=("$2") ;;
                --shape) [[ $2 =~ ^[1-9][0-9]*\+[1-9][0-9]*$ ]] || misuse "--shape needs PROMPT+GEN, not $2"; shape=$2 ;;
                --pairs) count "$1" "$2" 2; pairs=$2 ;;
                --out) out=$2 ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done

if [ "$gpu" = 1 ]; then settings=$on_gpu$on_both; else settings=$on_both$on_cpu; fi
if [ "$list" = 1 ]; then
    echo "${settings#?}"
    exit 0
fi
# setting NAME: sets key, variables, flags and note of a setting; fails where there is none.
setting() {
    local key
    while IFS='|' read -r key variables flags note; do
        if [ "${key// /}" = "$1" ]; then return; fi
    done <<<"$settings"
    return 1
}
[ -n "$names" ] || names=$(cut -d '|' -f 1 <<<"${settings#?}" | tr -d ' ' | paste -sd ,)
for name in ${names//,/ }; do
    setting "$name" || misuse "no setting $name of this device; --list shows them"
done

prepare settings

# measure SIDE FILE: sets prefill and decode, the times of the repetitions, and
# hashes, of the tokens they sampled.
measure() {
    local more=() switches=()
    [ "$1" = peer ] || { read -ra more <<<"$flags"; read -ra switches <<<"$variables"; }
    env "${environment[@]}" "${switches[@]}" "$bench" probe --model "$2" --device "$device" --json \
        --prompt "${shape%+*}" --gen "${shape#*+}" --warmup 2 --reps 2 "${more[@]}" >"$answer" 2>"$errors" || return
    prefill=$(array prefill_ms) decode=$(array decode_ms) hashes=$(array token_hashes | tr -d '"')
    [ -n "$prefill" ] && [ -n "$decode" ] && [ -n "$hashes" ]
}

# lines METRIC SIDE POSITION TOKENS TIME...: adds to what will be written of a pair.
lines() {
    local rep=0 ms
    for ms in "${@:5}"; do both+="$pair,$1,$2,$3,$((++rep)),$4,$ms"$'\n'; done
}

# tokens: prints whether each setting leaves them as they are.
tokens() {
    awk -F , '
        FNR == 1 { next }
        !($1 in known) { known[$1]; order[++n] = $1 }
        !(($1, $2, $3) in seen) { seen[$1, $2, $3]; sorts[$1, $2]++; hash[$1, $2] = $3 }
        END {
            print "\n| measured | tokens |\n|:--- |:--- |"
            for (i = 1; i <= n; i++) {
                m = order[i]
                if (sorts[m, "ours"] > 1)
                    what = "not the same twice"
                else if ((m, "peer", hash[m, "ours"]) in seen)
                    what = "the same"
                else
                    what = "others, the same each time"
                if (sorts[m, "peer"] > 1)
                    what = what "; without it not the same twice"
                print "| " m " | " what " |"
            }
        }' "$hashed"
}

mkdir -p "$(dirname "$out")"
hashed=${out%.csv}-tokens.csv
[ -s "$hashed" ] || echo metric,side,token_hash >"$hashed"
[ -s "$out" ] || echo pair,metric,side,position,rep,tokens,ms >"$out"
for ((pair = 1; pair <= pairs; pair++)); do
    if ((pair % 2)); then order=(ours peer); else order=(peer ours); fi
    for model in ${models//,/ }; do
        model_file "$model"
        for name in ${names//,/ }; do
            metric="$model $name"
            ! grep -q "^$pair,$metric decode," "$out" || continue
            setting "$name"
            both='' sampled=''
            for position in 0 1; do
                side=${order[position]}
                if ! measure "$side" "$file"; then
                    tail -n 20 "$errors" "$answer" >&2
                    die "pair $pair: no times of $metric from $side; what it said is above"
                fi
                # shellcheck disable=SC2086 # one time a word
                lines "$metric prefill" "$side" $((position + 1)) "${shape%+*}" $prefill
                # shellcheck disable=SC2086
                lines "$metric decode" "$side" $((position + 1)) "${shape#*+}" $decode
                for hash in $hashes; do sampled+="$metric,$side,$hash"$'\n'; done
            done
            printf %s "$sampled" >>"$hashed"
            printf %s "$both" >>"$out"
            say "pair $pair of $pairs: $metric,$note"
        done
    done
done
summary markdown
tokens
