#!/usr/bin/env python3
"""Judges the CUDA kernels by their machine code, without a GPU.

  judge.py                        compile, print the table, hold it against budgets.json
  judge.py --write-budgets        take today's figures as the budgets
  judge.py --page FILE            write the page that compares with llm.c and FlashAttention-2
  judge.py --only attention       a part of the kernels

Fails (status 1) where a kernel spills, touches local memory in a loop, is compiled with the warnings C7508 or C7510 to C7512
(register budget ignored, wgmma serialised), exceeds a budget of registers, shared memory or resident blocks, or takes
more than 3 % more clocks for a trip of its hot loop. Needs nvcc; nvdisasm and cuobjdump are taken from PATH, or
installed as Python wheels into a virtual environment in the build folder.
"""
import argparse
import concurrent.futures
import functools
import json
import pathlib
import re
import shutil
import subprocess
import sys
import venv

import model
import page
import sass

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FLAGS = ["-O3", "-std=c++20", "--expt-relaxed-constexpr", "-lineinfo", "-Xptxas", "-v", "-I", str(ROOT)]
TARGETS = {"sm_80": "arch=compute_80,code=sm_80", "sm_90a": "arch=compute_90a,code=sm_90a",
           "sm_100": "arch=compute_100,code=sm_100"}


def toolkit():
    """nvcc's version, as "13.0": budgets are of one compiler."""
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"release (\d+\.\d+)", text).group(1)


def find_tools(folder):
    tools = {name: shutil.which(name) for name in ("nvdisasm", "cuobjdump")}
    if all(tools.values()):
        return tools
    environment = folder / "tools"
    found = list(environment.glob("lib/python3*/site-packages/nvidia/*/bin"))
    if not found:
        print("installing nvdisasm and cuobjdump (Python wheels)", file=sys.stderr)
        try:
            venv.create(environment, with_pip=True)
            subprocess.run([environment / "bin/pip", "install", "--quiet", "nvidia-cuda-nvdisasm", "nvidia-cuda-cuobjdump"],
                           check=True)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(environment, ignore_errors=True)
            sys.exit(f"judge.py: nvdisasm and cuobjdump cannot be installed ({error}); put them on PATH")
        found = list(environment.glob("lib/python3*/site-packages/nvidia/*/bin"))
    for folder_of_tools in found:
        for name in tools:
            if (folder_of_tools / name).exists():
                tools[name] = str(folder_of_tools / name)
    if not all(tools.values()):
        sys.exit("judge.py: nvdisasm and cuobjdump were not found; pip install nvidia-cuda-nvdisasm nvidia-cuda-cuobjdump")
    return tools


@functools.cache
def newest_source():
    """When a source or header of the kernels was last changed: what was compiled later is still right."""
    return max(path.stat().st_mtime for path in ROOT.glob("kernels/*/*") if path.suffix in (".cu", ".cuh", ".h"))


def compile_one(source, arch, folder):
    """The cubin and what ptxas said; nothing where the file has no code for this architecture."""
    cubin = folder / f"{source.stem}.{arch}.cubin"
    log = cubin.with_suffix(".log")
    if log.exists() and cubin.exists() and log.stat().st_mtime > newest_source():
        return cubin, log.read_text()
    result = subprocess.run(["nvcc", *FLAGS, "-cubin", "-gencode", TARGETS[arch], "-o", cubin, source],
                            capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"judge.py: {source.relative_to(ROOT)} does not compile for {arch}:\n{result.stderr}")
    log.write_text(result.stderr)
    return cubin, result.stderr


