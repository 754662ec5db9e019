#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "tests/ptx_emulator/machine/counters.h"

namespace ptx_emulator {

namespace {

constexpr std::size_t kMostLines = 12;  // of a kernel in the text report

template <typename... Values>
std::string print(const char* format, Values... values) {
  char text[512];
  const int length = std::snprintf(text, sizeof text, format, values...);
  return std::string(text, std::min<std::size_t>(
                               sizeof text - 1, length < 0 ? 0 : static_cast<std::size_t>(length)));
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += print("\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json_of(const OpCount& count) {
  std::string out;
  const auto add = [&](const char* key, std::uint64_t value) {
    out += print("%s\"%s\": %" PRIu64, out.empty() ? "" : ", ", key, value);
  };
  add("executed", count.executed);
  add("lanes", count.lanes);
  if (count.requests != 0) {
    add("requests", count.requests);
    add("sectors", count.sectors);
    add("ideal_sectors", count.ideal_sectors);
    add("bytes_read", count.bytes_read);
    add("bytes_written", count.bytes_written);
  }
  if (count.wavefronts != 0) {
    add("wavefronts", count.wavefronts);
    add("ideal_wavefronts", count.ideal_wavefronts);
  }
  if (count.branches != 0) {
    add("branches", count.branches);
    add("divergent_branches", count.divergent_branches);
  }
  if (count.matrix_flops != 0) add("matrix_flops", count.matrix_flops);
  return out;
}

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string json_of(const Counters& kernel, std::uint64_t stated_ideal) {
  std::string out = "    {\"kernel\": " + quoted(kernel.kernel);
  out += print(",\n     \"launches\": %" PRIu64 ", \"blocks\": %" PRIu64
               ", \"threads_per_block\": %" PRIu64 ", \"shared_bytes\": %" PRIu64
               ", \"registers_estimate\": %u",
               kernel.launches, kernel.blocks, kernel.threads_per_block, kernel.shared_bytes,
               kernel.registers);
  out += print(",\n     \"resident_blocks\": %" PRIu64
               ", \"waves\": %.4g, \"occupancy\": %.4g, \"emulated_seconds\": %.6g",
               kernel.resident_blocks, kernel.waves, kernel.occupancy, kernel.seconds);
  out += print(",\n     \"distinct_bytes_read\": %" PRIu64 ", \"distinct_bytes_written\": %" PRIu64,
               kernel.distinct_bytes_read, kernel.distinct_bytes_written);
  if (stated_ideal != 0)
    out += print(", \"stated_ideal_bytes\": %" PRIu64, stated_ideal * kernel.launches);
  out += ",\n     \"total\": {" + json_of(kernel.total()) + "},\n     \"classes\": {";
  const char* separator = "";
  for (const auto& [kind, executed] : kernel.by_class()) {
    out += separator + quoted(name_of(kind)) + print(": %" PRIu64, executed);
    separator = ", ";
  }
  out += "},\n     \"sources\": [";
  separator = "\n";
  for (const auto& [source, count] : kernel.by_source()) {
    out += separator + std::string("       {\"source\": ") + quoted(source) + ", " +
           json_of(count) + "}";
    separator = ",\n";
  }
  out += "],\n     \"lines\": [";
  separator = "\n";
  for (const LineCount& line : kernel.lines) {
    out += separator + std::string("       {\"function\": ") + quoted(line.function) +
           print(", \"ptx_line\": %u, ", line.ptx_line) + "\"instruction\": " + quoted(line.text) +
           ", \"source\": " + quoted(line.source) + ", \"class\": " + quoted(name_of(line.kind)) +
           ", " + json_of(line.count) + "}";
    separator = ",\n";
  }
  return out + "]}";
}

// Lines of the user's source that move more than they must, or diverge, the worst first.
std::string worst_lines(const Counters& kernel) {
  struct Finding {
    std::uint64_t lost;
    std::string text;
  };
  std::vector<Finding> findings;
  for (const LineCount& line : kernel.lines) {
    const OpCount& count = line.count;
    const std::string place =
        line.source.empty() ? print("PTX line %u", line.ptx_line) : line.source;
    if (count.sectors > count.ideal_sectors) {
      findings.push_back(
          {count.sectors - count.ideal_sectors,
           place + "  " + line.text +
               print(": %" PRIu64 " sectors for %" PRIu64 " (%.2f times, %.1f a request)",
                     count.sectors, count.ideal_sectors, ratio(count.sectors, count.ideal_sectors),
                     ratio(count.sectors, count.requests))});
    }
    if (count.wavefronts > count.ideal_wavefronts) {
      findings.push_back(
          {count.wavefronts - count.ideal_wavefronts,
           place + "  " + line.text +
               print(": %" PRIu64 " bank passes for %" PRIu64 " (%.2f times)", count.wavefronts,
                     count.ideal_wavefronts, ratio(count.wavefronts, count.ideal_wavefronts))});
    }
    if (count.divergent_branches != 0) {
      findings.push_back(
          {count.divergent_branches, place + "  " + line.text +
                                         print(": %" PRIu64 " of %" PRIu64 " branches diverged",
                                               count.divergent_branches, count.branches)});
    }
  }
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.lost > b.lost; });
  std::string out;
  for (std::size_t i = 0; i < std::min(findings.size(), kMostLines); ++i)
    out += "    " + findings[i].text + "\n";
  if (findings.size() > kMostLines)
    out += print("    and %zu more (in the JSON)\n", findings.size() - kMostLines);
  return out;
}

}  // namespace

