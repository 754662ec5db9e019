// Several ranks that write one checkpoint and read it again; threads play the ranks.
#include <fmt/format.h>

#include <functional>
#include <thread>

#include "src/checkpoint/async_writer.h"
#include "src/checkpoint/checkpoint_names.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/checkpoint/rank_contents.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

// Names in the folder of the checkpoints, but for the marks of dropped ones.
std::vector<std::string> names_of(const Path& run) {
  std::vector<std::string> names = names_in(checkpoints_directory(run));
  std::erase_if(names, [](const std::string& name) { return name.rfind(kTrashPrefix, 0) == 0; });
  return names;
}

// Runs body(rank) on a thread for each rank; what each threw, empty where it returned.
std::vector<std::string> on_ranks(int count, const std::function<void(int)>& body) {
  std::vector<std::string> errors(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

bool all_empty(const std::vector<std::string>& texts) {
  return std::all_of(texts.begin(), texts.end(), [](const auto& text) { return text.empty(); });
}

std::vector<std::string> save_on_ranks(const Path& run, const CheckpointContent& whole,
                                       std::int64_t step, int count, bool shares_model) {
  return on_ranks(count, [&](int rank) {
    const WritingRanks ranks{.rank = rank, .count = count, .attempt = 77, .timeout_seconds = 20};
    write_checkpoint(run, step, share_of(whole, ranks, shares_model), {});
  });
}

void add_average(TinyCheckpoint& tiny) {
  tiny.content().average = tiny.content().parameters;
}

// What a rank of `count` reads of a checkpoint.
bool reads_its_share(const Path& checkpoint, const TinyCheckpoint& tiny, int rank, int count) {
  std::vector<TensorSpecification> specifications;
  std::vector<std::vector<float>> buffers;
  std::vector<NamedDestination> model, moments;
  std::vector<const float*> expected;
  buffers.reserve(200);
  const auto add = [&](const NamedTensor& tensor, std::vector<NamedDestination>& parts) {
    const std::int64_t n = tensor.view.elements();
    const std::int64_t begin = rank * n / count, end = (rank + 1) * n / count;
    auto& buffer = buffers.emplace_back(static_cast<std::size_t>(end - begin), -1.0f);
    parts.push_back({part_name(tensor.name, begin, end),
                     {buffer.data(), kernels::DType::kFloat32, kernels::Shape{end - begin}}});
    expected.push_back(tensor.view.data<float>() + begin);
  };
  for (const NamedTensor& tensor : tiny.content().parameters) add(tensor, model);
  for (const NamedTensor& tensor : tiny.content().optimizer) {
    specifications.push_back({tensor.name, tensor.view.shape()});
    add(tensor, moments);
  }
  load_parameter_parts(checkpoint, tiny.content().config, model);
  load_optimizer_parts(checkpoint, specifications, moments);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    if (!std::equal(buffers[i].begin(), buffers[i].end(), expected[i])) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("any number of ranks reads what any number of ranks wrote", "[checkpoint][ranks]") {
  const TinyCheckpoint tiny(4, 1);
  for (const int writers : {2, 3, 8}) {
    for (const bool shares_model : {false, true}) {
      INFO(fmt::format("{} writers, {}", writers, shares_model ? "model in parts" : "model whole"));
      const test::TemporaryDirectory run;
      REQUIRE(all_empty(save_on_ranks(run.path(), tiny.content(), 4, writers, shares_model)));
      const Path checkpoint = checkpoints_directory(run.path()) / step_name(4);
      CHECK(holds(checkpoint, 4, 1));
      CHECK(find_newest_valid(run.path())->step == 4);
      for (const int readers : {1, 2, 5}) {
        for (int rank = 0; rank < readers; ++rank)
          CHECK(reads_its_share(checkpoint, tiny, rank, readers));
      }
    }
  }
}

TEST_CASE("model and average in parts are the bytes that one rank alone writes",
          "[checkpoint][ranks]") {
  TinyCheckpoint tiny(4, 1);
  add_average(tiny);
  const test::TemporaryDirectory alone, together;
  write_checkpoint(alone.path(), 4, tiny.content(), {});
  REQUIRE(all_empty(save_on_ranks(together.path(), tiny.content(), 4, 3, true)));
  for (const char* name : {"model.safetensors", "average/model.safetensors", "config.json"}) {
    const auto bytes = [&](const Path& run) {
      return read_file(checkpoints_directory(run) / step_name(4) / name);
    };
    CHECK(bytes(alone.path()) == bytes(together.path()));
  }
  CHECK(names_in(checkpoints_directory(together.path()) / step_name(4)) ==
        std::vector<std::string>{"average", "config.json", "manifest.json", "model.safetensors",
                                 "optimizer-00000.safetensors", "optimizer-00001.safetensors",
                                 "optimizer-00002.safetensors", "state.json"});
}

TEST_CASE("what one rank cannot write fails the checkpoint on all and leaves the earlier ones",
          "[checkpoint][ranks]") {
  log::set_level(log::Level::kError);
  const TinyCheckpoint tiny(4, 1);
  const test::TemporaryDirectory run;
  REQUIRE(all_empty(save_on_ranks(run.path(), TinyCheckpoint(3, 0).content(), 3, 3, true)));
  const int failing = GENERATE(0, 1, 2);
  const auto errors = on_ranks(3, [&](int rank) {
    const WritingRanks ranks{.rank = rank, .count = 3, .attempt = 78, .timeout_seconds = 20};
    CheckpointContent content = share_of(tiny.content(), ranks, true);
    // A part of no tensor: found when its place in the file is looked up.
    if (rank == failing) content.parameters.front().name = "no.such.tensor@0:1";
    write_checkpoint(run.path(), 4, content, {});
  });
  log::set_level(log::Level::kInfo);
  for (const std::string& error : errors) CHECK_FALSE(error.empty());
  if (failing != 0) CHECK(errors[0].find(fmt::format("rank {}", failing)) != std::string::npos);
  CHECK(names_of(run.path()) == std::vector<std::string>{"latest", "step-00000003"});
  clean_up_unfinished(run.path());
  CHECK(names_in(checkpoints_directory(run.path())) == names_of(run.path()));
  CHECK(holds(checkpoints_directory(run.path()) / step_name(3), 3, 0));
}

TEST_CASE("a rank that does not come fails the checkpoint after the timeout",
          "[checkpoint][ranks]") {
  const TinyCheckpoint tiny(4, 1);
  const test::TemporaryDirectory run;
  const int absent = GENERATE(0, 1);
  const auto errors = on_ranks(2, [&](int rank) {
    if (rank == absent) return;
    const WritingRanks ranks{.rank = rank, .count = 2, .attempt = 79, .timeout_seconds = 0.3};
    write_checkpoint(run.path(), 4, share_of(tiny.content(), ranks, true), {});
  });
  const std::string& error = errors[static_cast<std::size_t>(1 - absent)];
  CHECK(error.find(fmt::format("rank {} has not", absent)) != std::string::npos);
  if (absent == 1) CHECK(names_of(run.path()).empty());
}

TEST_CASE("an element that no rank wrote, or two, is found before the commit",
          "[checkpoint][ranks]") {
  log::set_level(log::Level::kError);
  const TinyCheckpoint tiny(4, 1);
  const test::TemporaryDirectory run;
  const bool twice = GENERATE(false, true);
  const auto errors = on_ranks(2, [&](int rank) {
    const WritingRanks ranks{.rank = rank, .count = 2, .attempt = 80, .timeout_seconds = 20};
    CheckpointContent content = share_of(tiny.content(), ranks, true);
    if (rank == 1 && twice)
      content.parameters = share_of(tiny.content(), {.rank = 0, .count = 2}, true).parameters;
    if (rank == 1 && !twice) content.parameters.pop_back();
    write_checkpoint(run.path(), 4, content, {});
  });
  log::set_level(log::Level::kInfo);
  CHECK(errors[0].find(twice ? "another rank wrote too" : "bytes") != std::string::npos);
  CHECK_FALSE(errors[1].empty());
  CHECK(names_of(run.path()).empty());
}

TEST_CASE("ranks save beside training, and all are told the same", "[checkpoint][ranks]") {
  const TinyCheckpoint tiny(4, 1);
  const test::TemporaryDirectory run;
  const auto errors = on_ranks(3, [&](int rank) {
    AsyncCheckpointWriter writer(run.path(), 1);
    for (const std::uint64_t attempt : {90, 91}) {
      const WritingRanks ranks{.rank = rank, .count = 3, .attempt = attempt, .timeout_seconds = 20};
      writer.save(static_cast<std::int64_t>(attempt), share_of(tiny.content(), ranks, true), {});
    }
    if (writer.wait()->step != 90 || writer.wait()->step != 91 || writer.wait())
      throw std::logic_error("another outcome");
  });
  CHECK(errors == std::vector<std::string>(3));
  CHECK(list_steps(run.path()) == std::vector<std::int64_t>{90, 91});
}

TEST_CASE("a writer that ends waits some seconds at most for ranks that do not come",
          "[checkpoint][ranks]") {
  log::set_level(log::Level::kError);
  const TinyCheckpoint tiny(4, 1);
  const test::TemporaryDirectory run;
  {
    AsyncCheckpointWriter writer(run.path(), 1);
    const WritingRanks ranks{.rank = 0, .count = 2, .attempt = 92, .timeout_seconds = 600};
    writer.save(4, share_of(tiny.content(), ranks, true), {});
  }
  log::set_level(log::Level::kInfo);
  CHECK(names_of(run.path()).empty());
}

TEST_CASE("optimizer parts of which one is missing are refused at load", "[checkpoint][ranks]") {
  const TinyCheckpoint tiny(4, 1);
  const test::TemporaryDirectory run;
  const auto errors = on_ranks(2, [&](int rank) {
    const WritingRanks ranks{.rank = rank, .count = 2, .attempt = 93, .timeout_seconds = 20};
    CheckpointContent content = share_of(tiny.content(), ranks, false);
    if (rank == 1) content.optimizer.pop_back();
    write_checkpoint(run.path(), 4, content, {});
  });
  REQUIRE(all_empty(errors));
  CHECK_THROWS_AS(reads_its_share(checkpoints_directory(run.path()) / step_name(4), tiny, 0, 2),
                  CheckpointError);
}

}  // namespace ovid::checkpoint