def spills(log, mangled):
    found = re.search(re.escape(f"Function properties for {mangled}") +
                      r"\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    return sum(map(int, found.groups()[1:])) if found else 0


def figures(kernel, arch, log, launches):
    threads = kernel.resources.get("THREADS", 256)
    launch = next((l for l in launches if re.search(l["kernel"], kernel.name) and arch in l.get("architectures", TARGETS)), {})
    shared = kernel.resources.get("SHARED", 0) + launch.get("shared", 0)
    machine = model.ARCHITECTURES[arch]
    blocks = model.resident_blocks(machine, kernel.resources["REG"], threads, shared)
    hot = kernel.hot_loop()
    accesses = [i for i in kernel.instructions if i.family in ("LDG", "STG", "LDGSTS")]
    in_loops = [i for first, last in kernel.loops() for i in kernel.instructions[first:last + 1]]
    result = {
        "registers": kernel.resources["REG"],
        "stack": kernel.resources.get("STACK", 0),
        "spills": spills(log, kernel.mangled),
        "shared": shared,
        "threads": threads,
        "blocks": blocks,
        "occupancy": round(blocks * threads / 32 / machine.warps, 2),
        "wide": round(sum("128" in i.opcode.split(".") for i in accesses) / len(accesses), 2) if accesses else None,
        "local_in_loop": sum(i.family in ("LDL", "STL") for i in in_loops),
    }
    body = hot or kernel.instructions
    trip = model.trip(arch, body, blocks * launch.get("loop_warps", threads // 32))
    result["hot_loop"] = {"instructions": len(body), **trip["counts"]}
    result["clocks"] = round(trip["clocks"], 1)
    if trip["counts"]["tensor"]:
        result["teraflops"] = round(trip["teraflops"], 1)
        result["parts"] = {k: round(v) for k, v in trip["parts"].items()}
    else:
        ratio = model.streaming_ratio(arch, body)
        result["streaming_ratio"] = round(ratio, 2) if ratio is not None else None
    return result


def judge(arguments):
    folder = arguments.build
    folder.mkdir(parents=True, exist_ok=True)
    tools = find_tools(folder)
    launches = json.loads((HERE / "launches.json").read_text())
    sources = sorted(ROOT.glob("kernels/*/*.cu"))
    jobs = [(s, a) for s in sources for a in arguments.architectures if arguments.only in str(s.relative_to(ROOT))]
    table, faults = {}, []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for (source, arch), (cubin, log) in zip(jobs, pool.map(lambda job: compile_one(*job, folder), jobs)):
            faults += [f"{source.relative_to(ROOT)} for {arch}: {line.strip()}" for line in log.splitlines()
                       if re.search(r"C75(08|1[012])", line)]
            for kernel in sass.read(cubin, tools):
                table.setdefault(f"{source.stem}: {kernel.name}", {})[arch] = figures(kernel, arch, log, launches)
    return table, faults


def find_faults(table):
    faults = []
    for name, by_arch in table.items():
        for arch, f in by_arch.items():
            if f["spills"] or f["stack"]:
                faults.append(f"{name} on {arch}: {f['spills']} bytes of spills, a stack of {f['stack']} bytes; none is allowed")
            if f["local_in_loop"]:
                faults.append(f"{name} on {arch}: {f['local_in_loop']} accesses to local memory in a loop; none is allowed")
    return faults


def over_budget(table, budgets):
    faults = []
    for name, by_arch in table.items():
        for arch, f in by_arch.items():
            budget = budgets.get(name, {}).get(arch)
            if budget is None:
                faults.append(f"{name} on {arch} has no budget: look at its figures, then judge.py --write-budgets")
                continue
            for key, worse in (("registers", f["registers"] > budget["registers"]), ("shared", f["shared"] > budget["shared"]),
                               ("blocks", f["blocks"] < budget["blocks"]),
                               ("wide", (f["wide"] or 0) < (budget["wide"] or 0)),
                               ("clocks", f["clocks"] > 1.03 * budget["clocks"])):
                if worse:
                    faults.append(f"{name} on {arch}: {key} {f[key]}, the budget is {budget[key]}")
    return faults


def print_table(table):
    print(f"{'kernel':72} {'arch':7} {'regs':>4} {'shared':>7} {'blocks':>6} {'occ':>5} {'128-bit':>7} {'loop':>5} "
          f"{'clocks':>8}  model")
    for name, by_arch in sorted(table.items()):
        for arch, f in by_arch.items():
            if "teraflops" in f:
                said = f"{f['teraflops']:.0f} TF/s"
            else:
                said = "" if f["streaming_ratio"] is None else f"SM / memory {f['streaming_ratio']:.2f}"
            wide = "-" if f["wide"] is None else f"{f['wide']:.2f}"
            print(f"{name[:72]:72} {arch:7} {f['registers']:4} {f['shared']:7} {f['blocks']:6} {f['occupancy']:5.2f} {wide:>7} "
                  f"{f['hot_loop']['instructions']:5} {f['clocks']:8.0f}  {said}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", default="sm_80,sm_90a", type=lambda t: t.split(","),
                        help="of " + ", ".join(TARGETS))
    parser.add_argument("--build", default=ROOT / "build/static", type=pathlib.Path, help="folder for cubins and tools")
    parser.add_argument("--jobs", default=2, type=int)
    parser.add_argument("--only", default="", help="sources whose path contains this")
    parser.add_argument("--write-budgets", action="store_true")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--tools-only", action="store_true", help="only find or install nvdisasm and cuobjdump")
    parser.add_argument("--json", type=pathlib.Path, help="all figures, for other programs")
    arguments = parser.parse_args()
    if shutil.which("nvcc") is None:
        sys.exit("judge.py: no nvcc on PATH: install a CUDA toolkit")
    if arguments.tools_only:
        arguments.build.mkdir(parents=True, exist_ok=True)
        find_tools(arguments.build)
        return 0
    table, faults = judge(arguments)
    print_table(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    budgets_file = HERE / "budgets.json"
    kept_of = json.loads(budgets_file.read_text()) if budgets_file.exists() else {"toolkit": toolkit(), "kernels": {}}
    budgets = kept_of["kernels"]
    faults += find_faults(table)
    if arguments.write_budgets:
        for name, by_arch in table.items():
            for arch, f in by_arch.items():
                kept = {k: f[k] for k in ("registers", "shared", "blocks", "wide", "clocks")}
                budgets.setdefault(name, {})[arch] = kept
        if not arguments.only:
            budgets = {name: budgets[name] for name in table}
        budgets_file.write_text(json.dumps({"toolkit": toolkit(), "kernels": budgets}, indent=1, sort_keys=True) + "\n")
    elif kept_of["toolkit"] == toolkit():
        faults += over_budget(table, budgets)
    else:
        print(f"the budgets are of nvcc {kept_of['toolkit']}, this is {toolkit()}: they are not held against it")
    if arguments.page:
        arguments.page.write_text(page.text(table))
    for fault in faults:
        print("FAULT " + fault)
    print(f"{len(table)} kernels, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
