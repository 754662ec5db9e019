#include "src/checkpoint/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "src/checkpoint/optimizer_parts.h"
#include "src/core/checksum.h"
#include "src/core/range_file.h"
#include "src/memory/transfer.h"

namespace ovid::checkpoint {
namespace {

using kernels::DType;

struct WritableDType {
  const char* name;
  int order;  // rank in the official writer's order, widest first
};

WritableDType writable(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return {"F64", 6};
    case DType::kFloat32:
      return {"F32", 5};
    case DType::kInt32:
      return {"I32", 4};
    case DType::kBfloat16:
      return {"BF16", 3};
    case DType::kFloat16:
      return {"F16", 2};
    case DType::kUint16:
      return {"U16", 1};
    case DType::kUint8:
      return {"U8", 0};
  }
  throw std::invalid_argument("a dtype without a safetensors name");
}

std::uint64_t bytes_of(const kernels::ConstView& view) {
  return static_cast<std::uint64_t>(view.elements()) * kernels::bytes_of(view.dtype());
}

// A JSON string; throws for what is not UTF-8.
std::string json_string(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception& error) {
    throw std::invalid_argument(
        fmt::format("a tensor name or metadata is not UTF-8: {}", error.what()));
  }
}

struct Layout {
  std::string header;  // with its length in front and its padding
  std::vector<const NamedTensor*> order;
  std::uint64_t data_bytes = 0;
};

Layout lay_out(std::span<const NamedTensor> tensors, const Metadata& metadata) {
  Layout layout;
  for (const NamedTensor& tensor : tensors) layout.order.push_back(&tensor);
  std::sort(layout.order.begin(), layout.order.end(),
            [](const NamedTensor* a, const NamedTensor* b) {
              const int a_order = writable(a->view.dtype()).order,
                        b_order = writable(b->view.dtype()).order;
              return a_order != b_order ? a_order > b_order : a->name < b->name;
            });
  std::vector<std::string> names;
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      if (json.back() != '{') json += ',';
      json += json_string(key) + ":" + json_string(value);
    }
    json += "}";
  }
  for (const NamedTensor* tensor : layout.order) {
    names.push_back(tensor->name);
    const std::uint64_t end = layout.data_bytes + bytes_of(tensor->view);
    std::vector<std::int64_t> extents;
    for (int i = 0; i < tensor->view.shape().rank(); ++i)
      extents.push_back(tensor->view.shape()[i]);
    if (json.size() > 1) json += ',';
    json += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json_string(tensor->name), writable(tensor->view.dtype()).name,
                        fmt::join(extents, ","), layout.data_bytes, end);
    layout.data_bytes = end;
  }
  json += "}";
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    throw std::invalid_argument(fmt::format("tensor '{}' is to be written twice", *twice));
  if (std::binary_search(names.begin(), names.end(), "__metadata__")) {
    throw std::invalid_argument("a tensor cannot be named __metadata__");
  }
  json.append((8 - json.size() % 8) % 8, ' ');
  const std::uint64_t length = json.size();
  layout.header.assign(reinterpret_cast<const char*>(&length), sizeof length);
  layout.header += json;
  return layout;
}

// A new file whose bytes are hashed on their way, in pieces that stay in the cache between hashing
// and writing.
class HashedFile {
 public:
  explicit HashedFile(const Path& path) : file_(path, WriteMode::kCreateNew) {}

  void write(std::span<const std::byte> bytes) {
    constexpr std::size_t kPiece = 1 << 20;
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min(kPiece, bytes.size()));
      checksum_.update(piece);
      file_.write(piece);
      bytes_ += piece.size();
      bytes = bytes.subspan(piece.size());
    }
  }

  WrittenFile finish() {
    file_.sync();
    file_.close();
    return {bytes_, checksum_.digest()};
  }

 private:
  OutputFile file_;
  Checksum checksum_;
  std::uint64_t bytes_ = 0;
};

class Text {
 public:
  void write(std::span<const std::byte> bytes) {
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// One range of a file that others write too, hashed for itself.
class HashedRange {
 public:
  HashedRange(RangeFile& file, std::uint64_t begin) : file_(file), begin_(begin), at_(begin) {}

  void write(std::span<const std::byte> bytes) {
    constexpr std::size_t kPiece = 1 << 20;
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min(kPiece, bytes.size()));
      checksum_.update(piece);
      file_.write_at(at_, piece);
      at_ += piece.size();
      bytes = bytes.subspan(piece.size());
    }
  }

  void finish(std::map<std::string, WrittenFile>& ranges) const {
    if (at_ == begin_) return;
    ranges[fmt::format("{}:{}", begin_, at_)] = {at_ - begin_, checksum_.digest()};
  }

 private:
  RangeFile& file_;
  Checksum checksum_;
  std::uint64_t begin_;
  std::uint64_t at_;
};

