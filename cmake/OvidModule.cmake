# A module is a folder with one target. Its name is its path from the repository root.
#
#   ovid_add_module(SOURCES a.cpp b.cpp USES kernels/common src/core LIBRARIES fmt::fmt)
#
# USES is the whole list of modules whose headers this one may include: tests/architecture holds the includes against it.
# PRIVATE_LIBRARIES are third-party libraries that appear in .cpp files only.
include_guard(GLOBAL)
define_property(GLOBAL PROPERTY OVID_MODULE_GRAPH BRIEF_DOCS "lines 'module: used used ...'")

function(ovid_module_target module out)
  string(REGEX REPLACE "^src/" "" name "${module}")
  string(REPLACE "/" "_" name "${name}")
  set(${out} "ovid_${name}" PARENT_SCOPE)
endfunction()

function(ovid_add_module)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBRARIES;PRIVATE_LIBRARIES" ${ARGN})
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY "${CMAKE_SOURCE_DIR}" OUTPUT_VARIABLE module)
  ovid_module_target("${module}" target)
  set(used "")
  foreach(other IN LISTS ARG_USES)
    ovid_module_target("${other}" other_target)
    list(APPEND used ${other_target})
  endforeach()
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    target_include_directories(${target} PUBLIC "${CMAKE_SOURCE_DIR}")
    target_link_libraries(${target} PUBLIC ${used} ${ARG_LIBRARIES} PRIVATE ovid::warnings ${ARG_PRIVATE_LIBRARIES})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE "${CMAKE_SOURCE_DIR}")
    target_link_libraries(${target} INTERFACE ${used} ${ARG_LIBRARIES})
  endif()
  list(JOIN ARG_USES " " line)
  set_property(GLOBAL APPEND PROPERTY OVID_MODULE_GRAPH "${module}: ${line}")
endfunction()

# One Catch2 program. Test cases become ctest tests of the given labels.
#   ovid_add_test(NAME tokenizer SOURCES a_test.cpp USES src/tokenizer LABELS unit)
function(ovid_add_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "SOURCES;USES;LABELS;LIBRARIES" ${ARGN})
  set(target "test_${ARG_NAME}")
  add_executable(${target} ${ARG_SOURCES})
  set(used "")
  foreach(other IN LISTS ARG_USES)
    ovid_module_target("${other}" other_target)
    list(APPEND used ${other_target})
  endforeach()
  target_link_libraries(${target} PRIVATE ovid_test_main ovid::warnings ${used} ${ARG_LIBRARIES})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  # Catch2's discovery keeps only the first label of a list. ctest selects by regular expression, so one label
  # "unit-threads" is found by `-L unit` and by `-L threads`.
  list(JOIN ARG_LABELS "-" label)
  catch_discover_tests(${target} TEST_PREFIX "${ARG_NAME}: " DISCOVERY_MODE PRE_TEST
                       PROPERTIES LABELS "${label}" TIMEOUT ${ARG_TIMEOUT})
endfunction()

# A test of label cuda that runs CUDA code: a Catch2 program of SOURCES, or a PROGRAM of this build with ARGUMENTS. Where
# the PTX emulator is built, its libraries stand before CUDA's and every fault that it looks for fails the test; else the
# test wants a GPU, and says so where there is none.
#   ovid_add_cuda_test(NAME gelu_cuda SOURCES gelu_cuda_test.cpp USES kernels/gelu)
# DEVICE h100 plays an H100 (its sm_90a code is taken) in place of an A100.
function(ovid_add_cuda_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT;DEVICE;PROGRAM" "SOURCES;USES;LABELS;LIBRARIES;ARGUMENTS" ${ARGN})
  set(target "${ARG_PROGRAM}")
  if(NOT target)
    set(target "test_${ARG_NAME}")
    add_executable(${target} ${ARG_SOURCES})
    set(used "")
    foreach(other IN LISTS ARG_USES)
      ovid_module_target("${other}" other_target)
      list(APPEND used ${other_target})
    endforeach()
    target_link_libraries(${target} PRIVATE ovid_test_main ovid::warnings ${used} ${ARG_LIBRARIES})
    add_dependencies(${target} ovid_cuda)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  set(environment "OVID_CUDA_MODULE=set:$<TARGET_FILE:ovid_cuda>")
  if(OVID_PTX_EMULATOR)
    list(APPEND environment "LD_LIBRARY_PATH=path_list_prepend:${CMAKE_BINARY_DIR}/tests/ptx_emulator/lib"
                            "PTX_EMULATOR_CHECK=set:all")
    if(ARG_DEVICE)
      list(APPEND environment "PTX_EMULATOR_DEVICE=set:${ARG_DEVICE}")
    endif()
  endif()
  list(PREPEND ARG_LABELS cuda)
  list(JOIN ARG_LABELS "-" labels)
  add_test(NAME ${ARG_NAME} COMMAND ${target} ${ARG_ARGUMENTS})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${labels}" TIMEOUT ${ARG_TIMEOUT}
                                              ENVIRONMENT_MODIFICATION "${environment}")
endfunction()

function(ovid_write_module_graph)
  get_property(lines GLOBAL PROPERTY OVID_MODULE_GRAPH)
  list(JOIN lines "\n" text)
  file(WRITE "${CMAKE_BINARY_DIR}/module_graph.txt" "${text}\n")
endfunction()
