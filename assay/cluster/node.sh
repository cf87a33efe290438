#!/bin/sh
# What a node of a cluster does for one image: pull it by its digest, train in it, and leave an answer.
#
#   sh node.sh TASK
#
# TASK is the image's folder, which the host wrote and each node sees. Whatever pulls the image holds its content
# against the digest. The container can do as little as that of `assay smoke` on one machine. An answer is a folder
# that appears whole.
set -u
umask 077
task=$1
. "$task/job" # reference, digest, device, plain, nonce
attempt=${SLURM_RESTART_COUNT:-0}
most_attempts=3
node=$(printf %s "${SLURMD_NODENAME:-$(uname -n)}" | tr -cd 'A-Za-z0-9._-')
container="assay-$nonce-${task##*/}-$attempt"
runtime=none
child=
# Whoever submits the script by hand tells the host no number.
[ -e "$task/../started" ] || echo "${SLURM_ARRAY_JOB_ID:-}" >"$task/../started"

work=$(mktemp -d "${TMPDIR:-/tmp}/assay-XXXXXX") || exit 1
# Layers and programs of a large image need room: all of it is in one folder, and goes with it.
export TMPDIR="$work" APPTAINER_TMPDIR="$work" APPTAINER_CACHEDIR="$work/cache"
export SINGULARITY_TMPDIR="$work" SINGULARITY_CACHEDIR="$work/cache"
cp "$task/plan.json" "$work/plan.json" && : >"$work/report.json" && : >"$work/log" && mkdir "$work/tmp" || exit 1

clean() {
    [ -z "$child" ] || { kill "$child" && wait "$child"; } 2>/dev/null
    [ "$runtime" != docker ] || docker rm --force --volumes "$container" >/dev/null 2>&1
    for _ in 1 2 3 4 5; do # what was ended may write for a moment yet
        rm -rf "$work" 2>/dev/null && break
        sleep 1
        chmod -R u+rwx "$work" 2>/dev/null
    done
}
trap clean EXIT
trap 'exit 143' TERM INT HUP

# In the background, since a shell answers no signal while it waits for what is in front.
run() {
    "$@" >>"$work/log" 2>&1 &
    child=$!
    wait "$child"
    code=$?
    child=
    return "$code"
}

answer() { # STAGE STATUS SECONDS
    tail -c 65536 "$work/log" >"$work/log.end"
    name="$attempt.$node.$$"
    partial="$task/.partial.$name"
    mkdir "$partial" && cp "$work/log.end" "$partial/log" && cp "$work/report.json" "$partial/report.json" &&
        printf '{"nonce": "%s", "digest": "%s", "attempt": %d, "node": "%s", "runtime": "%s", "stage": "%s", "status": %d, "seconds": %d}\n' \
            "$nonce" "$digest" "$attempt" "$node" "$version" "$1" "$2" "$3" >"$partial/answer.json" &&
        mv "$partial" "$task/answer.$name"
}

version=none
for program in apptainer singularity docker; do
    if command -v "$program" >/dev/null 2>&1; then
        runtime=$program
        version=$("$program" --version 2>/dev/null | head -n 1 | tr -cd 'A-Za-z0-9 .,+~_-')
        break
    fi
done

pull() {
    case $runtime in
    docker) # it takes the manifest of that digest and no other
        run docker pull --quiet "$reference"
        ;;
    *) # so is it here; a folder, since not each node can mount an image file
        run "$runtime" build --sandbox $([ "$plain" = 0 ] || echo --no-https) "$work/image" "docker://$reference"
        ;;
    esac
}

train() {
    command="smoke --plan /run/assay/plan.json --report /run/assay/report.json"
    gpu=
    if [ "$runtime" = docker ]; then
        chmod 644 "$work/plan.json"
        chmod 666 "$work/report.json" # the container's user is none of the node's
        # Its processes are the engine's and not the job's: what the job was given is said to the engine.
        [ -z "${SLURM_MEM_PER_NODE:-}" ] || gpu="--memory ${SLURM_MEM_PER_NODE}m --memory-swap ${SLURM_MEM_PER_NODE}m"
        [ "$device" != gpu ] || gpu="$gpu --gpus device=${SLURM_JOB_GPUS:-all}"
        cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
        # shellcheck disable=SC2086
        run docker run --rm --name "$container" --network none --read-only --user 12345:12345 --shm-size 64m \
            --tmpfs /tmp:rw,exec,mode=1777,size=4g,nr_inodes=256k --pids-limit 8192 --ulimit fsize=1073741824 \
            --cap-drop ALL --security-opt no-new-privileges --cpuset-cpus "$cpus" $gpu \
            --volume "$work/plan.json:/run/assay/plan.json:ro" --volume "$work/report.json:/run/assay/report.json" \
            "$reference" $command
    else
        [ "$device" != gpu ] || gpu="--nv ${CUDA_VISIBLE_DEVICES:+--env CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES}"
        # A user's variables could bind folders of his, and set others in the container.
        # shellcheck disable=SC2086
        run env -i PATH="$PATH" HOME="$HOME" TMPDIR="$work" APPTAINER_TMPDIR="$work" \
            "$runtime" run --containall --cleanenv --net --network none --workdir "$work/tmp" $gpu \
            --bind "$work/plan.json:/run/assay/plan.json:ro" --bind "$work/report.json:/run/assay/report.json" \
            "$work/image" $command
    fi
}

if [ "$runtime" = none ]; then
    answer runtime 127 0
    exit 1
fi
if ! pull; then
    # No second try makes that better.
    if grep -qiE 'verif[a-z]* .*(sha256|digest)|unexpected commit digest|digest did not match' "$work/log"; then
        answer altered 1 0
        exit 1
    fi
    # A registry that is away for a moment: the engine starts the job again, here or elsewhere.
    if [ $((attempt + 1)) -lt "$most_attempts" ] && scontrol requeue "${SLURM_JOB_ID:-none}" 2>/dev/null; then
        echo "$node cannot pull $reference: $(tail -n 1 "$work/log")"
        run sleep 600 # until the engine ends it
    fi
    answer pull 1 0
    exit 1
fi
started=$(date +%s)
train
status=$?
answer train "$status" $(($(date +%s) - started))
exit "$status"
