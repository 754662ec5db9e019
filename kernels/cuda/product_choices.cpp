#include "kernels/cuda/product_choices.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "kernels/common/errors.h"

namespace ovid::kernels::cuda {

namespace {

using Json = nlohmann::json;
using Algorithm = std::array<std::uint64_t, 8>;

// A run has some forty products; a file beyond this is none of ours.
constexpr std::size_t kMostBytes = 16u << 20;
constexpr std::size_t kHexDigits = 2 * sizeof(Algorithm);

[[noreturn]] void refuse(const std::string& reason) {
  throw DeviceError("the choices of matrix products cannot be read: " + reason +
                    "; without them the products are timed anew, which may change bits");
}

std::string hex_of(const Algorithm& algorithm) {
  std::string text;
  for (const std::uint64_t word : algorithm) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(word));
    text += digits;
  }
  return text;
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

Algorithm algorithm_of(const std::string& key, const std::string& hex) {
  if (hex.size() != kHexDigits) {
    refuse("the algorithm of \"" + key + "\" has " + std::to_string(hex.size()) +
           " digits, expected " + std::to_string(kHexDigits));
  }
  Algorithm algorithm{};
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const int digit = digit_of(hex[i]);
    if (digit < 0) refuse("the algorithm of \"" + key + "\" is not hexadecimal (0-9, a-f)");
    algorithm[i / 16] = algorithm[i / 16] << 4 | static_cast<unsigned>(digit);
  }
  return algorithm;
}

const Json& member(const Json& object, const std::string& where, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (!object.is_object() || found == object.end()) refuse(where + " has no \"" + name + "\"");
  return *found;
}

ProductLibrary library_of(const Json& root) {
  const Json& gpu = member(root, "the object", "gpu");
  const Json& capability = member(root, "the object", "capability");
  const Json& version = member(root, "the object", "cublaslt");
  if (!gpu.is_string() || !capability.is_number_unsigned() || !version.is_number_unsigned() ||
      capability.get<std::uint64_t>() > 1000) {
    refuse("\"gpu\" must be a text, \"capability\" (10 to 1000) and \"cublaslt\" whole numbers");
  }
  return {.gpu = gpu.get<std::string>(),
          .capability = capability.get<int>(),
          .cublaslt_version = version.get<std::uint64_t>()};
}

ProductChoice choice_of(const std::string& key, const Json& entry) {
  const Json& algorithm = member(entry, "\"" + key + "\"", "algorithm");
  const Json& milliseconds = member(entry, "\"" + key + "\"", "milliseconds");
  if (!milliseconds.is_number() || !std::isfinite(milliseconds.get<double>()) ||
      milliseconds.get<double>() < 0) {
    refuse("the milliseconds of \"" + key + "\" are no number of 0 or more");
  }
  ProductChoice choice;
  choice.milliseconds = milliseconds.get<double>();
  if (algorithm.is_null()) return choice;
  if (!algorithm.is_string()) refuse("the algorithm of \"" + key + "\" is neither text nor null");
  choice.algorithm = algorithm_of(key, algorithm.get<std::string>());
  return choice;
}

}  // namespace

const ProductChoice* ProductChoices::find(const std::string& key) const {
  const auto found = choices_.find(key);
  return found == choices_.end() ? nullptr : &found->second;
}

void ProductChoices::set(const std::string& key, const ProductChoice& choice) {
  choices_.insert_or_assign(key, choice);
}

std::string ProductChoices::to_json() const {
  Json products = Json::object();
  for (const auto& [key, choice] : choices_) {
    Json& entry = products[key];
    entry["algorithm"] = choice.algorithm ? Json(hex_of(*choice.algorithm)) : Json(nullptr);
    entry["milliseconds"] = choice.milliseconds;
  }
  const Json root = {{"gpu", library_.gpu},
                     {"capability", library_.capability},
                     {"cublaslt", library_.cublaslt_version},
                     {"products", products}};
  return root.dump(1, ' ', false, Json::error_handler_t::replace);
}

void ProductChoices::from_json(const std::string& json) {
  if (json.size() > kMostBytes) {
    refuse("they have " + std::to_string(json.size()) + " bytes, the limit is " +
           std::to_string(kMostBytes));
  }
  const Json root = Json::parse(json, nullptr, false);
  if (root.is_discarded()) refuse("they are no JSON");
  if (!root.is_object()) refuse("they are no JSON object");
  std::map<std::string, ProductChoice> choices;
  if (!root.empty()) {
    const ProductLibrary library = library_of(root);
    const Json& products = member(root, "the object", "products");
    if (!products.is_object()) refuse("\"products\" is no object");
    for (const auto& [key, entry] : products.items()) choices[key] = choice_of(key, entry);
    if (library != library_) choices.clear();
  }
  choices_ = std::move(choices);
}

}  // namespace ovid::kernels::cuda
