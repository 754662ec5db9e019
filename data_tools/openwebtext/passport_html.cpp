#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data_tools/openwebtext/passport.h"
#include "src/core/error.h"

namespace ovid::data_tools::openwebtext {
namespace {

using nlohmann::ordered_json;

constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}.bar{background:#36c;height:.6rem}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f5f5;padding:.6rem}"
    "code{overflow-wrap:anywhere}summary{cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}"
    "th,td{border-color:#444}pre{background:#262626}}";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string spelled(const ordered_json& value) {
  return escaped(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string counts(const ordered_json& json) {
  std::string out;
  for (const auto& [name, count] : json.items()) {
    out += fmt::format("{}{}: {}", out.empty() ? "" : "<br>", escaped(name), spelled(count));
  }
  return out;
}

void add_stages(const ordered_json& stages, std::string& page) {
  page +=
      "<h2>Stages</h2><table><tr><th>stage<th>documents in<th>out<th>MB in<th>out<th>kept"
      "<th>dropped<th>changed</tr>";
  const double first = std::max(1.0, stages.at(0).at("documents_in").get<double>());
  for (const ordered_json& stage : stages) {
    const double share = 100 * stage.at("documents_out").get<double>() / first;
    page += fmt::format(
        "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{:.1f}<td class=n>{:.1f}"
        "<td><div class=bar style=\"width:{:.1f}%\"></div>{:.1f} %<td>{}<td>{}</tr>",
        spelled(stage.at("stage")), spelled(stage.at("documents_in")),
        spelled(stage.at("documents_out")), stage.at("bytes_in").get<double>() / 1e6,
        stage.at("bytes_out").get<double>() / 1e6, share, share, counts(stage.at("dropped")),
        counts(stage.at("changes")));
  }
  page += "</table>";
}

void add_samples(const ordered_json& stages, std::string& page) {
  page += "<h2>Samples of what was dropped</h2>";
  for (const ordered_json& stage : stages) {
    if (stage.at("samples").empty()) continue;
    page += fmt::format("<details><summary>{} ({})</summary>", spelled(stage.at("stage")),
                        stage.at("samples").size());
    for (const ordered_json& sample : stage.at("samples")) {
      page += fmt::format("<p><code>{}</code>: {}, {:.6g} (limit {:.6g})</p><pre>{}</pre>",
                          spelled(sample.at("document")), spelled(sample.at("reason")),
                          sample.at("figure").get<double>(), sample.at("limit").get<double>(),
                          spelled(sample.at("excerpt")));
      if (!sample.contains("kept")) continue;
      page += fmt::format("<p>kept for it: <code>{}</code></p><pre>{}</pre>",
                          spelled(sample.at("kept")), spelled(sample.at("kept_excerpt")));
    }
    page += "</details>";
  }
}

// A table of the objects' values under those keys.
void add_table(const char* title, const ordered_json& rows, const std::vector<const char*>& keys,
               std::string& page) {
  if (rows.empty()) return;
  page += fmt::format("<h2>{}</h2><table><tr>", title);
  for (const char* key : keys) page += fmt::format("<th>{}", key);
  page += "</tr>";
  for (const ordered_json& row : rows) {
    page += "<tr>";
    for (const char* key : keys) page += fmt::format("<td><code>{}</code>", spelled(row.at(key)));
    page += "</tr>";
  }
  page += "</table>";
}

void add_outputs(const ordered_json& outputs, std::string& page) {
  for (const auto& [part, described] : outputs.items()) {
    page += fmt::format("<h2>Output: {}</h2><p>{} documents, {} tokens, {} bytes of text</p>",
                        escaped(part), spelled(described.at("documents")),
                        spelled(described.at("tokens")), spelled(described.at("bytes")));
    add_table("Shards", described.at("shards"), {"file", "tokens", "bytes", "tokens_xxh128"}, page);
  }
}

}  // namespace

std::string passport_as_html(const std::string& passport) {
  try {
    const ordered_json json = ordered_json::parse(passport);
    std::string page = fmt::format(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        "content=\"width=device-width\"><title>Data passport: {0}</title><style>{1}</style>"
        "<h1>Data passport: {0}</h1><p>made by {2}; tokenizer {3}</p>",
        spelled(json.at("corpus")), kStyle, spelled(json.at("created_by")),
        spelled(json.at("tokenizer_fingerprint")));
    add_stages(json.at("stages"), page);
    const ordered_json& left_out = json.at("left_out");
    page += fmt::format("<p>Left out while reading: {} bad documents, {} damaged archives.</p>",
                        spelled(left_out.at("bad_documents")),
                        spelled(left_out.at("damaged_archives")));
    for (const ordered_json& bad : left_out.at("first")) {
      page += fmt::format("<pre>{}</pre>", spelled(bad));
    }
    add_table("Overlap with evaluation sets", json.at("evaluation_overlap").at("sets"),
              {"set", "texts", "ngrams", "found", "fraction"}, page);
    add_samples(json.at("stages"), page);
    add_table("Inputs", json.at("inputs"), {"file", "bytes", "xxh128"}, page);
    add_outputs(json.at("outputs"), page);
    page += fmt::format("<h2>Settings</h2><p>{}</p></html>\n", counts(json.at("settings")));
    return page;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("this is no data passport: {}", error.what()));
  }
}

}  // namespace ovid::data_tools::openwebtext
