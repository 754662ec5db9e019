# One op of kernels/: a module that may include kernels/common, kernels/cpu and
# kernels/cuda. Known after kernels/cpu was added.
#
#   ovid_add_op(SOURCES gelu.cpp gelu_cpu.cpp)
#
# Every op calls its own cuda:: entries, which kernels/cuda_backend defines. That includes the ops' contracts, so it is the
# one that uses the ops, never the other way round; INTERFACE below only brings its library to whoever links an op
# (CMake repeats static libraries that need each other).
include_guard(GLOBAL)
function(ovid_add_op)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  ovid_add_module(SOURCES ${ARG_SOURCES} USES kernels/common kernels/cpu kernels/cuda PRIVATE_LIBRARIES hwy::hwy)
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY "${CMAKE_SOURCE_DIR}" OUTPUT_VARIABLE module)
  ovid_module_target("${module}" target)
  target_link_libraries(${target} INTERFACE ovid_kernels_cuda_backend)
endfunction()
