#!/bin/sh
# How the recorded traces came to be: these commands, some 10 to 17 minutes each; `accrual` on the PATH, as root.
# A recording that is already there is not overwritten: remove it first.
set -eu
cd "$(dirname "$0")/.."

# One core was these two's own (taskset): whatever else the machine did was confined to the others.
taskset -c 1 accrual record data/idle.parquet --period 0.01 --count 105000 \
    --title "Two processes on an idle core"

taskset -c 1 accrual record data/contended.parquet --period 0.01 --count 105000 \
    --title "Two processes on a busy core, the sender stopped now and then" \
    --disturb contention:processes=3 --disturb pause:every=5,median=0.135,sigma=0.8 --seed 20040101

# The others had to share two cores with other work, and with one another: these four ran at the same time ...
nice -n -15 accrual record data/lossy.parquet --period 0.01 --count 57000 \
    --title "A path that loses one heartbeat in twenty, several in a row" \
    --disturb path:delay=0.03,jitter=0.002,loss=0.05,burst=4 --seed 20040102 &
nice -n -15 accrual record data/jittery.parquet --period 0.01 --count 60000 \
    --title "A path with a queue that fills and drains" \
    --disturb path:delay=0.03,jitter=0.02,correlation=0.98 --seed 20040103 &
nice -n -15 accrual record data/partitioned.parquet --period 0.02 --duration 900 \
    --title "A path that is cut now and then and heals" \
    --disturb path:delay=0.02,jitter=0.001,partition_every=40,partition=6 --seed 20040104 &
accrual record data/paused.parquet --period 0.01 --duration 600 \
    --title "The sender stopped for a second now and then" \
    --disturb pause:every=8,median=0.8,sigma=0.5 --seed 20040105 &
wait

# ... and so did these three; KERNEL and MODULES are a Linux image and its modules, see record_vm.py.
nice -n -15 accrual record data/gc.parquet --period 0.01 --duration 600 \
    --title "A sender that collects garbage" \
    --disturb gc:objects=6000000,every=6 --seed 20040106 &
nice -n -15 accrual record data/cpu-quota.parquet --period 0.01 --duration 600 \
    --title "A sender in a group that uses up its CPU quota" \
    --disturb cpu-quota:share=0.2,period=0.1,processes=1 --seed 20040107 &
nice -n -15 python data/record_vm.py "${KERNEL:?}" "${MODULES:?}" data/vm.parquet &
wait

python data/make_manifest.py