void CounterReport::add(const Counters& launch) {
  const auto found = std::find_if(kernels_.begin(), kernels_.end(), [&](const Counters& kernel) {
    return kernel.kernel == launch.kernel;
  });
  if (found == kernels_.end()) {
    kernels_.push_back(launch);
  } else {
    found->add(launch);
  }
}

bool CounterReport::state_ideal_bytes(const std::string& kernel, std::uint64_t bytes_per_launch) {
  bool found = false;
  for (const Counters& one : kernels_) {
    // Of a template the demangled name begins with its result.
    const std::string_view whole(one.kernel);
    const std::string_view name = whole.substr(whole.starts_with("void ") ? 5 : 0);
    const bool is_it =
        whole == kernel ||
        (name.starts_with(kernel) && (name.size() == kernel.size() || name[kernel.size()] == '(' ||
                                      name[kernel.size()] == '<'));
    if (!is_it) continue;
    stated_[one.kernel] = bytes_per_launch;
    found = true;
  }
  return found;
}

std::string CounterReport::json() const {
  std::string out = "{\"format\": 1,\n  \"kernels\": [";
  const char* separator = "\n";
  for (const Counters& kernel : kernels_) {
    const auto stated = stated_.find(kernel.kernel);
    out += separator + json_of(kernel, stated == stated_.end() ? 0 : stated->second);
    separator = ",\n";
  }
  return out + "]}\n";
}

std::string CounterReport::text() const {
  std::string out;
  for (const Counters& kernel : kernels_) {
    const OpCount total = kernel.total();
    out += kernel.kernel + "\n";
    out += print("  %" PRIu64 " launches, last %" PRIu64 " x %" PRIu64 " threads, %" PRIu64
                 " shared bytes a block; %.2f waves of %" PRIu64 " blocks, occupancy %.0f %%\n",
                 kernel.launches, kernel.blocks, kernel.threads_per_block, kernel.shared_bytes,
                 kernel.waves, kernel.resident_blocks, 100 * kernel.occupancy);
    out += print("  %" PRIu64 " warp instructions, %.1f of 32 lanes active; %" PRIu64 " of %" PRIu64
                 " branches diverged\n",
                 total.executed, ratio(total.lanes, total.executed), total.divergent_branches,
                 total.branches);
    if (total.requests != 0) {
      const std::uint64_t distinct = kernel.distinct_bytes_read + kernel.distinct_bytes_written;
      out += print("  global memory: %" PRIu64 " sectors in %" PRIu64
                   " requests, %.3f times the ideal; %" PRIu64
                   " bytes, %.3f times the distinct ones\n",
                   total.sectors, total.requests, ratio(total.sectors, total.ideal_sectors),
                   total.sectors * 32, ratio(total.sectors * 32, distinct));
      const auto stated = stated_.find(kernel.kernel);
      if (stated != stated_.end()) {
        out += print("  stated ideal: %" PRIu64 " bytes; %.3f times that moved\n",
                     stated->second * kernel.launches,
                     ratio(total.sectors * 32, stated->second * kernel.launches));
      }
    }
    if (total.wavefronts != 0) {
      out += print("  shared memory: %" PRIu64 " bank passes, %.3f times the ideal\n",
                   total.wavefronts, ratio(total.wavefronts, total.ideal_wavefronts));
    }
    if (total.matrix_flops != 0)
      out += print("  matrix products: %" PRIu64 " FLOP\n", total.matrix_flops);
    out += "  by class:";
    for (const auto& [kind, executed] : kernel.by_class()) {
      out += print(" %.*s %.1f %%,", static_cast<int>(name_of(kind).size()), name_of(kind).data(),
                   100 * ratio(executed, total.executed));
    }
    if (out.back() == ',') out.back() = '\n';
    out += worst_lines(kernel);
  }
  return out;
}

}  // namespace ptx_emulator
