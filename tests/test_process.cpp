#include "tests/test_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/test_files.h"

namespace ovid::test {
namespace {

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Files instead of pipes: no program can block on a full one.
pid_t start(const std::vector<std::string>& command, const std::string& input,
            const std::string& output, const std::string& errors,
            const std::vector<std::string>& environment) {
  const pid_t id = ::fork();
  if (id < 0) throw std::runtime_error("fork failed");
  if (id > 0) return id;
  const auto redirect = [](const std::string& path, int flags, int target) {
    const int descriptor = ::open(path.c_str(), flags, 0644);
    if (descriptor < 0 || ::dup2(descriptor, target) < 0) ::_exit(126);
  };
  redirect(input, O_RDONLY, STDIN_FILENO);
  redirect(output, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO);
  redirect(errors, O_WRONLY | O_CREAT | O_APPEND, STDERR_FILENO);
  for (const std::string& variable : environment) ::putenv(const_cast<char*>(variable.c_str()));
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& command, const std::string& input,
                          const std::vector<std::string>& environment) {
  const TemporaryDirectory folder;
  std::ofstream(folder / "input", std::ios::binary) << input;
  const pid_t id = start(command, (folder / "input").string(), (folder / "output").string(),
                         (folder / "errors").string(), environment);
  int status = 0;
  if (::waitpid(id, &status, 0) != id) throw std::runtime_error("waitpid failed");
  return {code_of(status), contents(folder / "output"), contents(folder / "errors")};
}

Process::Process(const std::vector<std::string>& command, const std::string& output)
    : id_(start(command, "/dev/null", output, output, {})) {}

Process::~Process() {
  if (exit_code_) return;
  ::kill(id_, SIGKILL);
  int status = 0;
  ::waitpid(id_, &status, 0);
}

void Process::signal(int number) {
  if (!exit_code_) ::kill(id_, number);
}

std::optional<int> Process::wait_for(double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!exit_code_) {
    int status = 0;
    if (::waitpid(id_, &status, WNOHANG) == id_) exit_code_ = code_of(status);
    if (exit_code_ || std::chrono::steady_clock::now() >= end) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return exit_code_;
}

int Process::wait() {
  while (!wait_for(1.0)) {
  }
  return *exit_code_;
}

}  // namespace ovid::test
