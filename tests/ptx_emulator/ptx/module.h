#pragma once
// The syntax tree of one PTX translation unit: what the text says, before anything is decided about
// its execution.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptx_emulator::ptx {

// A place in the PTX text, and the place in the user's source that `.loc` names for it (line 0:
// none).
struct Location {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t source_file = 0;  // index into Module::files
  std::uint32_t source_line = 0;
  std::uint32_t inlined_at = 0;  // index into Module::inline_sites, plus one; 0: not inlined
};

// Where inlined code was called from.
struct InlineSite {
  std::string function;  // empty where the text names none
  Location location;
};

// The fundamental types of the PTX ISA; a vector or packed type is a type of its own.
enum class Type : std::uint8_t {
  kNone,
  kPred,
  kB8,
  kB16,
  kB32,
  kB64,
  kB128,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF16,
  kF16x2,
  kBf16,
  kBf16x2,
  kTf32,
  kF32,
  kF64,
  kE4m3,
  kE5m2,
  kE4m3x2,
  kE5m2x2,
  kF32x2,
  kU16x2,
  kS16x2,
  kOther,  // named by the modifier's text only (.b6x16_p32, .ue8m0x2 and the like)
};

// Bits of one value of the type; 0 for kNone and kOther, 1 for kPred.
std::uint32_t bits_of(Type type);
// "f32" and "u8" to types; nullopt where the word is no type.
std::optional<Type> type_named(std::string_view word);
std::string_view name_of(Type type);

enum class Space : std::uint8_t { kRegister, kParameter, kConstant, kGlobal, kLocal, kShared };

struct Operand {
  enum class Kind : std::uint8_t {
    kRegister,  // name; also `_`, the sink, with an empty name
    kSpecial,   // %tid.x, %laneid, %clock64: name holds all of it
    kInteger,   // value
    kFloat32,   // value holds the bits (0f...)
    kFloat64,   // value holds the bits (0d..., and decimal literals)
    kSymbol,    // a variable, function or label: name, plus value bytes
    // [base + value]: base register or symbol in `name`, or an absolute value where name is empty.
    // A tensor address [map, {x, y}] has one part, the kList of coordinates.
    kAddress,
    kVector,   // {a, b, c, d}: parts
    kPair,     // d|p: parts of two
    kNegated,  // !p: one part
    kList,     // ( ... ) of a call, or the coordinates in a tensor address [map, {x, y}]: parts
  };
  Kind kind = Kind::kRegister;
  bool base_is_register = false;  // kAddress only
  std::string name;
  // "x" of a vector register %v.x (or %v.r); "b0", "h1" of a video instruction's operand.
  std::string component;
  std::int64_t value = 0;
  std::vector<Operand> parts;
};

struct Instruction {
  std::string opcode;  // "ld", "mma", "cp"
  // Without dots, in order: {"global", "nc", "f32"}; "L1::no_allocate" is one.
  std::vector<std::string> modifiers;
  std::string guard;  // name of the predicate register, empty where there is none
  bool guard_negated = false;
  std::vector<Operand> operands;  // destination first, in the order of the text
  Location location;

  bool has(std::string_view modifier) const;
  // The opcode with all its modifiers, as in the text: "ld.global.nc.f32".
  std::string full_name() const;
};

struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  Type type = Type::kB8;
  std::uint32_t vector_length = 1;  // .v2, .v4
  // nullopt: `[]`, whose extent the launch gives (extern shared).
  std::optional<std::uint64_t> num_elements = 1;
  std::uint32_t alignment = 1;  // bytes, a power of two
  bool is_external = false;     // .extern
  bool is_visible = false;      // .visible, .weak or .common
  bool is_weak = false;         // .weak or .common: other units may define it too
  bool is_managed = false;      // .attribute(.managed)
  // Initial bytes (may be shorter than the variable: the rest is zero), and addresses to put into
  // them.
  std::vector<std::byte> initial;
  struct Relocation {
    std::uint64_t offset = 0;  // bytes
    std::string symbol;
    std::int64_t addend = 0;
    std::uint32_t bytes =
        8;  // 1 with mask(): one byte of the address, shifted right by `shift` bits
    std::uint32_t shift = 0;
    bool generic = false;  // generic(symbol)
  };
  std::vector<Relocation> relocations;
  Location location;

  std::uint64_t size_bytes() const;  // 0 where num_elements is absent
};

// A register declaration: `%r<18>` is {"%r", 18}, a single `%SP` is {"%SP", absent}. Declared in
// nested braces they hide outer ones; the parser gives such inner registers, parameters and labels
// names that are unique in the function.
struct RegisterDeclaration {
  std::string name;
  std::optional<std::uint32_t> count;
  Type type = Type::kB32;
  std::uint32_t vector_length = 1;
};

struct Label {
  std::string name;
  std::uint32_t instruction;  // index of the instruction that follows; may be one past the last
};

// `name: .branchtargets a, b;`, `.calltargets` or `.callprototype`.
struct TargetList {
  std::string name;
  std::vector<std::string> targets;
};

// .maxntid and the like; zero where absent.
struct LaunchBounds {
  std::uint32_t max_threads[3] = {0, 0, 0};
  std::uint32_t required_threads[3] = {0, 0, 0};
  std::uint32_t min_blocks = 0;
  std::uint32_t required_cluster[3] = {0, 0, 0};
  std::uint32_t max_cluster_rank = 0;
  bool explicit_cluster = false;
};

struct Function {
  std::string name;
  bool is_entry = false;
  bool is_external = false;  // a declaration without body
  bool is_visible = false;   // .visible or .weak: unique over linked units
  bool is_weak = false;
  std::vector<Variable> return_parameters;  // of the parameter space (or registers)
  std::vector<Variable> parameters;  // in order; the layout of a launch follows alignment and size
  LaunchBounds bounds;
  std::vector<RegisterDeclaration> registers;
  std::vector<Variable> variables;  // local, shared and parameter variables declared in the body
  std::vector<Label> labels;
  std::vector<TargetList> target_lists;
  std::vector<Function> prototypes;  // .callprototype: name, return_parameters, parameters
  std::vector<Instruction> instructions;
  Location location;
};

struct Module {
  std::uint32_t version = 0;       // 90 for `.version 9.0`
  std::string target;              // "sm_80", "sm_90a"
  std::vector<std::string> files;  // of `.file`, by its index (index 0 may be empty)
  std::vector<InlineSite> inline_sites;
  std::vector<Variable> variables;  // global, constant and shared ones at module scope
  std::vector<Function> functions;
  std::string label;  // what messages call this module: a file name or "fat binary 2 of PROGRAM"
};

// "layernorm.cu:42" without folders; of inlined code the whole way: "intrinsics.hpp:373, inlined at
// layernorm.cu:42". Empty where the PTX names no source line.
std::string source_text(const Module& module, const Location& location);

}  // namespace ptx_emulator::ptx
