#pragma once

namespace ovid::kernels::cpu {

// What the machine can do at best: the limits that achieved figures are compared with.
struct MachinePeak {
  double flops_per_second = 0;  // float32 multiply-adds, two operations each
  double bytes_per_second = 0;  // to and from memory, read and written bytes alike
};

// Measures both on `threads` threads with the chosen instruction set: chains of fused multiply-adds
// in registers; and the best of reading, updating in place, and writing past the caches the sum of
// two arrays, over buffers larger than what caches usually keep for one process. The best of
// several short rounds each, so that other programs disturb it little. Takes about `seconds`, and
// the time to touch up to 256 MiB of memory, given back at the end. Where even 16 MiB cannot be
// had, bytes_per_second is 0. Throws DeviceError for threads < 1 or seconds that are not above 0.
MachinePeak measure_machine_peak(int threads, double seconds = 0.1);

// Its flops_per_second alone, which touches no memory.
double measure_peak_flops(int threads, double seconds = 0.05);

}  // namespace ovid::kernels::cpu
