#!/usr/bin/env bash
# nccl_train_test.sh BUILD: `ovid train` on 1, 2 and 4 devices of the emulator, with NCCL's stand-in between the processes,
# at ZeRO stages 0 and 2: the losses are those of one device.
set -euo pipefail

build=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export PTX_EMULATOR_DEVICES=4

for ((i = 0; i < 500; ++i)); do echo "$i sheep and $((i * 7 % 1000)) goats went over the hill"; done >text.txt
"$build/ovid-data" text --input text.txt --output data --tokenizer bytes >/dev/null 2>&1
cat >run.yaml <<'EOF'
run: {directory: runs, seed: 7}
device: {kind: cuda}
model: {layers: 1, heads: 2, width: 32, context_length: 32, vocabulary_size: 257, dropout: 0.0}
data: {train: [data/train_*.bin]}
batch: {sequences: 4, micro_sequences: 1, length: 32}
optimizer: {learning_rate: 1.0e-3}
schedule: {kind: constant, warmup_steps: 0}
training: {steps: 3}
validation: {every_steps: 0}
checkpoint: {every_steps: 0, initial: false}
samples: {every_steps: 0}
EOF

"$build/ovid" train run.yaml run.name=1 >log 2>&1 || { cat log >&2; exit 1; }
# RANKS-STAGE: with 2 ranks a step has two passes, which stage 2 reduces one after the other.
for way in 2-0 4-0 2-2 4-2; do
  ranks=${way%-*}
  "$build/ovid" train run.yaml run.name="$way" --processes "$ranks" distributed.zero_stage="${way#*-}" >log 2>&1 ||
    { cat log >&2; exit 1; }
  # Sums of 128 tokens in float32, in another order: 128 x 2^-24 = 8e-6 of the value.
  paste <(grep -o '"loss":[0-9.]*' runs/1/metrics.jsonl) <(grep -o '"loss":[0-9.]*' "runs/$way/metrics.jsonl") |
    tr -d '"los:' | awk -v way="$way" '
      { d = ($1 - $2) / $1; if (d > 8e-6 || d < -8e-6) bad = 1; print way ": loss " $2 ", one: " $1 }
      END { exit bad || NR != 3 }' || { echo "FAILED: $way" >&2; exit 1; }
done
