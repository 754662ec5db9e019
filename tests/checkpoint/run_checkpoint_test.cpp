#include "src/checkpoint/run_checkpoint.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "src/checkpoint/manifest.h"
#include "src/checkpoint/run_lock.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "tests/catch.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

using Names = std::vector<std::string>;

Path save(const Path& run, std::int64_t step, int generation = 0, const Retention& retention = {}) {
  return write_checkpoint(run, step, TinyCheckpoint(step, generation).content(), retention);
}

std::string read_all(const Path& path) {
  return read_file(path);
}

void overwrite(const Path& path, std::string_view text) {
  OutputFile file(path, WriteMode::kTruncate);
  file.write(text);
}

// In place, past the door to files: what a disk would do, and without a flush for each of a
// thousand.
void flip_bit(const Path& path, std::uint64_t bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto position = static_cast<std::streamoff>(bit / 8);
  file.seekg(position);
  const int byte = file.get();
  file.seekp(position);
  file.put(static_cast<char>(byte ^ (1 << bit % 8)));
  file.close();
  REQUIRE(file.good());
}

// Hundreds of expected warnings would hide an unexpected one.
class Quiet {
 public:
  Quiet() { log::set_level(log::Level::kError); }
  ~Quiet() { log::set_level(log::Level::kInfo); }
};

// Puts back what find_newest_valid has quarantined.
void release(const Path& run, const std::string& name) {
  std::filesystem::rename(run / "checkpoints" / (".bad-" + name), run / "checkpoints" / name);
}

}  // namespace

TEST_CASE("a saved checkpoint is found, verifies and holds what was saved", "[checkpoint]") {
  const test::TemporaryDirectory run;
  CHECK_FALSE(find_newest_valid(run.path()).has_value());
  const Path path = save(run.path(), 12);
  CHECK(path == run.path() / "checkpoints" / "step-00000012");
  CHECK(holds(path, 12, 0));
  CHECK(names_in(path) == Names{"config.json", "manifest.json", "model.safetensors",
                                "optimizer-00000.safetensors", "state.json"});
  CHECK(names_in(run / "checkpoints") == Names{"latest", "step-00000012"});
  CHECK(read_all(run / "checkpoints/latest") == "step-00000012\n");
  const auto found = find_newest_valid(run.path());
  REQUIRE(found.has_value());
  CHECK(found->path == path);
  CHECK(found->step == 12);
  CHECK(found->state_json == TinyCheckpoint(12, 0).content().state_json);
  CHECK(read_model_config(path) == tiny_config());

  const auto inspected = nlohmann::json::parse(inspect_json(path));
  CHECK(inspected.at("step") == 12);
  CHECK(inspected.at("metadata").at("build") == "test");
  CHECK(inspected.at("tensors").size() == 32);
  CHECK(inspected.at("parameters") == 7 * 4 + 5 * 4 + 12 * 16 + 13 * 4 + 2 * 4);
  CHECK(inspect_text(path).find("step 12, format version 1") != std::string::npos);
}

TEST_CASE("tokenizer files and further texts are part of the checkpoint", "[checkpoint]") {
  const test::TemporaryDirectory run, tokenizer;
  overwrite(tokenizer / "encoder.json", "{}");
  overwrite(tokenizer / "vocab.bpe", "#version: 0.2\n");
  overwrite(tokenizer / "unrelated.txt", "x");
  TinyCheckpoint tiny(1, 0, false);
  tiny.content().tokenizer = tokenizer.path();
  tiny.content().texts = {{"generation_config.json", "{}"}};
  const Path path = write_checkpoint(run.path(), 1, tiny.content(), {});
  CHECK(read_all(path / "vocab.json") == "{}");
  CHECK(read_all(path / "merges.txt") == "#version: 0.2\n");
  CHECK_FALSE(std::filesystem::exists(path / "unrelated.txt"));
  CHECK(verify(path).empty());
  overwrite(path / "merges.txt", "#version: 0.3\n");
  REQUIRE(verify(path).size() == 1);
  CHECK(verify(path)[0].find("merges.txt has the hash") == 0);
  tiny.content().tokenizer = run.path();  // no tokenizer there
  CHECK_THROWS_AS(write_checkpoint(run.path(), 2, tiny.content(), {}), DataError);
}

