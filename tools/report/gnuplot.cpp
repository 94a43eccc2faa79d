// gnuplot as a child process.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tools/report/report.h"

extern char** environ;  // NOLINT: POSIX declares no header for it

namespace report {
namespace {

// A file of its own name, removed at the end of the scope.
class ScratchFile {
 public:
  ScratchFile() {
    std::string name = (std::filesystem::temp_directory_path() / "rondo-plot-XXXXXX").string();
    const int fd = mkstemp(name.data());
    if (fd < 0) throw std::runtime_error("cannot make a temporary file like " + name);
    close(fd);
    path_ = name;
  }
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string read_all(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

std::string run_gnuplot(const std::string& script) {
  const ScratchFile input, output, messages;
  std::ofstream(input.path()) << script;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.path().c_str(), O_WRONLY | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, messages.path().c_str(), O_WRONLY | O_TRUNC,
                                   0600);
  std::string program = "gnuplot", argument = input.path();
  char* arguments[] = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return "";
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 127) return "";
  if (WEXITSTATUS(status) != 0) throw std::runtime_error("gnuplot failed: " + read_all(messages.path()));
  const std::string svg = read_all(output.path());
  const std::size_t start = svg.find("<svg");  // inside HTML there is no XML declaration
  if (start == std::string::npos)
    throw std::runtime_error("gnuplot drew nothing: " + read_all(messages.path()));
  return svg.substr(start);
}

}  // namespace report
