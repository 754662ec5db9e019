#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace ovid::data_tools::filters {

// What a line of a web page's frame is.
enum class LineKind : std::uint8_t {
  kText,
  kConsent,        // cookies, privacy notices, terms
  kSharing,        // share on ..., follow us, like us
  kSubscription,   // newsletters, sign in, log in to comment
  kAdvertisement,  // advertisement, sponsored, story continues below
  kNavigation,     // menus, breadcrumbs, skip to content, read more, related, page n of m
  kCopyright,      // all rights reserved, (c) 2017 ...
  kScript,         // please enable JavaScript
  kRepeated,       // the third and later occurrence of a line within a document
};
inline constexpr std::size_t kLineKinds = 9;

// The name for reports, such as "consent".
std::string_view name_of(LineKind kind);

// The kind of one line, without its line end. Only lines that are frame from end to end count:
// short ones (at most 200 bytes) that match a whole phrase or begin with one, so that a sentence
// about cookies or advertising stays. Never kRepeated, which only a document can tell. Pure.
LineKind kind_of_line(std::string_view line);

struct WithoutBoilerplate {
  std::string text;
  std::array<std::uint64_t, kLineKinds> lines{};  // of the document, by kind; kText: kept
};

// The normalised text without its lines of boilerplate. A line of at most 100 bytes with a letter
// that the document has had twice already is dropped too (kRepeated), but in verse and scripts,
// where more than a tenth of the lines repeat, refrains and names of speakers stay. Blank lines
// that then meet become one. Pure.
WithoutBoilerplate remove_boilerplate(std::string_view text);

}  // namespace ovid::data_tools::filters
