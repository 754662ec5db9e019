#include <algorithm>
#include <bit>

#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

class InitialValue {
 public:
  InitialValue(ParserState& state, Variable& variable, const std::vector<std::uint64_t>& dimensions)
      : state_(state),
        tokens_(state.tokens),
        variable_(variable),
        element_bytes_(bits_of(variable.type) / 8) {
    // Elements that one step of each dimension moves; the vector counts as the innermost one.
    std::uint64_t stride = 1;
    if (variable.vector_length > 1) stride = variable.vector_length;
    strides_.assign(dimensions.size(), stride);
    for (std::size_t i = dimensions.size(); i-- > 1;) strides_[i - 1] = strides_[i] * dimensions[i];
    if (variable.vector_length > 1) strides_.push_back(1);
  }

  void read() {
    const Token token = tokens_.peek();
    if (element_bytes_ == 0) tokens_.fail(token, "a variable of this type takes no initial value");
    if (!tokens_.at("{")) {
      read_element(0);
      num_written_ = 1;
    } else {
      read_list(0, 0);
    }
    if (!variable_.num_elements) {
      const std::uint64_t outer = strides_.empty() ? 1 : strides_[0];
      variable_.num_elements = (num_written_ + outer - 1) / outer * outer / variable_.vector_length;
    }
    if (num_written_ > *variable_.num_elements * variable_.vector_length) {
      tokens_.fail(token, "more initial values (" + std::to_string(num_written_) +
                              ") than the variable has elements (" +
                              std::to_string(*variable_.num_elements) + ")");
    }
  }

 private:
  void read_list(std::size_t depth, std::uint64_t first) {
    const Token open = tokens_.peek();
    tokens_.expect("{");
    if (depth >= std::max<std::size_t>(strides_.size(), 1)) {
      tokens_.fail(open, "braces nested deeper than the variable has dimensions");
    }
    std::uint64_t position = first;
    while (!tokens_.at("}")) {
      if (tokens_.at("{")) {
        const std::uint64_t stride = strides_.empty() ? 1 : strides_[depth];
        // Each inner list begins a row of its own.
        if (const std::uint64_t part = (position - first) % stride; part != 0) {
          position += stride - part;
        }
        read_list(depth + 1, position);
        position += stride;
      } else {
        read_element(position++);
      }
      num_written_ = std::max(num_written_, position);
      if (!tokens_.accept(",")) break;
    }
    tokens_.expect("}");
  }

  void read_element(std::uint64_t position) {
    const Token token = tokens_.peek();
    // mask(): 0xFF00(symbol) is the byte of the address that the mask selects.
    if (token.kind == Token::Kind::kInteger && tokens_.peek(1).text == "(") {
      tokens_.next();
      return read_masked(position, token);
    }
    if (token.kind == Token::Kind::kWord && token.text != "WARP_SZ") {
      return read_symbol(position, 8, 0);
    }
    const Constant constant = read_constant(state_);
    const std::uint64_t bits = converted(constant);
    write(position, bits);
  }

  std::uint64_t converted(const Constant& constant) const {
    if (variable_.type == Type::kF32 && constant.kind != Constant::Kind::kFloat32) {
      return std::bit_cast<std::uint32_t>(static_cast<float>(constant.as_double()));
    }
    if (variable_.type == Type::kF64) return std::bit_cast<std::uint64_t>(constant.as_double());
    return constant.bits;
  }

  void write(std::uint64_t position, std::uint64_t bits) {
    const Token token = tokens_.peek();
    if (position > kMostPosition) tokens_.fail(token, "an initial value behind 2^40 elements");
    const std::uint64_t offset = position * element_bytes_;
    // {{}, {1}} of a large array writes far behind what it says: such zeros are limited, for all
    // variables of the text together.
    if (offset > variable_.initial.size()) {
      const std::uint64_t zeros = offset - variable_.initial.size();
      if (zeros > state_.initial_zeros_left) {
        tokens_.fail(token, "more than 64 MiB of zeros between initial values");
      }
      state_.initial_zeros_left -= zeros;
    }
    if (variable_.initial.size() < offset + element_bytes_) {
      variable_.initial.resize(offset + element_bytes_);
    }
    for (std::uint32_t i = 0; i < element_bytes_; ++i) {
      variable_.initial[offset + i] = static_cast<std::byte>(i < 8 ? bits >> (8 * i) : 0);
    }
  }

  void read_masked(std::uint64_t position, const Token& mask) {
    const int shift = mask.value == 0 ? 0 : std::countr_zero(mask.value);
    if (shift % 8 != 0 || mask.value >> shift != 0xFF || element_bytes_ != 1) {
      tokens_.fail(mask, "a mask of an address selects one byte, for an array of bytes");
    }
    tokens_.expect("(");
    read_symbol(position, 1, static_cast<std::uint32_t>(shift));
    tokens_.expect(")");
  }

  void read_symbol(std::uint64_t position, std::uint32_t bytes, std::uint32_t shift) {
    Variable::Relocation relocation;
    const Token token = tokens_.next();
    std::string_view name = token.text;
    if (name == "generic" && tokens_.accept("(")) {
      relocation.generic = true;
      name = tokens_.expect_word("the name of a variable").text;
      if (tokens_.at("+") || tokens_.at("-")) relocation.addend = read_integer(state_);
      tokens_.expect(")");
    }
    if (tokens_.at("+") || tokens_.at("-")) {
      // Wraps as addresses do.
      relocation.addend =
          static_cast<std::int64_t>(static_cast<std::uint64_t>(relocation.addend) +
                                    static_cast<std::uint64_t>(read_integer(state_)));
    }
    if (bytes != 1 && element_bytes_ != 4 && element_bytes_ != 8) {
      tokens_.fail(token, "an address in an element of " + std::to_string(element_bytes_) +
                              " bytes; it takes 8, or 4 in shared memory");
    }
    relocation.offset = position * element_bytes_;
    relocation.symbol = name;
    relocation.bytes = bytes == 1 ? 1 : element_bytes_;
    relocation.shift = shift;
    write(position, 0);
    variable_.relocations.push_back(std::move(relocation));
  }

  static constexpr std::uint64_t kMostPosition = std::uint64_t{1} << 40;
  ParserState& state_;
  Tokens& tokens_;
  Variable& variable_;
  std::uint32_t element_bytes_;
  std::vector<std::uint64_t> strides_;
  std::uint64_t num_written_ = 0;  // elements, counted from the first
};

}  // namespace

void read_initial_value(ParserState& state, Variable& variable,
                        const std::vector<std::uint64_t>& dimensions) {
  InitialValue(state, variable, dimensions).read();
}

}  // namespace ptx_emulator::ptx
