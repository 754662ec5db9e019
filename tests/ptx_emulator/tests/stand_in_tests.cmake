# Tests of the stand-ins: linked against them directly, with a double in the place of the runtime
# (exported by the program, so that the stand-ins find it).
function(ptx_emulator_add_stand_in_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;STAND_INS" ${ARGN})
  foreach(stand_in IN LISTS ARG_STAND_INS)
    if(NOT TARGET ptx_emulator_${stand_in})
      return()
    endif()
  endforeach()
  list(TRANSFORM ARG_STAND_INS PREPEND "ptx_emulator_" OUTPUT_VARIABLE libraries)
  ovid_add_test(NAME ptx_stand_in_${name} SOURCES ${ARG_SOURCES} runtime_double.cpp
                LIBRARIES ${libraries} ptx_emulator_stand_in_support LABELS ptx)
  set_target_properties(test_ptx_stand_in_${name} PROPERTIES ENABLE_EXPORTS ON)
  target_include_directories(test_ptx_stand_in_${name} SYSTEM PRIVATE ${PTX_EMULATOR_CUDA_INCLUDE} ${PTX_EMULATOR_NCCL_INCLUDE})
endfunction()

if(PTX_EMULATOR_CUDA_INCLUDE AND PTX_EMULATOR_CUBLAS_INCLUDE)
  ptx_emulator_add_stand_in_test(blas SOURCES stand_in_cublas_test.cpp stand_in_cublaslt_rules_test.cpp
                                              stand_in_cublaslt_test.cpp stand_in_number_format_test.cpp
                                 STAND_INS cublas cublaslt nvml)
endif()
if(PTX_EMULATOR_CUDA_INCLUDE AND PTX_EMULATOR_NCCL_INCLUDE)
  ptx_emulator_add_stand_in_test(nccl SOURCES stand_in_nccl_failure_test.cpp stand_in_nccl_test.cpp STAND_INS nccl)
endif()
