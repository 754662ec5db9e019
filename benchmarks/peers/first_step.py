"""Time from the command to the first finished step of a small training, program by program.

  python first_step.py --text TEXT --ovid build/release/ovid --python PYTHON \\
    --nanogpt CHECKOUT --llmc CHECKOUT/train_gpt2 [--rounds 7]

The model is that of small_programs.py. Each program says when a step is done: the clock runs from
the start of its process to that line. Programs take turns, in an order that rotates; the first
round, which fills the file cache, is not counted. Prints median and extremes in seconds. What is
in it is what a user waits for: starting, libraries, reading data, making the model, and what the
program does before its first step (Ovid: a checkpoint of step 0; nanoGPT: one batch of each
part evaluated; llm.c: five batches of validation).
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import small_programs


def seconds_to_first_step(program, run):
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in program.command(run, 2)], text=True,
                               cwd=program.directory, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    seconds, lines = None, []
    for line in process.stdout:
        lines.append(line)
        if program.first_step.search(line):
            seconds = time.perf_counter() - start
            process.kill()
            break
    process.stdout.close()
    process.wait()
    if seconds is None:
        raise SystemExit(f"{program.name} made no step:\n" + "".join(lines[-20:]))
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    small_programs.add_arguments(parser)
    parser.add_argument("--llmc", type=pathlib.Path, help="llm.c's train_gpt2, B = 12, T = 64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="first-step-"))
    try:
        programs = small_programs.programs(options, folder)
        times = {program.name: [] for program in programs}
        for turn in range(options.rounds + 1):
            shift = turn % len(programs)
            for program in programs[shift:] + programs[:shift]:
                seconds = seconds_to_first_step(program, f"round-{turn}")
                if turn > 0:
                    times[program.name].append(seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("| program | seconds to the first step | least | most |\n|---|---|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.3f} | {min(values):.3f} | "
              f"{max(values):.3f} |")
    if options.json:
        options.json.write_text(json.dumps({"seconds": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
