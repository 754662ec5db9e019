#include "tests/fuzz/fuzz_target.h"
#include "tests/ptx_emulator/runtime/fat_binary.h"

// Fat binaries as they lie in memory, and the same bytes as an ELF file.
namespace ovid::fuzz {
namespace {

template <class Call>
void refuses_fat_binary(Call call) {
  try {
    call();
  } catch (const ptx_emulator::FatBinaryError& error) {
    check_message(error.what(), std::size_t{1} << 20);
  }
}

}  // namespace

// zstd may expand 4096-fold, and an input has up to 16 KiB.
const AllowedBytes kAllowedBytes{.ours = 80 * kMiB, .malloc_ = 16 * kMiB};

void try_input(std::string_view input) {
  refuses_fat_binary([&] {
    const auto containers = ptx_emulator::read_fat_binary(std::as_bytes(std::span(input)), "input");
    ptx_emulator::choose_ptx(containers, 90, "input");
  });
  const Path path = write_file("program", input);
  refuses_fat_binary([&] { ptx_emulator::read_elf_fat_binaries(path.string()); });
}

}  // namespace ovid::fuzz
