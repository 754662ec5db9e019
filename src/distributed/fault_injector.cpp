#include "src/distributed/fault_injector.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>

#include "kernels/common/random.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::distributed {
namespace {

constexpr std::array<std::pair<std::string_view, FaultKind>, 7> kKinds{{
    {"kill", FaultKind::kKill},
    {"hang", FaultKind::kHang},
    {"stop", FaultKind::kStop},
    {"sleep", FaultKind::kSleep},
    {"error", FaultKind::kError},
    {"mismatch", FaultKind::kMismatch},
    {"flip", FaultKind::kFlip},
}};

std::string_view name_of(FaultKind kind) {
  for (const auto& [name, value] : kKinds) {
    if (value == kind) return name;
  }
  return "?";
}

[[noreturn]] void refuse(std::string_view part, std::string_view why) {
  throw UsageError(
      fmt::format("faults to inject: '{}': {}; for example kill:rank=1,step=5 or "
                  "sleep:rank=2,step=3,steps=20,seconds=0.05, several with ';' between them",
                  part, why));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

template <typename T>
T number(std::string_view part, std::string_view text, T least, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() ||
      !(value >= least && value <= most)) {
    refuse(part, fmt::format("'{}' is no number in [{}, {}]", text, least, most));
  }
  return value;
}

Section section_named(std::string_view part, std::string_view text) {
  for (int i = 0; i < kSections; ++i) {
    if (text == name_of(static_cast<Section>(i))) return static_cast<Section>(i);
  }
  refuse(part, fmt::format("'{}' is none of setup, step, evaluation, checkpoint, sample", text));
}

constexpr std::int64_t kMostSteps = 1'000'000'000'000;

void set(Fault& fault, std::string_view part, std::string_view setting) {
  const std::size_t equals = setting.find('=');
  if (equals == std::string_view::npos) refuse(part, "a setting has the form name=value");
  const std::string_view name = setting.substr(0, equals);
  const std::string_view value = setting.substr(equals + 1);
  if (name == "rank") {
    fault.rank = number(part, value, 0, 1 << 20);
  } else if (name == "step") {
    fault.step = number<std::int64_t>(part, value, 0, kMostSteps);
  } else if (name == "steps") {
    fault.steps = number<std::int64_t>(part, value, 1, kMostSteps);
  } else if (name == "section") {
    fault.section = section_named(part, value);
  } else if (name == "probability") {
    fault.probability = number(part, value, 0.0, 1.0);
  } else if (name == "seed") {
    fault.seed = number<std::uint64_t>(part, value, 0, ~std::uint64_t{0});
  } else if (name == "seconds") {
    fault.seconds = number(part, value, 0.0, 1e6);
  } else if (name == "element") {
    fault.element = number<std::uint64_t>(part, value, 0, ~std::uint64_t{0});
  } else if (name == "bit") {
    fault.bit = number(part, value, 0, 31);
  } else {
    refuse(part,
           fmt::format("'{}' is none of rank, step, steps, section, probability, seed, seconds, "
                       "element, bit",
                       name));
  }
}

Fault parse_fault(std::string_view part) {
  const std::size_t colon = part.find(':');
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& known) {
    return known.first == part.substr(0, colon);
  });
  if (kind == kKinds.end()) {
    refuse(part, "the fault is none of kill, hang, stop, sleep, error, mismatch, flip");
  }
  Fault fault{.kind = kind->second};
  if (colon != std::string_view::npos) {
    for (const std::string_view setting : split(part.substr(colon + 1), ',')) {
      set(fault, part, setting);
    }
  }
  return fault;
}

[[noreturn]] void hang() {
  while (true) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

void flip_bit(const kernels::View& tensor, std::uint64_t element, int bit) {
  const std::uint64_t row = element / static_cast<std::uint64_t>(tensor.columns());
  const std::uint64_t column = element % static_cast<std::uint64_t>(tensor.columns());
  auto* words = static_cast<std::uint32_t*>(tensor.raw());
  words[row * static_cast<std::uint64_t>(tensor.row_stride()) + column] ^= std::uint32_t{1} << bit;
}

}  // namespace

std::vector<Fault> parse_faults(std::string_view text) {
  std::vector<Fault> faults;
  if (text.empty()) return faults;
  for (const std::string_view part : split(text, ';')) faults.push_back(parse_fault(part));
  return faults;
}

FaultInjector::FaultInjector(std::vector<Fault> faults, const RankInfo& ranks) : ranks_(ranks) {
  for (const Fault& fault : faults) {
    if (fault.rank != ranks.rank) continue;
    log::warning(fmt::format("a fault will be injected into rank {}: {} in section {}{}",
                             ranks.rank, name_of(fault.kind), name_of(fault.section),
                             fault.step ? fmt::format(" of step {}", *fault.step) : ""));
    faults_.push_back(fault);
  }
}

FaultInjector FaultInjector::from_environment(const RankInfo& ranks) {
  const char* text = std::getenv("OVID_FAULTS");
  return {text == nullptr ? std::vector<Fault>{} : parse_faults(text), ranks};
}

bool FaultInjector::is_due(const Fault& fault, Section section, std::int64_t step) const {
  if (fault.section != section) return false;
  if (fault.step && (step < *fault.step || step - *fault.step >= fault.steps)) return false;
  if (fault.probability >= 1) return true;
  const auto place =
      static_cast<std::uint64_t>(ranks_.rank) * kSections + static_cast<std::uint64_t>(section);
  const auto bits = kernels::philox4x32(fault.seed, place, static_cast<std::uint64_t>(step));
  return bits[0] < fault.probability * 4294967296.0;
}

void FaultInjector::reach(Section section, std::int64_t step, Communicator& communicator) const {
  for (const Fault& fault : faults_) {
    if (fault.kind == FaultKind::kFlip || !is_due(fault, section, step)) continue;
    switch (fault.kind) {
      case FaultKind::kKill:
        ::kill(::getpid(), SIGKILL);
        hang();
      case FaultKind::kHang:
        hang();
      case FaultKind::kStop:
        ::kill(::getpid(), SIGSTOP);
        break;
      case FaultKind::kSleep:
        std::this_thread::sleep_for(std::chrono::duration<double>(fault.seconds));
        break;
      case FaultKind::kError:
        throw std::runtime_error(
            fmt::format("an injected error in section {} of step {}", name_of(section), step));
      case FaultKind::kMismatch:
        communicator.barrier("injected: only this rank calls it");
        break;
      case FaultKind::kFlip:
        break;
    }
  }
}

void FaultInjector::corrupt(std::span<const kernels::View> weights, std::int64_t step) const {
  for (const Fault& fault : faults_) {
    if (fault.kind != FaultKind::kFlip || !is_due(fault, Section::kStep, step)) continue;
    std::uint64_t elements = 0;
    for (const kernels::View& view : weights)
      elements += static_cast<std::uint64_t>(view.elements());
    if (elements == 0) continue;
    std::uint64_t element = fault.element % elements;
    for (const kernels::View& view : weights) {
      const auto of_view = static_cast<std::uint64_t>(view.elements());
      if (element < of_view) {
        flip_bit(view, element, fault.bit);
        break;
      }
      element -= of_view;
    }
    log::warning(fmt::format("injected: bit {} of weight {} is flipped before step {}", fault.bit,
                             fault.element % elements, step));
  }
}

}  // namespace ovid::distributed
