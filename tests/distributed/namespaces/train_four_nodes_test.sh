#!/usr/bin/env bash
# train_four_nodes_test.sh BUILD: a run on four nodes, joined by MPI over TCP in a network of the test's own, loses one of
# them and is resumed on the three that are left. In canonical order its weights must be those of a run in one process, to
# the bit.
set -euo pipefail

build=$1
here=$(cd "$(dirname "$0")" && pwd)
if [[ -z ${OVID_NODES:-} ]]; then exec "$here/with_nodes.sh" 4 "$0" "$build"; fi
cd "$OVID_NODES"

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  tail -n 40 ./*.log >&2
  exit 1
}

# Lines that a model of bytes can learn something of.
for ((i = 0; i < 4000; ++i)); do echo "$i sheep and $((i * 7 % 1000)) goats went over the hill"; done >text.txt
"$build/ovid-data" text --input text.txt --output data --tokenizer bytes >data.log 2>&1 || fail "no data"

cat >run.yaml <<'EOF'
run: {directory: runs, seed: 7}
device: {kind: cpu, threads: 1}
model: {layers: 2, heads: 2, width: 32, context_length: 32, vocabulary_size: 257, dropout: 0.1}
data: {train: [data/train_*.bin], validation: [data/validation_*.bin]}
batch: {sequences: 12, length: 32}
optimizer: {learning_rate: 1.0e-3}
schedule: {kind: cosine, warmup_steps: 10}
training: {steps: 240}
validation: {every_steps: 80, sequences: 12}
checkpoint: {every_steps: 40, keep_last: 2}
samples: {every_steps: 0}
distributed: {zero_stage: 0, reduction: canonical}
EOF
train() { # train HOSTS
  mpirun --host "$1" -x OVID_MPI_MODULE="$build/libovid_mpi.so" "$build/ovid" train run.yaml run.name=nodes distributed.zero_stage=1
}

"$build/ovid" train run.yaml run.name=one >one.log 2>&1 || fail "the run in one process ended with $?"

train node1:1,node2:1,node3:1,node4:1 >four.log 2>&1 &
job=$!
for ((i = 0; i < 600; ++i)); do
  if [[ $({ wc -l <runs/nodes/metrics.jsonl; } 2>/dev/null || echo 0) -ge 100 ]]; then break; fi
  sleep 0.05
done
begin=$(date +%s%N)
"$OVID_NODES/crash" node3
status=0
wait "$job" || status=$?
milliseconds=$((($(date +%s%N) - begin) / 1000000))
[[ $status != 0 ]] || fail "the run that lost a node ended with 0"
last=$(tail -n 1 runs/nodes/metrics.jsonl)
echo "lost a node: the job ended after $milliseconds ms with exit code $status; the last line of metrics: ${last:0:60}"

train node1:1,node2:1,node4:1 >three.log 2>&1 || fail "the run on three nodes ended with $?"
weights=checkpoints/step-00000240/model.safetensors
cmp "runs/one/$weights" "runs/nodes/$weights" || fail "the weights differ from those of one process"
echo "resumed on three nodes: the weights are those of one process, to the bit"
