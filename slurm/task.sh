# One task of an array: the line of $TASKS with this index, whose first word is the task's name. Set above: TASKS, FOLDER, MAX_REQUEUES.
index=${SLURM_ARRAY_TASK_ID:?this script runs as an array task: sbatch --array=INDEX}
line=$(sed -n "$((index + 1))p" "$TASKS") || exit 2
if [ -z "$line" ]; then
    echo "error: array index $index is beyond $TASKS, which has $(wc -l <"$TASKS") tasks, counted from 0." >&2
    exit 2
fi
name=${line%% *}
log=$FOLDER/logs/$name.log status_file=$FOLDER/status/$name
mkdir -p "${log%/*}" "${status_file%/*}" || exit 2
rm -f "$status_file"

# Temporary files of this task alone, gone with it however it ends.
TMPDIR=$(mktemp -d "${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/tcpe.XXXXXX") || exit 2
export TMPDIR OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
trap 'rm -rf "$TMPDIR"' EXIT

echo "task $name, job ${SLURM_JOB_ID:-?} on $(hostname), try $((${SLURM_RESTART_COUNT:-0} + 1)); its log is $log"
share=
if [ "${SLURM_NTASKS:-1}" -gt 1 ]; then # its processes share the run; srun hands signals on, where torchrun would end with a status of its own
    export WORLD_SIZE=$SLURM_NTASKS MASTER_ADDR=$(hostname) MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
    share='srun --kill-on-bad-exit=1 bash -c '\''export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID; exec "$@"'\'' share'
fi
eval "exec $share ${line#* }" >>"$log" 2>&1 &
child=$!
# SLURM signals this shell (--signal=B:USR1@...) before the time limit; the stage saves its state and ends with 128 + the signal.
trap 'kill -USR1 $child 2>/dev/null' USR1
trap 'kill -TERM $child 2>/dev/null' TERM
while :; do
    wait $child
    status=$?
    kill -0 $child 2>/dev/null || break # a trapped signal ends wait too
done
trap '' USR1 TERM

if [ $status = 138 ] || [ $status = 143 ]; then
    # Of a job that was cancelled, or that SLURM preempts and requeues itself, this is not the state.
    state=$(squeue --noheader --jobs="${SLURM_ARRAY_JOB_ID}_$index" --format=%T 2>/dev/null)
    if [ "$state" = RUNNING ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MAX_REQUEUES" ]; then
        echo "task $name was told to stop (status $status) and is queued again"
        rm -rf "$TMPDIR"
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$index" && sleep 60
    fi
fi
echo $status >"$status_file.new" && mv "$status_file.new" "$status_file"
if [ $status != 0 ]; then
    echo "error: task $name ended with status $status: $(grep -a '^error: ' "$log" | tail -n 1 | cut -c8-)" >&2
fi
exit $status
