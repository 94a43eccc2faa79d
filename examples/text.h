// A text as symbols (Unicode characters), cut into windows for training with a carried state.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace examples {

struct Text {
  std::string name;                       // what the report calls it
  std::vector<char32_t> vocabulary;       // sorted
  std::vector<std::int32_t> symbols;      // the text, as positions in the vocabulary
  std::unordered_set<std::string> words;  // of a word list, else empty
  bool is_word_list() const { return !words.empty(); }
  std::string decode(std::span<const std::int32_t> some) const;  // UTF-8
  // What a sample follows: the beginning of the text, to warm the state up, and a line end.
  std::vector<std::int32_t> prime() const;
};

// The text of a file. A byte that is no part of valid UTF-8 counts as the Latin-1 character.
// InputError when the file cannot be read.
Text read_text(const std::string& path);
// One word a line: words with an apostrophe are left out, and the order is shuffled, since in
// alphabetical order each word would give the next one away.
Text read_word_list(const std::string& path, std::uint64_t seed);

// The char-rnn protocol: the text as `rows` equally long pieces side by side, each cut into windows of
// `steps` symbols; the first `training` windows are for training, the others for validation. The target
// of a symbol is the next one. What does not fill a window is left out.
class Windows {
 public:
  // InputError when the text is too short for one window of each kind.
  Windows(const Text& text, std::int64_t rows, std::int64_t steps, double training_share);
  std::int64_t rows() const { return rows_; }
  std::int64_t steps() const { return steps_; }
  std::int64_t training() const { return training_; }
  std::int64_t total() const { return total_; }
  // inputs and targets, [steps, rows].
  void get(std::int64_t window, std::span<std::int32_t> inputs, std::span<std::int32_t> targets) const;

 private:
  const Text& text_;
  std::int64_t rows_, steps_, total_, training_;
};

}  // namespace examples
