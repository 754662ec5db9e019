#pragma once
// Which element of A and B each register of mma.sync holds, as the PTX manual gives it.

#include <cstdint>

namespace ptx_emulator::testing {

using Index = std::uint32_t;

struct Coordinates {
  Index row, column;
};
// Element i of lane (g, t), as the manual numbers them: a0, a1, ... whatever the register.
using Formula = Coordinates (*)(Index i, Index g, Index t);

struct Layout {
  const char* shape;
  Index M, N, K;
  Index bits;
  Formula a, b;
};

inline bool between(Index i, Index low, Index high) {
  return i >= low && i < high;
}

inline const Layout kLayouts[] = {
    {"m16n8k4", 16, 8, 4, 32,
     [](Index i, Index g, Index t) {
       return Coordinates{i == 0 ? g : g + 8, t};
     },
     [](Index, Index g, Index t) {
       return Coordinates{t, g};
     }},
    {"m16n8k8", 16, 8, 8, 32,
     [](Index i, Index g, Index t) {
       return Coordinates{i == 0 || i == 2 ? g : g + 8, i < 2 ? t : t + 4};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{i == 0 ? t : t + 4, g};
     }},
    {"m16n8k8", 16, 8, 8, 16,
     [](Index i, Index g, Index t) {
       return Coordinates{i < 2 ? g : g + 8, 2 * t + (i & 1)};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{2 * t + i, g};
     }},
    {"m16n8k16", 16, 8, 16, 16,
     [](Index i, Index g, Index t) {
       return Coordinates{between(i, 0, 2) || between(i, 4, 6) ? g : g + 8,
                          i < 4 ? 2 * t + (i & 1) : 2 * t + (i & 1) + 8};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{i < 2 ? 2 * t + (i & 1) : 2 * t + (i & 1) + 8, g};
     }},
    {"m16n8k16", 16, 8, 16, 8,
     [](Index i, Index g, Index t) {
       return Coordinates{i < 4 ? g : g + 8, 4 * t + (i & 3)};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{4 * t + i, g};
     }},
    {"m16n8k32", 16, 8, 32, 8,
     [](Index i, Index g, Index t) {
       return Coordinates{between(i, 0, 4) || between(i, 8, 12) ? g : g + 8,
                          i < 8 ? 4 * t + (i & 3) : 4 * t + (i & 3) + 16};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{i < 4 ? 4 * t + (i & 3) : 4 * t + (i & 3) + 16, g};
     }},
    {"m16n8k32", 16, 8, 32, 4,
     [](Index i, Index g, Index t) {
       return Coordinates{i < 8 ? g : g + 8, 8 * t + (i & 7)};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{8 * t + i, g};
     }},
    {"m16n8k64", 16, 8, 64, 4,
     [](Index i, Index g, Index t) {
       return Coordinates{between(i, 0, 8) || between(i, 16, 24) ? g : g + 8,
                          i < 16 ? 8 * t + (i & 7) : 8 * t + (i & 7) + 32};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{i < 8 ? 8 * t + (i & 7) : 8 * t + (i & 7) + 32, g};
     }},
    {"m8n8k16", 8, 8, 16, 8,
     [](Index i, Index g, Index t) {
       return Coordinates{g, 4 * t + i};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{4 * t + i, g};
     }},
    {"m8n8k32", 8, 8, 32, 4,
     [](Index i, Index g, Index t) {
       return Coordinates{g, 8 * t + i};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{8 * t + i, g};
     }},
    {"m16n8k128", 16, 8, 128, 1,
     [](Index i, Index g, Index t) {
       return Coordinates{i < 32 ? g : g + 8, 32 * t + (i & 31)};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{32 * t + i, g};
     }},
    {"m16n8k256", 16, 8, 256, 1,
     [](Index i, Index g, Index t) {
       return Coordinates{between(i, 0, 32) || between(i, 64, 96) ? g : g + 8,
                          i < 64 ? 32 * t + (i & 31) : 32 * t + (i & 31) + 128};
     },
     [](Index i, Index g, Index t) {
       return Coordinates{i < 32 ? 32 * t + i : 32 * t + (i & 31) + 128, g};
     }},
};

}  // namespace ptx_emulator::testing
