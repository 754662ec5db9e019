# Finds a CUDA toolkit, or decides for a CPU-only build.
# In:  OVID_CUDA = AUTO | ON | OFF      Out: OVID_HAVE_CUDA
# This version has no CUDA kernels yet: kernels/cuda/absent.cpp defines the cuda:: entries in every build, and says so
# when one is called. The option exists so that presets and scripts keep their meaning.
include_guard(GLOBAL)
set(OVID_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO (if a toolkit is found), ON (required), OFF")
set_property(CACHE OVID_CUDA PROPERTY STRINGS AUTO ON OFF)
set(OVID_HAVE_CUDA OFF)
if(OVID_CUDA STREQUAL "OFF")
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER} found; this version has no CUDA kernels yet, the build is CPU-only")
elseif(OVID_CUDA STREQUAL "ON")
  message(FATAL_ERROR "OVID_CUDA=ON but no nvcc was found. Set CUDACXX=/path/to/nvcc, or build with -DOVID_CUDA=OFF.")
endif()
