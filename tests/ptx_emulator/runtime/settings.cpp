#include "tests/ptx_emulator/runtime/settings.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace ptx_emulator {
namespace {

[[noreturn]] void refuse(const char* name, const std::string& value, const char* wanted) {
  std::fprintf(stderr, "ptx-emulator: %s=%s is not understood; it takes %s\n", name, value.c_str(),
               wanted);
  std::_Exit(2);
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::uint64_t number(const char* name, std::uint64_t fallback, std::uint64_t most) {
  const std::string text = variable(name);
  if (text.empty()) return fallback;
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = std::strtoull(text.c_str(), &end, 10);
  if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || value > most) {
    char wanted[80];
    std::snprintf(wanted, sizeof wanted, "a whole number from 0 to %llu",
                  static_cast<unsigned long long>(most));
    refuse(name, text, wanted);
  }
  return value;
}

double seconds(const char* name) {
  const std::string text = variable(name);
  if (text.empty()) return 0;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (*end != '\0' || !(value >= 0) || value > 1e9) refuse(name, text, "seconds from 0 to 1e9");
  return value;
}

bool flag(const char* name) {
  const std::string text = variable(name);
  if (text.empty() || text == "0") return false;
  if (text != "1") refuse(name, text, "0 or 1");
  return true;
}

// "layernorm=4096;fill=128"
std::vector<std::pair<std::string, std::uint64_t>> ideal_bytes() {
  const char* const name = "PTX_EMULATOR_IDEAL";
  const std::string text = variable(name);
  std::vector<std::pair<std::string, std::uint64_t>> result;
  std::istringstream entries(text);
  for (std::string entry; std::getline(entries, entry, ';');) {
    const std::size_t equals = entry.rfind('=');
    const std::string bytes = equals == std::string::npos ? "" : entry.substr(equals + 1);
    if (equals == 0 || bytes.empty() || bytes.size() > 18 ||
        bytes.find_first_not_of("0123456789") != std::string::npos) {
      refuse(name, text, "KERNEL=BYTES, several separated by semicolons");
    }
    result.emplace_back(entry.substr(0, equals), std::stoull(bytes));
  }
  return result;
}

Checks checks() {
  const char* const name = "PTX_EMULATOR_CHECK";
  Checks checks;
  const std::string text = variable(name);
  if (text.empty()) return checks;
  checks = {.memory = false, .synchronisation = false};
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == "all") {
      checks = {true, true, true, true, true};
    } else if (word == "none") {
      checks = {false, false, false, false, false};
    } else if (word == "memory") {
      checks.memory = true;
    } else if (word == "sync") {
      checks.synchronisation = true;
    } else if (word == "race") {
      checks.shared_races = true;
    } else if (word == "global-race") {
      checks.global_races = true;
    } else if (word == "init") {
      checks.uninitialised = true;
    } else {
      refuse(name, text, "a list of memory, sync, race, global-race, init, or all, or none");
    }
  }
  return checks;
}

}  // namespace

Settings read_settings() {
  Settings settings;
  const std::string device = variable("PTX_EMULATOR_DEVICE");
  if (device == "h100") {
    settings.device = DeviceName::kH100;
    settings.machine.architecture = 90;
  } else if (!device.empty() && device != "a100") {
    refuse("PTX_EMULATOR_DEVICE", device, "a100 or h100");
  }
  settings.num_devices = static_cast<int>(number("PTX_EMULATOR_DEVICES", 1, 16));
  settings.memory_bytes = number("PTX_EMULATOR_MEMORY", 0, std::uint64_t{1} << 40);
  settings.machine.seed = number("PTX_EMULATOR_SEED", 0, ~std::uint64_t{0});
  settings.machine.num_threads =
      static_cast<std::uint32_t>(number("PTX_EMULATOR_THREADS", 0, 1024));
  settings.machine.checks = checks();
  settings.machine.watchdog_seconds = seconds("PTX_EMULATOR_WATCHDOG");
  settings.counters_file = variable("PTX_EMULATOR_COUNTERS");
  settings.machine.counters = !settings.counters_file.empty();
  settings.ideal_bytes = ideal_bytes();
  settings.machine.max_faults = 16;
  settings.summary_file = variable("PTX_EMULATOR_SUMMARY");
  settings.list_unsupported = flag("PTX_EMULATOR_LIST_UNSUPPORTED");
  settings.report_leaks = flag("PTX_EMULATOR_LEAKS");
  settings.eager = flag("PTX_EMULATOR_EAGER");
  return settings;
}

}  // namespace ptx_emulator
