#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "kernels/common/execution_context.h"
#include "kernels/cuda/device.h"

// What stands behind cuda::Device inside the CUDA module: streams and library handles. Only
// kernels/cuda and the ops' .cu files include it.
namespace ovid::kernels::cuda {

class CudnnAttention;  // kernels/cuda/cudnn_attention.h: attention by cuDNN, where it is chosen
class ProductChoices;  // kernels/cuda/product_choices.h: the algorithms of matrix products

class DeviceState final : public Device {
 public:
  explicit DeviceState(int index);
  ~DeviceState() override;

  const DeviceProperties& properties() const override { return properties_; }
  std::size_t free_memory() const override;
  void* allocate(std::size_t bytes, std::string_view purpose) override;
  void release(void* memory) noexcept override;
  void* allocate_pinned(std::size_t bytes, std::string_view purpose) override;
  void release_pinned(void* memory) noexcept override;
  void copy_to_device(void* to, const void* from, std::size_t bytes, Queue queue) override;
  void copy_to_host(void* to, const void* from, std::size_t bytes, Queue queue) override;
  void copy_on_device(void* to, const void* from, std::size_t bytes, Queue queue) override;
  void copy_rows(void* to, std::size_t to_stride, const void* from, std::size_t from_stride,
                 std::size_t row_bytes, std::size_t rows, Queue queue) override;
  std::unique_ptr<Event> make_event() override;
  void record(Event& event, Queue queue) override;
  void wait(Queue queue, const Event& event) override;
  void synchronize(const Event& event) override;
  void synchronize() override;
  void begin_capture() override;
  std::unique_ptr<Graph> end_capture() override;
  void launch(const Graph& graph) override;
  std::string product_choices() const override;
  void set_product_choices(const std::string& json) override;
  void choose_attention(AttentionKernels kernels) override;
  AttentionKernels attention() const override { return attention_; }
  void push_range(const char* name) override;
  void pop_range() noexcept override;

  cudaStream_t stream() const { return streams_[0]; }  // of kCompute: where ops launch
  cublasLtHandle_t cublas() const { return cublas_; }
  // Memory for cuBLASLt on the compute stream, kWorkspaceBytes.
  void* cublas_workspace() const { return workspace_; }
  static constexpr std::size_t kWorkspaceBytes = 32u << 20;
  ProductChoices& choices() { return *choices_; }
  bool capturing() const { return capturing_; }
  // Once kCudnn has been chosen.
  CudnnAttention& cudnn() { return *cudnn_; }

 private:
  cudaStream_t stream_of(Queue queue) const { return streams_[static_cast<int>(queue)]; }
  void make_current() const;
  void make_handles();
  void drop_handles() noexcept;

  DeviceProperties properties_;
  cudaStream_t streams_[2] = {};
  cublasLtHandle_t cublas_ = nullptr;
  void* workspace_ = nullptr;
  std::unique_ptr<ProductChoices> choices_;
  bool capturing_ = false;
  AttentionKernels attention_ = AttentionKernels::kFlash;
  std::unique_ptr<CudnnAttention> cudnn_;
};

// The state behind a context's device. Throws DeviceError where the context has none (a bug).
DeviceState& state_of(ExecutionContext& ctx);

inline cudaStream_t stream_of(ExecutionContext& ctx) {
  return state_of(ctx).stream();
}

int count_devices();
std::unique_ptr<Device> open_device_state(int index);

}  // namespace ovid::kernels::cuda
