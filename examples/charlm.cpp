// charlm: learns a text character by character and then writes its own.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "char_model.h"
#include "program.h"
#include "progress.h"
#include "text.h"

namespace examples {
using namespace report;
namespace {

constexpr const char* kWordList = "/usr/share/dict/words";
constexpr double kTrainingShare = 0.95;  // as in char-rnn
constexpr int kFirstDecayEpoch = 10;     // char-rnn's schedule: from here on 3 % less an epoch
constexpr double kDecay = 0.97;
constexpr std::int64_t kBins = 25;  // points an epoch of the training curve

struct Options {
  std::string text, cell = "gru", device, out = ".";
  std::int64_t layers = 1, hidden = 128, batch = 50, window = 50, sample = 300;
  int epochs = 5;
  std::uint64_t seed = 1;
  double dropout = 0, rate = 5e-3, clip = 5, temperature = 0.8;
};

struct Epoch {
  int number = 0;
  double training_loss = 0, validation_loss = 0, seconds = 0;
  std::string sample;
};

struct Run {
  std::vector<Epoch> epochs;
  std::vector<double> curve_x, curve_y;  // training loss over fractions of an epoch
  double validation_loss = 0, seconds = 0;
  bool interrupted = false;
  std::string device, reason, final_sample;
  std::vector<std::string> invented;
  std::int64_t parameters = 0;
  double known_share = 0;
};

void add_flags(CLI::App* app, Options* o) {
  app->add_option("--text", o->text,
                  std::string("text file to learn (default: the words of ") + kWordList + ")");
  app->add_option("--cell", o->cell, "recurrent cell")
      ->check(CLI::IsMember({"lstm", "gru", "rnn"}))
      ->capture_default_str();
  app->add_option("--layers", o->layers, "layers")->check(CLI::Range(1, 64))->capture_default_str();
  app->add_option("--hidden", o->hidden, "units a layer")->check(CLI::Range(1, 16384))->capture_default_str();
  app->add_option("--epochs", o->epochs, "passes over the text")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app->add_option("--seed", o->seed, "seed of everything random")->capture_default_str();
  app->add_option("--batch", o->batch, "pieces of the text read side by side")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--window", o->window, "characters between two updates")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--rate", o->rate, "Adam's learning rate; 3 % less an epoch from the 11th on")
      ->check(CLI::Range(1e-8, 1.0))
      ->capture_default_str();
  app->add_option("--clip", o->clip, "largest norm of the gradient")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--dropout", o->dropout, "dropout on the output of every layer")
      ->check(CLI::Range(0.0, 0.95))
      ->capture_default_str();
  app->add_option("--temperature", o->temperature, "of samples: lower is safer, higher is wilder")
      ->check(CLI::Range(0.05, 10.0))
      ->capture_default_str();
  app->add_option("--sample", o->sample, "characters of a sample")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app->add_option("--device", o->device,
                  "auto, cpu, cuda or cuda:N (default: the variable RONDO_DEVICE, else auto)");
  app->add_option("--out", o->out, "folder for result.json and charlm.html")->capture_default_str();
  app->footer(
      "Examples:\n"
      "  charlm                                    invents English words\n"
      "  charlm --text book.txt --epochs 10        writes in the style of a book\n"
      "  charlm --text book.txt --cell lstm --layers 2 --hidden 256 --dropout 0.3 --out run1\n"
      "Ctrl-C stops the training and still writes the report; a second one stops at once.");
}

double validate(CharModel* model, const Windows& windows) {
  std::vector<std::int32_t> inputs(std::size_t(windows.rows() * windows.steps())), targets(inputs.size());
  double sum = 0;
  model->reset_states();
  for (std::int64_t w = windows.training(); w < windows.total(); ++w) {
    windows.get(w, inputs, targets);
    sum += model->evaluate(inputs, targets);
  }
  model->reset_states();
  return sum / double(windows.total() - windows.training());
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// A sample as it is shown: of a word list in rows, since one word a line would fill the screen.
std::string draw_sample(CharModel* model, const Text& text, const Options& o, std::uint64_t seed) {
  const std::string sample = text.decode(model->sample(text.prime(), o.sample, o.temperature, seed));
  if (!text.is_word_list()) return sample;
  std::vector<std::string> words = lines_of(sample);
  if (words.size() > 1 && sample.back() != '\n') words.pop_back();  // cut off
  std::string rows, row;
  for (const std::string& word : words) {
    if (row.size() + word.size() > 90) rows += std::exchange(row, "") + "\n";
    row += (row.empty() ? "" : "  ") + word;
  }
  return rows + row;
}

// One epoch; false when the user asked to stop within it.
bool train_epoch(CharModel* model, const Windows& windows, const Options& o, int epoch, Progress* progress,
                 Run* run) {
  std::vector<std::int32_t> inputs(std::size_t(o.batch * o.window)), targets(inputs.size());
  const double rate = o.rate * std::pow(kDecay, std::max(0, epoch - kFirstDecayEpoch));
  const std::int64_t bin = std::max<std::int64_t>(1, windows.training() / kBins);
  double sum = 0, bin_sum = 0;
  for (std::int64_t w = 0; w < windows.training(); ++w) {
    if (StopRequest::requested()) return false;
    windows.get(w, inputs, targets);
    const double loss = model->train(inputs, targets, rate);
    if (!std::isfinite(loss)) {
      throw std::runtime_error("the loss is no longer a number in epoch " + std::to_string(epoch) +
                               "; try a lower --rate");
    }
    sum += loss;
    bin_sum += loss;
    if ((w + 1) % bin == 0) {
      run->curve_x.push_back(epoch - 1 + (double(w + 1) - 0.5 * double(bin)) / double(windows.training()));
      run->curve_y.push_back(std::exchange(bin_sum, 0) / double(bin));
    }
    progress->advance("epoch " + std::to_string(epoch) + ", loss " + fixed(loss, 3));
  }
  run->epochs.push_back({epoch, sum / double(windows.training()), 0, 0, ""});
  return true;
}

// Words that the list does not have, and the share of all drawn words that it has.
void invent_words(CharModel* model, const Text& text, const Options& o, Run* run) {
  constexpr std::int64_t kCharacters = 3000;
  constexpr std::size_t kShown = 60;
  const auto drawn = model->sample(text.prime(), kCharacters, o.temperature, o.seed + 1000);
  std::vector<std::string> words = lines_of(text.decode(drawn));
  if (words.size() > 1) words.pop_back();
  std::size_t known = 0;
  for (const std::string& word : words) {
    if (text.words.contains(word)) {
      ++known;
    } else if (run->invented.size() < kShown) {
      run->invented.push_back(word);
    }
  }
  run->known_share = words.empty() ? 0 : double(known) / double(words.size());
}

Run train(CharModel* model, const Text& text, const Windows& windows, const Options& o) {
  Run run;
  const Stopwatch watch;
  Progress progress(o.epochs * windows.training());
  for (int epoch = 1; epoch <= o.epochs; ++epoch) {
    if (!train_epoch(model, windows, o, epoch, &progress, &run)) {
      run.interrupted = true;
      break;
    }
    Epoch& done = run.epochs.back();
    done.validation_loss = validate(model, windows);
    done.seconds = watch.seconds();
    done.sample = draw_sample(model, text, o, o.seed + std::uint64_t(epoch));
    progress.clear();
    std::printf("epoch %d  training %.4f  validation %.4f nats/char  %.1f s\n%s\n\n", epoch,
                done.training_loss, done.validation_loss, done.seconds, done.sample.c_str());
    std::fflush(stdout);
  }
  run.validation_loss = run.interrupted ? validate(model, windows) : run.epochs.back().validation_loss;
  run.seconds = watch.seconds();
  run.device = rondo::to_string(model->rnn().device());
  run.reason = model->reason();
  run.parameters = model->parameter_count();
  run.final_sample = draw_sample(model, text, o, o.seed + 500);
  if (text.is_word_list()) invent_words(model, text, o, &run);
  return run;
}

nlohmann::json result_json(const Run& run, const Options& o, const Text& text) {
  nlohmann::json epochs = nlohmann::json::array();
  for (const Epoch& e : run.epochs) {
    epochs.push_back({{"epoch", e.number},
                      {"training_loss", e.training_loss},
                      {"validation_loss", e.validation_loss},
                      {"seconds", e.seconds}});
  }
  return {{"task", "charlm"},
          {"seconds", run.seconds},
          {"device", run.device},
          {"reason", run.reason},
          {"validation_loss", run.validation_loss},
          {"interrupted", run.interrupted},
          {"epochs", epochs},
          {"parameters", run.parameters},
          {"sample", run.final_sample},
          {"settings",
           {{"text", text.name},
            {"cell", o.cell},
            {"layers", o.layers},
            {"hidden", o.hidden},
            {"epochs", o.epochs},
            {"seed", o.seed},
            {"batch", o.batch},
            {"window", o.window},
            {"rate", o.rate},
            {"clip", o.clip},
            {"dropout", o.dropout},
            {"temperature", o.temperature}}}};
}

// As in running text: "a GRU", "an LSTM".
std::string cell_with_article(const Options& o) {
  if (o.cell == "gru") return "a GRU";
  return o.cell == "lstm" ? "an LSTM" : "a SimpleRNN";
}

void add_curve(const Run& run, const Text& text, Page* page) {
  Chart chart;
  chart.x_label = "epoch";
  chart.y_label = "loss, nats a character";
  Series validation{"validation, at the end of each epoch", palette::kOrange, Mark::kLinePoints, {}, {}};
  for (const Epoch& e : run.epochs) {
    validation.x.push_back(e.number);
    validation.y.push_back(e.validation_loss);
  }
  if (!run.curve_x.empty()) {
    chart.series.push_back({"training", palette::kBlue, Mark::kLine, run.curve_x, run.curve_y});
  }
  if (!validation.x.empty()) chart.series.push_back(validation);
  if (chart.series.empty()) return;
  page->heading("Learning curve");
  page->chart(chart, "A model that knew nothing would lose " +
                         fixed(std::log(double(text.vocabulary.size())), 2) + " nats a character (" +
                         std::to_string(text.vocabulary.size()) +
                         " characters, all alike). Validation is the text that training never saw.");
}

std::string page_html(const Run& run, const Options& o, const Text& text, const Windows& windows) {
  Page page((text.is_word_list() ? "Words that " : "A text that ") + cell_with_article(o) + " made up",
            "A character-level language model, trained on " + text.name +
                (run.interrupted ? ". Stopped before its end." : "."));
  page.facts({{"Validation loss, nats/char", fixed(run.validation_loss, 3)},
              {"Bits a character", fixed(run.validation_loss / std::log(2.0), 3)},
              {"Training time", fixed(run.seconds, 1) + " s"},
              {"Parameters", std::to_string(run.parameters)},
              {"Device", run.device}});
  if (!run.invented.empty()) {
    page.heading("Invented words");
    page.paragraph("Drawn character by character at temperature " + fixed(o.temperature, 2) +
                   ". None of these is in the list; " + fixed(100 * run.known_share, 0) +
                   " % of all words drawn were.");
    page.words(run.invented);
  } else {
    page.heading("A sample");
    page.sample("temperature " + fixed(o.temperature, 2), run.final_sample);
  }
  add_curve(run, text, &page);
  Table table{{"Epoch", "Training loss", "Validation loss", "Seconds since the start"}, {}, {}};
  for (const Epoch& e : run.epochs) {
    table.rows.push_back({std::to_string(e.number), fixed(e.training_loss, 4), fixed(e.validation_loss, 4),
                          fixed(e.seconds, 1)});
  }
  if (!table.rows.empty()) page.table(table);
  page.heading("How it learned");
  for (const Epoch& e : run.epochs) {
    page.sample(
        "after epoch " + std::to_string(e.number) + ", validation loss " + fixed(e.validation_loss, 3),
        e.sample);
  }
  page.heading("What was run");
  page.paragraph(std::to_string(o.layers) + " x " + std::to_string(o.hidden) + " units (" + o.cell +
                 ") on one-hot characters, then a softmax layer; dropout " + fixed(o.dropout, 2) +
                 "; Adam at " + nlohmann::json(o.rate).dump() + ", gradient norm at most " +
                 fixed(o.clip, 1) + "; " + std::to_string(o.batch) + " rows by " + std::to_string(o.window) +
                 " characters, the state carried from window to window; " +
                 std::to_string(windows.training()) + " windows for training, " +
                 std::to_string(windows.total() - windows.training()) + " for validation; seed " +
                 std::to_string(o.seed) + ".");
  page.paragraph("Device: " + run.reason);
  return page.html();
}

int run_charlm(const Options& o) {
  prepare_folder(o.out);
  const rondo::DeviceChoice device =
      o.device.empty() ? rondo::device_from_environment() : rondo::parse_device(o.device);
  const Text text = o.text.empty() ? read_word_list(kWordList, o.seed) : read_text(o.text);
  const Windows windows(text, o.batch, o.window, kTrainingShare);
  CharModelConfig config;
  config.cell = cell_from_name(o.cell);
  config.vocabulary = std::int64_t(text.vocabulary.size());
  config.layers = o.layers;
  config.hidden = o.hidden;
  config.dropout = o.dropout;
  config.clip = o.clip;
  config.seed = o.seed;
  CharModel model(config, o.batch, o.window, device);
  std::printf("%s: %zu characters, %zu different; %lld windows for training, %lld for validation\n%s\n\n",
              text.name.c_str(), text.symbols.size(), text.vocabulary.size(), (long long)windows.training(),
              (long long)(windows.total() - windows.training()), model.reason().c_str());
  std::fflush(stdout);
  StopRequest::install();
  const Run run = train(&model, text, windows, o);

  const std::filesystem::path folder = o.out;
  write_file(folder / "result.json", result_json(run, o, text).dump(2) + "\n");
  write_file(folder / "charlm.html", page_html(run, o, text, windows));
  std::printf("device: %s (%s)\nvalidation loss: %.4f nats/char after %.1f s%s\n%s\n%s\n", run.device.c_str(),
              run.reason.c_str(), run.validation_loss, run.seconds,
              run.interrupted ? ", stopped by the user" : "", (folder / "result.json").c_str(),
              (folder / "charlm.html").c_str());
  return run.interrupted ? 130 : 0;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  CLI::App app("Learns a text character by character and then writes its own.", "charlm");
  examples::Options options;
  examples::add_flags(&app, &options);
  return examples::run_program(app, argc, argv, [&] { return examples::run_charlm(options); });
}
