#!/usr/bin/env bash
# A Slurm of one machine, on the loopback alone, without systemd: for the test beside this file.
#
#   one_machine.sh install          Slurm and munge from Debian's packages
#   one_machine.sh start [FOLDER]    write its configuration, start munged, slurmctld and slurmd
#   one_machine.sh stop [FOLDER]     end what start started, remove what it wrote
#
# FOLDER (/tmp/variscope-slurm) holds state, logs and pid files; without it, stop takes the folder
# of the configuration that start wrote. Snakemake's plugin for Slurm takes SLURM_CONF out of the
# environment, so the configuration must stand in /etc/slurm. One that this script has not written
# is never touched. Needs root.
set -euo pipefail

MARK="# written by tests/slurm/one_machine.sh"
CONFIGURATIONS=(/etc/slurm/slurm.conf /etc/slurm/gres.conf)
HOST=$(hostname -s)

fail() {
    echo "one_machine.sh: $*" >&2
    exit 1
}

ours() {
    [ "$(head -n 1 "$1")" = "$MARK" ]
}

started_in() {
    if [ -e "${CONFIGURATIONS[0]}" ] && ours "${CONFIGURATIONS[0]}"; then
        sed -n 's|^StateSaveLocation=\(.*\)/state$|\1|p' "${CONFIGURATIONS[0]}"
    fi
}

install_packages() {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
}

configure() {
    local cpus memory
    # At least two, as a group of small jobs asks for, also where this process may use one alone:
    # a job that asks for more than the node has waits forever.
    cpus=$(nproc)
    [ "$cpus" -ge 2 ] || cpus=2
    memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
    mkdir -p /etc/slurm
    cat >/etc/slurm/slurm.conf <<END
$MARK
ClusterName=one
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$FOLDER/run/munge.socket,cred_expire=20
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool
SlurmctldPidFile=$FOLDER/run/slurmctld.pid
SlurmdParameters=config_overrides
SlurmdPidFile=$FOLDER/run/slurmd.pid
SlurmctldLogFile=$FOLDER/log/slurmctld.log
SlurmdLogFile=$FOLDER/log/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=300
KillWait=5
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
JobCompType=jobcomp/none
DefMemPerCPU=500
GresTypes=gpu
AccountingStorageType=accounting_storage/none
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes=$HOST Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$HOST MaxTime=INFINITE State=UP
END
    # Stand-ins for GPUs, two, so that two shards run at once: Slurm counts and hands out the files,
    # and nobody opens them.
    touch "$FOLDER"/gpu{0,1}
    cat >/etc/slurm/gres.conf <<END
$MARK
NodeName=$HOST Name=gpu File=$FOLDER/gpu[0-1]
END
}

start() {
    local file
    for program in munged slurmctld slurmd sbatch; do
        command -v "$program" >/dev/null || fail "$program is not here: one_machine.sh install"
    done
    for file in "${CONFIGURATIONS[@]}"; do
        if [ -e "$file" ]; then
            ours "$file" || fail "$file is another Slurm's: it stays as it is"
            fail "$file is here already: one_machine.sh stop"
        fi
    done
    getent hosts "$HOST" >/dev/null || fail "$HOST is not in /etc/hosts"
    [ ! -e "$FOLDER" ] || fail "$FOLDER is here already: another folder, or one_machine.sh stop"
    mkdir -p "$FOLDER"/{state,spool,log,run}
    echo "$MARK" >"$FOLDER/mark"
    # munged wants to own the folders of its files, and that others cannot write there.
    chown munge:munge "$FOLDER"/{log,run}
    chmod 755 "$FOLDER" "$FOLDER"/{log,run}
    trap 'stop; exit 1' ERR
    configure
    runuser -u munge -- "$(command -v munged)" --socket="$FOLDER/run/munge.socket" \
        --pid-file="$FOLDER/run/munged.pid" --log-file="$FOLDER/log/munged.log" \
        --seed-file="$FOLDER/run/munged.seed"
    slurmctld
    slurmd -N "$HOST"
    for _ in $(seq 100); do
        if [ "$(sinfo --noheader --partition=cpu --format=%T 2>/dev/null)" = idle ]; then
            echo "Slurm runs on $HOST"
            return
        fi
        sleep 0.1
    done
    tail -n 20 "$FOLDER"/log/*.log >&2
    stop
    fail "Slurm did not come up within 10 s"
}

stop() {
    local file name pid
    if [ -e "$FOLDER" ]; then
        { [ -e "$FOLDER/mark" ] && ours "$FOLDER/mark"; } || fail "$FOLDER is not this script's"
    fi
    # Jobs first: they would outlive slurmd.
    if [ -e "$FOLDER/run/slurmctld.pid" ] && command -v scancel >/dev/null; then
        timeout 10 scancel --user=root 2>/dev/null || true
        for _ in $(seq 100); do
            [ -n "$(timeout 5 squeue --noheader 2>/dev/null)" ] || break
            sleep 0.1
        done
    fi
    for name in slurmd slurmctld munged; do
        file="$FOLDER/run/$name.pid"
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        # The number may be another process's by now.
        if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ]; then
            kill "$pid"
            for _ in $(seq 100); do
                [ -e "/proc/$pid" ] || break
                sleep 0.1
            done
            [ ! -e "/proc/$pid" ] || kill -KILL "$pid"
        fi
    done
    for file in "${CONFIGURATIONS[@]}"; do
        if [ -e "$file" ] && ours "$file"; then rm "$file"; fi
    done
    rm -rf "${FOLDER:?}"
}

[ "$(id -u)" = 0 ] || fail "needs root"
FOLDER=${2:-}
if [ -z "$FOLDER" ] && [ "${1:-}" = stop ]; then FOLDER=$(started_in); fi
FOLDER=$(realpath -m "${FOLDER:-/tmp/variscope-slurm}")
case "${1:-}" in
    install) install_packages ;;
    start) start ;;
    stop) stop ;;
    *) fail "install, start or stop" ;;
esac
