#include "tests/ptx_emulator/machine/checks/launch_counts.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "tests/ptx_emulator/machine/occupancy.h"

namespace ptx_emulator::checks {

namespace {

bool reads(AccessKind kind) {
  return kind != AccessKind::kWrite && kind != AccessKind::kAsyncWrite;
}
bool writes(AccessKind kind) {
  return kind != AccessKind::kRead && kind != AccessKind::kAsyncRead;
}

void fill_occupancy(Counters& counters, const Code& code, std::uint32_t architecture) {
  const DeviceLimits device = device_limits(architecture);
  const Multiprocessor& limits = device.each;
  const std::uint64_t resident = std::max<std::uint64_t>(
      1, resident_blocks(limits, code, counters.threads_per_block, counters.shared_bytes));
  counters.resident_blocks = resident * device.multiprocessors;
  counters.waves =
      static_cast<double>(counters.blocks) / static_cast<double>(counters.resident_blocks);
  const std::uint64_t warps = (counters.threads_per_block + 31) / 32;
  counters.occupancy =
      static_cast<double>(resident * warps * 32) / static_cast<double>(limits.threads);
}

}  // namespace

OpCount& WorkerCounts::of(const Op* op) {
  if (op < last_begin_ || op >= last_end_) {
    const OpIndex::Entry entry = index_.find(op);
    last_begin_ = entry.code->ops.data();
    last_end_ = last_begin_ + entry.code->ops.size();
    last_first_ = entry.global - entry.op;
  }
  return counts_[last_first_ + static_cast<std::size_t>(op - last_begin_)];
}

void WorkerCounts::execute(const Op* op, std::uint32_t lanes) {
  OpCount& count = of(op);
  ++count.executed;
  count.lanes += static_cast<std::uint64_t>(std::popcount(lanes));
}

void WorkerCounts::branch(const Op* op, std::uint32_t taken, std::uint32_t not_taken) {
  OpCount& count = of(op);
  ++count.branches;
  if (taken != 0 && not_taken != 0) ++count.divergent_branches;
}

void WorkerCounts::access(const Op* op, const AccessForm& form, AccessSpace space,
                          std::uint32_t lanes, const std::uint64_t* addresses) {
  if (lanes == 0) return;
  OpCount& count = of(op);
  if (space == AccessSpace::kShared) {
    const WavefrontCount found = count_wavefronts(lanes, addresses, form.bytes);
    count.wavefronts += found.wavefronts;
    count.ideal_wavefronts += found.ideal;
    return;
  }
  if (space != AccessSpace::kGlobal && space != AccessSpace::kGeneric) return;
  const SectorCount found = count_sectors(lanes, addresses, form.bytes);
  ++count.requests;
  count.sectors += found.sectors;
  count.ideal_sectors += found.ideal;
  const std::uint64_t bytes = static_cast<std::uint64_t>(std::popcount(lanes)) * form.bytes;
  if (reads(form.kind)) count.bytes_read += bytes;
  if (writes(form.kind)) count.bytes_written += bytes;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const std::uint64_t address = addresses[std::countr_zero(rest)];
    if (reads(form.kind)) read_.add(address, form.bytes);
    if (writes(form.kind)) written_.add(address, form.bytes);
  }
}

void WorkerCounts::access_range(const Op* op, AccessSpace space, AccessKind kind,
                                std::uint64_t address, std::uint64_t bytes) {
  if (space != AccessSpace::kGlobal && space != AccessSpace::kGeneric) return;
  OpCount& count = of(op);
  ++count.requests;
  const std::uint64_t sectors = (address + bytes + 31) / 32 - address / 32;
  count.sectors += sectors;
  count.ideal_sectors += (bytes + 31) / 32;
  if (reads(kind)) {
    count.bytes_read += bytes;
    read_.add(address, bytes);
  }
  if (writes(kind)) {
    count.bytes_written += bytes;
    written_.add(address, bytes);
  }
}

void WorkerCounts::add_to(std::vector<OpCount>& counts, SectorSet& read, SectorSet& written) const {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts[i].add(counts_[i]);
  read.join(read_);
  written.join(written_);
}

std::shared_ptr<Counters> make_counters(const Launch& launch, const MachineOptions& options,
                                        const OpIndex& index, const std::vector<OpCount>& counts,
                                        const SectorSet& read, const SectorSet& written) {
  auto counters = std::make_shared<Counters>();
  counters->kernel = launch.kernel->demangled;
  counters->blocks = launch.grid.count();
  counters->threads_per_block = launch.block.count();
  counters->shared_bytes =
      std::uint64_t{launch.kernel->static_shared_bytes} + launch.dynamic_shared_bytes;
  counters->registers = registers_estimate(*launch.kernel);
  counters->distinct_bytes_read = read.bytes();
  counters->distinct_bytes_written = written.bytes();
  fill_occupancy(*counters, *launch.kernel, options.architecture);
  for (const Code* code : launch.program->functions()) {
    for (const Op& op : code->ops) {
      const OpIndex::Entry entry = index.find(&op);
      const OpCount& count = counts[entry.global];
      if (count.executed == 0) continue;
      const ptx::Instruction& instruction = index.instruction(entry);
      counters->lines.push_back({.function = code->demangled,
                                 .ptx_line = instruction.location.line,
                                 .text = instruction.full_name(),
                                 .source = index.source(entry),
                                 .kind = class_of(instruction),
                                 .count = count});
    }
  }
  // Ops of one PTX instruction (an operand that had to be made first) are one line; it was executed
  // as often as the one that was executed most.
  std::vector<LineCount>& lines = counters->lines;
  const auto key = [](const LineCount& line) {
    return std::tie(line.function, line.ptx_line, line.text);
  };
  std::stable_sort(lines.begin(), lines.end(),
                   [&](const LineCount& a, const LineCount& b) { return key(a) < key(b); });
  std::vector<LineCount> merged;
  for (LineCount& line : lines) {
    if (merged.empty() || key(merged.back()) != key(line)) {
      merged.push_back(std::move(line));
      continue;
    }
    OpCount& sum = merged.back().count;
    const std::uint64_t executed = std::max(sum.executed, line.count.executed);
    const std::uint64_t lanes = std::max(sum.lanes, line.count.lanes);
    sum.add(line.count);
    sum.executed = executed;
    sum.lanes = lanes;
  }
  lines = std::move(merged);
  return counters;
}

}  // namespace ptx_emulator::checks
