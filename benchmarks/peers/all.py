"""All comparisons with peers in one go: one table, one JSON file.

  python all.py --build build/release [--only step small-step ...] [--json OUT.json]

Each benchmark is one of the scripts of this folder, in which Ovid and its peers take turns; this
one starts them, leaves out by name what is not installed, and puts their figures side by side with
the versions and the processor. Contenders whose memory does not fit beside each other run in
groups, each with Ovid in it: --group-size says how many peers at a time. Every figure is the
median of its rounds with the quartiles; "ratio" is the peer's time over Ovid's (of the same
group), or Ovid's speed over the peer's: above 1 Ovid is ahead.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import generation_speed
import step_time

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ("torch", "transformers", "accelerate", "tiktoken", "tokenizers", "ctranslate2",
            "xllamacpp", "numpy")
NEEDS = {"pytorch": ["torch"], "pytorch-compiled": ["torch"],
         "transformers": ["torch", "transformers"],
         "ctranslate2": ["torch", "transformers", "ctranslate2"],
         "llama.cpp": ["xllamacpp", "numpy"],
         "tiktoken": ["tiktoken"], "tokenizers": ["tokenizers"]}


class Skip(Exception):
    """Why a benchmark or a peer is left out."""


def package_versions(python):
    """Of the packages that this interpreter has; nothing of what they do when imported."""
    code = ("import importlib.metadata as m, json, sys\n"
            "def version(name):\n"
            "    try: return m.version(name)\n"
            "    except m.PackageNotFoundError: return None\n"
            "print(json.dumps({n: version(n) for n in sys.argv[1:]}))")
    done = subprocess.run([python, "-c", code, *PACKAGES], check=True, text=True,
                          stdout=subprocess.PIPE)
    return {name: version for name, version in json.loads(done.stdout).items() if version}


class Machine:
    """What can be started here."""

    def __init__(self, options):
        self.options = options
        self.versions = package_versions(options.python)
        self.skipped = []

    def skip(self, benchmark, peer, reason):
        self.skipped.append({"benchmark": benchmark, "program": peer, "reason": reason})
        print(f"SKIPPED: {benchmark}, {peer}: {reason}", flush=True)

    def peers(self, benchmark, names):
        """Those of the names whose packages are installed."""
        found = []
        for name in names:
            missing = [package for package in NEEDS[name] if package not in self.versions]
            if missing:
                reason = f"{self.options.python} has no {' and no '.join(missing)}"
                self.skip(benchmark, name, reason)
            else:
                found.append(name)
        return found

    def ovid(self, name):
        program = self.options.build / name
        if not program.exists():
            raise Skip(f"{program} is not built")
        return program

    def option(self, name):
        value = getattr(self.options, name)
        if value is None:
            raise Skip(f"--{name.replace('_', '-')} is not given")
        return value

    def script(self, name, *arguments):
        """Runs a script of this folder to its end; what it wrote to its --json file."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.json"
            self.run([self.options.python, "-B", HERE / name, *arguments, "--json", out])
            return json.loads(out.read_text())

    def lines(self, command):
        """The JSON lines that a program prints."""
        return [json.loads(line) for line in self.run(command, stdout=subprocess.PIPE).splitlines()]

    @staticmethod
    def run(command, stdout=None):
        command = [str(part) for part in command]
        done = subprocess.run(command, text=True, stdout=stdout if stdout else sys.stderr)
        if done.returncode != 0:
            raise Skip(f"{' '.join(command[:4])} ... ended with code {done.returncode}")
        return done.stdout


def groups(peers, size):
    """The peers, so many at a time; one empty group where there are none: Ovid alone."""
    return [peers[i:i + size] for i in range(0, len(peers), size)] or [[]]


