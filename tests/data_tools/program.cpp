#include "tests/data_tools/program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "src/core/file.h"
#include "tests/test_files.h"

extern char** environ;

namespace ovid::test {
namespace {

struct Started {
  TemporaryDirectory folder;  // of the standard streams
  pid_t process = 0;
};

// `input_descriptor` < 0: standard input is the file "in" of the folder.
void start(Started& started, std::vector<std::string> command, int input_descriptor) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string in = (started.folder / "in").string();
  const std::string out = (started.folder / "out").string();
  const std::string err = (started.folder / "err").string();
  if (input_descriptor >= 0) {
    posix_spawn_file_actions_adddup2(&actions, input_descriptor, 0);
  } else {
    posix_spawn_file_actions_addopen(&actions, 0, in.c_str(), O_RDONLY, 0);
  }
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const int error =
      ::posix_spawnp(&started.process, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + command[0]);
}

ProgramResult wait_for(Started& started) {
  int status = 0;
  ::waitpid(started.process, &status, 0);
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .output = read_file(started.folder / "out"),
          .messages = read_file(started.folder / "err")};
}

std::vector<std::string> ovid_data_command(const std::vector<std::string>& arguments) {
  std::vector<std::string> command{(binary_directory() / "ovid-data").string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& command, const std::string& input) {
  Started started;
  replace_file(started.folder / "in", input);
  start(started, command, -1);
  return wait_for(started);
}

ProgramResult run_ovid_data(const std::vector<std::string>& arguments, const std::string& input) {
  return run_program(ovid_data_command(arguments), input);
}

ProgramResult interrupt_ovid_data(const std::vector<std::string>& arguments,
                                  const std::string& sent, int signal) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  Started started;
  start(started, ovid_data_command(arguments), ends[0]);
  if (::write(ends[1], sent.data(), sent.size()) != static_cast<ssize_t>(sent.size())) {
    throw std::runtime_error("cannot fill the pipe");
  }
  // What was taken from the pipe was read after the signal handlers were set.
  for (int unread = 1, tries = 0; unread > 0 && tries < 1000; ++tries) {
    ::ioctl(ends[0], FIONREAD, &unread);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(started.process, signal);
  const ProgramResult result = wait_for(started);
  ::close(ends[0]);
  ::close(ends[1]);
  return result;
}

}  // namespace ovid::test
