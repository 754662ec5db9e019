#include <cxxabi.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "tests/ptx_emulator/tool/commands.h"

namespace ptx_emulator::tool {

bool Options::flag(const std::string& name) {
  if (at_end() || words_[position_] != name) return false;
  ++position_;
  return true;
}

bool Options::value(const std::string& name, std::string& value) {
  if (at_end()) return false;
  const std::string& word = words_[position_];
  if (word.rfind(name + "=", 0) == 0) {
    value = word.substr(name.size() + 1);
    ++position_;
    return true;
  }
  if (word != name) return false;
  if (position_ + 1 == words_.size()) throw UsageError(name + " needs a value");
  value = words_[position_ + 1];
  position_ += 2;
  return true;
}

bool Options::at_operand() {
  if (at_end()) return false;
  const std::string& word = words_[position_];
  if (word == "--") {
    ++position_;
    return true;
  }
  if (word.size() > 1 && word[0] == '-') {
    throw UsageError("unknown option " + word + "; see ptx-emulator --help");
  }
  return true;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw UsageError(path + ": cannot be read");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) throw UsageError(path + ": cannot be read");
  return text;
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> result(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
  std::string text = status == 0 ? result.get() : name;
  // Templates of libraries fill screens.
  constexpr std::size_t kMostShown = 200;
  if (text.size() > kMostShown) text = text.substr(0, kMostShown - 3) + "...";
  return text;
}

std::uint32_t architecture_of_device(const std::string& name) {
  if (name == "a100") return 80;
  if (name == "h100") return 90;
  throw UsageError("--device " + name + ": there are a100 and h100");
}

}  // namespace ptx_emulator::tool
