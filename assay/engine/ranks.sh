# Tell each rank of a job step who it is, and where the others are, in the words of torch, torchrun, JAX and TensorFlow.
port=$((20000 + (SLURM_JOB_ID + 100 * SLURM_STEP_ID) % 20000))
each=$((SLURM_STEP_NUM_TASKS / SLURM_STEP_NUM_NODES))
first= workers= rank=0
for node in $(scontrol show hostnames "$SLURM_STEP_NODELIST"); do
    # By the address that Slurm itself has of a node: not each node can look up the name of each.
    at=$(scontrol show node --oneliner "$node" | sed -n "s/.* NodeAddr=\([^ ]*\).*/\1/p")
    first=${first:-$at}
    for _ in $(seq "$each"); do
        rank=$((rank + 1))
        workers="$workers${workers:+, }\"$at:$((port + rank))\""
    done
done
for pair in MASTER_ADDR="$first" MASTER_PORT="$port" WORLD_SIZE="$SLURM_STEP_NUM_TASKS" RANK="$SLURM_PROCID" \
    LOCAL_RANK="$SLURM_LOCALID" LOCAL_WORLD_SIZE="$each" \
    PET_NNODES="$SLURM_STEP_NUM_NODES" PET_NODE_RANK="$SLURM_NODEID" PET_MASTER_ADDR="$first" PET_MASTER_PORT="$port" \
    JAX_COORDINATOR_ADDRESS="$first:$port" SLURM_JOB_ID="$SLURM_JOB_ID" SLURM_NTASKS="$SLURM_STEP_NUM_TASKS" \
    SLURM_PROCID="$SLURM_PROCID" SLURM_LOCALID="$SLURM_LOCALID" SLURM_STEP_NODELIST="$SLURM_STEP_NODELIST" \
    SLURM_STEP_NUM_NODES="$SLURM_STEP_NUM_NODES" \
    TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"; do
    export "APPTAINERENV_$pair"
done
exec "$@"