template <class File>
void write_from_host(File& file, const kernels::ConstView& view) {
  const auto* data = static_cast<const std::byte*>(view.raw());
  const std::size_t element = kernels::bytes_of(view.dtype());
  if (view.elements() == 0) return;
  if (view.contiguous()) {
    file.write({data, static_cast<std::size_t>(bytes_of(view))});
    return;
  }
  for (std::int64_t row = 0; row < view.rows(); ++row) {
    file.write({data + static_cast<std::size_t>(row * view.row_stride()) * element,
                static_cast<std::size_t>(view.columns()) * element});
  }
}

// A device's tensor comes over in pieces of some rows: no second copy of it in host memory.
template <class File>
void write_tensor(File& file, const NamedTensor& tensor) {
  if (tensor.device == nullptr) return write_from_host(file, tensor.view);
  if (tensor.view.elements() == 0) return;
  constexpr std::size_t kPiece = 16 << 20;
  const kernels::ConstView& view = tensor.view;
  const std::size_t row_bytes =
      static_cast<std::size_t>(view.columns()) * kernels::bytes_of(view.dtype());
  const auto rows = static_cast<std::int64_t>(std::max<std::size_t>(1, kPiece / row_bytes));
  std::vector<std::byte> staged;
  for (std::int64_t first = 0; first < view.rows(); first += rows) {
    const kernels::ConstView piece = view.row_range(first, std::min(rows, view.rows() - first));
    staged.resize(static_cast<std::size_t>(piece.rows()) * row_bytes);
    memory::copy_to_host(tensor.device, {staged.data(), view.dtype(), piece.shape()}, piece);
    memory::synchronize(tensor.device);
    file.write(staged);
  }
}

bool is_part_of(const NamedTensor& part, const std::optional<PartName::Range>& range,
                const kernels::ConstView& whole) {
  if (part.view.dtype() != whole.dtype()) return false;
  if (!range) return part.view.shape() == whole.shape();
  return range->end <= static_cast<std::uint64_t>(whole.elements()) &&
         range->end - range->begin == static_cast<std::uint64_t>(part.view.elements());
}

}  // namespace

std::uint64_t safetensors_bytes(std::span<const NamedTensor> tensors, const Metadata& metadata) {
  const Layout layout = lay_out(tensors, metadata);
  return layout.header.size() + layout.data_bytes;
}

WrittenFile write_safetensors(const Path& path, std::span<const NamedTensor> tensors,
                              const Metadata& metadata) {
  const Layout layout = lay_out(tensors, metadata);
  HashedFile file(path);
  file.write(std::as_bytes(std::span(layout.header)));
  for (const NamedTensor* tensor : layout.order) write_tensor(file, *tensor);
  return file.finish();
}

std::string safetensors_text(std::span<const NamedTensor> tensors, const Metadata& metadata) {
  const Layout layout = lay_out(tensors, metadata);
  Text text;
  text.write(std::as_bytes(std::span(layout.header)));
  for (const NamedTensor* tensor : layout.order) write_tensor(text, *tensor);
  return text.take();
}

std::map<std::string, WrittenFile> write_safetensors_parts(const Path& path,
                                                           std::span<const NamedTensor> whole,
                                                           std::span<const NamedTensor> parts,
                                                           const Metadata& metadata,
                                                           bool with_header) {
  const Layout layout = lay_out(whole, metadata);
  struct Place {
    std::uint64_t offset;
    const NamedTensor* tensor;
  };
  std::map<std::string_view, Place> places;
  std::uint64_t offset = layout.header.size();
  for (const NamedTensor* tensor : layout.order) {
    places.emplace(tensor->name, Place{offset, tensor});
    offset += bytes_of(tensor->view);
  }
  RangeFile file(path);
  std::map<std::string, WrittenFile> ranges;
  if (with_header) {
    HashedRange range(file, 0);
    range.write(std::as_bytes(std::span(layout.header)));
    range.finish(ranges);
  }
  for (const NamedTensor& part : parts) {
    const std::optional<PartName> name = parse_part_name(part.name);
    const auto place = name ? places.find(name->tensor) : places.end();
    if (place == places.end() || !is_part_of(part, name->range, place->second.tensor->view)) {
      throw std::invalid_argument(fmt::format("'{}' {} is no part of the tensors of {}", part.name,
                                              part.view.shape().text(), path.string()));
    }
    const std::uint64_t first = name->range ? name->range->begin : 0;
    HashedRange range(file, place->second.offset + first * kernels::bytes_of(part.view.dtype()));
    write_tensor(range, part);
    range.finish(ranges);
  }
  file.sync();
  file.close();
  return ranges;
}

WrittenFile write_bytes(const Path& path, std::span<const std::byte> bytes) {
  HashedFile file(path);
  file.write(bytes);
  return file.finish();
}

}  // namespace ovid::checkpoint
