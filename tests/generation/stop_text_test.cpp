#include "src/generation/stop_text.h"

#include <rapidcheck.h>

#include <cstdlib>

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::generation {
namespace {

struct Cut {
  std::string text;
  bool found;
};

// From the definition: the first end of any stop string, and of those that end there the longest.
Cut cut_by_definition(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      const bool ends_here =
          stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0;
      if (ends_here) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

}  // namespace

TEST_CASE("a text ends before its first stop string, however it is cut into pieces",
          "[generation]") {
  ::setenv("RC_PARAMS", "seed=20190214 max_success=2000", 0);  // read once, at the first check
  CHECK(rc::check([] {
    // Few letters, so that stop strings overlap with themselves and each other.
    const auto letters = rc::gen::element('a', 'b');
    const auto text = *rc::gen::container<std::string>(letters);
    const auto stops = *rc::gen::container<std::vector<std::string>>(
        rc::gen::nonEmpty(rc::gen::container<std::string>(letters)));
    const Cut expected = cut_by_definition(text, stops);
    StopText stop(stops);
    std::string shown;
    for (std::size_t at = 0; at < text.size();) {
      const auto count = *rc::gen::inRange<std::size_t>(1, 4);
      shown += stop.push(text.substr(at, count));
      RC_ASSERT(expected.text.compare(0, shown.size(), shown) == 0);
      at += count;
    }
    shown += stop.finish();
    RC_ASSERT(stop.found() == expected.found);
    RC_ASSERT(shown == expected.text);
  }));
}

TEST_CASE("only what may begin a stop string is held back", "[generation]") {
  StopText stop({"\nUser:", "END"});
  CHECK(stop.push("Hello\nUs") == "Hello");
  CHECK(stop.push("ually E") == "\nUsually ");
  CHECK(stop.push("ND") == "");
  CHECK(stop.found());
  CHECK(stop.push("more") == "");
  CHECK(stop.finish() == "");

  StopText unfinished({"END"});
  CHECK(unfinished.push("the EN") == "the ");
  CHECK(unfinished.finish() == "EN");
  StopText none({});
  CHECK(none.push("anything") == "anything");
}

TEST_CASE("stop strings that are empty or too long are refused", "[generation]") {
  CHECK_THROWS_AS(StopText({""}), UsageError);
  CHECK_THROWS_AS(StopText({std::string(4097, 'a')}), UsageError);
  CHECK_NOTHROW(StopText({std::string(4096, 'a')}));
}

}  // namespace ovid::generation
