#include "src/evaluation/held_out_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "src/core/error.h"

namespace ovid::evaluation {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostDescriptionBytes = std::uint64_t{1} << 28;
constexpr std::size_t kMostLineBytes = std::size_t{1} << 26;
constexpr std::size_t kMostCandidates = 10'000;

[[noreturn]] void refuse(const std::string& where, const char* expected) {
  throw DataError(
      fmt::format("{}: expected {}; make the data set again with ovid-data", where, expected));
}

// Calls `use` with the object of each line and the line's name for messages.
template <class Use>
void for_each_object(const Path& path, const char* expected, const Use& use) {
  const MappedFile file(path);
  std::string_view rest(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  for (std::int64_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", path.string(), number);
    if (line.size() > kMostLineBytes) {
      throw DataError(fmt::format("{}: a line of {} bytes exceeds {}; the file is damaged", where,
                                  line.size(), kMostLineBytes));
    }
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) refuse(where, expected);
    use(object, where);
  }
}

// Nothing where `object` has no such string.
const std::string* string_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get_ptr<const std::string*>()
                                                     : nullptr;
}

std::optional<std::int64_t> integer_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  if (found->is_number_unsigned() &&
      found->get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
    return std::nullopt;
  return found->get<std::int64_t>();
}

constexpr const char* kReview =
    "{\"stars\": 1 to 5, \"category\": TEXT, \"headline\": TEXT, \"text\": TEXT}";

HeldOutReview review_of(const json& object, const std::string& where) {
  const std::optional<std::int64_t> stars = integer_of(object, "stars");
  const std::string* const category = string_of(object, "category");
  const std::string* const headline = string_of(object, "headline");
  const std::string* const text = string_of(object, "text");
  if (!stars || *stars < 1 || *stars > 5 || !category || !headline || !text) refuse(where, kReview);
  return {static_cast<int>(*stars), *category, *headline, *text};
}

constexpr const char* kTurn =
    "{\"dialogue\": NUMBER, \"context\": TEXT, \"candidates\": [two texts or more], \"gold\": the "
    "place of one of them}";

DialogueTurn turn_of(const json& object, const std::string& where) {
  const std::optional<std::int64_t> dialogue = integer_of(object, "dialogue");
  const std::optional<std::int64_t> gold = integer_of(object, "gold");
  const std::string* const context = string_of(object, "context");
  const auto list = object.find("candidates");
  if (!dialogue || !gold || !context || list == object.end() || !list->is_array() ||
      list->size() < 2 || list->size() > kMostCandidates || *gold < 0 ||
      static_cast<std::size_t>(*gold) >= list->size()) {
    refuse(where, kTurn);
  }
  DialogueTurn turn{*dialogue, *context, {}, static_cast<std::size_t>(*gold)};
  for (const json& candidate : *list) {
    if (!candidate.is_string()) refuse(where, kTurn);
    turn.candidates.push_back(candidate.get<std::string>());
  }
  return turn;
}

}  // namespace

void check_dataset_kind(const Path& folder, std::string_view kind) {
  const Path path = folder / "dataset.json";
  const json description = json::parse(read_file(path, kMostDescriptionBytes), nullptr, false);
  const std::string* const found =
      description.is_object() ? string_of(description, "kind") : nullptr;
  if (found != nullptr && *found == kind) return;
  throw DataError(
      fmt::format("{} is {}, not {}: give --data a folder that ovid-data {} made", path.string(),
                  found == nullptr ? "no description of reviews or dialogues" : "of kind " + *found,
                  kind, kind));
}

std::vector<HeldOutReview> read_held_out_reviews(const Path& folder, const std::string& part) {
  std::vector<HeldOutReview> reviews;
  const Path path = folder / (part + "_reviews.jsonl");
  if (!std::filesystem::exists(path)) return reviews;
  for_each_object(path, kReview, [&](const json& object, const std::string& where) {
    reviews.push_back(review_of(object, where));
  });
  return reviews;
}

std::vector<DialogueTurn> read_dialogue_turns(const Path& folder, const std::string& part) {
  const Path path = folder / ("candidates_" + part + ".jsonl");
  std::vector<DialogueTurn> turns;
  if (std::filesystem::exists(path)) {
    for_each_object(path, kTurn, [&](const json& object, const std::string& where) {
      turns.push_back(turn_of(object, where));
    });
  }
  if (turns.empty()) {
    throw DataError(fmt::format(
        "{} is absent or empty: the data set holds no candidates for its {} part; make it from "
        "files with candidates, or choose another --part",
        path.string(), part));
  }
  return turns;
}

}  // namespace ovid::evaluation