def step_rows(machine, benchmark, shape):
    options = machine.options
    program = machine.ovid("benchmark_step")
    shared = ["--ovid", program, "--python", options.python, "--rounds", options.rounds,
              "--threads", options.threads, *shape]
    rows = []

    def take(label, group, *more):
        results = machine.script("step_time.py", *shared, "--peers", *group, *more)["results"]
        rows.extend((result["name"], label, result["times_ms"]) for result in results)

    for group in groups(machine.peers(benchmark, list(step_time.PEERS)), options.group_size):
        take("+".join(group) or "alone", group)
    if benchmark == "step" and options.llmc and options.llmc_folder:
        take("llm.c", [], "--llmc", options.llmc, "--llmc-folder", options.llmc_folder)
    elif benchmark == "step":
        machine.skip(benchmark, "llm.c", "--llmc and --llmc-folder are not given (B = 4, T = 256)")
    return rows


def step(machine):
    return step_rows(machine, "step", ["--batch", 4, "--length", 256])


def small_step(machine):
    shape = {"layers": 4, "heads": 4, "width": 128, "vocabulary": 65, "batch": 12, "length": 64}
    return step_rows(machine, "small-step", [part for key, value in shape.items()
                                             for part in (f"--{key}", value)])


def tokenizer(machine):
    options = machine.options
    program, vocabulary = machine.ovid("benchmark_tokenizer"), machine.option("vocabulary")
    peers = machine.peers("tokenizer", ["tiktoken", "tokenizers"])
    rows = machine.script("tokenizer_speed.py", "--ovid", program, "--vocabulary", vocabulary,
                          "--input", machine.option("text"), "--rounds", options.rounds,
                          "--threads", *sorted({1, options.threads}), "--peers", *peers)["rows"]
    return [(row["name"], "all", row["mb_per_second"]) for row in rows]


def generation(machine):
    options = machine.options
    program = machine.ovid("benchmark_generation")
    rows = []
    for group in groups(machine.peers("generation", generation_speed.PEERS), options.group_size):
        results = machine.script("generation_speed.py", "--ovid", program, "--python",
                                 options.python, "--rounds", options.rounds, "--threads",
                                 options.threads, "--peers", *group)["results"]
        label = "+".join(group) or "alone"
        rows += [(result["name"], label, result["times_ms"]) for result in results]
    return rows


def checkpoint(machine):
    """The two programs take turns, a process for each round: both hold more than a GiB."""
    options = machine.options
    program = machine.ovid("benchmark_checkpoint")
    times = {"Ovid, training waits": [], "Ovid, beside training": [], "torch.save": [],
             "torch.save, durable": []}
    with_torch = machine.peers("checkpoint", ["pytorch"])
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        for _ in range(options.rounds):
            for line in machine.lines([program, "--rounds", 1, "--threads", options.threads,
                                       "--directory", folder]):
                if line["event"] == "synchronous":
                    times["Ovid, training waits"].append(line["cost_ms"])
                if line["event"] == "asynchronous":
                    times["Ovid, beside training"].append(line["cost_ms"])
            if not with_torch:
                continue
            for line in machine.lines([options.python, "-B", HERE / "checkpoint_save.py",
                                       "--rounds", 1, "--directory", folder]):
                if line["event"] == "save":
                    times["torch.save"].append(line["save_ms"])
                    times["torch.save, durable"].append(line["durable_ms"])
    return [(name, "all", values) for name, values in times.items() if values]


def first_step(machine):
    options = machine.options
    arguments = ["--text", machine.option("text_file"), "--ovid", machine.ovid("ovid"),
                 "--rounds", options.rounds]
    if "transformers" in machine.versions and "accelerate" in machine.versions:
        arguments += ["--python", options.python]
        if options.nanogpt:
            arguments += ["--nanogpt", options.nanogpt]
    else:
        lack = f"{options.python} lacks transformers or accelerate"
        machine.skip("first-step", "Trainer", lack)
        if options.nanogpt:
            machine.skip("first-step", "nanogpt", f"it runs where Trainer does, and {lack}")
    if options.llmc_small:
        arguments += ["--llmc", options.llmc_small]
    for name in ("nanogpt", "llmc_small"):
        if not getattr(options, name):
            machine.skip("first-step", name, f"--{name.replace('_', '-')} is not given")
    times = machine.script("first_step.py", *arguments)["seconds"]
    return [(name, "all", values) for name, values in times.items()]


