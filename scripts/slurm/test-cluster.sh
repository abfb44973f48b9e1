#!/usr/bin/env bash
# A Slurm cluster of three nodes on this machine, for tests.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/slurm/test-cluster.sh start|stop|install DIR

Runs Slurm as it is packaged, not a stand-in: munged, slurmctld and three
slurmd on loopback, as whoever calls it. All that they write is in DIR; the machine's own
/etc/slurm and /etc/munge are left alone. After start every Slurm command finds
the cluster by

  export SLURM_CONF=DIR/slurm.conf

  install  the packages slurm-wlm and munge, with apt, as root; needs no DIR
  start    returns when the nodes are idle: node1 and node2 in partition cpu, and
           node3 with a GPU, a made-up one, in partition gpu
  stop     ends the daemons that start began, and leaves DIR
USAGE
}

say() { echo "test-cluster: $*" >&2; }
die() { say "$@"; exit 1; }

nodes=(node1 node2 node3)
programs=(munged slurmctld slurmd)

# Debian keeps daemons where users have no path.
PATH=$PATH:/usr/sbin:/sbin

install() {
    if ! command -v "${programs[@]}" >/dev/null; then
        [ "$(id -u)" = 0 ] || die "Slurm is not installed; as root run: apt-get install slurm-wlm munge"
        say "installing slurm-wlm and munge"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        # The packages start daemons of their own where the system lets them; ours
        # use other ports, sockets and folders.
        apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
    fi
}

# free_ports N: prints N TCP ports of loopback that nothing listens on.
free_ports() {
    local port found=0
    for ((port = 20000 + RANDOM % 20000; found < $1; port++)); do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            found=$((found + 1))
        fi
    done
}

configure() {
    local ports i=0 node
    mapfile -t ports < <(free_ports 4)
    cat >"$dir/slurm.conf" <<CONF
ClusterName=phasebench
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# A requeued job waits until its credential is no longer valid.
AuthInfo=socket=$dir/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=${ports[0]}
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd-%n.log
# No cgroups, which a container may not have.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
KillWait=5
GresTypes=gpu
CONF
    for node in "${nodes[@]}"; do
        i=$((i + 1))
        mkdir -p "$dir/spool-$node"
        echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[i]} CPUs=1 RealMemory=512$([ "$node" != node3 ] || echo " Gres=gpu:1")" >>"$dir/slurm.conf"
    done
    cat >>"$dir/slurm.conf" <<CONF
PartitionName=cpu Nodes=node1,node2 Default=YES OverSubscribe=NO State=UP
PartitionName=gpu Nodes=node3 OverSubscribe=NO State=UP
CONF
    echo "NodeName=node3 Name=gpu Count=1 File=/dev/null" >"$dir/gres.conf"
}

start() {
    install
    [ ! -e "$dir/slurm.conf" ] || die "$dir has a cluster already; stop it and remove the folder"
    mkdir -p "$dir/state"
    dir=$(cd "$dir" && pwd)
    host=$(uname -n)
    configure
    export SLURM_CONF=$dir/slurm.conf
    # A failed start leaves nothing behind.
    trap 'say "the cluster did not start; its logs:"; tail -n 5 "$dir"/*.log >&2 || true; stop' ERR
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
    # --force: it runs as whoever calls this, in a folder that may be below /tmp.
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" 2>>"$dir/munged.log"
    slurmctld
    for node in "${nodes[@]}"; do
        slurmd -N "$node"
    done
    for ((tries = 0; tries < 120; tries++)); do
        if [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)" = "${#nodes[@]}" ]; then
            trap - ERR
            say "export SLURM_CONF=$SLURM_CONF"
            return
        fi
        sleep 0.5
    done
    say "the nodes are not idle after a minute"
    sinfo -N -l >&2 || true
    false
}

# stop ends what start began, by the process ids that it wrote.
stop() {
    local file pid tries
    for file in "$dir"/slurmd-*.pid "$dir/slurmctld.pid" "$dir/munged.pid"; do
        if [ -f "$file" ] && pid=$(cat "$file") && kill "$pid" 2>/dev/null; then
            for ((tries = 0; tries < 100; tries++)); do
                kill -0 "$pid" 2>/dev/null || break
                sleep 0.1
            done
            kill -KILL "$pid" 2>/dev/null || true
        fi
    done
}

case ${1:-} in
    -h | --help) usage ;;
    install) [ $# = 1 ] || { usage >&2; exit 2; }; install ;;
    start | stop)
        [ $# = 2 ] || { usage >&2; exit 2; }
        dir=$2
        "$1"
        ;;
    *) usage >&2; exit 2 ;;
esac
