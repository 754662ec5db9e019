#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace ovid::data_tools::filters {

// The host of an address, in lower case, without user, port and a trailing dot; empty where there
// is none. Takes addresses without a scheme ("example.org/a") too. Pure.
std::string host_of(std::string_view url);

// The name under which OpenAI's list of WebText's domains has a host: the label before the public
// suffix ("news.bbc.co.uk" is "bbc", "a.blogspot.com" is "blogspot"). Public suffixes are taken to
// be the last label, and the one before it where that is a generic one of a country ("co.uk",
// "com.au"). Empty for an empty host; an IP address stays whole. Pure.
std::string domain_name(std::string_view host);

// How many documents WebText had of a domain, by OpenAI's list: lines "COUNT NAME", and one of a
// count alone, for addresses without a name.
class DomainList {
 public:
  // Throws DataError that names the line where one is not a count and a name, or the list has more
  // than a million lines.
  explicit DomainList(std::string_view lines);

  // 0 where the list does not have it.
  std::uint64_t documents_of(std::string_view domain) const;
  std::size_t size() const { return counts_.size(); }

 private:
  std::unordered_map<std::string, std::uint64_t> counts_;
};

}  // namespace ovid::data_tools::filters
