# Which library multiplies matrices on the CPU.  Out: ovid::gemm, with OVID_GEMM_ONEDNN or OVID_GEMM_OPENBLAS defined.
include_guard(GLOBAL)
set(OVID_GEMM AUTO CACHE STRING "CPU matrix products: AUTO, onednn, openblas, builtin")
set_property(CACHE OVID_GEMM PROPERTY STRINGS AUTO onednn openblas builtin)

add_library(ovid_gemm INTERFACE)
add_library(ovid::gemm ALIAS ovid_gemm)
set(OVID_GEMM_CHOSEN builtin)
if(OVID_GEMM MATCHES "^(AUTO|onednn)$")
  # Not find_package(dnnl): Debian's config file demands OpenCL headers that libdnnl-dev does not depend on.
  find_path(OVID_DNNL_INCLUDE dnnl.h HINTS $ENV{VIRTUAL_ENV}/include)
  find_library(OVID_DNNL_LIBRARY NAMES dnnl libdnnl.so.3 HINTS $ENV{VIRTUAL_ENV}/lib)
  if(OVID_DNNL_INCLUDE AND OVID_DNNL_LIBRARY)
    target_include_directories(ovid_gemm SYSTEM INTERFACE "${OVID_DNNL_INCLUDE}")
    target_link_libraries(ovid_gemm INTERFACE "${OVID_DNNL_LIBRARY}")
    target_compile_definitions(ovid_gemm INTERFACE OVID_GEMM_ONEDNN=1)
    set(OVID_GEMM_CHOSEN onednn)
  endif()
endif()
if(OVID_GEMM_CHOSEN STREQUAL "builtin" AND OVID_GEMM MATCHES "^(AUTO|openblas)$")
  # The OpenMP flavour by its own folder: the alternatives system gives the pthread one, whose pool fights with ours.
  find_library(OVID_OPENBLAS_LIBRARY openblas
               PATHS /usr/lib/${CMAKE_CXX_LIBRARY_ARCHITECTURE}/openblas-openmp NO_DEFAULT_PATH)
  find_library(OVID_OPENBLAS_LIBRARY openblas)
  find_path(OVID_OPENBLAS_INCLUDE cblas.h
            PATHS /usr/include/${CMAKE_CXX_LIBRARY_ARCHITECTURE}
            PATH_SUFFIXES openblas-openmp openblas-pthread openblas)
  if(OVID_OPENBLAS_LIBRARY AND OVID_OPENBLAS_INCLUDE)
    target_include_directories(ovid_gemm SYSTEM INTERFACE "${OVID_OPENBLAS_INCLUDE}")
    target_link_libraries(ovid_gemm INTERFACE "${OVID_OPENBLAS_LIBRARY}")
    target_compile_definitions(ovid_gemm INTERFACE OVID_GEMM_OPENBLAS=1)
    set(OVID_GEMM_CHOSEN openblas)
  endif()
endif()
if(NOT OVID_GEMM STREQUAL "AUTO" AND NOT OVID_GEMM STREQUAL OVID_GEMM_CHOSEN)
  message(FATAL_ERROR "OVID_GEMM=${OVID_GEMM} was asked for, but its library was not found")
endif()
target_compile_definitions(ovid_gemm INTERFACE OVID_GEMM_NAME="${OVID_GEMM_CHOSEN}")
message(STATUS "CPU matrix products: ${OVID_GEMM_CHOSEN} ${OVID_DNNL_LIBRARY} ${OVID_OPENBLAS_LIBRARY}")
