#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/data/dataset.h"
#include "src/data/dataset_description.h"
#include "src/data/token_shard.h"
#include "tests/fuzz/fuzz_target.h"

// Two shards of a data set, their masks, and dataset.json.
namespace ovid::fuzz {
namespace {

void read_dataset(const std::vector<std::string>& patterns) {
  const data::TokenDataset dataset(patterns);
  const std::int64_t total = dataset.total_tokens();
  std::vector<std::uint16_t> tokens(static_cast<std::size_t>(total));
  std::vector<std::uint8_t> mask(tokens.size());
  dataset.copy(0, tokens, mask);
  const auto counted = std::count_if(mask.begin(), mask.end(), [](auto m) { return m != 0; });
  if (dataset.count_unmasked(0, total) != counted) fail("two ways to count targets differ");
  const std::string fingerprint = dataset.fingerprint();
  if (fingerprint.size() != 32) fail("a fingerprint of another length: " + fingerprint);
  refuses([&] { dataset.check_vocabulary(257); });
  // Behind the end, and before the beginning.
  if (!refuses([&] { dataset.copy(1, tokens); }) && total > 0) fail("a copy behind the end");
  if (!refuses([&] { dataset.copy(-1, tokens); })) fail("a copy before the beginning");
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  write_sections(split_sections(input),
                 {"train_0.bin", "train_0.mask", "train_1.bin", "train_1.mask", "dataset.json"});
  const Path shard = folder() / "train_0.bin";
  refuses([&] {
    const data::TokenShard opened = data::TokenShard::open(shard);
    opened.check_unchanged();
    data::check_vocabulary(opened, data::kMaxVocabularySize);
  });
  refuses([&] { read_dataset({shard.string()}); });
  refuses([&] { read_dataset({(folder() / "train_*.bin").string()}); });
  refuses([&] { data::describe_dataset_of(shard); });
}

}  // namespace ovid::fuzz
