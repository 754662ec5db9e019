"""Training on one rank and on several, one thread each: `ovid train` and PyTorch's DDP over Gloo.

  python data_parallel.py --build build/release --text FILE --ranks 2 --rounds 3

Each rank has --batch sequences of every step, so that twice the tokens a second is perfect. Each
round runs every contender with one rank and with --ranks, in an order that rotates; the figure of a
run is the median tokens a second of its steps after the first three, and the table shows the median
of the rounds and several ranks over one. Both train the same shapes in float32: GPT-2 with a tied
head, AdamW, clipping. PyTorch's model is that of pytorch_gpt2_step.py on made-up tokens, in the
default buckets of DDP. Needs `torch`.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from all_reduce import free_port
from pytorch_gpt2_step import Gpt2, make_optimizer

WARMUP = 3  # steps


def torch_rank(arguments, rank, ranks, port):
    """One rank of DDP; rank 0 prints the seconds of each step."""
    import torch
    import torch.distributed as distributed

    torch.set_num_threads(1)
    torch.manual_seed(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank,
                                   world_size=ranks)
    model = Gpt2(arguments.layers, arguments.heads, arguments.width, arguments.length,
                 arguments.vocabulary)
    optimizer = make_optimizer(model)
    run = torch.nn.parallel.DistributedDataParallel(model) if ranks > 1 else model
    for _ in range(arguments.steps):
        text = torch.randint(arguments.vocabulary, (arguments.batch, arguments.length + 1))
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        run(text[:, :-1].contiguous(), text[:, 1:].contiguous()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if rank == 0:
            print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
    distributed.destroy_process_group()


def run_torch(arguments, ranks):
    port = str(free_port())
    command = [sys.executable, "-B", __file__, *sys.argv[1:], "--torch-port", port,
               "--torch-ranks", str(ranks)]
    processes = [subprocess.Popen([*command, "--torch-rank", str(rank)], stdout=subprocess.PIPE,
                                  text=True) for rank in range(ranks)]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode != 0 for process in processes):
        raise SystemExit(f"PyTorch on {ranks} ranks failed")
    seconds = [json.loads(line)["seconds"] for line in outputs[0].splitlines()][WARMUP:]
    return ranks * arguments.batch * arguments.length / statistics.median(seconds)


def run_ovid(arguments, ranks, folder):
    runs = folder / "runs"
    name = f"ranks-{ranks}-{time.monotonic_ns()}"
    settings = {
        "run.name": name, "run.directory": runs, "device.kind": "cpu", "device.threads": 1,
        "data.train": f"[{folder}/data/train_*.bin]", "validation.every_steps": 0,
        "samples.every_steps": 0, "checkpoint.every_steps": 0, "checkpoint.initial": "false",
        "model.layers": arguments.layers, "model.heads": arguments.heads,
        "model.width": arguments.width, "model.context_length": arguments.length,
        "model.vocabulary_size": arguments.vocabulary, "batch.length": arguments.length,
        "batch.sequences": ranks * arguments.batch, "batch.micro_sequences": arguments.batch,
        "training.steps": arguments.steps, "schedule.warmup_steps": 0,
        "distributed.reduction": arguments.reduction, "distributed.zero_stage": arguments.zero_stage,
    }
    config = folder / "config.yaml"
    config.write_text("run: {name: x}\n", encoding="utf-8")
    command = [arguments.build / "ovid", "train", config,
               *(f"{key}={value}" for key, value in settings.items())]
    if ranks > 1:
        command += ["--processes", str(ranks)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    rows = (json.loads(line) for line in (runs / name / "metrics.jsonl").open(encoding="utf-8"))
    rates = [row["tokens_per_second"] for row in rows if "tokens_per_second" in row]
    return statistics.median(rates[WARMUP:])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--text", type=pathlib.Path, required=True, help="any text of 100 kB or more")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=4, help="sequences of a rank")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--reduction", choices=("fast", "canonical"), default="fast")
    parser.add_argument("--zero-stage", type=int, default=0)
    parser.add_argument("--torch-rank", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--torch-ranks", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--torch-port", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.torch_rank >= 0:
        torch_rank(arguments, arguments.torch_rank, arguments.torch_ranks, arguments.torch_port)
        return
    with tempfile.TemporaryDirectory(prefix="ovid-ranks-") as temporary:
        folder = pathlib.Path(temporary)
        subprocess.run([arguments.build / "ovid-data", "text", "--input", arguments.text, "--output",
                        folder / "data", "--tokenizer", "bytes"], check=True,
                       stderr=subprocess.DEVNULL)
        runs = [(name, run, ranks)
                for name, run in (("Ovid", lambda a, r: run_ovid(a, r, folder)),
                                  ("PyTorch DDP, Gloo", run_torch))
                for ranks in (1, arguments.ranks)]
        measured = {(name, ranks): [] for name, _, ranks in runs}
        for index in range(arguments.rounds):
            for name, run, ranks in runs[index % len(runs):] + runs[:index % len(runs)]:
                measured[name, ranks].append(run(arguments, ranks))
    print(f"{'tokens/s':20}{'1 rank':>12}{f'{arguments.ranks} ranks':>12}{'ratio':>8}")
    for name in dict.fromkeys(name for name, _, _ in runs):
        one, several = (statistics.median(measured[name, r]) for r in (1, arguments.ranks))
        print(f"{name:20}{one:12.0f}{several:12.0f}{several / one:8.2f}")


if __name__ == "__main__":
    main()
