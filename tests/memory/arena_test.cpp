#include "src/memory/arena.h"

#include <cstdint>
#include <stdexcept>

#include "src/core/error.h"
#include "src/memory/execution.h"
#include "src/memory/machine_memory.h"
#include "tests/catch.h"

namespace ovid::memory {

using kernels::DType;
using kernels::Shape;

TEST_CASE("an arena lays out the same way whether it measures or owns", "[memory]") {
  const auto lay_out = [](Arena& arena) {
    arena.take("a", DType::kFloat32, Shape{3, 5});
    arena.take("b", DType::kUint8, Shape{1}, 6);
    arena.take_padded("c", DType::kFloat32, Shape{2, 5}, 8);
  };
  const std::size_t bytes = measure(lay_out);
  CHECK(bytes == 64 + 64 + 64);
  Arena arena("test", bytes);
  lay_out(arena);
  CHECK(arena.used_bytes() == bytes);
  CHECK(arena.entries()[1].offset == 64);
  CHECK_THROWS_AS(arena.take("d", DType::kUint8, Shape{1}), std::logic_error);
}

TEST_CASE("memory of an arena is aligned and zero; a measuring arena has none", "[memory]") {
  Arena arena("test", 4096);
  const kernels::View view = arena.take("a", DType::kFloat32, Shape{2, 7});
  CHECK(reinterpret_cast<std::uintptr_t>(view.raw()) % Arena::kAlignment == 0);
  for (int i = 0; i < 14; ++i) CHECK(view.data<float>()[i] == 0.0f);
  CHECK(arena.flat(kernels::DType::kFloat32).elements() == 16);
  Arena measuring("test");
  CHECK(measuring.take("a", DType::kFloat32, Shape{2, 7}).raw() == nullptr);
}

TEST_CASE("memory that no machine has is a resource error with a cure", "[memory]") {
  REQUIRE_THROWS_AS(Buffer(std::size_t{1} << 60, "weights"), ResourceError);
  try {
    Buffer(std::size_t{1} << 60, "weights");
  } catch (const ResourceError& e) {
    CHECK_THAT(e.what(),
               Catch::Matchers::Contains("1048576.00 TiB") && Catch::Matchers::Contains("weights"));
  }
}

TEST_CASE("scratch frames give their memory back in order and keep the high-water mark",
          "[memory]") {
  Execution execution(nullptr, 1, 256);
  kernels::ExecutionContext& ctx = execution.context();
  const float* first = nullptr;
  {
    kernels::ScratchFrame frame(ctx);
    first = frame.take<float>(16).data();
    kernels::ScratchFrame inner(ctx);
    CHECK(inner.take<float>(16).data() == first + 16);
  }
  kernels::ScratchFrame frame(ctx);
  CHECK(frame.take<float>(1).data() == first);
  CHECK(ctx.scratch().high_water() == 128);
  CHECK_THROWS_AS(frame.take<float>(1000), kernels::DeviceError);
}

TEST_CASE("sizes are readable", "[memory]") {
  CHECK(readable_bytes(512) == "512 B");
  CHECK(readable_bytes(3 << 20) == "3.00 MiB");
  CHECK(available_memory() > 0);
}

}  // namespace ovid::memory