# name: (what it does, unit, whether more is better)
BENCHMARKS = {"step": (step, "ms", False), "small-step": (small_step, "ms", False),
              "tokenizer": (tokenizer, "MB/s", True), "generation": (generation, "ms", False),
              "checkpoint": (checkpoint, "ms", False), "first-step": (first_step, "s", False)}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build/release")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    # Not resolved: the link in a virtual environment is what makes it one.
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers")
    parser.add_argument("--group-size", type=int, default=2, help="peers in memory at a time")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--vocabulary", type=pathlib.Path, help="tokenizer: GPT-2's files")
    parser.add_argument("--text", type=pathlib.Path, help="tokenizer: a folder of .txt files")
    parser.add_argument("--text-file", type=pathlib.Path, help="first-step: some MB of text")
    parser.add_argument("--directory", default=".", help="checkpoint: the disk to write to")
    parser.add_argument("--llmc", type=pathlib.Path, help="step: train_gpt2 with B = 4, T = 256")
    parser.add_argument("--llmc-folder", type=pathlib.Path, help="step: made by llmc_files.py")
    parser.add_argument("--llmc-small", type=pathlib.Path,
                        help="first-step: train_gpt2 with B = 12, T = 64")
    parser.add_argument("--nanogpt", type=pathlib.Path, help="first-step: a checkout of nanoGPT")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    options = parser.parse_args()
    if options.rounds < 2 or options.group_size < 1 or options.threads < 1:
        parser.error("--rounds takes 2 or more, --group-size and --threads 1 or more")
    return options


def figures(benchmark, unit, more_is_better, rows):
    """One dictionary a row. A group begins with its Ovid, which the ratio is to."""
    results, ovid = [], {}
    for name, group, values in rows:
        low, median, high = statistics.quantiles(values, n=4)
        base = ovid.setdefault(group, median)
        ratio = base / median if more_is_better else median / base
        results.append({"benchmark": benchmark, "program": name, "group": group, "unit": unit,
                        "median": median, "quartiles": [low, high], "ratio": ratio,
                        "values": values})
    return results


def print_table(results):
    print(f"\n{'benchmark':12}{'program':28}{'in turns with':30}{'median':>12}{'quartiles':>24}"
          f"{'unit':>6}{'ratio':>8}")
    for row in results:
        low, high = row["quartiles"]
        spread = f"{low:,.3f} - {high:,.3f}"
        print(f"{row['benchmark']:12}{row['program']:28}{row['group']:30}{row['median']:>12,.3f}"
              f"{spread:>24}{row['unit']:>6}{row['ratio']:>8.2f}")


def main():
    options = parse_arguments()
    machine = Machine(options)
    results = []
    for name in options.only:
        function, unit, more_is_better = BENCHMARKS[name]
        try:
            results += figures(name, unit, more_is_better, function(machine))
        except Skip as reason:
            machine.skip(name, "all programs", str(reason))
    setup = {"processor": step_time.processor(), "kernel": platform.release(),
             "python": platform.python_version(), "versions": machine.versions,
             "threads": options.threads, "rounds": options.rounds,
             "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    print_table(results)
    print(f"\n{setup['processor']}, {options.threads} threads, {options.rounds} rounds in turns; "
          f"{versions or 'no peer is installed'}")
    if options.json:
        options.json.write_text(json.dumps({"setup": setup, "results": results,
                                            "skipped": machine.skipped}, indent=1) + "\n")
    sys.exit(0 if results else 1)


if __name__ == "__main__":
    main()
