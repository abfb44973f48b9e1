#!/usr/bin/env bash
# Measures the shapes of the study with ./bench and llama-bench in turns, as rows for `bench import`.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)

usage() {
    cat <<USAGE
usage: scripts/peers/llama_bench.sh --out FILE.csv [option...]

Measures the models and shapes of the study with ./bench probe and with
llama-bench of the same pinned engine, built here for this host (with --gpu on
the same libraries as ours), and appends a row for each repetition to FILE.csv,
in the format that \`./bench import\` reads. All take turns: a round goes over
everything once, and each is first in a round as often as the others. Every
repetition is a process, so a launch of its own. Rows that FILE.csv has are left
out: a call that was cut is repeated as it was. Run \`make cpu\` (or \`make cuda\`)
before.

Ours is a row after two warm-ups, as in a matrix. Of llama-bench, which never does
both phases in one test, decode is one repetition at the depth of the prompt, and
prefill the second after a warm-up, without CUDA graphs: they would catch prefills
that follow one another, but never those of real use, with decode between them.

  --models LIST       default $study,
                      as synthetic stand-ins, made at first use
  --models-dir DIR    take DIR/MODEL-f16.gguf instead
  --scenarios LIST    as NAME=PROMPT+GEN,
                      default medium_prompt=256+128,decode_heavy=64+512
  --ours NAME[,WITH]  a backend of ours: its name in the rows, and K=V of its
                      environment or --FLAG=VALUE of \`bench probe\`, as many as
                      needed; may be repeated (default: llamacpp-cpu, with --gpu
                      llamacpp-gpu-graphs and llamacpp-gpu-tuned,--argmax=graph-split)
  --rounds N          default 5
  --first N           launch number of the first round, default 0
  --threads N         of all (default: what each takes by itself)
  --gpu               on the CUDA device, after make cuda
  --llama-bench FILE  use this binary instead of building one
USAGE
}

say() { echo "llama_bench: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }
# shellcheck source=scripts/peers/peer.bash
source "$root/scripts/peers/peer.bash"

models=$study dir='' scenarios=medium_prompt=256+128,decode_heavy=64+512 ours=() rounds=5 first=0 threads='' gpu=0 peer='' out=''
while [ $# -gt 0 ]; do
    case $1 in
        --gpu) gpu=1 ;;
        -h | --help) usage; exit 0 ;;
        --models | --models-dir | --scenarios | --ours | --rounds | --first | --threads | --llama-bench | --out)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --models) models=$2 ;;
                --models-dir) dir=$2 ;;
                --scenarios) [[ $2 =~ ^[a-z_]+=[1-9][0-9]*\+[1-9][0-9]*(,[a-z_]+=[1-9][0-9]*\+[1-9][0-9]*)*$ ]] || misuse "--scenarios needs NAME=PROMPT+GEN, not $2"; scenarios=$2 ;;
                --ours) [[ $2 =~ ^[a-z0-9.-]+(,([A-Za-z_]+|--[a-z-]+)=[^,]*)*$ ]] || misuse "--ours needs NAME[,K=V or --FLAG=VALUE...], not $2"; ours+=("$2") ;;
                --rounds) count "$1" "$2" 1; rounds=$2 ;;
                --first) [[ $2 =~ ^[0-9]+$ ]] || misuse "$1 needs a number, not $2"; first=$2 ;;
                --threads) count "$1" "$2" 1; threads=$2 ;;
                --llama-bench) peer=$2 ;;
                --out) out=$2 ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done
[ -n "$out" ] || misuse "need --out FILE.csv"

own_threads=() peer_threads=()
[ -z "$threads" ] || { own_threads=(--threads "$threads") peer_threads=(-t "$threads"); }
prepare llama-bench llama-bench
kind=$device
if [ "$gpu" = 1 ]; then
    kind=gpu
    [ ${#ours[@]} -gt 0 ] || ours=(llamacpp-gpu-graphs "llamacpp-gpu-tuned,--argmax=graph-split")
else
    [ ${#ours[@]} -gt 0 ] || ours=(llamacpp-cpu)
fi

# field KEY: the text or number of KEY in the JSON in $answer.
field() { tr -d '\n' <"$answer" | sed -nE "s/.*\"$1\": *(\"([^\"]*)\"|([^\",}]*)).*/\2\3/p"; }

# measure SIDE FILE PROMPT GEN: sets prefill and decode in ms, what ran them, and
# tokens, a hash of those it sampled if it did.
# SIDE is "peer" or one of ours.
measure() {
    local with one environment=() flags=()
    IFS=, read -ra with <<<"$1"
    for one in "${with[@]:1}"; do
        case $one in --*) flags+=("$one") ;; *) environment+=("$one") ;; esac
    done
    if [ "$1" = peer ]; then
        GGML_CUDA_DISABLE_GRAPHS=1 "$peer" -m "$2" -ngl "$layers" "${peer_threads[@]}" -p "$3" -n 0 -r 2 -o jsonl >"$answer" 2>"$errors" || return
        prefill=$(array samples_ns | tail -n 1 | awk '{ printf "%.6f", $1 / 1e6 }')
        "$peer" -m "$2" -ngl "$layers" "${peer_threads[@]}" -p 0 -n "$4" -d "$3" -r 1 -o jsonl >"$answer" 2>"$errors" || return
        decode=$(array samples_ns | awk '{ printf "%.6f", $1 / 1e6 }')
        tokens='' hardware=$(field "${kind}_info") version="llama.cpp b$(field build_number) $(field build_commit)"
    else
        env "${environment[@]}" "$bench" probe --model "$2" --device "$device" "${own_threads[@]}" \
            --prompt "$3" --gen "$4" --warmup 2 --reps 1 --json "${flags[@]}" >"$answer" 2>"$errors" || return
        prefill=$(array prefill_ms) decode=$(array decode_ms) tokens=$(array token_hashes | tr -d '"')
        hardware=$(field device) version=$("$bench" --version)
    fi
    [ -n "$prefill" ] && [ -n "$decode" ]
}

mkdir -p "$(dirname "$out")"
[ -s "$out" ] || echo model,backend,origin,scenario,launch,rep,prompt_tokens,gen_tokens,prefill_ms,decode_ms,synthetic,timestamp,device,device_kind,engine_version,token_hash >"$out"
for ((round = first; round < first + rounds; round++)); do
    for model in ${models//,/ }; do
        model_file "$model"
        # Stand-ins say so in the header of the file, of which the tokenizer takes 10 MB.
        if head -c 33554432 "$file" | grep -a phasebench.synthetic >/dev/null; then synthetic=true; else synthetic=false; fi
        for scenario in ${scenarios//,/ }; do
            shape=${scenario#*=}
            sides=("${ours[@]}" peer)
            for ((i = 0; i < ${#sides[@]}; i++)); do
                side=${sides[(round + i) % ${#sides[@]}]}
                backend=${side%%,*} origin='bench probe'
                [ "$side" != peer ] || backend=llama-bench-$kind origin=llama-bench
                id=$model,$backend,$origin,${scenario%%=*},$round,0,
                ! grep -q "^$id" "$out" || continue
                now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
                if ! measure "$side" "$file" "${shape%+*}" "${shape#*+}"; then
                    tail -n 20 "$errors" "$answer" >&2
                    die "round $round: no times of $model, $scenario from $backend; what it said is above"
                fi
                echo "$id${shape/+/,},$prefill,$decode,$synthetic,$now,\"$hardware\",$kind,\"$version\",$tokens" >>"$out"
                say "round $round: $model ${scenario%%=*} $backend: prefill $prefill ms, decode $decode ms"
            done
        done
    done
done
