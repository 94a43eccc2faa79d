// Reading texts, UTF-8, and the windows of the char-rnn protocol.
#include "text.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "tools/report/report.h"

namespace examples {
using namespace report;
namespace {

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  if (!stream || stream.bad()) throw InputError(path + ": cannot be read");
  return bytes;
}

// The character at *position, which moves past it.
char32_t next_character(const std::string& bytes, std::size_t* position) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = byte((*position)++);
  const int more = first >= 0xF0 && first < 0xF5   ? 3
                   : first >= 0xE0 && first < 0xF0 ? 2
                   : first >= 0xC2 && first < 0xE0 ? 1
                                                   : 0;
  if (more == 0 || *position + std::size_t(more) > bytes.size()) return first;
  char32_t character = first & (0x3Fu >> more);
  for (int i = 0; i < more; ++i) {
    const unsigned char b = byte(*position + std::size_t(i));
    if ((b & 0xC0) != 0x80) return first;
    character = character << 6 | (b & 0x3Fu);
  }
  *position += std::size_t(more);
  return character;
}

void append_utf8(char32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(char(c));
    return;
  }
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr unsigned char kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out->push_back(char(kLead[more] | (c >> (6 * more))));
  for (int i = more; i-- > 0;) out->push_back(char(0x80 | ((c >> (6 * i)) & 0x3F)));
}

Text from_bytes(const std::string& bytes, std::string name) {
  std::vector<char32_t> characters;
  characters.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) characters.push_back(next_character(bytes, &i));
  Text text;
  text.name = std::move(name);
  text.vocabulary = characters;
  std::sort(text.vocabulary.begin(), text.vocabulary.end());
  text.vocabulary.erase(std::unique(text.vocabulary.begin(), text.vocabulary.end()), text.vocabulary.end());
  text.symbols.reserve(characters.size());
  for (char32_t c : characters) {
    const auto place = std::lower_bound(text.vocabulary.begin(), text.vocabulary.end(), c);
    text.symbols.push_back(std::int32_t(place - text.vocabulary.begin()));
  }
  return text;
}

}  // namespace

std::string Text::decode(std::span<const std::int32_t> some) const {
  std::string bytes;
  for (std::int32_t symbol : some) append_utf8(vocabulary[std::size_t(symbol)], &bytes);
  return bytes;
}

std::vector<std::int32_t> Text::prime() const {
  constexpr std::size_t kCharacters = 100;
  std::vector<std::int32_t> prime(symbols.begin(),
                                  symbols.begin() + std::ptrdiff_t(std::min(kCharacters, symbols.size())));
  const auto place = std::lower_bound(vocabulary.begin(), vocabulary.end(), U'\n');
  if (place != vocabulary.end() && *place == U'\n') {
    prime.push_back(std::int32_t(place - vocabulary.begin()));
  }
  return prime;
}

Text read_text(const std::string& path) { return from_bytes(read_file(path), path); }

Text read_word_list(const std::string& path, std::uint64_t seed) {
  std::istringstream lines(read_file(path));
  std::vector<std::string> words;
  for (std::string word; std::getline(lines, word);) {
    if (!word.empty() && word.find('\'') == std::string::npos) words.push_back(word);
  }
  // Shuffled by hand: std::shuffle differs between standard libraries.
  std::mt19937_64 random(seed);
  for (std::size_t i = words.size(); i > 1; --i) std::swap(words[i - 1], words[random() % i]);
  std::string bytes;
  for (const std::string& word : words) bytes += word + "\n";
  Text text = from_bytes(bytes, "the word list " + path);
  text.words.insert(words.begin(), words.end());
  return text;
}

Windows::Windows(const Text& text, std::int64_t rows, std::int64_t steps, double training_share)
    : text_(text), rows_(rows), steps_(steps) {
  total_ = std::int64_t(text.symbols.size()) / (rows * steps);
  training_ = std::int64_t(double(total_) * training_share);
  if (training_ < 1 || training_ == total_) {
    throw InputError(text.name + " has " + std::to_string(text.symbols.size()) + " characters; " +
                     std::to_string(rows) + " rows of " + std::to_string(steps) +
                     " characters need at least " + std::to_string(2 * rows * steps) +
                     " (a smaller --batch or --window needs less)");
  }
}

void Windows::get(std::int64_t window, std::span<std::int32_t> inputs,
                  std::span<std::int32_t> targets) const {
  const std::int64_t used = total_ * steps_ * rows_;
  for (std::int64_t t = 0; t < steps_; ++t) {
    for (std::int64_t n = 0; n < rows_; ++n) {
      const std::int64_t place = (n * total_ + window) * steps_ + t;
      inputs[std::size_t(t * rows_ + n)] = text_.symbols[std::size_t(place)];
      // The very last symbol has no successor; as in char-rnn it is followed by the first.
      targets[std::size_t(t * rows_ + n)] = text_.symbols[std::size_t((place + 1) % used)];
    }
  }
}

}  // namespace examples
