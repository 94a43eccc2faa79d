// The commands of a peer.
#include "bench/peers/peer_program.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/timing.h"

namespace bench {
namespace {

constexpr int kExitUsage = 2;

std::string dumped(const nlohmann::ordered_json& line) {
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string time_line(const ReadyShape& ready, const ShapeOptions& options) {
  const Timing timing = measure(
      ready.run, [] {}, effort_of(options));
  return json_line(options, timing, ready.runner);
}

ReadyShape prepare(const PeerProgram& peer, const ShapeOptions& options) {
  if (!options.once.empty()) throw BadOption(peer.title + " is not measured with --once");
  return peer.prepare(options);
}

// As rondo-bench rows, but each row is made anew: a line of options in, a line of JSON out.
void run_rows(const PeerProgram& peer, std::istream& rows) {
  for (std::string row; std::getline(rows, row);) {
    if (row.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      ShapeOptions options;
      CLI::App app("a row", "row");
      add_shape_options(app, options);
      app.parse(row);
      std::printf("%s\n", time_line(prepare(peer, options), options).c_str());
    } catch (const std::exception& error) {
      std::printf("%s\n", dumped({{"error", error.what()}, {"row", row}}).c_str());
    }
    std::fflush(stdout);
  }
}

// A program that asks reads the reason on the output.
int say_about(const PeerProgram& peer) {
  try {
    std::printf("%s\n", dumped({{"name", peer.name}, {"version", peer.version()}}).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}

int run_command(const PeerProgram& peer, const std::string& program, int argc, char** argv) {
  CLI::App app("Times " + peer.title + "'s recurrent networks as rondo-bench does Rondo's.", program);
  app.require_subcommand(1);
  ShapeOptions options;
  CLI::App* shape = app.add_subcommand("shape", "one shape; prints one line of JSON");
  add_shape_options(*shape, options);
  std::string file;
  CLI::App* rows =
      app.add_subcommand("rows", "many shapes; prints one line of JSON each, or {\"error\": ...}");
  rows->add_option("FILE", file, "a file with the options of shape on each line; - is stdin")->required();
  app.add_subcommand("about", "one line of JSON: name and version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (shape->parsed()) {
    std::printf("%s\n", time_line(prepare(peer, options), options).c_str());
  } else if (!rows->parsed()) {
    return say_about(peer);
  } else if (file == "-") {
    run_rows(peer, std::cin);
  } else {
    std::ifstream stream(file);
    if (!stream) throw std::runtime_error("rows: cannot read " + file);
    run_rows(peer, stream);
  }
  return 0;
}

}  // namespace

int run_peer(const PeerProgram& peer, int argc, char** argv) {
  const std::string program = std::filesystem::path(argv[0]).filename();
  try {
    return run_command(peer, program, argc, argv);
  } catch (const BadOption& error) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), error.what());
    return kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), error.what());
    return 1;
  }
}

}  // namespace bench
