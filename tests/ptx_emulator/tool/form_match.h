#pragma once
// Whether an instruction is of a form of the coverage list.

#include <string>
#include <string_view>
#include <vector>

namespace ptx_emulator::tool {

// In a form, "{.a}", "{::a}" and "{.a,.b}" stand for one of the words or nothing, "{a,b}" for one
// of the words, "{8..256}" for a number, "*" and the modifiers .type, .scope, .sem, .cache and
// .shape for any one word, a blank with what follows (a remark) for any further words; braces may
// be nested, and all else stands for itself: "shfl.sync.{up,down}.b32", "add{.rn,.rz}{.ftz}.f32".
bool form_matches(std::string_view form, std::string_view instruction);

// The forms in one entry of the list: its lines, and within them what ", " separates, without the
// "family: " before the first.
std::vector<std::string> forms_of_entry(std::string_view entry);

}  // namespace ptx_emulator::tool
