#include "src/checkpoint/safetensors.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "src/checkpoint/float_conversion.h"
#include "src/checkpoint/safetensors_writer.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

using kernels::DType;

std::string with_length(const std::string& json, const std::string& data) {
  const std::uint64_t length = json.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  return file + json + data;
}

std::string one_tensor(const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
  return fmt::format(R"({{"a":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape,
                     offsets);
}

std::string refusal(const Path& path) {
  try {
    const SafetensorsFile file(path);
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every malformed safetensors file is refused with its reason", "[checkpoint]") {
  struct Case {
    std::string name, file, reason;
  };
  const std::string four(4, 'x'), eight(8, 'x');
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  const auto entry = [](const char* name, const char* shape, int begin, int end) {
    return fmt::format(R"("{}":{{"dtype":"U8","shape":{},"data_offsets":[{},{}]}})", name, shape,
                       begin, end);
  };
  std::string huge_length = with_length("{}", "");
  std::memset(huge_length.data(), 0, 8);
  huge_length[7] = '\x80';  // 2^63
  const std::vector<Case> cases = {
      {"empty file", "", "too few"},
      {"seven bytes", std::string(7, '\0'), "too few"},
      {"header length zero", std::string(8, '\0'), "does not begin with '{'"},
      {"header length 2^63", huge_length, "longer than the file"},
      {"header longer than the file", with_length("{}", "").substr(0, 9), "longer than the file"},
      {"header is no object", with_length("[]", ""), "does not begin with '{'"},
      {"leading space", with_length(" {}", ""), "does not begin with '{'"},
      {"broken JSON", with_length("{\"a\":", ""), "broken JSON"},
      {"text after the object", with_length("{} x", ""), "broken JSON"},
      {"zero byte hides text", with_length(std::string("{}\0x", 4), ""), "zero byte"},
      {"not UTF-8", with_length("{\"\xff\":{}}", ""), "broken JSON"},
      {"deep nesting", with_length("{\"a\":" + std::string(100'000, '['), ""),
       "array at the wrong place"},
      {"deep objects", with_length("{\"a\":{\"dtype\":{", ""), "object at the wrong place"},
      {"tensor twice", with_length("{" + a + "," + a + "}", four), "the tensor is there twice"},
      {"control character in a name",
       with_length("{" + entry("\\u001b[31m", "[4]", 0, 4) + "}", four), "control characters"},
      {"key twice",
       with_length(R"({"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})", four),
       "twice or unknown"},
      {"shape twice",
       with_length(R"({"a":{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}})", four),
       "twice or unknown"},
      {"metadata twice", with_length(R"({"__metadata__":{},"__metadata__":{}})", ""), "twice"},
      {"metadata key twice", with_length(R"({"__metadata__":{"a":"b","a":"b"}})", ""), "twice"},
      {"metadata of a number", with_length(R"({"__metadata__":{"a":1}})", ""), "wrong place"},
      {"metadata nested", with_length(R"({"__metadata__":{"a":{}}})", ""), "wrong place"},
      {"unknown key",
       with_length(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"b":1}})", four),
       "unknown"},
      {"no dtype", with_length(R"({"a":{"shape":[4],"data_offsets":[0,4]}})", four), "required"},
      {"no shape", with_length(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", four), "required"},
      {"one offset", with_length(one_tensor("U8", "[4]", "[0]"), four), "required"},
      {"three offsets", with_length(one_tensor("U8", "[4]", "[0,4,8]"), four), "more than two"},
      {"unknown dtype", with_length(one_tensor("F128", "[4]", "[0,4]"), four), "unknown dtype"},
      {"negative extent", with_length(one_tensor("U8", "[-4]", "[0,4]"), four), "negative"},
      {"fractional extent", with_length(one_tensor("U8", "[4.5]", "[0,4]"), four),
       "not a whole number"},
      {"NaN extent", with_length(one_tensor("U8", "[NaN]", "[0,4]"), four), "broken JSON"},
      {"null extent", with_length(one_tensor("U8", "[null]", "[0,4]"), four), "null"},
      {"extent 2^63", with_length(one_tensor("U8", "[9223372036854775808]", "[0,4]"), four),
       "2^63 - 1"},
      {"extent 1e30",
       with_length(one_tensor("U8", "[1000000000000000000000000000000]", "[0,4]"), four),
       "not a whole number"},
      {"shape overflow", with_length(one_tensor("U8", "[4294967296,4294967296,4]", "[0,4]"), four),
       "overflows"},
      {"bits overflow", with_length(one_tensor("F64", "[288230376151711744]", "[0,8]"), eight),
       "overflows"},
      {"rank 33", with_length(one_tensor("U8", "[1" + std::string(64, ',') + "]", "[0,4]"), four),
       "broken JSON"},
      {"too many extents",
       with_length(
           one_tensor("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4]",
                      "[0,4]"),
           four),
       "more than 32"},
      {"bytes and shape differ", with_length(one_tensor("F32", "[2]", "[0,4]"), four),
       "takes 8 bytes"},
      {"half a byte", with_length(one_tensor("F4", "[9]", "[0,4]"), four), "whole number of bytes"},
      {"offsets reversed", with_length(one_tensor("U8", "[4]", "[4,0]"), four), "do not fit"},
      {"beyond the file", with_length(one_tensor("U8", "[5]", "[0,5]"), four), "do not fit"},
      {"offset 2^64 - 1", with_length(one_tensor("U8", "[4]", "[0,18446744073709551615]"), four),
       "do not fit"},
      {"gap at the start", with_length("{" + entry("a", "[4]", 4, 8) + "}", eight), "beyond"},
      {"gap in the middle",
       with_length("{" + entry("a", "[2]", 0, 2) + "," + entry("b", "[4]", 4, 8) + "}", eight),
       "beyond"},
      {"gap at the end", with_length("{" + a + "}", eight), "end at 4 of 8"},
      {"data without tensors", with_length("{}", eight), "end at 0 of 8"},
      {"overlap",
       with_length("{" + entry("a", "[5]", 0, 5) + "," + entry("b", "[4]", 4, 8) + "}", eight),
       "inside"},
      {"same bytes twice", with_length("{" + a + "," + entry("b", "[4]", 0, 4) + "}", four),
       "inside"},
  };
  const test::TemporaryDirectory folder;
  for (const Case& malformed : cases) {
    const Path path = folder / "model.safetensors";
    {
      OutputFile file(path, WriteMode::kTruncate);
      file.write(malformed.file);
    }
    INFO(malformed.name << ": " << refusal(path));
    CHECK(refusal(path).find(malformed.reason) != std::string::npos);
    CHECK(refusal(path).find(path.string()) != std::string::npos);
  }
  CHECK(refusal(folder / "absent").find("absent") != std::string::npos);
}

TEST_CASE("a header of 100 MB and a byte is refused before it is parsed", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const Path path = folder / "a";
  const std::uint64_t length = 100'000'001;
  {
    OutputFile file(path, WriteMode::kTruncate);
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write_at(8 + length, std::as_bytes(std::span("x", 1)));  // sparse
  }
  CHECK(refusal(path).find("limit of 100000000") != std::string::npos);
}

TEST_CASE("legal oddities are read: empty file of tensors, rank 0, empty tensors, padding",
          "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const auto write = [&](const std::string& text) {
    OutputFile file(folder / "a", WriteMode::kTruncate);
    file.write(text);
    return folder / "a";
  };
  CHECK(SafetensorsFile(write(with_length("{}", ""))).names().empty());
  const SafetensorsFile odd(
      write(with_length(R"({"s":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},)"
                        R"("e":{"dtype":"F64","shape":[0,3],"data_offsets":[4,4]},)"
                        R"("__metadata__":{"k":"v"}}   )",
                        std::string("\0\0\x80\x3f", 4))));
  CHECK(odd.names() == std::vector<std::string>{"e", "s"});
  CHECK(odd.metadata().at("k") == "v");
  CHECK(odd.tensor("e").bytes.empty());
  float value = 0;
  read_as_float32(odd.tensor("s"), {&value, DType::kFloat32, {}}, "s");
  CHECK(value == 1.0f);
  CHECK_THROWS_AS(odd.tensor("absent"), CheckpointError);
}

TEST_CASE("written tensors read back: order, alignment, padded rows, checksum", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const std::vector<float> rows = {1, 2, 3, -9, 4, 5, 6, -9};  // rows of three, padded to four
  const std::vector<std::uint16_t> halves = {0x3f80, 0x4000};
  const std::vector<double> wide = {1.5, -2.5};
  const std::vector<std::uint8_t> bytes = {1, 2, 3};
  const std::vector<NamedTensor> tensors = {
      {"z", {bytes.data(), DType::kUint8, {3}}},
      {"m", {rows.data(), DType::kFloat32, {2, 3}, 4}},
      {"b", {halves.data(), DType::kBfloat16, {2}}},
      {"a \"quoted\"", {rows.data(), DType::kFloat32, {}}},
      {"d", {wide.data(), DType::kFloat64, {2}}},
  };
  const Path path = folder / "t.safetensors";
  const WrittenFile written = write_safetensors(path, tensors, {{"format", "pt"}});
  const std::string text = read_file(path);
  CHECK(text.size() == written.bytes);
  CHECK(text.size() == safetensors_bytes(tensors, {{"format", "pt"}}));
  CHECK(checksum_of(std::as_bytes(std::span(text))) == written.checksum);
  std::uint64_t header = 0;
  std::memcpy(&header, text.data(), 8);
  CHECK(header % 8 == 0);
  const auto place = [&](const char* name) { return text.find(name); };
  CHECK(place("\"d\"") < place("\"a \\\"quoted"));
  CHECK(place("\"a \\\"quoted") < place("\"m\""));
  CHECK(place("\"m\"") < place("\"b\""));
  CHECK(place("\"b\"") < place("\"z\""));

  const SafetensorsFile file(path);
  CHECK(file.metadata().at("format") == "pt");
  std::vector<float> back(8, -7.0f);
  read_as_float32(file.tensor("m"), {back.data(), DType::kFloat32, {2, 3}, 4}, "m");
  CHECK(back == std::vector<float>{1, 2, 3, -7, 4, 5, 6, -7});
  read_as_float32(file.tensor("b"), {back.data(), DType::kFloat32, {2}}, "b");
  CHECK(back[1] == 2.0f);
  read_as_float32(file.tensor("d"), {back.data(), DType::kFloat32, {2}}, "d");
  CHECK(back[1] == -2.5f);
  CHECK_THROWS_AS(read_as_float32(file.tensor("z"), {back.data(), DType::kFloat32, {3}}, "z"),
                  CheckpointError);
  CHECK_THROWS_AS(read_as_float32(file.tensor("m"), {back.data(), DType::kFloat32, {3, 2}}, "m"),
                  CheckpointError);
  CHECK_THROWS_AS(write_safetensors(path, tensors, {}), ResourceError);  // exists
  const std::vector<NamedTensor> twice = {tensors[0], tensors[0]};
  CHECK_THROWS_AS(write_safetensors(folder / "twice", twice, {}), std::invalid_argument);
  CHECK_FALSE(std::filesystem::exists(folder / "twice"));
}

TEST_CASE("all 65,536 half floats convert exactly", "[checkpoint]") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65'536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const int exponent = static_cast<int>(bits >> 10 & 31),
              fraction = static_cast<int>(bits & 1023);
    const float sign = bits >> 15 != 0 ? -1.0f : 1.0f;
    const float converted = float_of_float16(half);
    if (exponent == 31 && fraction != 0) {
      wrong += !std::isnan(converted);
    } else {
      // IEEE 754: (1 + f / 2^10) 2^(e - 15), or f 2^-24 where e = 0.
      float expected =
          exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                        : std::ldexp(1.0f + static_cast<float>(fraction) / 1024.0f, exponent - 15);
      if (exponent == 31) expected = std::numeric_limits<float>::infinity();
      wrong += converted != sign * expected || std::signbit(converted) != (bits >> 15 != 0);
    }
  }
  CHECK(wrong == 0);
  CHECK(float_of_bfloat16(0xc000) == -2.0f);
  CHECK(std::isinf(float_of_bfloat16(0x7f80)));
}

TEST_CASE("a double beyond float32 is refused, infinity is kept", "[checkpoint]") {
  const double values[] = {1e300, std::numeric_limits<double>::infinity()};
  const auto stored = [&](int i) {
    return StoredTensor{"F64", {1}, std::as_bytes(std::span(&values[i], 1))};
  };
  float value = 0;
  CHECK_THROWS_AS(read_as_float32(stored(0), {&value, DType::kFloat32, {1}}, "x"), CheckpointError);
  read_as_float32(stored(1), {&value, DType::kFloat32, {1}}, "x");
  CHECK(std::isinf(value));
}

}  // namespace ovid::checkpoint