TEST_CASE("each of 1,000 flipped bits is detected and the checkpoint before is used",
          "[checkpoint]") {
  const test::TemporaryDirectory run;
  const Quiet quiet;
  const Path previous = save(run.path(), 1), newest = save(run.path(), 2);
  const Names files = names_in(newest);
  std::mt19937_64 random(20'240'520);
  int missed = 0, unnamed = 0;
  for (int flip = 0; flip < 1000; ++flip) {
    const std::string name = files[static_cast<std::size_t>(flip) % files.size()];
    const std::uint64_t bit = random() % (size_of_file(newest / name) * 8);
    flip_bit(newest / name, bit);
    const std::vector<std::string> problems = verify(newest);
    unnamed += problems.empty() ||
               fmt::format("{}", fmt::join(problems, " ")).find(name) == std::string::npos;
    // Some go through the whole search, whose renames are synced and take their time.
    if (flip % 25 == 0) {
      const auto found = find_newest_valid(run.path());
      missed += !found || found->path != previous;
      release(run.path(), "step-00000002");
    }
    flip_bit(newest / name, bit);
  }
  CHECK(missed == 0);
  CHECK(unnamed == 0);
  CHECK(find_newest_valid(run.path())->path == newest);
}

TEST_CASE("a cut, empty, absent or swapped file makes a checkpoint invalid and quarantines it",
          "[checkpoint]") {
  const test::TemporaryDirectory run;
  const Quiet quiet;
  const Path previous = save(run.path(), 1), newest = save(run.path(), 2);
  const auto falls_back = [&](HashCheck check) {
    const auto found = find_newest_valid(run.path(), check);
    if (!found || found->path != previous ||
        !std::filesystem::exists(run / "checkpoints/.bad-step-00000002")) {
      return false;
    }
    release(run.path(), "step-00000002");
    return true;
  };
  for (const std::string& name : names_in(newest)) {
    INFO(name);
    const std::string original = read_all(newest / name);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{9},
                                   original.size() / 2, original.size() - 1}) {
      INFO(size);
      overwrite(newest / name, original.substr(0, size));
      CHECK_FALSE(verify(newest).empty());
      CHECK(falls_back(HashCheck::kSizesOnly));
    }
    std::filesystem::remove(newest / name);
    CHECK(falls_back(HashCheck::kAllBytes));
    overwrite(newest / name,
              read_all(previous / name));  // a file of another step, of the same size
    if (name != "config.json") CHECK(falls_back(HashCheck::kAllBytes));
    overwrite(newest / name, original);
  }
  CHECK(holds(newest, 2, 0));
}

TEST_CASE("a checkpoint under another step's name is not taken, and no valid one is nothing",
          "[checkpoint]") {
  const test::TemporaryDirectory run;
  const Quiet quiet;
  const Path path = save(run.path(), 1);
  std::filesystem::rename(path, run / "checkpoints/step-00000009");
  CHECK(verify(run / "checkpoints/step-00000009").size() == 1);
  CHECK_FALSE(find_newest_valid(run.path()).has_value());
  CHECK(names_in(run / "checkpoints") == Names{".bad-step-00000009", "latest"});
  // A second damaged one of the same name finds its place beside the first.
  std::filesystem::create_directory(run / "checkpoints/step-00000009");
  CHECK_FALSE(find_newest_valid(run.path()).has_value());
  CHECK(names_in(run / "checkpoints").size() == 3);
  CHECK(holds(run / "checkpoints/.bad-step-00000009", 1, 0));  // kept whole
}

TEST_CASE("a manifest of a later format or with foreign file names is refused", "[checkpoint]") {
  const test::TemporaryDirectory run;
  const Path path = save(run.path(), 1);
  std::string text = read_all(path / "manifest.json");
  const auto edited = [&](const std::string& from, const std::string& to) {
    std::string copy = text;
    copy.replace(copy.find(from), from.size(), to);
    overwrite(path / "manifest.json", copy);
    return fmt::format("{}", fmt::join(verify(path), " "));
  };
  CHECK(edited("\"format_version\": 1", "\"format_version\": 4").find("use a later Ovid") !=
        std::string::npos);
  CHECK(edited("\"step\": 1", "\"step\": 2").find("its checksum is") != std::string::npos);
  CHECK(edited("\"checksum\": \"", "\"checksum\": \"0").find("malformed") != std::string::npos);
  CHECK(edited("ovid-checkpoint", "other").find("format") != std::string::npos);
  // The checksum is right, the name leads elsewhere.
  for (const char* name : {"../state.json", "/etc/passwd", "..", "manifest.json", ""}) {
    INFO(name);
    Manifest manifest = read_manifest(save(run.path(), 2));
    manifest.files[name] = {};
    overwrite(run / "checkpoints/step-00000002/manifest.json", manifest_text(manifest));
    CHECK_THROWS_AS(read_manifest(run / "checkpoints/step-00000002"), CheckpointError);
  }
}

