# Finds nvcc 12.4 or newer, cuBLAS and cuDNN 9, in a CUDA toolkit or in Python's wheels, and enables the
# language CUDA. Sets RONDO_CUDA_MISSING: "" when all is there, else a sentence that says what is not; and
# RONDO_CUDA_INCLUDE_DIRS of the headers of all three, RONDO_CUDA_FOLDERS with the libraries that the module
# opens at run time. Another toolkit: -DCMAKE_CUDA_COMPILER=/path/nvcc, or CUDACXX in the environment; another
# cuDNN: CUDNN_ROOT, in either.
set(RONDO_CUDA_MISSING "")
set(oldest_nvcc 12.4)

# The folders nvidia/cu13 (whole toolkit), nvidia/cublas (of CUDA 12) and nvidia/cudnn of the first Python in
# PATH.
set(wheels "")
set(cudnn_wheels "")
find_program(RONDO_PYTHON NAMES python3)
mark_as_advanced(RONDO_PYTHON)
if(RONDO_PYTHON)
  execute_process(COMMAND "${RONDO_PYTHON}" -c "import nvidia; print(*nvidia.__path__, sep=';', end='')"
                  OUTPUT_VARIABLE nvidia_folders ERROR_QUIET)
  foreach(folder IN LISTS nvidia_folders)
    list(APPEND wheels "${folder}/cu13" "${folder}/cublas")
    list(APPEND cudnn_wheels "${folder}/cudnn")
  endforeach()
endif()
set(toolkits "$ENV{CUDA_HOME}" "$ENV{CUDA_PATH}" /usr/local/cuda ${wheels})
list(REMOVE_ITEM toolkits "")

if(NOT CMAKE_CUDA_COMPILER AND NOT "$ENV{CUDACXX}" STREQUAL "")
  set(CMAKE_CUDA_COMPILER "$ENV{CUDACXX}")
endif()
# Toolkits first: the nvcc in PATH may be a script that has no libraries beside it.
find_program(CMAKE_CUDA_COMPILER NAMES nvcc HINTS ${toolkits} PATH_SUFFIXES bin)

if(NOT BUILD_SHARED_LIBS)
  set(RONDO_CUDA_MISSING "it is a module of the shared library, and BUILD_SHARED_LIBS is off")
elseif(RONDO_SANITIZE)
  set(RONDO_CUDA_MISSING "it is not built with sanitizers")
elseif(NOT CMAKE_CUDA_COMPILER)
  set(RONDO_CUDA_MISSING "there is no nvcc in CUDACXX, CUDA_HOME, PATH, /usr/local/cuda or Python's wheels")
else()
  execute_process(COMMAND "${CMAKE_CUDA_COMPILER}" --version OUTPUT_VARIABLE text ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" text "${text}")
  set(nvcc_version "${CMAKE_MATCH_1}")
  if(nvcc_version STREQUAL "")
    set(RONDO_CUDA_MISSING "${CMAKE_CUDA_COMPILER} --version does not work")
  elseif(nvcc_version VERSION_LESS oldest_nvcc)
    set(RONDO_CUDA_MISSING "${CMAKE_CUDA_COMPILER} is ${nvcc_version}, older than ${oldest_nvcc}")
  endif()
endif()

if(NOT RONDO_CUDA_MISSING)
  file(REAL_PATH "${CMAKE_CUDA_COMPILER}" nvcc_folder)
  cmake_path(SET nvcc_folder NORMALIZE "${nvcc_folder}/../..")
  find_path(RONDO_CUBLAS_INCLUDE_DIR NAMES cublas_v2.h HINTS "${nvcc_folder}" ${toolkits}
            PATH_SUFFIXES include)
  string(REGEX MATCH "^[0-9]+" major "${nvcc_version}")
  find_library(RONDO_CUBLAS_LIBRARY NAMES cublas libcublas.so.${major} HINTS "${nvcc_folder}" ${toolkits}
               PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib targets/sbsa-linux/lib)
  mark_as_advanced(RONDO_CUBLAS_INCLUDE_DIR RONDO_CUBLAS_LIBRARY)
  if(NOT RONDO_CUBLAS_INCLUDE_DIR)
    set(RONDO_CUDA_MISSING "there is no cublas_v2.h beside ${CMAKE_CUDA_COMPILER}")
  elseif(NOT RONDO_CUBLAS_LIBRARY)
    set(RONDO_CUDA_MISSING "there is no libcublas.so.${major} beside ${CMAKE_CUDA_COMPILER}")
  endif()
endif()

if(NOT RONDO_CUDA_MISSING)
  include(cudnn)
endif()

# CMake ends the configuration when a compiler does not work, which under AUTO is only a reason.
if(NOT RONDO_CUDA_MISSING AND NOT RONDO_NVCC_WORKS STREQUAL "${CMAKE_CUDA_COMPILER} ${CMAKE_CXX_COMPILER}")
  set(probe "${PROJECT_BINARY_DIR}/CMakeFiles/rondo_nvcc")
  file(WRITE "${probe}.cu"
       "#include <vector>\n__global__ void probe() {}\nint main() { probe<<<1, 1>>>(); }\n")
  execute_process(COMMAND "${CMAKE_CUDA_COMPILER}" -std=c++20 -ccbin "${CMAKE_CXX_COMPILER}" -o "${probe}.out"
                  "${probe}.cu" RESULT_VARIABLE failed OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(failed)
    string(REGEX MATCH "[^\n]*error[^\n]*" text "${text}")
    set(RONDO_CUDA_MISSING "${CMAKE_CUDA_COMPILER} with ${CMAKE_CXX_COMPILER} compiles no program: ${text}")
  else()
    set(RONDO_NVCC_WORKS "${CMAKE_CUDA_COMPILER} ${CMAKE_CXX_COMPILER}" CACHE INTERNAL "nvcc that was tried")
  endif()
endif()

if(NOT RONDO_CUDA_MISSING)
  # Machine code for data-centre GPUs from Ampere on, which their smaller relatives run too, and PTX of the
  # newest one that every supported nvcc knows, for those that come later.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(architectures 80-real 90-real)
    if(nvcc_version VERSION_GREATER_EQUAL 13.0)
      list(APPEND architectures 100-real 120-real)
    endif()
    set(CMAKE_CUDA_ARCHITECTURES ${architectures} 90-virtual CACHE STRING "GPU architectures")
  endif()
  # Both compilers of one object share one host compiler; a user's own choice stands.
  if(NOT DEFINED CMAKE_CUDA_HOST_COMPILER AND "$ENV{CUDAHOSTCXX}" STREQUAL "")
    set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}")
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # which CMake 3.25 does not know
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  set(RONDO_CUDA_INCLUDE_DIRS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} "${RONDO_CUBLAS_INCLUDE_DIR}"
      "${cudnn_include}")
  cmake_path(GET RONDO_CUBLAS_LIBRARY PARENT_PATH cublas_folder)
  cmake_path(GET cudnn_library PARENT_PATH cudnn_folder)
  set(RONDO_CUDA_FOLDERS "${cublas_folder}" "${cudnn_folder}")
  list(REMOVE_DUPLICATES RONDO_CUDA_FOLDERS)
  message(STATUS "CUDA backend: nvcc ${nvcc_version}, ${RONDO_CUBLAS_LIBRARY}, cuDNN ${cudnn_version} "
          "(${cudnn_library}), architectures ${CMAKE_CUDA_ARCHITECTURES}")
endif()
