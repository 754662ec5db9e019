# Finds MPI, or decides for a build without it: ranks of one machine need none.
# In:  OVID_MPI = AUTO | ON | OFF      Out: OVID_HAVE_MPI, MPI::MPI_CXX
include_guard(GLOBAL)
set(OVID_MPI AUTO CACHE STRING "Build the MPI module: AUTO (if MPI is found), ON (required), OFF")
set_property(CACHE OVID_MPI PROPERTY STRINGS AUTO ON OFF)
set(OVID_HAVE_MPI OFF)
if(OVID_MPI STREQUAL "OFF")
  message(STATUS "MPI: turned off")
  return()
endif()
set(MPI_CXX_SKIP_MPICXX ON)  # the C interface is all that is used
find_package(MPI 3.0 QUIET COMPONENTS CXX)
if(MPI_CXX_FOUND)
  set(OVID_HAVE_MPI ON)
  message(STATUS "MPI: ${MPI_CXX_VERSION}, ${MPI_CXX_LIBRARIES} (-DOVID_MPI=OFF leaves it out)")
elseif(OVID_MPI STREQUAL "ON")
  message(FATAL_ERROR "OVID_MPI=ON but no MPI was found. Install one (Debian: libopenmpi-dev openmpi-bin), set MPI_HOME "
                      "to its folder, or build with -DOVID_MPI=OFF.")
else()
  message(STATUS "MPI: not found, ranks of several machines are left out")
endif()
