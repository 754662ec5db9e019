// The CUDA backend of a build without CUDA: every entry that the ops declare throws the same error,
// so that callers carry no #ifdef and a test of one op links nothing more than this file.
#include "kernels/adamw/adamw.h"
#include "kernels/attention/attention.h"
#include "kernels/common/errors.h"
#include "kernels/convert/convert.h"
#include "kernels/dropout/dropout.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gelu/gelu.h"
#include "kernels/gradient_norm/gradient_norm.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/moving_average/moving_average.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

namespace ovid::kernels::cuda {

namespace {

using Context = ExecutionContext;

[[noreturn]] void throw_absent(const char* op) {
  throw DeviceError(std::string(op) +
                    ": this program was built without CUDA kernels; set device.kind to cpu");
}

}  // namespace

void embedding_forward(Context&, const Embedding&, const EmbeddingShape&) {
  throw_absent("embedding_forward");
}
void embedding_backward(Context&, const EmbeddingGradient&, const EmbeddingShape&) {
  throw_absent("embedding_backward");
}

void layernorm_forward(Context&, const LayerNorm&, RowShape) {
  throw_absent("layernorm_forward");
}
void layernorm_backward(Context&, const LayerNormGradient&, RowShape) {
  throw_absent("layernorm_backward");
}
void residual_layernorm_forward(Context&, const ResidualLayerNorm&, RowShape) {
  throw_absent("residual_layernorm_forward");
}
void residual_layernorm_backward(Context&, const ResidualLayerNormGradient&, RowShape) {
  throw_absent("residual_layernorm_backward");
}

void linear_forward(Context&, const Linear&, const LinearShape&) {
  throw_absent("linear_forward");
}
void linear_backward(Context&, const LinearGradient&, const LinearShape&) {
  throw_absent("linear_backward");
}
void linear_gelu_forward(Context&, const LinearGelu&, const LinearShape&) {
  throw_absent("linear_gelu_forward");
}
void linear_gelu_backward(Context&, const LinearGeluGradient&, const LinearShape&) {
  throw_absent("linear_gelu_backward");
}

void attention_forward(Context&, const Attention&, const AttentionShape&) {
  throw_absent("attention_forward");
}
void attention_backward(Context&, const AttentionGradient&, const AttentionShape&) {
  throw_absent("attention_backward");
}
void cached_attention_forward(Context&, const CachedAttention&, const CachedAttentionShape&) {
  throw_absent("cached_attention_forward");
}

void gelu_forward(Context&, const Gelu&) {
  throw_absent("gelu_forward");
}
void gelu_backward(Context&, const GeluGradient&) {
  throw_absent("gelu_backward");
}

void softmax_cross_entropy(Context&, const SoftmaxCrossEntropy&) {
  throw_absent("softmax_cross_entropy");
}

void dropout_forward(Context&, const Dropout&) {
  throw_absent("dropout_forward");
}
void dropout_backward(Context&, const DropoutGradient&) {
  throw_absent("dropout_backward");
}

void adamw_update(Context&, const AdamW&) {
  throw_absent("adamw_update");
}
void moving_average_update(Context&, const MovingAverage&) {
  throw_absent("moving_average_update");
}
void gradient_norm(Context&, const GradientNorm&) {
  throw_absent("gradient_norm");
}

void convert(Context&, const Convert&) {
  throw_absent("convert");
}
void set_zero(Context&, const SetZero&) {
  throw_absent("set_zero");
}

}  // namespace ovid::kernels::cuda
