// The frame of an example program: command line, exit codes, and the sentence about the device.
#pragma once

#include <rondo/rondo.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "tools/report/report.h"

namespace examples {

// Parses, then runs body(). Exit codes: what body returns; 2 for a mistake of the user's; 1 for the rest.
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, Body body) {
  try {
    app.parse(argc, argv);
    return body();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // --help comes this way too, with 0
  } catch (const report::InputError& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 2;
  } catch (const rondo::InvalidArgument& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 1;
  }
}

inline rondo::Cell cell_from_name(const std::string& name) {
  if (name == "lstm") return rondo::Cell::kLstm;
  if (name == "gru") return rondo::Cell::kGru;
  return rondo::Cell::kSimpleRnn;
}

}  // namespace examples
