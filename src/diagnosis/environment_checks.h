#pragma once

#include <string>

#include "src/diagnosis/finding.h"
#include "src/diagnosis/system_view.h"

namespace ovid::diagnosis {

// Environment variables that slow this Ovid or change what it does, one finding each; one good
// finding where none is set. `matrix_library` as kernels::cpu::gemm_library says: a variable of a
// library that is not used is no finding. `cores` are those Ovid takes.
Findings check_environment(const SystemView& system, const std::string& matrix_library, int cores);

// The locale by LC_ALL, LC_CTYPE, LANG: Ovid reads and writes UTF-8 and numbers with a point in
// any, but a terminal of another encoding shows generated text wrongly.
Finding check_locale(const SystemView& system);

}  // namespace ovid::diagnosis
