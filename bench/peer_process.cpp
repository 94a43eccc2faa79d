// Child processes on two pipes, with a time limit for each answer.
#include "bench/peer_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostLosses = 5;
constexpr std::size_t kLongestLine = 1 << 20;

// An end of a pipe.
class End {
 public:
  explicit End(int fd = -1) : fd_(fd) {}
  ~End() { reset(); }
  End(End&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  End& operator=(End&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};
struct Pipe {
  End read, write;
};
// Where this process has no standard input or output, a pipe would take its number, and the child's end could
// not be put there.
End above_standard(End end) {
  if (end.get() > STDERR_FILENO) return end;
  return End(fcntl(end.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}
Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::string("pipe: ") + std::strerror(errno));
  Pipe pipe{End(ends[0]), End(ends[1])};
  return {above_standard(std::move(pipe.read)), above_standard(std::move(pipe.write))};
}

std::string ended(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  const int code = WEXITSTATUS(status);
  return code == 127 ? "could not be started" : "ended with status " + std::to_string(code);
}

}  // namespace

class PeerProcess::Child {
 public:
  explicit Child(const std::vector<std::string>& command) {
    Pipe in = make_pipe(), out = make_pipe();
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(127);  // it had gone before that
      // Ctrl-C is for the program that asks, which then ends its peers.
      setpgid(0, 0);
      if (dup2(in.read.get(), STDIN_FILENO) < 0 || dup2(out.write.get(), STDOUT_FILENO) < 0) _exit(127);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    to_ = std::move(in.write);
    from_ = std::move(out.read);
    // A child that reads nothing, or has gone, must not stop or end this process.
    fcntl(to_.get(), F_SETFL, O_NONBLOCK);
  }
  ~Child() {
    if (pid_ > 0) reap();
  }
  Child(const Child&) = delete;

  // How it ended, once its output has.
  std::string wait_for_end() {
    for (int i = 0; i < 200; ++i) {
      if (has_ended()) return ended(reap());
      usleep(5000);
    }
    return "stopped answering";
  }

  // Whether it has said something that no row has asked for.
  bool has_more() const {
    pollfd poll_for{from_.get(), POLLIN, 0};
    return !buffer_.empty() || (poll(&poll_for, 1, 0) > 0 && (poll_for.revents & POLLIN) != 0);
  }

  bool write_line(const std::string& line, Clock::time_point deadline) {
    struct sigaction ignore = {}, before = {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, &before);
    std::size_t done = 0;
    const std::string text = line + "\n";
    while (done < text.size() && ready(to_.get(), POLLOUT, deadline)) {
      const ssize_t n = write(to_.get(), text.data() + done, text.size() - done);
      if (n < 0 && errno != EAGAIN && errno != EINTR) break;
      if (n > 0) done += static_cast<std::size_t>(n);
    }
    sigaction(SIGPIPE, &before, nullptr);
    return done == text.size();
  }

  enum class Got { kLine, kEnd, kTimeout, kTooLong };
  Got read_line(std::string& line, Clock::time_point deadline) {
    for (;;) {
      if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
        line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return Got::kLine;
      }
      if (buffer_.size() > kLongestLine) return Got::kTooLong;
      if (!ready(from_.get(), POLLIN, deadline)) return Got::kTimeout;
      char part[4096];
      const ssize_t n = read(from_.get(), part, sizeof part);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Got::kEnd;
      buffer_.append(part, static_cast<std::size_t>(n));
    }
  }

 private:
  bool has_ended() const {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }
  // Ends it, unless it has ended by itself, and what it started; its status. Its group is ended before its
  // number is free for others.
  int reap() {
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);  // where it has no group yet
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }
  static bool ready(int fd, short what, Clock::time_point deadline) {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) return false;
      pollfd poll_for{fd, what, 0};
      const int n = poll(&poll_for, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
      if (n > 0) return true;  // also when the other end is gone: the call says so
      if (n < 0 && errno != EINTR) return false;
    }
  }

  pid_t pid_ = 0;
  End to_, from_;
  std::string buffer_;
};

PeerProcess::PeerProcess(std::string name, std::vector<std::string> command)
    : name_(std::move(name)), command_(std::move(command)) {}
PeerProcess::~PeerProcess() = default;
PeerProcess::PeerProcess(PeerProcess&&) noexcept = default;
PeerProcess& PeerProcess::operator=(PeerProcess&&) noexcept = default;

nlohmann::json PeerProcess::lose(const std::string& why) {
  if (child_) ++losses_;
  child_.reset();
  return {{"error", name_ + ": " + why}};
}

nlohmann::json PeerProcess::about(double seconds) {
  const auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::vector<std::string> command = command_;
  command.push_back("about");
  Child child(command);
  std::string line;
  const Child::Got got = child.read_line(line, deadline);
  if (got == Child::Got::kTimeout) return {{"error", name_ + ": no answer"}};
  if (got != Child::Got::kLine) return {{"error", name_ + " " + child.wait_for_end()}};
  const nlohmann::json answer = nlohmann::json::parse(line, nullptr, false);
  // One that cannot run says why in words.
  if (!answer.is_object() || !answer.contains("version")) return {{"error", name_ + ": " + line}};
  return answer;
}

nlohmann::json PeerProcess::ask(const std::string& row, double seconds) {
  if (!child_) {
    if (losses_ >= kMostLosses) return lose("given up after " + std::to_string(losses_) + " failures");
    std::vector<std::string> command = command_;
    command.insert(command.end(), {"rows", "-"});
    child_ = std::make_unique<Child>(command);
  }
  // A line too many would be taken for the answer to the next row, and so on.
  if (child_->has_more()) return lose("said more than one line for a row");
  const auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  if (!child_->write_line(row, deadline)) return lose(child_->wait_for_end());
  std::string line;
  switch (child_->read_line(line, deadline)) {
    case Child::Got::kEnd:
      return lose(child_->wait_for_end());
    case Child::Got::kTimeout:
      return lose("no answer in " + std::to_string(static_cast<int>(seconds)) + " s");
    case Child::Got::kTooLong:
      return lose("a line without an end");
    case Child::Got::kLine:
      break;
  }
  nlohmann::json answer = nlohmann::json::parse(line, nullptr, false);
  if (!answer.is_object()) return lose("no JSON: " + line.substr(0, 200));
  return answer;
}

void PeerProcess::end() { child_.reset(); }

std::filesystem::path own_program() {
  std::error_code none;
  return std::filesystem::read_symlink("/proc/self/exe", none);
}

PeerFolders peer_folders() {
  const std::filesystem::path source = RONDO_SOURCE;
  return {own_program().parent_path(), source / "bench/peers", source / ".cache/peers"};
}

std::vector<PeerProcess> known_peers(const PeerFolders& folders) {
  const std::filesystem::path own = folders.environment / "bin/python3";
  const std::string python = !folders.environment.empty() && exists(own) ? own.string() : "python3";
  std::vector<PeerProcess> peers;
  for (const auto& [name, file] : {std::pair{"onednn", "rondo-bench-onednn"},
                                   {"onednn3", "rondo-bench-onednn3"},
                                   {"onnxruntime", "rondo-bench-ort"}}) {
    const auto program = folders.programs / file;
    if (exists(program)) peers.emplace_back(name, std::vector{program.string()});
  }
  if (const auto script = folders.scripts / "pytorch.py"; exists(script)) {
    peers.emplace_back("pytorch", std::vector{python, script.string()});
  }
  return peers;
}

}  // namespace bench
