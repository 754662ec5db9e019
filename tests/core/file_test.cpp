#include "src/core/file.h"

#include <string>

#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid {

TEST_CASE("a written file reads back, whole and by its mapping", "[core]") {
  const test::TemporaryDirectory folder;
  const Path path = folder / "a.bin";
  const std::string text(100'000, 'x');
  {
    OutputFile file(path, WriteMode::kCreateNew);
    file.write(text);
    file.write_at(1, std::as_bytes(std::span(std::string_view("yz"))));
    file.sync();
    file.close();
  }
  const std::string back = read_file(path);
  CHECK(back.size() == text.size());
  CHECK(back.substr(0, 4) == "xyzx");
  const MappedFile mapped(path);
  REQUIRE(mapped.bytes().size() == text.size());
  CHECK(mapped.bytes()[1] == std::byte{'y'});
  CHECK(size_of_file(path) == text.size());
}

TEST_CASE("an existing file is not overwritten by kCreateNew", "[core]") {
  const test::TemporaryDirectory folder;
  replace_file(folder / "a", "old");
  CHECK_THROWS_AS(OutputFile(folder / "a", WriteMode::kCreateNew), ResourceError);
  CHECK(read_file(folder / "a") == "old");
}

TEST_CASE("replace_file leaves the new text and no temporary file", "[core]") {
  const test::TemporaryDirectory folder;
  replace_file(folder / "a", "old");
  replace_file(folder / "a", "new");
  CHECK(read_file(folder / "a") == "new");
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path()))
    ++entries;
  CHECK(entries == 1);
}

TEST_CASE("a full disk is an error at the write that did not fit", "[core]") {
  OutputFile file("/dev/full", WriteMode::kTruncate);
  CHECK_THROWS_AS(file.write("a"), ResourceError);
}

TEST_CASE("absent files, folders and too large files are data errors", "[core]") {
  const test::TemporaryDirectory folder;
  CHECK_THROWS_AS(read_file(folder / "absent"), DataError);
  CHECK_THROWS_AS(read_file(folder.path()), DataError);
  CHECK_THROWS_AS(MappedFile(folder.path()), DataError);
  replace_file(folder / "big", "12345");
  CHECK_THROWS_AS(read_file(folder / "big", 4), DataError);
  replace_file(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").bytes().empty());
}

TEST_CASE("a lock is held by one holder at a time", "[core]") {
  const test::TemporaryDirectory folder;
  {
    const auto lock = FileLock::try_lock(folder / "LOCK", "first");
    REQUIRE(lock.has_value());
    CHECK_FALSE(FileLock::try_lock(folder / "LOCK", "second").has_value());
    CHECK(read_file(folder / "LOCK") == "first");
  }
  CHECK(FileLock::try_lock(folder / "LOCK", "third").has_value());
}

}  // namespace ovid
