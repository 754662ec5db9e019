#pragma once

#include <string>

#include "src/core/file.h"
#include "src/diagnosis/system_view.h"
#include "tests/test_files.h"

namespace ovid::diagnosis {

// A machine of files in a temporary folder.
class FakeSystem {
 public:
  FakeSystem() { system_.root = directory_.path(); }
  SystemView& view() { return system_; }
  const SystemView& view() const { return system_; }
  FakeSystem& file(const std::string& relative_path, const std::string& text) {
    const Path path = directory_ / relative_path;
    make_directories(path.parent_path());
    OutputFile output(path, WriteMode::kTruncate);
    output.write(text);
    return *this;
  }
  FakeSystem& set(const std::string& name, const std::string& value) {
    system_.environment[name] = value;
    return *this;
  }

 private:
  test::TemporaryDirectory directory_;
  SystemView system_;
};

}  // namespace ovid::diagnosis
