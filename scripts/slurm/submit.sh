#!/usr/bin/env bash
# Runs a matrix on Slurm: an array of shards for each partition, then one report.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)

usage() {
    cat <<'USAGE'
usage: scripts/slurm/submit.sh -matrix FILE --partitions NAME[,NAME...] [option...] [-- FLAG...]

Each partition runs the whole matrix, as a job array with one shard a task: pairs
of model and backend, balanced by estimated time. When all arrays have ended,
however they did, a last job merges what is there and makes the report. FLAGs are
those of ./bench run, e.g. --synthetic, --models or --reps.

Call it from where the matrix's paths start. That folder, ./bench and the results
must be on storage that all nodes share. A task asks for a node of its own
(--exclusive), since other work would be in its times, and where the nodes of its
partition have GPUs, for one of them. A task that is requeued or starts again goes
on with the rows that it has. To fill gaps later, requeue the task
(scontrol requeue JOB_TASK), then merge again as the last job did: its script is
OUT/merge.sh.

  -matrix FILE      the matrix
  --partitions A,B  partitions, each of one kind of nodes; they name the pools that
                    the report keeps apart
  --shards N        tasks of each array (default: one for each pair)
  -o, --out DIR     folder for all results (default: results/slurm-DATE)
  --gres GRES       what to ask for in place of gpu:1, e.g. gpu:h100:1, or none
  --share-nodes     let other jobs run on the nodes; a GPU is still ours alone
  --sbatch ARG      another argument of every sbatch, e.g. --sbatch --time=8:00:00;
                    may be repeated
  --dry-run         submit nothing, and print the calls and scripts
USAGE
}

say() { echo "submit: $*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@"; usage >&2; exit 2; }

matrix='' partitions='' shards='' out='' gres='' dry=0 sbatch=() flags=()
exclusive=(--exclusive)
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --dry-run) dry=1 ;;
        --share-nodes) exclusive=() ;;
        --) shift; flags=("$@"); break ;;
        -matrix | --matrix | --partitions | --shards | -o | --out | --gres | --sbatch)
            [ $# -ge 2 ] || misuse "$1 needs a value"
            case $1 in
                -matrix | --matrix) matrix=$2 ;;
                --partitions) partitions=$2 ;;
                --shards) shards=$2 ;;
                -o | --out) out=$2 ;;
                --gres) gres=$2 ;;
                --sbatch) sbatch+=("$2") ;;
            esac
            shift
            ;;
        *) misuse "unknown argument $1" ;;
    esac
    shift
done
[ -n "$matrix" ] || misuse "which matrix? -matrix FILE"
[ -n "$partitions" ] || misuse "on which partitions? --partitions NAME; sinfo lists them"
[ -f "$matrix" ] || misuse "there is no file $matrix"
[ -z "$shards" ] || [[ $shards =~ ^[1-9][0-9]*$ ]] || misuse "--shards needs a number of at least 1, not $shards"
IFS=, read -ra partitions <<<"$partitions"
for partition in "${partitions[@]}"; do
    [[ $partition =~ ^[A-Za-z0-9_.-]+$ ]] || misuse "$partition is no name of a partition"
done
bench=$root/bench
[ -x "$bench" ] || die "./bench is not built: run make cpu or make cuda"
command -v sbatch sinfo >/dev/null || die "sbatch and sinfo are not here: run this on a host that submits to Slurm"

