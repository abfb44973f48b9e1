#!/usr/bin/env bash
# Repeats the study on a server GPU in three steps, each of which goes on where it was cut.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    cat <<'USAGE'
usage: scripts/h200-study.sh STEP [option...] [-- FLAG...]

The three steps of the study, after `make cuda`:

  measure   run configs/h200-study.yaml with synthetic weights
  peers     measure transformers, llama-bench and ours in turns on two of its
            scenarios; flags after -- are for scripts/peers/transformers_bench.py,
            e.g. -- --models gpt2 --modes eager --reps 3, or -- --window-s 3,
            which adds energy
  report    import what the peers measured, write the run's report with all of
            them side by side, and hold those measured in turns against each other

A step that was cut, or that --seconds ended, ends with 1 and goes on when the
same command is given again.

  --out DIR           folder of the run (default: results/h200-study); what the
                      peers measure goes to DIR-peers
  --seconds N         end the step after so long (default: when it is done)
  --base BACKEND      what the others are multiples of (default: llamacpp-gpu-tuned)
  --llama-bench FILE  use this binary instead of building one
  --matrix FILE       measure another matrix than configs/h200-study.yaml; peers
                      takes --models and --scenarios after -- instead
  --cpu               peers: tiny models without a GPU, to try the steps; needs a
                      --matrix with a backend of the CPU, and that as --base
USAGE
}

say() { echo "h200-study: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }

step='' out=results/h200-study seconds='' base=llamacpp-gpu-tuned matrix=configs/h200-study.yaml turns=(--gpu) flags=()
while [ $# -gt 0 ]; do
    case $1 in
        measure | peers | report) step=$1 ;;
        --cpu) turns=() flags=(--device cpu --tiny) ;;
        -h | --help) usage; exit 0 ;;
        --) shift; flags+=("$@"); break ;;
        --out | --seconds | --base | --matrix | --llama-bench)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --out) out=$2 ;;
                --seconds) [[ $2 =~ ^[1-9][0-9]*$ ]] || misuse "$1 needs a number above 0, not $2"; seconds=$2 ;;
                --base) base=$2 ;;
                --matrix) matrix=$2 ;;
                --llama-bench) turns+=(--llama-bench "$2") ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done
[ -n "$step" ] || misuse "which step? measure, peers or report"
bench=$root/bench
[ -x "$bench" ] || die "./bench is not built: run make cuda"
peers=$out-peers
cd "$root"

# limited SIGNAL COMMAND...: runs it for as long as --seconds allows.
limited() {
    if [ -z "$seconds" ]; then
        "${@:2}"
        return
    fi
    local code limit='' asked=''
    # timeout has a process group of its own, which no Ctrl-C reaches. One may come
    # before it is started.
    trap 'asked=1; [ -z "$limit" ] || kill -'"$1"' "$limit" || true' INT TERM
    timeout --signal="$1" --kill-after=60 "$seconds" "${@:2}" &
    limit=$!
    [ -z "$asked" ] || kill -"$1" "$limit" || true
    while code=0; wait $limit || code=$?; kill -0 $limit 2>/dev/null; do
        : # a signal ended the wait, not the step
    done
    trap - INT TERM
    case $code in 124 | 137) die "not finished after $seconds s; the same command goes on" ;; esac
    return $code
}

case $step in
    measure)
        if [ -e "$out/raw_measurements.jsonl" ]; then
            limited INT "$bench" --resume "$out"
        else
            limited INT "$bench" -matrix "$matrix" --synthetic -o "$out"
        fi
        say "next: the step peers, with the same options"
        ;;
    peers)
        turn=$(printf '%q ' scripts/peers/llama_bench.sh --out "$peers/llama-bench.csv" "${turns[@]}")
        # shellcheck disable=SC2016 # for the shell that runs it
        turn+='--models "$MODEL" --scenarios "$SCENARIO=$PROMPT_TOKENS+$GEN_TOKENS" --first "$REP" --rounds 1'
        limited TERM scripts/peers/transformers_bench.py --out "$peers/transformers.csv" --skip-done --before "$turn" "${flags[@]}"
        say "next: the step report, with the same options"
        ;;
    report)
        [ -e "$peers/transformers.csv" ] || die "$peers/transformers.csv is not there: the step peers writes it"
        rm -rf "$peers/interleaved"
        "$bench" import "$peers"/*.csv -o "$peers/interleaved"
        "$bench" analyze "$out" --beside "$peers/interleaved" --base "$base"
        with=$(tail -qn +2 "$peers"/*.csv | cut -d , -f 2 | sort -u | grep -vx "$base" | paste -sd ,)
        "$bench" compare "$peers/interleaved" --base "$base" --with "$with" --format md >"$peers/in-turns.md"
        say "side by side in $out/report.md; measured in turns: $peers/in-turns.md"
        ;;
esac
