// Another engine as a child process that answers a line of shape options with a line of JSON, as
// `rondo-bench rows -` does.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bench {

class PeerProcess {
 public:
  // Nothing is started before the first question. command: the program, by PATH or by its own path, and its
  // arguments before `about` or `rows -`.
  PeerProcess(std::string name, std::vector<std::string> command);
  ~PeerProcess();  // ends the child
  PeerProcess(PeerProcess&&) noexcept;
  PeerProcess& operator=(PeerProcess&&) noexcept;

  const std::string& name() const { return name_; }
  // {"name": ..., "version": ...}, or {"error": why it cannot run}.
  nlohmann::json about(double seconds = 60);
  // What it says of a row, or {"error": ...} where it says nothing in time, no JSON, or has ended. After such
  // an answer the next question starts it anew, a few times; then it is given up.
  nlohmann::json ask(const std::string& row, double seconds);
  // Ends the child; the next question starts a new one.
  void end();

 private:
  class Child;
  nlohmann::json lose(const std::string& why);

  std::string name_;
  std::vector<std::string> command_;
  std::unique_ptr<Child> child_;
  int losses_ = 0;
};

// Those that this suite knows and that are there: rondo-bench-onednn and rondo-bench-onednn3 (Debian's
// version, and a newer one) and rondo-bench-ort in the folder `programs`, and pytorch.py in the folder
// `scripts`, by the Python of `environment` where it has one, else by python3. Whether they can run is what
// about() says.
struct PeerFolders {
  std::filesystem::path programs, scripts, environment;
};
std::vector<PeerProcess> known_peers(const PeerFolders& folders);

std::filesystem::path own_program();
// Beside this program, in the sources that it was built from, and as tools/install-peers installs.
PeerFolders peer_folders();

}  // namespace bench
