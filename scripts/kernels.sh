#!/usr/bin/env bash
# Traces the kernels that a prefill and a decode step are made of, ours and those of transformers.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    cat <<'USAGE'
usage: scripts/kernels.sh [option...]

Runs ./bench probe with CUDA graphs and without, and compiled transformers, each
under a tracer of every kernel (CUPTI's, compiled here), and prints a Markdown
table: how many kernels a prefill and a decode step take, how long the device
computes and how long it waits between two of them, and what the time goes to.
Tracing slows a program down; what the kernels themselves take it leaves nearly
alone. Run `make cuda` before. The traces stay in the output folder.

  --models LIST     default: the five of the study, as synthetic stand-ins
  --systems LIST    default: graphs,no-graphs,transformers
  --shape P+G       prompt and generated tokens, default 256+16
  --out DIR         the traces (default: a new folder in results)
  --cupti DIR       where CUPTI is, as include and lib64 or lib (default: looked
                    for beside nvcc and among Python's packages)
USAGE
}

say() { echo "kernels: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }
# shellcheck source=scripts/peers/peer.bash
source "$root/scripts/peers/peer.bash"

models=$study systems=graphs,no-graphs,transformers shape=256+16 out='' cupti='' gpu=1 threads=''
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --models | --systems | --shape | --out | --cupti)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                --models) models=$2 ;;
                --systems) systems=$2 ;;
                --shape) [[ $2 =~ ^[1-9][0-9]*\+[1-9][0-9]*$ ]] || misuse "--shape needs PROMPT+GEN, not $2"; shape=$2 ;;
                --out) out=$2 ;;
                --cupti) cupti=$2 ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done
for system in ${systems//,/ }; do
    [[ $system =~ ^(graphs|no-graphs|transformers)$ ]] || misuse "--systems: $system is none of graphs, no-graphs, transformers"
done

out=${out:-$root/results/kernels-$(date +%Y%m%d-%H%M%S)}
prepare kernels
mkdir -p "$out"
out=$(realpath "$out")

# build_tracer: compiles it against the CUPTI there is, into $out.
build_tracer() {
    local nvcc dir record lib
    nvcc=$("$root/scripts/check-cuda.sh")
    for dir in "$cupti" "${nvcc%/bin/nvcc}"{/extras/CUPTI,} "$(python3 -c 'import nvidia.cu13 as m; print(list(m.__path__)[0])' 2>/dev/null)"; do
        [ -e "$dir/include/cupti.h" ] || continue
        lib=$(find -L "$dir"/lib* -name 'libcupti.so*' 2>/dev/null | sort | head -n 1)
        [ -z "$lib" ] || break
    done
    [ -n "${lib:-}" ] || die "no CUPTI beside $nvcc: install it with the CUDA toolkit, or name its folder with --cupti"
    # Every version of CUPTI adds a kind of record, and fills the latest.
    record=$(cat "$dir"/include/cupti_activity*.h | grep -o 'CUpti_ActivityKernel[0-9]*' | sort -Vu | tail -n 1)
    gcc -O2 -Wall -shared -fPIC -pthread -DKERNEL_RECORD="$record" -I "$dir/include" -I "${nvcc%/bin/nvcc}/include" \
        "$root/scripts/kernels/cupti/trace.c" -o "$out/trace.so" "$lib" -Wl,-rpath,"$(dirname "$lib")"
}

# traced NAME COMMAND...: its kernels go to $out/NAME.csv. Of the processes that
# see the device, it is the one with the most to trace that measures.
traced() {
    local file=$out/$1.csv
    say "$1"
    rm -f "$file".*
    CUDA_INJECTION64_PATH=$out/trace.so KERNELS=$file "${@:2}" >"$answer" 2>"$errors" ||
        { tail -n 20 "$errors" "$answer" >&2; die "$1: ended with an error; what it said is above"; }
    find "$out" -name "$1.csv.*" -size +1k -printf '%s %p\n' | sort -rn | head -n 1 | cut -d ' ' -f 2- | xargs -r -I{} mv {} "$file"
    rm -f "$file".*
    [ -e "$file" ] || { cat "$errors" >&2; die "$1: no kernel was traced"; }
}

build_tracer
ours=("$bench" probe --device cuda --prompt "${shape%+*}" --gen "${shape#*+}" --warmup 3 --reps 7 --json)
for model in ${models//,/ }; do
    for system in ${systems//,/ }; do
        case $system in
            graphs) traced "$model.graphs" "${ours[@]}" --model "$(synthetic "$model")" ;;
            no-graphs) traced "$model.no-graphs" env GGML_CUDA_DISABLE_GRAPHS=1 "${ours[@]}" --model "$(synthetic "$model")" ;;
            transformers)
                rm -f "$out/rows" # times under a tracer, and no trace: not one of *.csv
                traced "$model.transformers" "$root/scripts/peers/transformers_bench.py" --models "$model" \
                    --modes compile-reduce-overhead --scenarios "traced=$shape" --reps 3 --out "$out/rows"
                ;;
        esac
    done
done
say "traces: $out"
if command -v "$go" >/dev/null; then
    (cd "$root" && "$go" run ./scripts/kernels -gen "${shape#*+}" "$out"/*.csv)
else
    say "no Go here to sum them up; where there is: go run ./scripts/kernels -gen ${shape#*+} $out/*.csv"
fi
