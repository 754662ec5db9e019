"""Does a run that was stopped and resumed go on with the losses of one that was not?

  python resume.py --text TEXT --ovid build/release/ovid --python PYTHON --nanogpt CHECKOUT

For each program, with its own means and one seed: 20 steps in one go; 10 steps with a checkpoint,
and 10 more from it in a new process. Compares the losses of steps 11 to 20, digit for digit as
each program gives them, and prints how many are equal. Dropout is on, so random numbers count.
llm.c's CPU program saves no checkpoint and is left out.
"""

import argparse
import pathlib
import shutil
import subprocess
import tempfile

import small_programs

HALF, WHOLE = 10, 20


def run(program, name, steps, resume=False):
    command = [str(part) for part in program.command(name, steps, resume)]
    done = subprocess.run(command, cwd=program.directory, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise SystemExit(f"{program.name}: exit code {done.returncode}\n{done.stdout[-2000:]}")
    return program.losses(name, done.stdout)


def compare(program):
    unbroken = run(program, "whole", WHOLE)
    run(program, "parts", HALF)
    resumed = run(program, "parts", WHOLE, resume=True)
    steps = range(HALF + 1, WHOLE + 1)
    equal = [step for step in steps if unbroken[step] == resumed[step]]
    print(f"{program.name}: {len(equal)} of {len(steps)} losses are equal")
    for step in steps:
        print(f"  step {step}: unbroken {unbroken[step]}, resumed {resumed[step]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    small_programs.add_arguments(parser)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="resume-"))
    try:
        for program in small_programs.programs(options, folder):
            compare(program)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
