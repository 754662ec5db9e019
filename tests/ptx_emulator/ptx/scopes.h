#pragma once
// Names declared in the nested braces of one function body.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ptx_emulator::ptx {

// What a name of a function body stands for.
enum class NameKind : std::uint8_t { kRegister, kVariable, kLabel };

// Names of inner braces get a suffix that no PTX name can have ("t@3"), so that they are unique in
// the function.
class Scopes {
 public:
  void enter();
  // Forgets the names of the innermost braces.
  void leave();
  std::size_t depth() const { return scopes_.size(); }
  void clear();

  // Declares a name in the innermost braces; the name that is unique in the function, or nullopt
  // where these braces declare it already.
  std::optional<std::string> declare(std::string_view name, NameKind kind);
  // Declares `name`0 to `name`(count - 1); as above, the unique name of the family.
  std::optional<std::string> declare_family(std::string_view name, std::uint32_t count);

  struct Meaning {
    NameKind kind;
    std::string name;  // the unique one
  };
  // What the name stands for, looking from the inside out; nullopt where nothing declares it (yet).
  std::optional<Meaning> find(std::string_view name) const;
  // Of the labels declared in the innermost braces: written name to unique name.
  std::unordered_map<std::string, std::string> labels() const;

 private:
  struct Entry {
    NameKind kind = NameKind::kRegister;
    std::string name;
    std::uint32_t count = 0;  // of a family
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  using Table = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  struct Scope {
    std::uint32_t number = 0;
    Table names;
    Table families;
  };
  std::string unique(std::string_view name) const;
  static const Entry* find_member(const Table& families, std::string_view name,
                                  std::string_view& digits);

  std::vector<Scope> scopes_;
  std::uint32_t num_entered_ = 0;
};

}  // namespace ptx_emulator::ptx
