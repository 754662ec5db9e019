#include "data_tools/filters/boilerplate.h"

#include <string>

#include "tests/catch.h"

namespace ovid::data_tools::filters {

TEST_CASE("lines of a page's frame are told by kind", "[data_tools]") {
  const auto all_are = [](LineKind kind, std::initializer_list<const char*> lines) {
    for (const char* line : lines) {
      INFO(line);
      CHECK(name_of(kind_of_line(line)) == name_of(kind));
    }
  };
  all_are(LineKind::kConsent,
          {"This site uses cookies. By continuing to browse, you agree to their use.",
           "We use cookies to give you the best experience", "Privacy Policy", "COOKIE SETTINGS"});
  all_are(LineKind::kSharing, {"Share this article", "Share on Facebook",
                               "Facebook Twitter Google+ Email", "Follow us on Twitter @example",
                               "Tweet", "\xe2\x80\xa2 Share this:", "Like Loading..."});
  all_are(LineKind::kSubscription,
          {"Sign up for our daily newsletter", "Subscribe", "Already have an account? Log in",
           "You must be logged in to post a comment.", "Enter your email address below"});
  all_are(LineKind::kAdvertisement, {"Advertisement", "ADVERTISEMENT - CONTINUE READING BELOW",
                                     "Story continues below", "[Sponsored]", "Report this ad"});
  all_are(LineKind::kNavigation,
          {"Home > World > Europe", "News | Sports | Opinion | Contact", "Skip to main content",
           "Read more: what the minister said", "Page 2 of 7", "12 comments", "No comments",
           "You may also like...", "Back to top"});
  all_are(LineKind::kCopyright, {"\xc2\xa9 2016 Example Media", "(c) 2011 by the author",
                                 "Copyright \xc2\xa9 Example. All rights reserved.",
                                 "The content is protected. All Rights Reserved"});
  all_are(LineKind::kScript, {"Please enable JavaScript to view the comments.",
                              "Your browser does not support the video tag."});
}

TEST_CASE("sentences on the same subjects stay", "[data_tools]") {
  for (const char* line :
       {"Cookies are small files that a browser keeps for a site.",
        "She bakes cookies for the whole street.",
        "Advertisements paid for the newspaper until 1990.",
        "The share price fell on Facebook's first day.", "He went home.",
        "Sign up for a marathon and you will learn what your knees are for.",
        "Menu prices rose, and the comments were not kind.", "(c) the third clause of the contract",
        "Read more books!", "Twitter is a company.", "12 comments were deleted by the editor",
        "a | b | c", "1 | 2 | 3 | 4", "", "---", "\xe2\x80\xa6"}) {
    INFO(line);
    CHECK(name_of(kind_of_line(line)) == "text");
  }
  const std::string paragraph =
      "We use cookies " + std::string(200, 'x') + " and so on, in an article about browsers.";
  CHECK(kind_of_line(paragraph) == LineKind::kText);
}

TEST_CASE("a document loses its frame and its repeated lines and keeps its paragraphs",
          "[data_tools]") {
  std::string text = "Home > News > City\n\nFirst paragraph of the story.\n\nAdvertisement\n\n";
  for (int i = 0; i < 40; ++i) text += "Sentence number " + std::to_string(i) + " of the story.\n";
  text += "Photo: the agency\nMore text.\nPhoto: the agency\nStill more.\nPhoto: the agency\nEnd.";
  const WithoutBoilerplate result = remove_boilerplate(text);
  CHECK(result.text.starts_with("First paragraph of the story.\n\nSentence number 0"));
  CHECK(
      result.text.ends_with("Photo: the agency\nMore text.\nPhoto: the agency\nStill more.\nEnd."));
  CHECK(result.lines[static_cast<std::size_t>(LineKind::kNavigation)] == 1);
  CHECK(result.lines[static_cast<std::size_t>(LineKind::kAdvertisement)] == 1);
  CHECK(result.lines[static_cast<std::size_t>(LineKind::kRepeated)] == 1);
  CHECK(result.lines[static_cast<std::size_t>(LineKind::kText)] == 46);
  CHECK(remove_boilerplate(result.text).text == result.text);
  CHECK(remove_boilerplate("").text.empty());
  CHECK(remove_boilerplate("Advertisement").text.empty());
}

TEST_CASE("speakers' names in a play and refrains stay", "[data_tools]") {
  std::string play;
  for (int i = 0; i < 20; ++i) {
    play += "ROMEO:\nWords of his, the " + std::to_string(i) + "th.\nJULIET:\nHers, the " +
            std::to_string(i) + "th.\n";
  }
  play.pop_back();
  CHECK(remove_boilerplate(play).text == play);
}

}  // namespace ovid::data_tools::filters
