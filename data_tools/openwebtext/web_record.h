#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace ovid::data_tools::openwebtext {

struct WebRecord {
  std::string text;
  std::string url;  // empty where the record does not tell
};

// Reads records of web pages in the layouts in which mirrors of OpenWebText and crawls come. The
// text is `field`, or the first there is of text, content, raw_content; the address is url,
// source_url or WARC-Target-URI, of the record or of its meta, metadata or warc_headers, in
// whatever case.
class WebRecordParser {
 public:
  explicit WebRecordParser(std::string field);
  ~WebRecordParser();
  // Nothing where the record is no such object; `wrong` then says why.
  std::optional<WebRecord> parse(std::string_view json, std::string& wrong);

 private:
  struct Parser;
  std::string field_;
  std::unique_ptr<Parser> parser_;
};

// All texts of a JSON record, in its order: what an evaluation set's question, answers and passages
// are. Empty for what is no JSON.
std::string all_strings(std::string_view json);

}  // namespace ovid::data_tools::openwebtext
