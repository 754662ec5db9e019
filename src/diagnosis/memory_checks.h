#pragma once

#include "src/diagnosis/finding.h"
#include "src/diagnosis/system_view.h"

namespace ovid::diagnosis {

// What the machine and the control group leave to a run. The group's file caches count as free:
// they are given up when memory is short.
Finding check_memory(const SystemView& system);

// Whether memory of running programs lies on disk.
Finding check_swap(const SystemView& system);

// Whether large pages can be had, which arenas ask for by madvise.
Finding check_huge_pages(const SystemView& system);

}  // namespace ovid::diagnosis
