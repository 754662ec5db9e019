#pragma once
// The PTX inside programs: nvcc's fat binaries as a program registers them, and as they lie in an
// ELF file.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptx_emulator {

// What is wrong with a fat binary: what was found, what was needed, what to do.
class FatBinaryError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One entry of a container.
struct FatBinaryEntry {
  enum class Kind : std::uint8_t { kPtx, kElf, kOther };
  Kind kind = Kind::kOther;
  std::uint16_t kind_number = 0;   // as in the file: 1 PTX, 2 ELF (SASS for one architecture)
  std::uint32_t architecture = 0;  // 80, 90, ...: of PTX, the least device that it asks for
  // 'a' of sm_90a (exactly that device), 'f' of sm_100f (that family), 0 otherwise. Known from the
  // text of PTX only.
  char architecture_suffix = 0;
  std::uint32_t ptx_version = 0;  // 90 for 9.0
  std::string text;               // of PTX, decompressed, without the zeros behind it
};

// One container: the entries of one translation unit, for several architectures.
using FatBinaryContainer = std::vector<FatBinaryEntry>;

// Reads the containers that follow each other in `bytes` (which may end in zeros). Every size is
// checked before it is used; an uncompressed size is limited to kMostTextBytes. Entries that are no
// PTX are not decompressed. `label` names the origin in messages. Throws FatBinaryError.
std::vector<FatBinaryContainer> read_fat_binary(std::span<const std::byte> bytes,
                                                const std::string& label);
inline constexpr std::uint64_t kMostTextBytes = std::uint64_t{1} << 30;

// The containers behind the wrapper that __cudaRegisterFatBinary receives: one, or of a program
// with relocatable device code (-rdc=true) one for each unit (and not the one with what the device
// linker made of them: machine code). The wrapper lies in the program's own memory and states the
// containers' sizes itself, so this trusts that they are mapped. Throws FatBinaryError.
std::vector<FatBinaryContainer> read_registered_fat_binary(const void* wrapper,
                                                           const std::string& label);

// The PTX that a device of this architecture (80, 90) runs: of each container the newest that is at
// most the device's; PTX with a suffix counts only for exactly its architecture (and there before
// the plain one). Containers with nothing for the device are left out where another one has
// something: that is how NVIDIA's device library (machine code only) comes along with -rdc=true,
// and the linked machine code beside PTX; `left_out` receives what they hold, for the message about
// a kernel that is not found. Empty where all containers are empty. Throws FatBinaryError that
// lists what the fat binary holds, with the nvcc flags to add, where no container has PTX for the
// device.
std::vector<const FatBinaryEntry*> choose_ptx(const std::vector<FatBinaryContainer>& containers,
                                              std::uint32_t architecture, const std::string& label,
                                              std::string* left_out = nullptr);

// Fat binaries in an ELF file (a program, shared library or object, 64 bits, little endian): the
// sections .nv_fatbin and __nv_relfatbin. Empty where there are none. Throws FatBinaryError for
// what is no such ELF file or is damaged.
struct ElfFatBinaries {
  std::vector<FatBinaryContainer> containers;
  std::vector<std::string> needed;  // shared libraries that the file asks for (DT_NEEDED)
  bool has_static_runtime = false;  // the CUDA runtime is linked in, and so cannot be replaced
  // DT_RPATH, which goes before LD_LIBRARY_PATH; empty where there is none.
  std::string fixed_search_path;
};
ElfFatBinaries read_elf_fat_binaries(const std::filesystem::path& path);

// The bytes of an LZ4 block without frame, `size_bytes` of them. nullopt where the block is damaged
// or yields another number of bytes.
std::optional<std::string> decompress_lz4(std::span<const std::byte> block,
                                          std::uint64_t size_bytes);

}  // namespace ptx_emulator
