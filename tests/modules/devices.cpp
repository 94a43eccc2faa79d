// Prints a line for each device, then what asking for cuda:0 gives: for tests that prepare an installation.
#include <cstdio>

#include "rondo/rondo.h"

int main() {
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    std::printf("%s: %s\n", rondo::to_string(info.device).c_str(),
                info.usable ? info.name.c_str() : info.reason.c_str());
  }
  try {
    rondo::Rnn rnn({.input_size = 3, .hidden_size = 5}, rondo::parse_device("cuda"));
    std::printf("accepted\n");
  } catch (const rondo::DeviceError& error) {
    std::printf("refused: %s\n", error.what());
  }
}
