# Every option of the build, printed at configure time. The supported combinations are CMakePresets.json.
include_guard(GLOBAL)

option(OVID_TESTS "Build the tests" ON)
option(OVID_FUZZ "Build the libFuzzer programs of tests/fuzz in place of the tests (clang; preset fuzz)" OFF)
option(OVID_PTX_EMULATOR "With the tests: build the PTX emulator of tests/ptx_emulator and its own tests" ON)
option(OVID_BENCHMARKS "Build the benchmarks where Google Benchmark is found" ON)
option(OVID_WARNINGS_AS_ERRORS "Treat warnings of our own targets as errors" ON)
set(OVID_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, e.g. address,undefined or thread")

add_library(ovid_warnings INTERFACE)
add_library(ovid::warnings ALIAS ovid_warnings)
# nvcc has its own (kernels/cuda_backend).
target_compile_options(ovid_warnings INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wno-sign-conversion;-Wno-missing-field-initializers>")
if(OVID_WARNINGS_AS_ERRORS)
  target_compile_options(ovid_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

if(OVID_SANITIZE)
  # The sanitizers must see every object that is linked, so these flags alone are directory-wide.
  add_compile_options(-fsanitize=${OVID_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${OVID_SANITIZE})
  # gcc warns of uninitialised values that are none once its own instrumentation is in the code (its manual says so).
  target_compile_options(ovid_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()

if(OVID_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang" OR NOT OVID_SANITIZE MATCHES "fuzzer-no-link")
    message(FATAL_ERROR "OVID_FUZZ=ON needs clang and OVID_SANITIZE with fuzzer-no-link; use the preset: "
                        "cmake --preset fuzz")
  endif()
  # A static library does not wait for those that it names: the programs build only what they link.
  set(CMAKE_OPTIMIZE_DEPENDENCIES ON)
endif()

find_program(OVID_CCACHE ccache)
if(OVID_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${OVID_CCACHE}")
endif()

message(STATUS "OVID_TESTS=${OVID_TESTS} OVID_FUZZ=${OVID_FUZZ} OVID_PTX_EMULATOR=${OVID_PTX_EMULATOR} "
               "OVID_BENCHMARKS=${OVID_BENCHMARKS} "
               "OVID_WARNINGS_AS_ERRORS=${OVID_WARNINGS_AS_ERRORS} OVID_SANITIZE='${OVID_SANITIZE}' ccache=${OVID_CCACHE}")
