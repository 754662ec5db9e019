#!/usr/bin/env bash
# Everything worth knowing of Ovid on one NVIDIA GPU, in 45 minutes: correctness, rates, whole steps, one archive.
#
#   benchmarks/gpu_report.sh [--build build/release] [--out gpu-report] [--minutes 45]
#
# The order is that of worth: a run that is cut short still says whether results are right. Each part writes its output
# into the folder and the last line of its log says how it ended; nothing stops the parts behind it. Write down what you
# expect (docs/gpu_static.md has the model's predictions) before you look.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
root=$PWD
build=$root/build/release
out=$root/gpu-report
minutes=45
while (($# > 0)); do
  case $1 in
    --build) build=$(realpath "$2") && shift 2 ;;
    --out) out=$(realpath -m "$2") && shift 2 ;;
    --minutes) minutes=$2 && shift 2 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "gpu_report.sh: unknown option $1; --help lists them" >&2 && exit 2 ;;
  esac
done
if ! [[ $minutes =~ ^[0-9]+$ ]]; then
  echo "gpu_report.sh: --minutes $minutes is no whole number" >&2
  exit 2
fi
if [[ ! -x $build/ovid || ! -f $build/libovid_cuda.so ]]; then
  echo "gpu_report.sh: $build has no ovid with its CUDA module; build with: cmake --preset cuda && cmake --build --preset cuda" >&2
  exit 2
fi
mkdir -p "$out"
end=$((SECONDS + 60 * minutes))

# part NAME SECONDS COMMAND...: runs with a limit of time, keeps the output, says how it ended.
part() {
  local name=$1 limit=$2 left=$((end - SECONDS)) status
  shift 2
  if ((left < 10)); then
    echo "$name: left out, the time is up" | tee -a "$out/summary.txt"
    return
  fi
  ((limit > left)) && limit=$left
  printf '%s ... ' "$name"
  timeout --signal=INT "$limit" "$@" >"$out/$name.out" 2>"$out/$name.log"
  status=$?
  echo "exit status $status" >>"$out/$name.log"
  echo "$name: exit status $status" | tee -a "$out/summary.txt"
}

clocks() {
  command -v nvidia-smi >/dev/null || return 0
  nvidia-smi --query-gpu=timestamp,name,clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active \
    --format=csv >>"$out/clocks.csv" 2>/dev/null
}

: >"$out/summary.txt"
git -C "$root" rev-parse HEAD >"$out/commit.txt" 2>/dev/null

# 1. The machine.
part machine 60 nvidia-smi -q
part doctor 120 "$build/ovid" doctor --json
clocks

# 2. Right or wrong: every kernel against double precision, twice; then under the sanitizer at small sizes.
part selftest 360 "$build/ovid" selftest --device cuda --json
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    part "sanitizer-$tool" 240 compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/ovid" selftest --device cuda --quick
  done
fi

# 3. A training run on the GPU beside the same run on the CPU.
mkdir -p "$out/text"
for n in $(seq 2000); do
  echo "Line $n: the quick brown fox jumps over $((n * 7919 % 1009)) lazy dogs."
done >"$out/text/text.txt"
part data 60 "$build/ovid-data" text --input "$out/text/text.txt" --output "$out/text/shards" --tokenizer bytes --validation-fraction 0.1
cat >"$out/text/run.yaml" <<YAML
run: {name: trial, directory: $out/text/runs, seed: 1}
model: {layers: 4, heads: 4, width: 256, context_length: 128, vocabulary_size: 257, dropout: 0.0}
data: {train: [$out/text/shards/train_*.bin], validation: [$out/text/shards/validation_*.bin]}
batch: {sequences: 16, micro_sequences: 8, length: 128}
optimizer: {learning_rate: 1.0e-3}
schedule: {warmup_steps: 5}
training: {steps: 40}
validation: {every_steps: 20, sequences: 16}
checkpoint: {every_steps: 20}
samples: {every_steps: 0}
YAML
for precision in float32 bfloat16 float16; do
  part "train-cuda-$precision" 120 "$build/ovid" train "$out/text/run.yaml" device.kind=cuda precision=$precision run.name=cuda-$precision
done
for kernels in naive cudnn; do  # cudnn: where its library and headers were found; else its log has the reason
  part "train-cuda-$kernels" 120 "$build/ovid" train "$out/text/run.yaml" device.kind=cuda precision=bfloat16 attention=$kernels run.name=cuda-$kernels
done
part train-cpu 180 "$build/ovid" train "$out/text/run.yaml" device.kind=cpu run.name=cpu
part train-again 120 "$build/ovid" train "$out/text/run.yaml" device.kind=cuda precision=bfloat16 run.name=cuda-bfloat16-again
part compare 30 "$build/ovid" runs compare "$out"/text/runs/*

# 4. Rates of the ops at the width of 124M.
clocks
for dtype in bfloat16 float32; do
  part "ops-$dtype" 300 "$build/benchmark_cuda_ops" --tokens 65536 --repeat 20 --dtype $dtype
done
part ops-bfloat16-short 120 "$build/benchmark_cuda_ops" --tokens 16384 --repeat 50
clocks

# 5. Whole steps of the models, from small to large; what does not fit says so.
step=("$build/benchmark_step" --device cuda --precision bfloat16 --length 1024)
for micro in 4 16 32 64; do
  part "step-124m-$micro" 120 "${step[@]}" --batch $micro --steps 20
done
part step-355m 120 "${step[@]}" --layers 24 --heads 16 --width 1024 --batch 16 --steps 10
part step-774m 150 "${step[@]}" --layers 36 --heads 20 --width 1280 --batch 8 --steps 6
part step-1558m 200 "${step[@]}" --layers 48 --heads 25 --width 1600 --batch 4 --steps 4
clocks

# 6. Where the time goes, if NVIDIA's profiler is here.
if command -v ncu >/dev/null; then
  part profile 300 ncu --set full --target-processes all -o "$out/ops" "$build/benchmark_cuda_ops" --tokens 16384
fi
clocks

rm -rf "$out/text/shards" "$out"/text/runs/*/checkpoints
tar -C "$(dirname "$out")" -czf "$out.tar.gz" "$(basename "$out")"
echo
cat "$out/summary.txt"
echo "results: $out.tar.gz"
