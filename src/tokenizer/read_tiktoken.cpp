#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "src/core/error.h"
#include "src/tokenizer/vocabulary_readers.h"

namespace ovid::tokenizer {
namespace {

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// Strict: full groups of four, padding only at the end, unused bits zero. Source: RFC 4648, 4.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::size_t digits = text.size();
  while (digits > text.size() - 2 && text[digits - 1] == '=') --digits;
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text.substr(0, digits)) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>((bits >> held) & 0xFF);
    bits &= (1u << held) - 1;
  }
  if (bits != 0) return std::nullopt;
  return bytes;
}

class RanksReader {
 public:
  explicit RanksReader(const Path& path) : path_(path) {}

  std::vector<std::string> read() {
    const std::string text = read_file(path_, kMaximumFileBytes);
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      ++line_number_;
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      add(line);
    }
    return by_rank();
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw DataError(fmt::format("{}, line {}: {}", path_.string(), line_number_, reason));
  }
  void add(std::string_view line) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) fail("is not `base64 rank`: is the file whole?");
    const std::optional<std::string> bytes = decode_base64(line.substr(0, space));
    if (!bytes) fail(fmt::format("'{}' is not base64", line.substr(0, space)));
    if (bytes->size() > static_cast<std::size_t>(kMaximumTokenBytes)) {
      fail(fmt::format("a token of {} bytes; {} are allowed", bytes->size(), kMaximumTokenBytes));
    }
    const std::string_view number = line.substr(space + 1);
    std::uint32_t rank = 0;
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), rank);
    if (parsed.ec != std::errc() || parsed.ptr != number.data() + number.size()) {
      fail(fmt::format("'{}' is not a rank", number));
    }
    // One id is kept for <|endoftext|>.
    if (rank >= kMaximumVocabulary - 1)
      fail(fmt::format("rank {} is above {}", rank, kMaximumVocabulary - 2));
    if (!ranks_.emplace(*bytes, rank).second) fail("this token stood in the file before");
  }
  std::vector<std::string> by_rank() const {
    std::vector<std::string> tokens(ranks_.size());
    for (const auto& [token, rank] : ranks_) {
      if (rank >= tokens.size() || !tokens[rank].empty()) {
        throw DataError(
            fmt::format("{}: {} tokens need the ranks 0 to {}, each once, but rank {} {}",
                        path_.string(), tokens.size(), tokens.size() - 1, rank,
                        rank >= tokens.size() ? "is among them" : "stands twice"));
      }
      tokens[rank] = token;
    }
    return tokens;
  }

  const Path& path_;
  std::size_t line_number_ = 0;
  std::unordered_map<std::string, std::uint32_t> ranks_;
};

// A file of ranks names what is made, not of what: merging the bytes of a token with all merges of
// lower rank leaves the two tokens that its own merge joined.
class MergeRecovery {
 public:
  MergeRecovery(const std::vector<std::string>& tokens, const Path& path)
      : tokens_(tokens), path_(path) {
    id_of_byte_.resize(256, -1);
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      if (tokens[id].size() == 1)
        id_of_byte_[static_cast<unsigned char>(tokens[id][0])] = static_cast<TokenId>(id);
      id_of_token_.emplace(tokens[id], static_cast<TokenId>(id));
    }
  }

  std::vector<Merge> recover() {
    for (int byte = 0; byte < 256; ++byte) {
      if (id_of_byte_[byte] < 0) {
        throw DataError(fmt::format("{} has no token for byte 0x{:02X}: is the file whole?",
                                    path_.string(), byte));
      }
    }
    std::vector<Merge> merges;
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id].size() > 1) merges.push_back(merge_of(static_cast<TokenId>(id)));
    }
    return merges;
  }

 private:
  // The parts that stay when all neighbours whose union ranks below `id` are joined, lowest rank
  // first.
  Merge merge_of(TokenId id) const {
    const std::string_view token = tokens_[id];
    std::vector<std::string_view> parts;
    std::vector<TokenId> ranks;  // of parts i and i + 1 in one; `id` where they do not merge before
    for (std::size_t i = 0; i < token.size(); ++i) parts.push_back(token.substr(i, 1));
    for (std::size_t i = 0; i + 1 < parts.size(); ++i)
      ranks.push_back(rank_below(id, parts[i], parts[i + 1]));
    while (parts.size() > 2) {
      const auto best = std::min_element(ranks.begin(), ranks.end());
      if (*best == id) {
        throw DataError(fmt::format(
            "{}: the token of rank {} cannot be made of two tokens of lower rank: this is not "
            "a byte-pair vocabulary",
            path_.string(), id));
      }
      const std::size_t at = static_cast<std::size_t>(best - ranks.begin());
      parts[at] = {parts[at].data(), parts[at].size() + parts[at + 1].size()};
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
      ranks.erase(best);
      if (at + 1 < parts.size()) ranks[at] = rank_below(id, parts[at], parts[at + 1]);
      if (at > 0) ranks[at - 1] = rank_below(id, parts[at - 1], parts[at]);
    }
    return {rank_of(parts[0]), rank_of(parts[1]), id};
  }
  // Both parts lie side by side in one token.
  TokenId rank_below(TokenId id, std::string_view left, std::string_view right) const {
    const TokenId rank = rank_of({left.data(), left.size() + right.size()});
    return rank >= 0 && rank < id ? rank : id;
  }
  TokenId rank_of(std::string_view bytes) const {
    const auto found = id_of_token_.find(bytes);
    return found == id_of_token_.end() ? -1 : found->second;
  }

  const std::vector<std::string>& tokens_;
  const Path& path_;
  std::vector<TokenId> id_of_byte_;
  std::unordered_map<std::string_view, TokenId> id_of_token_;
};

}  // namespace

Vocabulary read_tiktoken(const Path& path) {
  Vocabulary vocabulary;
  vocabulary.tokens = RanksReader(path).read();
  vocabulary.merges = MergeRecovery(vocabulary.tokens, path).recover();
  vocabulary.end_of_text = static_cast<TokenId>(vocabulary.tokens.size());
  for (const std::string& token : vocabulary.tokens) {
    if (token == kEndOfText)
      throw DataError(fmt::format("{} has {} as a token of a rank", path.string(), kEndOfText));
  }
  vocabulary.tokens.emplace_back(kEndOfText);
  return vocabulary;
}

}  // namespace ovid::tokenizer