# The flags that plan knows, too.
selection=()
for ((i = 0; i < ${#flags[@]}; i++)); do
    case ${flags[i]} in
        --synthetic | --models=* | --backends=* | --scenarios=* | --reps=* | --launches=*) selection+=("${flags[i]}") ;;
        --models | --backends | --scenarios | --reps | --launches) selection+=("${flags[@]:i:2}") ;;
    esac
done
# What one shard would be, which also finds mistakes before anything is queued.
pairs=$("$bench" plan -matrix "$matrix" --no-probe --json "${selection[@]}" | grep -o '"backend":' | wc -l) || exit 2
shards=${shards:-$pairs}
"$bench" plan -matrix "$matrix" --no-probe --json --shard "1/$shards" "${selection[@]}" >/dev/null || exit 2

out=${out:-results/slurm-$(date +%Y%m%d-%H%M%S)}
[[ $out = /* ]] || out=$PWD/$out
[ ! -e "$out" ] || die "$out is there already; choose another folder"

# quoted WORD...: the words for a shell; none for none.
quoted() { [ $# = 0 ] || printf '%q ' "$@"; }

# has_gpus PARTITION: whether all of its nodes have GPUs.
has_gpus() {
    local lists
    lists=$(sinfo -h -p "$1" -o %G) || die "sinfo does not know partition $1"
    [ -n "$lists" ] || die "there is no partition $1; sinfo lists them"
    ! grep -qv '\bgpu\b' <<<"$lists"
}

shard_script() {
    cat <<SCRIPT
#!/bin/bash
# A shard of the matrix on partition $1, or what is left of it.
set -euo pipefail
cd $(quoted "$PWD")
dir=$(printf %q "$out/$1")/shard-\$SLURM_ARRAY_TASK_ID
args=(run -q -matrix $(quoted "$matrix") --shard "\$SLURM_ARRAY_TASK_ID/$shards" --pool $1 $(quoted "${flags[@]}"))
if [ -e "\$dir/raw_measurements.jsonl" ]; then
    args+=(--resume "\$dir")
else
    args+=(-o "\$dir")
fi
exec $(quoted "$bench") "\${args[@]}"
SCRIPT
}

merge_script() {
    cat <<SCRIPT
#!/bin/bash
# Merges the shards that were measured, in place of an earlier merge, and reports.
set -euo pipefail
cd $(quoted "$PWD")
out=$(printf %q "$out")
runs=()
for file in "\$out"/*/shard-*/run.json; do
    [ ! -e "\$file" ] || runs+=("\${file%/run.json}")
done
[ \${#runs[@]} -gt 0 ] || { echo "no shard has begun; see \$out/*/shard-*.log" >&2; exit 1; }
rm -rf "\$out/merged"
# 1: rows are missing or failed, of which there is a report all the same.
status=0
$(quoted "$bench") merge "\${runs[@]}" -o "\$out/merged" || status=\$?
[ \$status -lt 2 ] || exit \$status
$(quoted "$bench") analyze "\$out/merged" || status=\$?
exit \$status
SCRIPT
}

# submit SCRIPT ARG...: queues a script and sets id to the job's, or shows both.
submit() {
    local script=$1
    shift
    if [ $dry = 1 ]; then
        dry_jobs=$((dry_jobs + 1))
        id=JOB$dry_jobs
        printf '$ sbatch %s<<SCRIPT\n%s\nSCRIPT\n\n' "$(quoted --parsable "${sbatch[@]}" "$@")" "$script"
        return
    fi
    id=$(sbatch --parsable "${sbatch[@]}" "$@" <<<"$script")
    id=${id%%;*} # a cluster's name may follow
}

dry_jobs=0 ids=()
for partition in "${partitions[@]}"; do
    ask=()
    if [ -n "$gres" ]; then
        [ "$gres" = none ] || ask=(--gres="$gres")
    elif has_gpus "$partition"; then
        ask=(--gres=gpu:1)
    fi
    [ $dry = 1 ] || mkdir -p "$out/$partition"
    submit "$(shard_script "$partition")" --job-name="bench-$partition" --partition="$partition" --array="1-$shards" \
        --nodes=1 --ntasks=1 "${exclusive[@]}" "${ask[@]}" --requeue --open-mode=append --output="$out/$partition/shard-%a.log"
    ids+=("$id")
    [ $dry = 1 ] || say "job $id: $shards shards on $partition${ask[*]:+ with ${ask[*]}}"
done
script=$(merge_script)
[ $dry = 1 ] || { echo "$script" >"$out/merge.sh" && chmod +x "$out/merge.sh"; }
submit "$script" --job-name=bench-merge --partition="${partitions[0]}" --dependency="afterany$(printf ':%s' "${ids[@]}")" \
    --nodes=1 --ntasks=1 --requeue --open-mode=append --output="$out/merge.log"
[ $dry = 1 ] || say "job $id: merges them into $out/merged, with the report"
