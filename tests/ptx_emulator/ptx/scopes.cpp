#include "tests/ptx_emulator/ptx/scopes.h"

#include <charconv>

namespace ptx_emulator::ptx {

void Scopes::enter() {
  scopes_.push_back({.number = num_entered_++, .names = {}, .families = {}});
}

void Scopes::leave() {
  scopes_.pop_back();
}

void Scopes::clear() {
  scopes_.clear();
  num_entered_ = 0;
}

std::string Scopes::unique(std::string_view name) const {
  std::string result(name);
  if (scopes_.size() > 1) result += "@" + std::to_string(scopes_.back().number);
  return result;
}

std::optional<std::string> Scopes::declare(std::string_view name, NameKind kind) {
  auto [entry, is_new] = scopes_.back().names.try_emplace(std::string(name));
  if (!is_new) return std::nullopt;
  entry->second = {.kind = kind, .name = unique(name)};
  return entry->second.name;
}

std::optional<std::string> Scopes::declare_family(std::string_view name, std::uint32_t count) {
  auto [entry, is_new] = scopes_.back().families.try_emplace(std::string(name));
  if (!is_new) return std::nullopt;
  // The member's number follows the family's name, so the suffix ends in something that is no
  // digit.
  std::string family = unique(name);
  if (scopes_.size() > 1) family += "@";
  entry->second = {.kind = NameKind::kRegister, .name = family, .count = count};
  return family;
}

const Scopes::Entry* Scopes::find_member(const Table& families, std::string_view name,
                                         std::string_view& digits) {
  // A family's own name may end in digits, so every way to split is tried.
  for (std::size_t split = name.size(); split > 1; --split) {
    const char c = name[split - 1];
    if (c < '0' || c > '9') break;
    const std::string_view number = name.substr(split - 1);
    if (number.size() > 9) break;
    if (number.size() > 1 && number[0] == '0') continue;
    const auto family = families.find(name.substr(0, split - 1));
    if (family == families.end()) continue;
    std::uint32_t index = 0;
    std::from_chars(number.data(), number.data() + number.size(), index);
    if (index >= family->second.count) continue;
    digits = number;
    return &family->second;
  }
  return nullptr;
}

std::optional<Scopes::Meaning> Scopes::find(std::string_view name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto entry = scope->names.find(name); entry != scope->names.end()) {
      return Meaning{.kind = entry->second.kind, .name = entry->second.name};
    }
    std::string_view digits;
    if (const Entry* family = find_member(scope->families, name, digits); family != nullptr) {
      return Meaning{.kind = family->kind, .name = family->name + std::string(digits)};
    }
  }
  return std::nullopt;
}

std::unordered_map<std::string, std::string> Scopes::labels() const {
  std::unordered_map<std::string, std::string> result;
  for (const auto& [name, entry] : scopes_.back().names) {
    if (entry.kind == NameKind::kLabel) result.emplace(name, entry.name);
  }
  return result;
}

}  // namespace ptx_emulator::ptx
