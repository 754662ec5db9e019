#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace ovid::distributed {

// Why a run of several ranks ended: the first one to say so counts. Plain memory without pointers
// and locks, so that it may lie in memory that processes share and be written while anything hangs.
// All bytes zero: nobody has.
class AbortReason {
 public:
  // Whether this call was the first.
  bool set(std::string_view reason) noexcept {
    std::uint32_t expected = kNone;
    if (!state_.compare_exchange_strong(expected, kWriting)) return false;
    const std::size_t length = std::min(reason.size(), text_.size() - 1);
    std::copy_n(reason.begin(), length, text_.begin());
    text_[length] = '\0';
    state_.store(kWritten, std::memory_order_release);
    return true;
  }
  bool is_set() const noexcept { return state_.load(std::memory_order_acquire) != kNone; }
  // Empty where nobody has; a word for it where whoever began to write died.
  std::string text() const {
    switch (state_.load(std::memory_order_acquire)) {
      case kNone:
        return "";
      case kWritten:
        return {text_.begin(), std::find(text_.begin(), text_.end(), '\0')};
      default:
        return "another rank ended the run";
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0;
  static constexpr std::uint32_t kWriting = 1;
  static constexpr std::uint32_t kWritten = 2;

  std::atomic<std::uint32_t> state_{kNone};
  std::array<char, 508> text_{};
};

}  // namespace ovid::distributed
