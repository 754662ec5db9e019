"""All-reduce between processes of this machine, one thread each: Ovid, Open MPI and Gloo.

  python all_reduce.py --build build/release --ranks 2 --bytes 33554432 --rounds 3

Each round runs every contender once, in an order that rotates; each run times the same number of
all-reduces of the same float32 rows, in place, each behind a barrier, and gives their median. The
table shows the median of the rounds, and bytes / median as GB/s. Gloo is PyTorch's (it needs
`torch`), Open MPI's is benchmark_mpi_all_reduce (built where MPI is). What is missing is left out
with a line that begins with SKIPPED. With --json everything that was measured, as one JSON object.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time


def gloo_rank(rank, ranks, port, repeats, sizes):
    """One rank of Gloo; rank 0 prints the lines that the other programs print."""
    import torch
    import torch.distributed as distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank,
                                   world_size=ranks)
    for size in sizes:
        row = torch.ones(size // 4)
        times = []
        for repeat in range(-5, repeats):
            if repeat % 50 == 0:
                row.fill_(1.0)
            distributed.barrier()
            start = time.perf_counter()
            distributed.all_reduce(row)
            if repeat >= 0:
                times.append((time.perf_counter() - start) * 1e3)
        if rank == 0:
            print(json.dumps({"bytes": size, "median_ms": statistics.median(times)}), flush=True)
    distributed.destroy_process_group()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def medians(text):
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {row["bytes"]: row["median_ms"] for row in rows}


class Ovid:
    name = "Ovid"

    def __init__(self, options):
        self.program = options.build / "benchmark_collectives"
        self.missing = None if self.program.exists() else f"{self.program} is not built"

    def run(self, options):
        command = [self.program, "--processes", options.ranks, "--rounds", options.repeats,
                   "--bytes", *options.bytes]
        return medians(subprocess.check_output([str(word) for word in command], text=True))


class OpenMpi:
    name = "Open MPI"

    def __init__(self, options):
        self.program = options.build / "benchmark_mpi_all_reduce"
        self.missing = None
        if not self.program.exists():
            self.missing = f"{self.program} is not built"
        elif shutil.which("mpirun") is None:
            self.missing = "no mpirun"

    def run(self, options):
        command = ["mpirun", "--oversubscribe", "-n", options.ranks,
                   self.program, options.repeats, *options.bytes]
        return medians(subprocess.check_output([str(word) for word in command], text=True))


class Gloo:
    name = "Gloo"

    def __init__(self, options):
        try:
            import torch.distributed as distributed

            self.missing = None if distributed.is_gloo_available() else "PyTorch without Gloo"
        except ImportError:
            self.missing = "no torch"

    def run(self, options):
        port = free_port()
        processes = [subprocess.Popen(
            [sys.executable, "-B", __file__, "--gloo-rank", str(rank), "--port", str(port),
             "--ranks", str(options.ranks), "--repeats", str(options.repeats),
             "--bytes", *map(str, options.bytes)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"}) for rank in range(options.ranks)]
        texts = [process.communicate()[0] for process in processes]
        if any(process.returncode for process in processes):
            raise RuntimeError("a rank of Gloo failed")
        return medians(texts[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--bytes", type=int, nargs="+", default=[4096, 1 << 20, 32 << 20])
    parser.add_argument("--rounds", type=int, default=3, help="of all contenders")
    parser.add_argument("--repeats", type=int, default=40, help="all-reduces of one size in a run")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--gloo-rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gloo_rank is not None:
        gloo_rank(options.gloo_rank, options.ranks, options.port, options.repeats, options.bytes)
        return
    contenders = []
    for contender in (kind(options) for kind in (Ovid, OpenMpi, Gloo)):
        if contender.missing:
            print(f"SKIPPED {contender.name}: {contender.missing}")
        else:
            contenders.append(contender)
    measured = {contender.name: [] for contender in contenders}
    for round_number in range(options.rounds):
        shift = round_number % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            measured[contender.name].append(contender.run(options))
    print(f"{'all-reduce, ' + str(options.ranks) + ' ranks':<24}"
          + "".join(f"{size:>14,} B" for size in options.bytes))
    for name, rounds in measured.items():
        cells = ""
        for size in options.bytes:
            median = statistics.median(row[size] for row in rounds)
            cells += f"{median:8.3f} ms {size / 1e6 / median:4.1f}"
        print(f"{name:<24}{cells}  (GB/s)")
    if options.json:
        options.json.write_text(json.dumps({"ranks": options.ranks, "median_ms": measured},
                                           indent=1) + "\n")


if __name__ == "__main__":
    main()
