#include "src/checkpoint/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "kernels/cpu/parallel_for.h"
#include "src/checkpoint/async_writer.h"
#include "src/core/checked_arithmetic.h"
#include "src/core/error.h"
#include "src/memory/machine_memory.h"
#include "src/memory/transfer.h"

namespace ovid::checkpoint {
namespace {

// The lists of tensors of a content, which all copies go through in this order.
template <class Content>
auto tensor_lists(Content& content) {
  return std::array{&content.parameters, &content.average, &content.optimizer};
}

// The device that the tensors lie on; null: the host has them.
kernels::cuda::Device* device_of(const CheckpointContent& content) {
  return content.parameters.empty() ? nullptr : content.parameters.front().device;
}

// Every copy begins at a cache line: two threads never write to one.
std::uint64_t room_of(const kernels::ConstView& view) {
  constexpr std::uint64_t kLine = memory::Arena::kAlignment;
  const std::uint64_t bytes =
      static_cast<std::uint64_t>(view.elements()) * kernels::bytes_of(view.dtype());
  return (bytes + kLine - 1) / kLine * kLine;
}

// A run of rows to be copied by one thread at one go.
struct Piece {
  std::byte* to;
  const std::byte* from;
  std::size_t rows;
  std::size_t row_bytes;
  std::size_t row_stride_bytes;  // between rows of `from`
};

// Cuts one tensor into pieces that are small beside a second level cache's reach and large beside
// the cost of handing one out.
void add_pieces(std::vector<Piece>& pieces, std::byte* to, const kernels::ConstView& view) {
  constexpr std::size_t kPieceBytes = 4 << 20;
  const auto* from = static_cast<const std::byte*>(view.raw());
  const std::size_t element = kernels::bytes_of(view.dtype());
  const auto bytes = static_cast<std::size_t>(view.elements()) * element;
  if (bytes == 0) return;
  if (view.contiguous()) {
    for (std::size_t done = 0; done < bytes; done += kPieceBytes) {
      const std::size_t count = std::min(kPieceBytes, bytes - done);
      pieces.push_back({to + done, from + done, 1, count, count});
    }
    return;
  }
  const auto rows = static_cast<std::size_t>(view.rows());
  const std::size_t row_bytes = static_cast<std::size_t>(view.columns()) * element;
  const std::size_t stride = static_cast<std::size_t>(view.row_stride()) * element;
  const std::size_t rows_of_piece = std::max<std::size_t>(1, kPieceBytes / row_bytes);
  for (std::size_t row = 0; row < rows; row += rows_of_piece) {
    pieces.push_back({to + row * row_bytes, from + row * stride,
                      std::min(rows_of_piece, rows - row), row_bytes, stride});
  }
}

void copy_piece(const Piece& piece) {
  for (std::size_t row = 0; row < piece.rows; ++row) {
    std::memcpy(piece.to + row * piece.row_bytes, piece.from + row * piece.row_stride_bytes,
                piece.row_bytes);
  }
}

}  // namespace

std::uint64_t snapshot_bytes(const CheckpointContent& content) {
  std::uint64_t bytes = 0;
  for (const auto* tensors : tensor_lists(content)) {
    for (const NamedTensor& tensor : *tensors) {
      const auto sum = checked_add(bytes, room_of(tensor.view));
      if (!sum) throw ResourceError("the checkpoint's tensors have more than 2^64 bytes");
      bytes = *sum;
    }
  }
  return bytes;
}

void Snapshot::reserve(std::uint64_t bytes, kernels::cuda::Device* device) {
  if (bytes <= held_bytes_) return;
  // Memory is only promised when it is mapped; a promise that the machine cannot keep would end the
  // run when the copy fills it.
  const std::size_t available = memory::available_memory();
  const std::uint64_t needed = bytes - held_bytes_;
  if (available != 0 && available < needed) {
    throw ResourceError(
        fmt::format("a copy of the checkpoint takes {}, the machine has {} left: free some memory "
                    "or set checkpoint.asynchronous: false",
                    memory::readable_bytes(needed), memory::readable_bytes(available)));
  }
  content_ = {};  // its tensors lie in the buffer that goes
  buffer_ = memory::TransferBuffer();
  held_bytes_ = 0;
  buffer_ = memory::TransferBuffer(bytes, "the copy of a checkpoint", device);
  held_bytes_ = bytes;
}

void Snapshot::prepare(const CheckpointContent& content, int threads) {
  const std::uint64_t bytes = snapshot_bytes(content);
  if (bytes <= held_bytes_) return;
  kernels::cuda::Device* const device = device_of(content);
  reserve(bytes, device);
  if (device != nullptr) return;  // pinned memory is backed from the start
  // Zero over zero, once in each page of the smallest size: it is the first write that takes time.
  constexpr std::int64_t kPageBytes = 4096;
  constexpr std::int64_t kPagesAtOnce = 2048;
  const std::span<std::byte> memory = buffer_.bytes();
  const auto pages = static_cast<std::int64_t>((bytes + kPageBytes - 1) / kPageBytes);
  kernels::cpu::parallel_for(
      threads, pages, kPagesAtOnce, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t page = begin; page < end; ++page) {
          // Volatile, or the compiler may know that the write changes nothing.
          *static_cast<volatile std::byte*>(&memory[static_cast<std::size_t>(page * kPageBytes)]) =
              std::byte{0};
        }
      });
}

void Snapshot::copy(const CheckpointContent& content, int threads) {
  kernels::cuda::Device* const device = device_of(content);
  reserve(snapshot_bytes(content), device);
  content_ = content;
  std::vector<Piece> pieces;
  std::byte* to = buffer_.bytes().data();
  for (auto* tensors : tensor_lists(content_)) {
    for (NamedTensor& tensor : *tensors) {
      const kernels::ConstView from = tensor.view;
      const kernels::View copy(to, from.dtype(), from.shape());
      if (tensor.device == nullptr) {
        add_pieces(pieces, to, from);
      } else {
        memory::copy_to_host(tensor.device, copy, from);
      }
      tensor.view = copy;
      tensor.device = nullptr;
      to += room_of(from);
    }
  }
  kernels::cpu::parallel_for(threads, static_cast<std::int64_t>(pieces.size()), 1,
                             [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t i = begin; i < end; ++i)
                                 copy_piece(pieces[static_cast<std::size_t>(i)]);
                             });
  memory::synchronize(device);
}

}  // namespace ovid::checkpoint
