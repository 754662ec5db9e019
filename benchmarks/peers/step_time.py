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
import pathlib
import statistics
import subprocess
import sys
import time

PEER = pathlib.Path(__file__).resolve().parent / "pytorch_gpt2_step.py"
PEERS = {
    "pytorch": [],
    "pytorch-compiled": ["--compile"],
    "transformers": ["--implementation", "transformers"],
}


class Contender:
    """A process that makes one step for each line it is given."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen([str(part) for part in command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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

    def finish(self):
        self.times = self.times[1:]  # the first warms up caches, pages and libraries
        self.process.stdin.close()
        peak = self.read("done")["peak_bytes"]
        self.process.wait()
        several = len(self.times) > 1
        quartiles = statistics.quantiles(self.times, n=4) if several else self.times * 3
        return {"name": self.name, "median_ms": statistics.median(self.times),
                "quartiles_ms": [quartiles[0], quartiles[2]], "fastest_ms": min(self.times),
                "times_ms": self.times, "peak_bytes": peak, "facts": self.facts}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ovid", help="build/release/benchmark_step; left out: peers only")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with PyTorch")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=["pytorch"])
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
