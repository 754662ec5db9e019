"""Reads the machine code of a cubin as nvdisasm prints it: kernels, instructions, loops."""
import re
import subprocess
from dataclasses import dataclass, field

INSTRUCTION = re.compile(r"^\s+/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
LABEL = re.compile(r"^(\.L_x_\d+):")
KERNEL = re.compile(r"^\.text\.(\S+):")
TARGET = re.compile(r"`\((\.L_x_\d+)\)")


@dataclass
class Instruction:
    opcode: str  # "LDG.E.128"
    operands: str

    @property
    def family(self):
        return self.opcode.split(".")[0]

    def bytes(self):
        """Of one lane's access to memory."""
        for part in self.opcode.split("."):
            if part in ("128", "64", "32", "16", "8"):
                return int(part) // 8
            if part in ("U16", "S16"):
                return 2
            if part in ("U8", "S8"):
                return 1
        return 4


@dataclass
class Kernel:
    mangled: str
    name: str = ""
    instructions: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)  # label -> index of the instruction behind it
    resources: dict = field(default_factory=dict)  # REG, STACK, SHARED, THREADS

    def loops(self):
        """Innermost loops, as (first, last) indices: ranges of a branch back that hold no other."""
        ranges = []
        for at, instruction in enumerate(self.instructions):
            if instruction.family != "BRA":
                continue
            target = TARGET.search(instruction.operands)
            # A branch to itself ends every kernel: padding, no loop.
            if target and self.labels.get(target.group(1), at) < at:
                ranges.append((self.labels[target.group(1)], at))
        return [r for r in ranges if not any(o != r and r[0] <= o[0] and o[1] <= r[1] for o in ranges)]

    def hot_loop(self):
        """The innermost loop with the most tensor-core work, else the longest; [] without a loop."""
        best, best_weight = [], (-1, -1)
        for first, last in self.loops():
            body = self.instructions[first:last + 1]
            weight = (sum(tensor_flops(i) for i in body), len(body))
            if weight > best_weight:
                best, best_weight = body, weight
        return best


def tensor_flops(instruction):
    """Multiplications and additions of one tensor-core instruction of a warp (wgmma: its quarter)."""
    if instruction.family == "HMMA":
        shape = re.search(r"\.(1688|16816)\.", instruction.opcode + ".")
        return {"1688": 2048, "16816": 4096}[shape.group(1)] if shape else 0
    if instruction.family in ("HGMMA", "QGMMA"):
        m, n, k = map(int, re.search(r"\.(\d+)x(\d+)x(\d+)", instruction.opcode).groups())
        return 2 * m * n * k // 4
    return 0


def short_name(mangled):
    """The kernel's name without namespaces and the hash of its file."""
    plain = re.sub(r"_GLOBAL__N__[0-9a-f]{8}_\d+_\w+?_[0-9a-f]{8}",
                   lambda m: "x" * len(m.group(0)), mangled)
    name = subprocess.run(["c++filt", plain], capture_output=True, text=True, check=True).stdout.strip()
    name = re.sub(r"\bovid::kernels::cuda::|\b[xX]{20,}::|^void |__nv_|\bunsigned ", "", name)
    depth = 0
    for at, letter in enumerate(name):  # cut the parameter list: the first bracket outside <>
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            return name[:at]
    return name


def read(cubin, tools):
    """All kernels of a cubin, with registers, stack, static shared memory and the largest block."""
    text = subprocess.run([tools["nvdisasm"], "-c", cubin], capture_output=True, text=True, check=True).stdout
    kernels, kernel = {}, None
    for line in text.splitlines():
        if start := KERNEL.match(line):
            kernel = kernels.setdefault(start.group(1), Kernel(start.group(1)))
        elif kernel is None:
            continue
        elif label := LABEL.match(line):
            kernel.labels[label.group(1)] = len(kernel.instructions)
        elif (found := INSTRUCTION.match(line)) and found.group(2) != "NOP":
            kernel.instructions.append(Instruction(found.group(2), found.group(3)))
    usage = subprocess.run([tools["cuobjdump"], "-res-usage", cubin], capture_output=True, text=True, check=True).stdout
    for name, figures in re.findall(r"Function (\S+?):\s+(REG:.*)", usage):
        if name in kernels:
            kernels[name].resources = {k: int(v) for k, v in re.findall(r"([A-Z]+):(\d+)", figures)}
    elf = subprocess.run([tools["cuobjdump"], "-elf", cubin], capture_output=True, text=True, check=True).stdout
    for name, info in re.findall(r"^\.nv\.info\.(\S+)\n(.*?)(?=^\.(?:nv|text|section)|\Z)", elf, re.M | re.S):
        threads = re.search(r"EIATTR_MAX_THREADS.*?Value:\s+((?:0x[0-9a-f]+\s+){3})", info, re.S)
        if threads and name in kernels:
            x, y, z = (int(word, 16) for word in threads.group(1).split())
            kernels[name].resources["THREADS"] = x * y * z
    for kernel in kernels.values():
        kernel.name = short_name(kernel.mangled)
    return [k for k in kernels.values() if k.resources]