TEST_CASE("pruning keeps the last, step 0 and the best, and counts only valid ones",
          "[checkpoint]") {
  const test::TemporaryDirectory run;
  const Quiet quiet;
  for (const std::int64_t step : {0, 10, 20, 30, 40})
    save(run.path(), step, 0, {.keep_last = 2, .best_step = 10});
  CHECK(names_in(run / "checkpoints") ==
        Names{"latest", "step-00000000", "step-00000010", "step-00000030", "step-00000040"});
  // 40 is damaged: it neither counts nor is deleted.
  overwrite(run / "checkpoints/step-00000040/state.json", "");
  save(run.path(), 50, 0, {.keep_last = 2, .best_step = 30});
  CHECK(names_in(run / "checkpoints") ==
        Names{"latest", "step-00000000", "step-00000030", "step-00000040", "step-00000050"});
  save(run.path(), 60, 0, {.keep_last = 1});
  CHECK(names_in(run / "checkpoints") ==
        Names{"latest", "step-00000000", "step-00000040", "step-00000060"});
  // The one just written stays although later steps exist.
  save(run.path(), 5, 0, {.keep_last = 1});
  CHECK(holds(run / "checkpoints/step-00000005", 5, 0));
  CHECK_THROWS_AS(save(run.path(), 70, 0, {.keep_last = 0}), UsageError);
}

TEST_CASE("saving a step again replaces it", "[checkpoint]") {
  const test::TemporaryDirectory run;
  save(run.path(), 7, 0);
  CHECK(holds(save(run.path(), 7, 1), 7, 1));
  CHECK(names_in(run / "checkpoints") == Names{"latest", "step-00000007"});
}

TEST_CASE("a run directory that vanished is made again by the next save", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  save(folder / "run", 1);
  std::filesystem::remove_all(folder / "run");
  CHECK(holds(save(folder / "run", 2), 2, 0));
}

TEST_CASE("cleaning up removes leftovers and brings back a checkpoint that was being replaced",
          "[checkpoint]") {
  const test::TemporaryDirectory run;
  const Quiet quiet;
  clean_up_unfinished(run.path());  // nothing there yet
  save(run.path(), 7);
  const Path folder = run / "checkpoints";
  for (const char* name :
       {".tmp-step-00000008-0123", ".trash-step-00000001-0123", ".old-step-00000007-0123"}) {
    std::filesystem::create_directory(folder / name);
    overwrite(folder / name / "model.safetensors", "half");
  }
  overwrite(folder / "latest.tmp-1", "x");
  save(run.path(), 6);
  std::filesystem::rename(folder / "step-00000006", folder / ".old-step-00000006-0123456789abcdef");
  clean_up_unfinished(run.path());
  CHECK(names_in(folder) == Names{"latest", "step-00000006", "step-00000007"});
  CHECK(holds(folder / "step-00000006", 6, 0));
}

TEST_CASE("a checkpoint that lacks a parameter is not written", "[checkpoint]") {
  const test::TemporaryDirectory run;
  TinyCheckpoint tiny(1, 0);
  tiny.content().parameters.pop_back();
  CHECK_THROWS_AS(write_checkpoint(run.path(), 1, tiny.content(), {}), std::logic_error);
  CHECK_FALSE(std::filesystem::exists(run / "checkpoints"));
}

TEST_CASE("a full disk fails the save, keeps the checkpoint before, and the next save works",
          "[checkpoint]") {
  const test::TemporaryDirectory folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    fmt::print(stderr, "SKIPPED: mounting a small tmpfs needs root\n");
    return;
  }
  {
    const Path run = folder / "run";
    save(run, 1);
    const std::string filler(900 << 10, 'x');
    overwrite(folder / "filler", filler);
    try {
      save(run, 2);
      FAIL("the disk was full");
    } catch (const ResourceError& error) {
      CHECK(std::string(error.what()).find("free some space") != std::string::npos);
    }
    CHECK(names_in(run / "checkpoints") == Names{"latest", "step-00000001"});
    CHECK(holds(run / "checkpoints/step-00000001", 1, 0));
    std::filesystem::remove(folder / "filler");
    CHECK(holds(save(run, 2), 2, 0));
  }
  CHECK(::umount2(folder.path().c_str(), MNT_DETACH) == 0);
}

