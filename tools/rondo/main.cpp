// rondo: looks at devices and at networks in files, and runs these forward and backward.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "advise.h"
#include "file_error.h"
#include "passes.h"
#include "tune.h"

namespace {

constexpr int kExitFailed = 1;  // the device, the memory, a file that cannot be written
constexpr int kExitInput = 2;   // the arguments, a file that is read

constexpr const char* kExamples =
    "Examples:\n"
    "  rondo devices\n"
    "  rondo info model.safetensors\n"
    "  rondo advise --cell lstm --t 100 --n 1 --i 256 --h 256\n"
    "  rondo run model.safetensors x.npy -o out.npz\n"
    "  rondo grad model.safetensors x.npy dy.npy -o gradients.npz\n"
    "Exit status: 0; 2 for wrong arguments and files, with a line on standard error; 1 for what else fails.";

constexpr const char* kModelFormats =
    "MODEL: a PyTorch state_dict as safetensors, or an NPZ with the same names (weight_ih_l0, weight_hh_l0, "
    "bias_ih_l0, bias_hh_l0, ..., _reverse), all after one prefix or none; F32 or F64. An LSTM's projection "
    "(weight_hr_l0), peepholes (weight_ch_l0 [3*H]: i f o) and layer normalisation (norm_ih_l0, norm_hh_l0, "
    "norm_c_l0, norm_c_bias_l0) are taken where they are there.";

void print_devices() {
  for (const rondo::DeviceInfo& info : rondo::list_devices()) {
    std::printf("%-8s %s\n", rondo::to_string(info.device).c_str(),
                info.usable ? info.name.c_str() : ("cannot be used: " + info.reason).c_str());
  }
}

void print_model(const cli::ModelOptions& options) {
  const cli::Model model = cli::load_model(options);
  std::printf("%s: %s\n", model.kind.c_str(), rondo::to_string(model.config).c_str());
  if (!model.prefix.empty()) std::printf("prefix: %s\n", model.prefix.c_str());
  const std::int64_t count = rondo::parameter_count(model.config);
  std::printf("%ld parameters\n", count);
  for (const rondo::ParameterInfo& info : rondo::parameter_layout(model.config)) {
    const cli::Array& array = model.tensors.at(info.name);
    std::printf("  %-24s %-4s %s\n", (model.prefix + info.name).c_str(),
                rondo::to_string(array.dtype).c_str(), rondo::to_string(info.shape).c_str());
  }
  for (const std::string& note : model.notes) std::printf("note: %s\n", note.c_str());
}

void add_model_options(CLI::App& app, cli::ModelOptions& options) {
  app.add_option("MODEL", options.path, "the network")->required();
  app.add_option("--cell", options.cell,
                 "which cell; read from the file, which leaves open rnn_tanh (taken) or rnn_relu")
      ->check(CLI::IsMember({"lstm", "gru", "rnn_tanh", "rnn_relu"}));
  app.add_option("--prefix", options.prefix, "which tensors, in a file with several networks: \"encoder.\"");
  app.add_option("--dtype", options.dtype, "the type that is computed in: f32 or f64 (default: the file's)")
      ->check(CLI::IsMember({"f32", "f64"}));
}

void add_pass_options(CLI::App& app, cli::PassOptions& options) {
  add_model_options(app, options.model);
  app.add_option("X", options.x, "NPY [T, N, I], f32 or f64")->required();
  app.add_option("--h0", options.h0, "NPY [L*D, N, H]: the initial h (default: zeros)");
  app.add_option("--c0", options.c0, "NPY [L*D, N, H]: the initial c of an LSTM (default: zeros)");
  app.add_option("--lengths", options.lengths,
                 "NPY [N], i32 or i64: the valid steps of each row (default: T)");
  app.add_option("--mask", options.mask,
                 "NPY [T, N], bool or u8: steps with 0 are skipped: the state stays, y is 0 there");
  app.add_option("--resets", options.resets,
                 "NPY [T, N], bool or u8: before steps with 1 the row starts anew, from a state of zeros");
  app.add_flag("--batch-first", options.model.batch_first, "X is [N, T, I], and so are all sequences");
  app.add_option("--device", options.device, "auto, cpu, cuda or cuda:N (default: RONDO_DEVICE)");
  app.add_option("-o,--out", options.out, "the NPZ to write; complete, or not at all")
      ->required()
      ->check([](const std::string& path) {
        return path.ends_with(".npz") ? "" : "\"" + path + "\", expected a name that ends in .npz";
      });
}

CLI::App* add_run(CLI::App& app, cli::PassOptions& options) {
  CLI::App* run = app.add_subcommand("run",
                                     "one forward pass: y [T, N, D*H], h_n and c_n [L*D, N, H] as NPZ; with "
                                     "a projection y and h_n have its size");
  add_pass_options(*run, options);
  run->footer(std::string(kModelFormats) +
              "\nExamples:\n"
              "  rondo run model.safetensors x.npy -o out.npz\n"
              "  rondo run model.npz x.npy --cell rnn_relu --batch-first --lengths lengths.npy --dtype f64 "
              "-o out.npz\n"
              "  rondo run model.npz x.npy --mask mask.npy --resets starts.npy -o out.npz");
  return run;
}

CLI::App* add_grad(CLI::App& app, cli::PassOptions& options) {
  CLI::App* grad = app.add_subcommand(
      "grad",
      "a forward and a backward pass: dx, dh0, dc0 and each parameter's gradient by its name, as NPZ");
  add_pass_options(*grad, options);
  grad->add_option("DY", options.dy, "NPY as y: the gradient of the loss with respect to y")->required();
  grad->add_option("--dh-n", options.dh_n,
                   "NPY [L*D, N, H]: the gradient with respect to h_n (default: zeros)");
  grad->add_option("--dc-n", options.dc_n, "NPY [L*D, N, H]: the same of an LSTM's c_n (default: zeros)");
  grad->footer(
      std::string(kModelFormats) +
      "\nExamples:\n"
      "  rondo grad model.safetensors x.npy dy.npy -o gradients.npz\n"
      "  rondo grad model.npz x.npy dy.npy --h0 h0.npy --c0 c0.npy --dh-n dh_n.npy -o gradients.npz");
  return grad;
}

CLI::App* add_advise(CLI::App& app, cli::AdviseOptions& options, int& threads) {
  CLI::App* advise = app.add_subcommand(
      "advise", "predicted times on each device, the choice, its reason, and where it would flip");
  const CLI::Range size(std::int64_t{1}, std::int64_t{1} << 31, "a whole number of at least 1");
  advise->add_option("--cell", options.cell, "the cell")
      ->check(CLI::IsMember({"lstm", "gru", "rnn_tanh", "rnn_relu"}));
  advise->add_option("--phase", options.phase, "inference, or training: forward and all gradients")
      ->check(CLI::IsMember({"inference", "training"}));
  advise->add_option("--t", options.t, "steps")->check(size);
  advise->add_option("--n", options.n, "rows of the batch")->check(size);
  advise->add_option("--i", options.i, "input size")->check(size);
  advise->add_option("--h", options.h, "hidden size")->check(size);
  advise->add_option("--layers", options.layers, "layers")->check(size);
  advise->add_flag("--bidirectional", options.bidirectional, "both directions, concatenated");
  advise->add_option("--dtype", options.dtype, "f32 or f64")->check(CLI::IsMember({"f32", "f64"}));
  advise->add_option("--threads", threads, "threads on the CPU (default: all)")->check(CLI::Range(1, 255));
  advise->footer(
      "Predictions are the library's, from published figures or from those of `rondo tune`: nothing runs "
      "here.\n"
      "Examples:\n"
      "  rondo advise --cell lstm --t 100 --n 1 --i 256 --h 256\n"
      "  rondo advise --cell gru --phase training --t 50 --n 64 --i 128 --h 512 --layers 2");
  return advise;
}

const CLI::App* add_tune(CLI::App& app, cli::TuneOptions& options) {
  CLI::App* tune =
      app.add_subcommand("tune", "fits the model that chooses devices and threads to this machine");
  tune->add_option("--seconds", options.seconds, "the most that measuring may take")
      ->check(CLI::Range(1.0, 30.0));
  CLI::Option* show =
      tune->add_flag("--show", options.show, "the coefficients in use and where they come from");
  tune->add_flag("--reset", options.reset, "removes what was stored")->excludes(show);
  tune->footer(
      "What is measured is kept for this processor, GPU, driver and version of Rondo, and used by every "
      "program.\n"
      "Examples:\n"
      "  rondo tune\n"
      "  rondo tune --show\n"
      "  rondo tune --reset");
  return tune;
}

int run_program(int argc, char** argv) {
  CLI::App app("Looks at devices and at recurrent networks in files, and runs these forward and backward.",
               "rondo");
  app.footer(kExamples);
  app.require_subcommand(1);
  app.set_version_flag("--version", rondo::version());
  app.option_defaults()->always_capture_default();

  CLI::App* devices =
      app.add_subcommand("devices", "the devices, and for those that are missing what is missing");
  devices->footer("Example:\n  rondo devices");
  cli::ModelOptions model;
  CLI::App* info = app.add_subcommand("info", "what network a file holds");
  add_model_options(*info, model);
  info->footer(std::string(kModelFormats) + "\nExample:\n  rondo info model.safetensors");
  cli::PassOptions forward, backward;
  cli::AdviseOptions sizes;
  int threads = 0;
  const CLI::App* advise = add_advise(app, sizes, threads);
  cli::TuneOptions tuning;
  const CLI::App* tune = add_tune(app, tuning);
  const CLI::App* run = add_run(app, forward);
  const CLI::App* grad = add_grad(app, backward);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitInput;
  }
  if (tune->parsed()) return cli::run_tune(tuning);
  if (devices->parsed()) print_devices();
  if (info->parsed()) print_model(model);
  if (run->parsed()) cli::run_forward(forward);
  if (grad->parsed()) cli::run_backward(backward);
  if (advise->parsed()) {
    rondo::set_num_threads(threads);
    cli::print_advice(sizes);
  }
  return 0;
}

int fail(int status, const char* what) {
  std::fprintf(stderr, "rondo: %s\n", what);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const cli::FileError& error) {
    return fail(kExitInput, error.what());
  } catch (const rondo::InvalidArgument& error) {
    return fail(kExitInput, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kExitFailed, "there is not enough memory");
  } catch (const std::exception& error) {
    return fail(kExitFailed, error.what());
  }
}
