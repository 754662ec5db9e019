#include "src/core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>

namespace ovid::log {
namespace {

struct Sinks {
  std::shared_ptr<spdlog::logger> terminal;
  std::shared_ptr<spdlog::logger> file;
  void (*before)() = nullptr;
  void (*after)() = nullptr;

  Sinks() {
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    if (std::getenv("NO_COLOR") != nullptr) sink->set_color_mode(spdlog::color_mode::never);
    terminal = std::make_shared<spdlog::logger>("ovid", sink);
    terminal->set_pattern("%^%l%$: %v");
    terminal->set_level(spdlog::level::info);
  }
};

// The one process-wide object: messages come from everywhere, and two loggers would interleave
// their lines.
Sinks& sinks() {
  static Sinks instance;
  return instance;
}

// Control characters, ASCII's and Latin-1's in UTF-8 (C2 80 to C2 9F), become '?'; line ends and
// tabs stay.
std::string without_controls(std::string text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool latin1 = byte >= 0x80 && byte < 0xA0 && i > 0 && text[i - 1] == '\xC2';
    if (latin1) text[i - 1] = '?';
    if (latin1 || byte == 0x7F || (byte < 0x20 && byte != '\n' && byte != '\t')) text[i] = '?';
  }
  return text;
}

// Messages quote files and arguments, and their bytes must not steer a terminal.
void write(spdlog::level::level_enum level, const std::string& text) {
  const std::string message = without_controls(text);
  Sinks& s = sinks();
  if (s.before != nullptr) s.before();
  s.terminal->log(level, message);
  if (s.after != nullptr) s.after();
  if (s.file) s.file->log(level, message);
}

}  // namespace

void set_level(Level level) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  sinks().terminal->set_level(kLevels[static_cast<int>(level)]);
}

void set_prefix(const std::string& prefix) {
  std::string pattern;
  for (const char c : prefix) pattern += c == '%' ? "%%" : std::string(1, c);
  sinks().terminal->set_pattern(pattern + "%^%l%$: %v");
}

void open_file(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    auto file = std::make_shared<spdlog::logger>("file", sink);
    file->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    file->flush_on(spdlog::level::info);
    file->set_error_handler([](const std::string&) {});  // a full disk must not stop training
    sinks().file = std::move(file);
  } catch (const spdlog::spdlog_ex& e) {
    warning(std::string("no log file: ") + e.what());
  }
}

void debug(const std::string& message) {
  write(spdlog::level::debug, message);
}
void info(const std::string& message) {
  write(spdlog::level::info, message);
}
void warning(const std::string& message) {
  write(spdlog::level::warn, message);
}
void error(const std::string& message) {
  write(spdlog::level::err, message);
}

void set_terminal_hooks(void (*before)(), void (*after)()) {
  sinks().before = before;
  sinks().after = after;
}

}  // namespace ovid::log
