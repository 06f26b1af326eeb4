#!/bin/sh
# How the recorded traces came to be: these commands, one after the other, some 17 minutes each; `accrual` on the PATH.
# One core is the recording's own (taskset): whatever else the machine did was confined to the others.
# A recording that is already there is not overwritten: remove it first.
set -eu
cd "$(dirname "$0")/.."

taskset -c 1 accrual record data/idle.parquet --period 0.01 --count 105000 \
    --title "Two processes on an idle core"

taskset -c 1 accrual record data/contended.parquet --period 0.01 --count 105000 \
    --title "Two processes on a busy core, the sender stopped now and then" \
    --disturb contention:processes=3 --disturb pause:every=5,median=0.135,sigma=0.8 --seed 20040101

python data/make_manifest.py
