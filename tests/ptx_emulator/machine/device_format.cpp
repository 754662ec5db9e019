// printf of device code: the host's snprintf, one conversion at a time.

#include <bit>
#include <cstdio>

#include "tests/ptx_emulator/machine/builtins.h"

namespace ptx_emulator {
namespace {

// Widths and precisions beyond this are cut, so that a damaged format cannot ask for gigabytes.
constexpr std::int64_t kMostWidth = 4096;

class Arguments {
 public:
  explicit Arguments(FormatSource& source) : source_(source) {}
  std::uint64_t take(std::uint32_t bytes) {
    offset_ = (offset_ + bytes - 1) / bytes * bytes;
    const std::uint64_t value = source_.read(offset_, bytes);
    offset_ += bytes;
    ++count_;
    return value;
  }
  std::uint32_t count() const { return count_; }

 private:
  FormatSource& source_;
  std::uint64_t offset_ = 0;
  std::uint32_t count_ = 0;
};

struct Conversion {
  std::string flags;  // "-+ #0", width and precision written out
  bool is_64_bits = false;
  char letter = 0;
};

void append_number(const std::string& format, std::size_t& at, Arguments& arguments,
                   std::string& flags) {
  if (at < format.size() && format[at] == '*') {
    ++at;
    const auto value = static_cast<std::int32_t>(arguments.take(4));
    flags += std::to_string(
        std::max<std::int64_t>(-kMostWidth, std::min<std::int64_t>(value, kMostWidth)));
    return;
  }
  std::int64_t value = 0;
  bool any = false;
  for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at) {
    value = std::min<std::int64_t>(value * 10 + (format[at] - '0'), kMostWidth);
    any = true;
  }
  if (any) flags += std::to_string(value);
}

// Reads what follows a percent sign; letter 0 where the format ends.
Conversion read_conversion(const std::string& format, std::size_t& at, Arguments& arguments) {
  Conversion result;
  result.flags = "%";
  while (at < format.size() && std::string("-+ #0").find(format[at]) != std::string::npos) {
    result.flags += format[at++];
  }
  append_number(format, at, arguments, result.flags);
  if (at < format.size() && format[at] == '.') {
    result.flags += format[at++];
    append_number(format, at, arguments, result.flags);
  }
  for (; at < format.size() && std::string("hlLqjzt").find(format[at]) != std::string::npos; ++at) {
    result.is_64_bits = result.is_64_bits || (format[at] != 'h' && format[at] != 'L');
  }
  if (at < format.size()) result.letter = format[at++];
  return result;
}

template <typename T>
std::string print(const std::string& format, T value) {
  char small[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const int bytes = std::snprintf(small, sizeof small, format.c_str(), value);
  if (bytes < 0) return {};
  if (static_cast<std::size_t>(bytes) < sizeof small)
    return {small, static_cast<std::size_t>(bytes)};
  std::string large(static_cast<std::size_t>(bytes) + 1, '\0');
  std::snprintf(large.data(), large.size(), format.c_str(), value);
#pragma GCC diagnostic pop
  large.pop_back();
  return large;
}

std::string convert(const Conversion& conversion, Arguments& arguments, FormatSource& source) {
  switch (conversion.letter) {
    case 'd':
    case 'i': {
      const std::uint64_t bits = arguments.take(conversion.is_64_bits ? 8 : 4);
      const auto value = conversion.is_64_bits
                             ? static_cast<long long>(bits)
                             : static_cast<long long>(static_cast<std::int32_t>(bits));
      return print(conversion.flags + "lld", value);
    }
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      return print(conversion.flags + "ll" + conversion.letter,
                   static_cast<unsigned long long>(arguments.take(conversion.is_64_bits ? 8 : 4)));
    case 'c':
      return print(conversion.flags + "c", static_cast<int>(arguments.take(4) & 0xFF));
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
      return print(conversion.flags + conversion.letter, std::bit_cast<double>(arguments.take(8)));
    case 'p': {
      const std::uint64_t value = arguments.take(8);
      return print(conversion.flags + "p", reinterpret_cast<const void*>(value));
    }
    case 's': {
      const std::uint64_t address = arguments.take(8);
      const std::string text = address == 0 ? "(null)" : source.text(address);
      return print(conversion.flags + "s", text.c_str());
    }
    default:
      return conversion.flags + conversion.letter;
  }
}

}  // namespace

std::string format_device_text(const std::string& format, FormatSource& source,
                               std::uint32_t& num_arguments) {
  Arguments arguments(source);
  std::string text;
  for (std::size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      text += format[at++];
      continue;
    }
    ++at;
    if (at < format.size() && format[at] == '%') {
      text += format[at++];
      continue;
    }
    const Conversion conversion = read_conversion(format, at, arguments);
    if (conversion.letter != 0) text += convert(conversion, arguments, source);
  }
  num_arguments = arguments.count();
  return text;
}

}  // namespace ptx_emulator
