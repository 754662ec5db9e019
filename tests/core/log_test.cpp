#include "src/core/log.h"

#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid {

TEST_CASE("what a message quotes cannot steer the terminal", "[core]") {
  const test::TemporaryDirectory folder;
  const Path path = folder.path() / "log.txt";
  log::open_file(path);
  log::info("a\x1b[2J\r\x7f b\tc \xC2\x9B! \xC3\xA9\xE2\x82\x9B\nd");
  CHECK_THAT(read_file(path), Catch::Contains("a?[2J?? b\tc ?"
                                              "?! \xC3\xA9\xE2\x82\x9B\nd\n"));
}

}  // namespace ovid
