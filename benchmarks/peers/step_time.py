"""Step time and peak memory of Ovid and its peers, step by step in turns.

  python step_time.py --ovid build/release/benchmark_step --python PYTHON [--json OUT.json]

Every contender is one process that waits for a line before each step, so that all of them meet the
same state of the machine: round after round each makes one step, in an order that rotates, after a
pause in which the threads of the one before fall asleep. The first round is not counted. The table
gives median, quartiles, tokens per second, the ratio to the first contender and each process's own
peak resident memory (VmHWM). Ovid's step also takes the gradient norm; PyTorch's does not.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PEER = pathlib.Path(__file__).resolve().parent / "pytorch_gpt2_step.py"
PEERS = {
    "pytorch": [],
    "pytorch-compiled": ["--compile"],
    "transformers": ["--implementation", "transformers"],
}


class Contender:
    """A process that makes one step for each line it is given."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.process = subprocess.Popen([str(part) for part in command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=environment)
        self.facts = self.read("ready")
        self.times = []

    def read(self, event):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with code {self.process.wait()} before '{event}'")
        values = json.loads(line)
        if values.get("event") != event:
            raise SystemExit(f"{self.name} said {line.strip()} instead of '{event}'")
        return values

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.times.append(self.read("step")["ms"])

    def peak_bytes(self):
        self.process.stdin.close()
        peak = self.read("done")["peak_bytes"]
        self.process.wait()
        return peak

    def finish(self):
        self.times = self.times[1:]  # the first warms up caches, pages and libraries
        peak = self.peak_bytes()
        several = len(self.times) > 1
        quartiles = statistics.quantiles(self.times, n=4) if several else self.times * 3
        return {"name": self.name, "median_ms": statistics.median(self.times),
                "quartiles_ms": [quartiles[0], quartiles[2]], "fastest_ms": min(self.times),
                "times_ms": self.times, "peak_bytes": peak, "facts": self.facts}


class PausedContender(Contender):
    """llm.c's train_gpt2, which knows no turns: stopped and continued by signals."""

    def __init__(self, name, program, folder, threads):
        self.name, self.facts, self.times = name, {}, []
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        # Its output is line by line only on a terminal.
        self.process = subprocess.Popen(["stdbuf", "-oL", str(program.resolve())], text=True,
                                        cwd=folder, stdout=subprocess.PIPE, env=environment)
        self.wait_for_step()  # the first comes after a validation

    def wait_for_step(self):
        for line in self.process.stdout:
            if line.startswith("step "):
                self.process.send_signal(signal.SIGSTOP)
                return
        raise SystemExit(f"{self.name} ended with code {self.process.wait()}")

    def step(self):
        start = time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        self.wait_for_step()
        self.times.append(1e3 * (time.perf_counter() - start))

    def peak_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        self.process.kill()
        self.process.wait()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


def library_for_mkl():
    """MKL asks this function whether the processor is Intel's."""
    folder = pathlib.Path(tempfile.mkdtemp())
    source, library = folder / "intel.c", folder / "intel.so"
    source.write_text("int mkl_serv_intel_cpu_true(void) { return 1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", library], check=True)
    return library


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ovid", help="build/release/benchmark_step; left out: peers only")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with PyTorch")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=["pytorch"])
    parser.add_argument("--mkl-as-on-intel", action="store_true", help="time the peers so, too")
    parser.add_argument("--llmc", type=pathlib.Path, help="llm.c's train_gpt2, built")
    parser.add_argument("--llmc-folder", type=pathlib.Path, help="made by llmc_files.py")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--pause-seconds", type=float, default=0.5)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    return parser.parse_args()


def start(arguments):
    shared = ["--steps", arguments.rounds + 1, "--step-on-input"]
    for key in ("layers", "heads", "width", "vocabulary", "batch", "length", "threads"):
        shared += [f"--{key}", getattr(arguments, key)]
    contenders = []
    if arguments.ovid:
        contenders.append(Contender("ovid", [arguments.ovid, "--json", *shared]))
    for name in arguments.peers:
        command = [arguments.python, "-B", PEER, *PEERS[name], *shared]
        contenders.append(Contender(name, command))
        if arguments.mkl_as_on_intel:
            tuned = dict(os.environ, LD_PRELOAD=str(library_for_mkl()))
            contenders.append(Contender(name + " (MKL)", command, tuned))
    if arguments.llmc:
        if arguments.rounds > 9:
            raise SystemExit("llm.c validates at every tenth step: at most 9 rounds")
        contenders.append(PausedContender("llm.c", arguments.llmc, arguments.llmc_folder,
                                          arguments.threads))
    if not contenders:
        raise SystemExit("nothing to time: give --ovid or --peers")
    return contenders


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def print_table(arguments, results):
    tokens = arguments.batch * arguments.length
    print(f"{processor()}, {arguments.threads} threads, B={arguments.batch}, T={arguments.length}, "
          f"{arguments.layers} x {arguments.width}, {arguments.rounds} rounds in turns")
    print(f"{'':18}{'median ms':>10}{'quartiles':>18}{'tokens/s':>10}{'ratio':>8}{'peak MiB':>10}")
    for result in results:
        low, high = result["quartiles_ms"]
        spread = f"{low:,.1f} - {high:,.1f}"
        print(f"{result['name']:18}{result['median_ms']:>10,.1f}{spread:>18}"
              f"{1e3 * tokens / result['median_ms']:>10,.0f}"
              f"{result['median_ms'] / results[0]['median_ms']:>8.2f}"
              f"{result['peak_bytes'] / 2**20:>10,.0f}")


def main():
    arguments = parse_arguments()
    contenders = start(arguments)
    for turn in range(arguments.rounds + 1):
        for index in range(len(contenders)):
            time.sleep(arguments.pause_seconds)
            contenders[(turn + index) % len(contenders)].step()
    results = [contender.finish() for contender in contenders]
    print_table(arguments, results)
    if arguments.json:
        setup = {key: getattr(arguments, key) for key in
                 ("layers", "heads", "width", "vocabulary", "batch", "length", "threads", "rounds")}
        arguments.json.write_text(json.dumps(
            {"processor": processor(), "setup": setup, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
