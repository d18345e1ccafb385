#!/bin/bash
# A SLURM of one node, this machine, without systemd: for tests, and to try --launch=slurm.
#
#   apt-get install slurm-wlm munge        # Debian 12: SLURM 22.05
#   tests/slurm_node.sh start DIR          # as root; DIR keeps everything: configuration, logs
#   export SLURM_CONF=DIR/slurm.conf       # for sbatch, squeue, scancel and vaebench
#   tests/slurm_node.sh stop DIR           # ends its daemons, and no others
set -eu

usage() { echo 'usage: slurm_node.sh start|stop DIR' >&2; exit 2; }
[ $# = 2 ] || usage
PATH=$PATH:/usr/sbin
mkdir -p "$2"
DIR=$(cd "$2" && pwd)

queued() { timeout 10 squeue -h 2>/dev/null | wc -l; }

stop() {
    for signal in TERM KILL; do                # a step outlives the daemons
        [ -f "$DIR/slurmctld.pid" ] && [ "$(queued)" != 0 ] || break
        timeout 20 scancel -u "$(id -un)" || true
        [ $signal = TERM ] || timeout 20 scancel --full --signal=KILL -u "$(id -un)" || true
        for _ in $(seq 120); do [ "$(queued)" = 0 ] && break; sleep .5; done
    done
    for name in slurmd slurmctld munged; do
        [ -f "$DIR/$name.pid" ] || continue
        pid=$(cat "$DIR/$name.pid")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep .1; done
        kill -9 "$pid" 2>/dev/null || true
        rm -f "$DIR/$name.pid"
    done
}

configure() {
    port=$((20000 + RANDOM))
    cat > "$DIR/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket,cred_expire=10
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.pid
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/slurmd.log
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
JobRequeue=1
ReturnToService=2
MinJobAge=600
SlurmdParameters=config_overrides
$(slurmd -C | head -n 1) NodeAddr=127.0.0.1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
}

start() {
    for program in munged slurmctld slurmd sbatch; do
        command -v $program > /dev/null || {
            echo "no $program: apt-get install slurm-wlm munge" >&2; exit 1; }
    done
    mkdir -p "$DIR/state" "$DIR/spool"
    chmod 755 "$DIR"
    [ -f "$DIR/munge.key" ] || (umask 077; head -c 1024 /dev/urandom > "$DIR/munge.key")
    configure
    munged --force --key-file="$DIR/munge.key" --socket="$DIR/munge.socket" \
        --pid-file="$DIR/munged.pid" --log-file="$DIR/munged.log" --seed-file="$DIR/munge.seed"
    slurmctld -i -f "$DIR/slurm.conf"
    slurmd -f "$DIR/slurm.conf"
    for _ in $(seq 60); do
        timeout 10 sinfo -h -o %T 2>/dev/null | grep -q idle && { echo "idle"; return; }
        sleep .5
    done
    echo "the node does not come up; see $DIR/slurmctld.log and slurmd.log" >&2
    tail -q -n 5 "$DIR"/slurm*.log >&2
    stop
    exit 1
}

export SLURM_CONF=$DIR/slurm.conf
case $1 in
    start) start ;;
    stop) stop ;;
    *) usage ;;
esac
