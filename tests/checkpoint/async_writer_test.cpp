#include "src/checkpoint/async_writer.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>

#include "src/checkpoint/snapshot.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

constexpr int kThreads = 2;

// Writes over every tensor of a content, as an optimizer step does.
void change_tensors(CheckpointContent& content) {
  for (auto* tensors : {&content.parameters, &content.optimizer}) {
    for (NamedTensor& tensor : *tensors) {
      auto* values = const_cast<float*>(tensor.view.data<float>());
      std::fill_n(values, tensor.view.elements(), -7.0f);
    }
  }
}

// Of this process; 0 where the system does not say.
std::size_t resident_bytes() {
  std::istringstream status(read_file("/proc/self/status", 1 << 20));
  for (std::string word; status >> word;) {
    std::size_t kib = 0;
    if (word == "VmRSS:" && status >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

TEST_CASE("what training changes right after save() does not change the checkpoint",
          "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  AsyncCheckpointWriter writer(run.path(), kThreads);
  for (int generation = 0; generation < 5; ++generation) {
    TinyCheckpoint tiny(3, generation);
    writer.save(3, tiny.content(), {});
    change_tensors(tiny.content());
    tiny.content().state_json = "changed";
    const auto saved = writer.wait();
    REQUIRE(saved.has_value());
    CHECK(saved->step == 3);
    CHECK(saved->path == run.path() / "checkpoints" / "step-00000003");
    CHECK(holds(saved->path, 3, generation));
    CHECK_FALSE(writer.wait().has_value());
  }
}

TEST_CASE("a save during a write waits for it, and both outcomes are told in order",
          "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  AsyncCheckpointWriter writer(run.path(), kThreads);
  CHECK_FALSE(writer.poll().has_value());
  for (std::int64_t step = 1; step <= 4; ++step) {
    const TinyCheckpoint tiny(step, 0);
    const SaveDelay delay = writer.save(step, tiny.content(), {.keep_last = 2});
    CHECK(delay.total_seconds() >= delay.copied_seconds);
  }
  for (std::int64_t step = 1; step <= 4; ++step) {
    std::optional<SavedCheckpoint> saved;
    while (!(saved = writer.poll())) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(saved->step == step);
    CHECK(saved->write_seconds > 0);
  }
  CHECK_FALSE(writer.writing());
  CHECK(names_in(run / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000003", "step-00000004"});
  CHECK(holds(run / "checkpoints/step-00000003", 3, 0));
  CHECK(holds(run / "checkpoints/step-00000004", 4, 0));
}

TEST_CASE("a failed write is thrown by wait(), and the next save works", "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  AsyncCheckpointWriter writer(run.path(), kThreads);
  OutputFile(run / "checkpoints", WriteMode::kCreateNew).close();  // where a folder is wanted
  writer.save(1, TinyCheckpoint(1, 0).content(), {});
  CHECK_THROWS_AS(writer.wait(), ResourceError);
  CHECK_FALSE(writer.wait().has_value());
  std::filesystem::remove(run / "checkpoints");
  writer.save(2, TinyCheckpoint(2, 0).content(), {});
  REQUIRE(writer.wait().has_value());
  CHECK(holds(run / "checkpoints/step-00000002", 2, 0));
}

TEST_CASE("destruction waits for the write in flight", "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  {
    AsyncCheckpointWriter writer(run.path(), kThreads);
    writer.save(1, TinyCheckpoint(1, 0).content(), {});
  }
  CHECK(holds(run / "checkpoints/step-00000001", 1, 0));
}

TEST_CASE("the memory of the copy is as announced and is used again", "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  AsyncCheckpointWriter writer(run.path(), kThreads);
  CHECK(writer.held_bytes() == 0);
  const TinyCheckpoint tiny(1, 0);
  std::uint64_t tensors = 0, bytes = 0;
  for (const auto* list : {&tiny.content().parameters, &tiny.content().optimizer}) {
    for (const NamedTensor& tensor : *list) {
      ++tensors;
      bytes += static_cast<std::uint64_t>(tensor.view.elements()) * sizeof(float);
    }
  }
  CHECK(snapshot_bytes(tiny.content()) >= bytes);
  CHECK(snapshot_bytes(tiny.content()) < bytes + 64 * tensors);
  for (int save = 0; save < 2; ++save) {
    writer.save(1, tiny.content(), {});
    CHECK(writer.held_bytes() == snapshot_bytes(tiny.content()));
  }
}

TEST_CASE("prepare() takes all memory of the copy and has it backed by pages",
          "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  constexpr std::int64_t kElements = 16
                                     << 20;  // beside which the process's other changes are small
  const std::vector<float> values(kElements, 3.0f);
  CheckpointContent content;
  content.parameters = {{"large", {values.data(), kernels::DType::kFloat32, {kElements}}}};
  AsyncCheckpointWriter writer(run.path(), kThreads);
  const std::size_t before = resident_bytes();
  if (before == 0) {
    WARN("the system does not tell the resident memory: what is backed is not checked");
  }
  writer.prepare(content);
  CHECK(writer.held_bytes() == snapshot_bytes(content));
  if (before > 0) CHECK(resident_bytes() >= before + kElements * sizeof(float) * 9 / 10);
}

TEST_CASE("prepare() leaves a copy that is being written as it is", "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  AsyncCheckpointWriter writer(run.path(), kThreads);
  TinyCheckpoint tiny(1, 0);
  writer.prepare(tiny.content());
  writer.save(1, tiny.content(), {});
  writer.prepare(tiny.content());
  change_tensors(tiny.content());
  REQUIRE(writer.wait().has_value());
  CHECK(holds(run / "checkpoints/step-00000001", 1, 0));
}

TEST_CASE("a copy that the machine has no memory for is refused before anything is written",
          "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  CheckpointContent content;
  content.config = {.layers = 400, .heads = 1, .width = 1 << 20, .vocabulary_size = 65'536};
  float none = 0;  // never read: the refusal comes first
  for (const TensorSpecification& tensor : gpt2_tensors(content.config))
    content.parameters.push_back({tensor.name, {&none, kernels::DType::kFloat32, tensor.shape}});
  AsyncCheckpointWriter writer(run.path(), kThreads);
  CHECK_THROWS_AS(writer.prepare(content), ResourceError);
  CHECK(writer.held_bytes() == 0);
  CHECK_THROWS_AS(writer.save(1, content, {}), ResourceError);
  CHECK_FALSE(writer.wait().has_value());
  CHECK(names_in(run.path()).empty());
  // And the writer still works.
  writer.save(2, TinyCheckpoint(2, 0).content(), {});
  CHECK(writer.wait().has_value());
}

TEST_CASE("a retention or step that cannot be is refused by save() itself",
          "[checkpoint][threads]") {
  const test::TemporaryDirectory run;
  AsyncCheckpointWriter writer(run.path(), kThreads);
  const TinyCheckpoint tiny(1, 0);
  CHECK_THROWS_AS(writer.save(1, tiny.content(), {.keep_last = 0}), UsageError);
  CHECK_THROWS_AS(writer.save(-1, tiny.content(), {}), std::logic_error);
  CHECK_FALSE(writer.wait().has_value());
}

TEST_CASE("a snapshot packs padded rows and copies large tensors whole", "[checkpoint][threads]") {
  // More than one piece of either kind.
  constexpr std::int64_t kRows = 5'000, kColumns = 301, kStride = 320, kLong = 3'000'001;
  std::vector<float> padded(kRows * kStride, -1.0f), flat(kLong);
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t column = 0; column < kColumns; ++column)
      padded[static_cast<std::size_t>(row * kStride + column)] =
          static_cast<float>(row * kColumns + column);
  }
  std::iota(flat.begin(), flat.end(), 1.0f);
  CheckpointContent content;
  content.parameters = {
      {"padded",
       {padded.data(), kernels::DType::kFloat32, kernels::Shape{kRows, kColumns}, kStride}}};
  content.average = {{"flat", {flat.data(), kernels::DType::kFloat32, kernels::Shape{kLong}}}};
  Snapshot snapshot;
  snapshot.copy(content, kThreads);
  const kernels::ConstView rows = snapshot.content().parameters[0].view;
  REQUIRE(rows.contiguous());
  const float* values = rows.data<float>();
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < kRows * kColumns; ++i) wrong += values[i] != static_cast<float>(i);
  CHECK(wrong == 0);
  const float* copied = snapshot.content().average[0].view.data<float>();
  CHECK(copied != flat.data());
  CHECK(std::equal(flat.begin(), flat.end(), copied));
}

}  // namespace ovid::checkpoint