TEST_CASE("optimizer state loads from parts in any number of files, each element exactly once",
          "[checkpoint]") {
  const test::TemporaryDirectory run;
  std::vector<float> values(12);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto part = [&](const std::string& name, std::int64_t begin, std::int64_t end) {
    return NamedTensor{name, {values.data() + begin, kernels::DType::kFloat32, {end - begin}}};
  };
  std::vector<float> target(16, -1.0f);  // rows of three, padded to four
  const std::vector<NamedDestination> padded = {
      {"m", {target.data(), kernels::DType::kFloat32, {4, 3}, 4}}};
  const auto load = [&](const std::vector<NamedTensor>& parts) {
    TinyCheckpoint tiny(1, 0);
    tiny.content().optimizer = parts;
    const Path path = write_checkpoint(run.path(), 1, tiny.content(), {});
    target.assign(16, -1.0f);
    try {
      load_optimizer(path, padded);
    } catch (const CheckpointError& error) {
      return (target == std::vector<float>(16, -1.0f) ? "" : "half loaded: ") +
             std::string(error.what());
    }
    return std::string();
  };
  CHECK(load({part("m@0:5", 0, 5), part("m@5:12", 5, 12)}).empty());
  CHECK(target == std::vector<float>{0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1});
  CHECK(load({part("m@0:5", 0, 5), part("m@6:12", 6, 12)})
            .find("elements 5 to 6 are there not at all") != std::string::npos);
  CHECK(
      load({part("m@0:5", 0, 5), part("m@4:12", 4, 12)}).find("elements 4 to 5 are there twice") !=
      std::string::npos);
  CHECK(load({part("m@0:5", 0, 5)}).find("5 of 12") != std::string::npos);
  CHECK(load({}).find("0 of 12") != std::string::npos);
  CHECK(load({part("m@0:12", 0, 12), part("v", 0, 12)}).find("'v' belongs to no") !=
        std::string::npos);
  CHECK(load({part("m@0:12", 0, 11)}).find("wanted is") != std::string::npos);
  CHECK(load({part("m@0:12x", 0, 12)}).find("belongs to no") != std::string::npos);
}

TEST_CASE("moments load into either number type: bfloat16 exactly, float32 to the nearest bfloat16",
          "[checkpoint]") {
  const test::TemporaryDirectory run;
  // Ties to even, what lies beside them, the largest number, a denormal, and NaN.
  std::vector<float> exact{
      1.0f,      0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, -0x1.03p0f, 0x1.fffffep127f,
      0x1p-140f, NAN,       0.0f,      3e-9f};
  const std::vector<std::uint16_t> nearest{0x3F80, 0x3F80, 0x3F82, 0x3F81, 0xBF82,
                                           0x7F80, 0x0000, 0x7FC0, 0x0000, 0x314E};
  std::vector<std::uint16_t> bits = nearest;
  const auto count = static_cast<std::int64_t>(exact.size());
  using kernels::DType;
  const auto load = [&](const std::vector<NamedTensor>& parts, const kernels::View& into) {
    TinyCheckpoint tiny(1, 0);
    tiny.content().optimizer = parts;
    const Path path = write_checkpoint(run.path(), 1, tiny.content(), {});
    const std::vector<NamedDestination> destinations = {{"m", into}};
    load_optimizer(path, destinations);
    return verify(path);
  };
  const NamedTensor exact_first{"m@0:4", {exact.data(), DType::kFloat32, {4}}};
  const NamedTensor exact_rest{"m@4:10", {exact.data() + 4, DType::kFloat32, {count - 4}}};
  const NamedTensor rounded_rest{"m@4:10", {bits.data() + 4, DType::kBfloat16, {count - 4}}};
  const NamedTensor rounded{"m", {bits.data(), DType::kBfloat16, {count}}};

  std::vector<std::uint16_t> loaded(exact.size(), 0xFFFF);
  const kernels::View into(loaded.data(), DType::kBfloat16, {count});
  CHECK(load({exact_first, exact_rest}, into).empty());
  CHECK(loaded == nearest);
  loaded.assign(exact.size(), 0xFFFF);
  CHECK(load({rounded}, into).empty());
  CHECK(loaded == nearest);

  std::vector<float> widened(exact.size(), -1.0f);
  CHECK(load({rounded}, {widened.data(), DType::kFloat32, {count}}).empty());
  for (std::size_t i = 0; i < widened.size(); ++i)
    CHECK(std::bit_cast<std::uint32_t>(widened[i]) == std::uint32_t{nearest[i]} << 16);

  // What verify() is for: no run writes one checkpoint in two types.
  const std::vector<std::string> problems = load({exact_first, rounded_rest}, into);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0] == "optimizer-00000.safetensors: 'm@4:10' is BF16, wanted is F32");
}

TEST_CASE("a run has one writer at a time, and a dead one's lock is taken over", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const Quiet quiet;
  const Path run = folder / "new" / "run";
  {
    const RunLock lock(run);
    try {
      const RunLock second(run);
      FAIL("two holders");
    } catch (const ResourceError& error) {
      CHECK(std::string(error.what()).find(fmt::format(":{}:", ::getpid())) != std::string::npos);
    }
  }
  CHECK(read_all(run / "LOCK").empty());
  overwrite(run / "LOCK", "other-host:1:some-boot\x1b[31m");
  const RunLock taken_over(run);
  CHECK(read_all(run / "LOCK").find(fmt::format(":{}:", ::getpid())) != std::string::npos);
}

}  // namespace ovid::checkpoint
