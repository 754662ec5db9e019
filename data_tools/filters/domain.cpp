#include "data_tools/filters/domain.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "src/core/error.h"

namespace ovid::data_tools::filters {

namespace {

constexpr std::size_t kMostLines = 1000000;

// Labels under which countries register names: "co" of "co.uk".
constexpr std::string_view kGenericLabels[] = {"ac",  "co",   "com", "edu", "go", "gob",
                                               "gov", "govt", "gv",  "mil", "ne", "net",
                                               "nhs", "or",   "org", "sch"};

bool is_ip_address(std::string_view host) {
  return host.starts_with('[') || std::all_of(host.begin(), host.end(), [](char c) {
           return c == '.' || (c >= '0' && c <= '9');
         });
}

// The last label of `host`, which is cut off with its dot.
std::string_view take_label(std::string_view& host) {
  const std::size_t dot = host.rfind('.');
  const std::size_t begin = dot == std::string_view::npos ? 0 : dot + 1;
  const std::string_view label = host.substr(begin);
  host = host.substr(0, begin == 0 ? 0 : dot);
  return label;
}

}  // namespace

std::string host_of(std::string_view url) {
  if (const std::size_t scheme = url.find("://");
      scheme != std::string_view::npos && scheme < url.find_first_of("/?#")) {
    url.remove_prefix(scheme + 3);
  } else if (url.starts_with("//")) {
    url.remove_prefix(2);
  }
  url = url.substr(0, url.find_first_of("/?#"));
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos)
    url.remove_prefix(at + 1);
  if (url.starts_with('[')) {
    url = url.substr(0, std::min(url.find(']'), url.size() - 1) + 1);
  } else {
    url = url.substr(0, url.find(':'));
  }
  while (url.ends_with('.')) url.remove_suffix(1);
  std::string host(url);
  for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return host;
}

std::string domain_name(std::string_view host) {
  if (host.empty() || is_ip_address(host)) return std::string(host);
  std::string_view rest = host;
  const std::string_view top = take_label(rest);
  if (rest.empty()) return std::string(top);
  const std::string_view second = take_label(rest);
  const bool is_generic = std::find(std::begin(kGenericLabels), std::end(kGenericLabels), second) !=
                          std::end(kGenericLabels);
  if (top.size() == 2 && is_generic && !rest.empty()) return std::string(take_label(rest));
  return std::string(second);
}

DomainList::DomainList(std::string_view lines) {
  std::size_t number = 0;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (number > kMostLines) {
      throw DataError(
          fmt::format("the list of domains has more than {} lines; cut it", kMostLines));
    }
    std::uint64_t count = 0;
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), count);
    const std::string_view name = line.substr(static_cast<std::size_t>(rest - line.data()));
    if (error != std::errc() || (!name.empty() && name.front() != ' ')) {
      throw DataError(
          fmt::format("line {} of the list of domains is '{}'; it must be a count, a space and a "
                      "name, such as '1542261 google'",
                      number, line.substr(0, 100)));
    }
    counts_[std::string(name.substr(std::min<std::size_t>(1, name.size())))] += count;
  }
}

std::uint64_t DomainList::documents_of(std::string_view domain) const {
  const auto place = counts_.find(std::string(domain));
  return place == counts_.end() ? 0 : place->second;
}

}  // namespace ovid::data_tools::filters
