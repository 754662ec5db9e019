#pragma once

#include <string>
#include <string_view>

#include "src/config/schema.h"

namespace ovid::config {

struct NumberAdvice {
  std::string label;  // what to write instead; empty where the key's type says it best
  std::string help;   // why; may be empty
};

// Advice for somebody who wrote `text`, which is no number that `key` takes, as its value: 012,
// 1_000, 1,000, 1e3 for an integer, 10 %, 512 tokens, 10K, 6e-4x.
NumberAdvice advise_number(const Key& key, std::string_view text);

}  // namespace ovid::config
