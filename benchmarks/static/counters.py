#!/usr/bin/env python3
"""Counts what each CUDA op does on the PTX emulator, and holds it against the ideal and the gates of gates.json.

  counters.py --build build/release              all ops at 1,024 and 2,048 tokens; prints a table
  counters.py --build build/release --op adamw_update --lines

bytes: of 32-byte sectors as the load and store units ask for them, before any cache; the slope between two sizes, so
that what an op costs once does not count. ideal: every input once and every output once. line: the worst source line's
sectors, and wavefronts of shared memory, over their ideal. Exact and repeatable. Fails (status 1) where a gate is missed
or a line is below 80 % of its ideal.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
WORST_LINE = 1.25


def count(build, op, tokens, device):
    """The counters of all kernels that one call of the op launches."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "counters.json"
        environment = dict(os.environ, OVID_CUDA_MODULE=str(build / "libovid_cuda.so"), PTX_EMULATOR_COUNTERS=str(out),
                           PTX_EMULATOR_CHECK="none", PTX_EMULATOR_DEVICE=device,
                           LD_LIBRARY_PATH=f"{build / 'tests/ptx_emulator/lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}")
        program = [build / "benchmark_cuda_ops", "--op", op, "--tokens", str(tokens)]
        ran = subprocess.run(program, env=environment, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"counters.py: {op} at {tokens} tokens ended with status {ran.returncode}: {ran.stderr.strip()}")
        return json.loads(out.read_text())["kernels"] if out.exists() else []


def total(kernels, *keys):
    return sum(kernel["total"].get(key, 0) for kernel in kernels for key in keys)


def worst_lines(kernels):
    """(ratio, place, what) of source lines whose sectors or wavefronts exceed their ideal, worst first."""
    found = []
    for kernel in kernels:
        for line in kernel["sources"]:
            for what in ("sectors", "wavefronts"):
                ideal = line.get("ideal_" + what, 0)
                if ideal and line[what] > ideal:
                    found.append((line[what] / ideal, line["source"], what))
    return sorted(found, reverse=True)


def judge(build, op, gate, device):
    small, large = (count(build, op, tokens, device) for tokens in (1024, 2048))
    units = 1024 * (1024 if gate["unit"] == "parameter" else 1)
    slope = lambda *keys: (total(large, *keys) - total(small, *keys)) / units
    moved = slope("bytes_read", "bytes_written")
    row = {"op": op, "launches": sum(k["launches"] for k in large), "unit": gate["unit"], "bytes": moved,
           "fixed": total(small, "bytes_read", "bytes_written") - moved * units,
           "ideal": gate["ideal_bytes"], "gate": gate["gate"], "aim": gate["aim"], "llmc": gate["llmc"],
           "instructions": 32 * slope("executed") / gate["elements"], "mma_flops": slope("mma_flops"),
           "lines": worst_lines(large), "faults": []}
    row["ratio"] = moved / gate["ideal_bytes"] if gate["ideal_bytes"] else None
    if gate["ideal_bytes"] == 0 and moved > 0:
        row["faults"].append(f"{op}: {moved:.0f} bytes a {gate['unit']} beside the products, the gate is none")
    if gate["gate"] and row["ratio"] > gate["gate"]:
        row["faults"].append(f"{op}: {row['ratio']:.3f} times the ideal bytes, the gate is {gate['gate']}")
    if "instructions" in gate and row["instructions"] > gate["instructions"]:
        row["faults"].append(f"{op}: {row['instructions']:.1f} instructions a parameter, the gate is {gate['instructions']}")
    for ratio, place, what in row["lines"]:
        limit = gate.get("worst_line", WORST_LINE)
        if ratio > limit:
            row["faults"].append(f"{op}: {place} has {ratio:.2f} times its ideal {what}, the limit is {limit}")
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=lambda t: pathlib.Path(t).resolve())
    parser.add_argument("--op", help="one op; all where it is left out")
    parser.add_argument("--device", default="a100", help="that the emulator plays: a100 or h100")
    parser.add_argument("--lines", action="store_true", help="every source line above its ideal")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    gates = json.loads((HERE / "gates.json").read_text())
    rows = [judge(arguments.build, op, gate, arguments.device) for op, gate in gates.items() if arguments.op in (None, op)]
    print(f"{'op':28} {'launches':>8} {'bytes':>10} {'ideal':>8} {'ratio':>6} {'gate':>5} {'aim':>5} {'llm.c':>6} {'fixed':>11} "
          f"{'instr.':>7} {'worst line':>10}")
    number = lambda value, digits: "-" if value is None else f"{value:.{digits}f}"
    for r in rows:
        worst = f"{r['lines'][0][0]:.2f}" if r["lines"] else "1.00"
        print(f"{r['op']:28} {r['launches']:8} {r['bytes']:10.2f} {number(r['ideal'], 0):>8} {number(r['ratio'], 3):>6} "
              f"{number(r['gate'], 2):>5} {number(r['aim'], 2):>5} {number(r['llmc'], 2):>6} {r['fixed']:11.0f} "
              f"{r['instructions']:7.1f} {worst:>10}")
        if arguments.lines:
            for ratio, place, what in r["lines"]:
                print(f"    {place}: {ratio:.2f} times the ideal {what}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    faults = [fault for r in rows for fault in r["faults"]]
    for fault in faults:
        print("FAULT " + fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
