#include "src/metrics/event_record.h"

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>

#include "src/metrics/utf8.h"

namespace ovid::metrics {
namespace {

template <std::unsigned_integral T>
std::string little_endian(T value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
  return out;
}

// A protocol buffer message in the making. Fields with the value 0 are written too.
class Message {
 public:
  Message& integer(int field, std::int64_t value) {
    return key(field, 0).add(varint(static_cast<std::uint64_t>(value)));
  }
  Message& float64(int field, double value) {
    return key(field, 1).add(little_endian(std::bit_cast<std::uint64_t>(value)));
  }
  Message& float32(int field, float value) {
    return key(field, 5).add(little_endian(std::bit_cast<std::uint32_t>(value)));
  }
  Message& bytes(int field, std::string_view value) {
    return key(field, 2).add(varint(value.size())).add(value);
  }
  Message& message(int field, const Message& value) { return bytes(field, value.encoded_); }
  const std::string& encoded() const { return encoded_; }

 private:
  Message& key(int field, unsigned wire_type) {
    return add(varint(static_cast<std::uint64_t>(field) << 3 | wire_type));
  }
  Message& add(std::string_view encoded) {
    encoded_ += encoded;
    return *this;
  }
  std::string encoded_;
};

Message event(double time) {
  return Message().float64(1, time);
}

// The hparams plugin reads its content only; the value is a tensor of no elements: float, one
// dimension of size 0.
std::string hyperparameter_summary(double time, std::string_view tag, const Message& content) {
  const Message no_elements = Message().integer(1, 1).message(2, Message().message(2, Message()));
  const Message plugin = Message().bytes(1, "hparams").message(2, content);
  const Message value =
      Message().bytes(1, tag).message(8, no_elements).message(9, Message().message(1, plugin));
  return event(time).message(5, Message().message(1, value)).encoded();
}

// google.protobuf.Value
Message variant_value(const HyperparameterValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return Message().float64(2, *number);
  if (const auto* flag = std::get_if<bool>(&value)) return Message().integer(4, *flag ? 1 : 0);
  return Message().bytes(3, valid_utf8(std::get<std::string>(value)));
}

constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  constexpr std::uint32_t kReflectedPolynomial = 0x82f63b78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflectedPolynomial : 0);
    table[i] = crc;
  }
  return table;
}();

// Checksums of data that holds checksums are weak; the format therefore turns and shifts them.
std::uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes)
    crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

std::string event_record(std::string_view event) {
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  std::string record = length + little_endian(masked_crc32c(length));
  record += event;
  return record += little_endian(masked_crc32c(event));
}

std::string file_version_event(double time) {
  return event(time).bytes(3, "brain.Event:2").encoded();
}

std::string session_start_event(double time, std::int64_t first_step) {
  constexpr std::int64_t kStart = 1;
  return event(time).integer(2, first_step).message(7, Message().integer(1, kStart)).encoded();
}

std::string scalars_event(double time, std::int64_t step, std::span<const TaggedScalar> values) {
  Message summary;
  for (const TaggedScalar& scalar : values) {
    summary.message(1, Message().bytes(1, scalar.tag).float32(2, static_cast<float>(scalar.value)));
  }
  return event(time).integer(2, step).message(5, summary).encoded();
}

std::string text_event(double time, std::int64_t step, std::string_view tag,
                       std::string_view text) {
  constexpr std::int64_t kString = 7;       // DataType
  constexpr std::int64_t kTensorClass = 2;  // DataClass
  const Message tensor = Message()
                             .integer(1, kString)
                             .message(2, Message().message(2, Message().integer(1, 1)))
                             .bytes(8, text);
  const Message metadata =
      Message().message(1, Message().bytes(1, "text")).integer(4, kTensorClass);
  const Message value = Message().bytes(1, tag).message(8, tensor).message(9, metadata);
  return event(time).integer(2, step).message(5, Message().message(1, value)).encoded();
}

std::string hyperparameters_event(double time,
                                  const std::map<std::string, HyperparameterValue>& values,
                                  std::string_view group) {
  Message session;
  for (const auto& [name, value] : values)
    session.message(1, Message().bytes(1, valid_utf8(name)).message(2, variant_value(value)));
  session.bytes(4, valid_utf8(group)).float64(5, time);
  return hyperparameter_summary(time, "_hparams_/session_start_info",
                                Message().message(3, session));
}

std::string session_end_event(double time, SessionStatus status) {
  constexpr std::array<std::int64_t, 3> kStatus{1, 2, 3};  // success, failure, running
  const Message session =
      Message().integer(1, kStatus[static_cast<std::size_t>(status)]).float64(2, time);
  return hyperparameter_summary(time, "_hparams_/session_end_info", Message().message(4, session));
}

}  // namespace ovid::metrics
