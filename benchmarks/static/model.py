"""What a kernel's machine code says of its speed: occupancy, and the additive cycle model.

The model (against published FlashAttention figures off by 3 to 13 %; use +-15 %): one trip of the hot loop takes, on one
multiprocessor with w resident warps,
    T = tensor + max(shared + local memory, special functions, other instructions issued)   clocks
A maximum over all four alone promises 1.6 to 1.9 times too much.
"""
from dataclasses import dataclass

from sass import tensor_flops


@dataclass
class Architecture:
    name: str
    multiprocessors: int
    clock_ghz: float
    tensor_flops: float  # a clock and multiprocessor, bfloat16
    issue: float  # warp instructions a clock
    bandwidth_gbs: float
    shared_bytes: int  # of a multiprocessor
    registers: int = 65536
    warps: int = 64
    blocks: int = 32


# Dense bfloat16 rates; boost clocks under load. mma.sync reaches about 62 % of wgmma's rate on sm_90.
ARCHITECTURES = {
    "sm_80": Architecture("A100", 108, 1.41, 2048, 4, 1555, 164 * 1024),
    "sm_90a": Architecture("H100", 132, 1.70, 4096, 4, 3350, 228 * 1024),
    "sm_100": Architecture("B200", 148, 1.85, 8192, 4, 8000, 228 * 1024),
}
MMA_SYNC_SHARE = {"sm_80": 1.0, "sm_90a": 0.62, "sm_100": 0.31}
SPECIAL_PER_CLOCK = 0.5  # warp instructions
SHARED_BYTES_PER_CLOCK = 128


def round_up(value, step):
    return -(-value // step) * step


def resident_blocks(arch, registers, threads, shared):
    """Blocks of a kernel that one multiprocessor holds, by the rules of CUDA's occupancy calculator."""
    warps = round_up(threads, 32) // 32
    by_warps = arch.warps // warps
    registers_of_warp = round_up(max(registers, 1) * 32, 256)
    by_registers = arch.registers // registers_of_warp // warps
    by_shared = arch.shared_bytes // (round_up(shared + 1024, 128)) if shared + 1024 <= arch.shared_bytes else 0
    return min(arch.blocks, by_warps, by_registers, by_shared)


def classes(body):
    """Counts of a warp's instructions, and bytes of shared and local memory that a warp moves."""
    counts = {"tensor": 0, "special": 0, "shared": 0, "local": 0, "global": 0, "shuffle": 0, "barrier": 0, "other": 0}
    shared_bytes = local_bytes = flops = 0
    for i in body:
        family = i.family
        if tensor_flops(i):
            counts["tensor"] += 1
            flops += tensor_flops(i)
        elif family == "MUFU":
            counts["special"] += 1
        elif family in ("LDS", "STS", "LDSM", "STSM", "ATOMS"):
            counts["shared"] += 1
            if family in ("LDSM", "STSM"):  # a matrix of 8 x 16 bytes for each of 1, 2 or 4
                parts = i.opcode.split(".")
                shared_bytes += 128 * (4 if "4" in parts else 2 if "2" in parts else 1)
            else:
                shared_bytes += 32 * i.bytes()
        elif family in ("LDL", "STL"):
            counts["local"] += 1
            local_bytes += 32 * i.bytes()
        elif family in ("LDG", "STG", "LDGSTS", "RED", "ATOMG", "LD", "ST"):
            counts["global"] += 1
            if family == "LDGSTS":  # cp.async writes to shared memory what it loads
                shared_bytes += 32 * i.bytes()
        elif family == "SHFL":
            counts["shuffle"] += 1
            shared_bytes += 128  # shares the data path
        elif family in ("BAR", "WARPSYNC", "SYNCS"):
            counts["barrier"] += 1
        else:
            counts["other"] += 1
    return counts, shared_bytes, local_bytes, flops


def trip(arch_name, body, warps):
    """Clocks of a trip of the loop on one multiprocessor with `warps` resident warps, with its parts."""
    arch = ARCHITECTURES[arch_name]
    counts, shared_bytes, local_bytes, flops = classes(body)
    warpgroup = any(i.family in ("HGMMA", "QGMMA") for i in body)
    rate = arch.tensor_flops * (1.0 if warpgroup else MMA_SYNC_SHARE[arch_name])
    parts = {
        "tensor": flops * warps / rate,
        "memory": (shared_bytes + local_bytes) * warps / SHARED_BYTES_PER_CLOCK,
        "special": counts["special"] * warps / SPECIAL_PER_CLOCK,
        "issue": (len(body) - counts["tensor"]) * warps / arch.issue,
    }
    clocks = parts["tensor"] + max(parts["memory"], parts["special"], parts["issue"])
    teraflops = flops * warps * arch.multiprocessors * arch.clock_ghz / clocks / 1000 if clocks else 0
    return {"clocks": clocks, "parts": parts, "counts": counts, "teraflops": teraflops}


def streaming_ratio(arch_name, body, share=0.87):
    """Issue clocks over the clocks in which memory supplies the bytes: above 1 the multiprocessor is the limit."""
    arch = ARCHITECTURES[arch_name]
    moved = sum(32 * i.bytes() for i in body if i.family in ("LDG", "STG", "LDGSTS"))
    if moved == 0:
        return None
    counts, _, _, _ = classes(body)
    busy = max(len(body) / arch.issue, counts["special"] / SPECIAL_PER_CLOCK)
    supply = share * arch.bandwidth_gbs / arch.multiprocessors / arch.clock_ghz  # bytes a clock
    return busy / (moved / supply)
