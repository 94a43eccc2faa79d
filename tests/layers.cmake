# Checks the walls between the folders; run as: cmake -DROOT= -DCOMPILER= -DSCRATCH= -P layers.cmake
cmake_minimum_required(VERSION 3.25)

# Vendors' headers, as they would stand after `#include <` or `#include "`.
set(vendor "(cblas|openblas|mkl|cudnn|cublas|cuda|curand|driver_types|hwy/|immintrin|arm_neon)")

# Appends to `out` one line for each include in root/folder/**.{h,cpp,cu} that matches pattern.
function(find_includes out root folder pattern)
  file(GLOB_RECURSE files RELATIVE "${root}" "${root}/${folder}/*.h" "${root}/${folder}/*.cpp"
       "${root}/${folder}/*.cu")
  foreach(file IN LISTS files)
    file(STRINGS "${root}/${file}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"](\\.\\./)*${pattern}")
    foreach(line IN LISTS lines)
      list(APPEND ${out} "${file} must not say ${line}")
    endforeach()
  endforeach()
  set(${out} "${${out}}" PARENT_SCOPE)
endfunction()

function(check_walls out root)
  set(found "")
  find_includes(found "${root}" core "(cpu/|cuda/)")
  find_includes(found "${root}" core "${vendor}")
  find_includes(found "${root}" core/include "core/")
  find_includes(found "${root}" cpu "cuda/")
  find_includes(found "${root}" cpu "(cudnn|cublas|cuda_runtime)")
  find_includes(found "${root}" cuda "(cpu/|hwy/|cblas)")
  foreach(folder examples tools)
    find_includes(found "${root}" ${folder} "(core|cpu|cuda)/")
  endforeach()
  # BLAS is known to one file of the CPU backend.
  find_includes(blas "${root}" cpu "cblas")
  foreach(line IN LISTS blas)
    if(NOT line MATCHES "^cpu/outer_products\\.cpp ")
      list(APPEND found "${line}")
    endif()
  endforeach()
  # CUDA's own headers are known to few files of its backend, cuBLAS and cuDNN to one each; the step path is
  # free of them.
  find_includes(cuda_headers "${root}" cuda "(cudnn|cublas|cuda_runtime|cuda\\.h|curand|driver_types)")
  foreach(line IN LISTS cuda_headers)
    if(NOT line MATCHES "^cuda/blas\\.cpp .*cublas" AND
       NOT line MATCHES "^cuda/cudnn_library\\.h .*cudnn\\.h" AND
       NOT line MATCHES "^cuda/(blas|cuda_error|cuda_runtime|devices)\\.h .*cuda_runtime_api")
      list(APPEND found "${line}")
    endif()
  endforeach()
  # Cell equations are included inside other namespaces, so they include nothing themselves.
  find_includes(found "${root}" core/cells "")
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

# The check itself is checked: each of these breaches has to be found.
set(breaches "core/a.cpp|cpu/team.h" "core/b.h|hwy/highway.h" "core/include/rondo/c.h|core/backend.h"
    "core/include/rondo/d.h|cublas_v2.h" "cpu/e.cpp|cuda/plan.h" "cpu/kernels/f.h|cblas.h"
    "cuda/kernels/g.cu|cpu/team.h" "cuda/backend.cpp|cublas_v2.h" "cuda/step_layers-inl.h|cuda_runtime.h"
    "cuda/cudnn_rnn.h|cudnn.h" "core/cells/h-inl.h|cmath" "examples/i.cpp|core/backend.h")
foreach(breach IN LISTS breaches)
  string(REPLACE "|" ";" breach "${breach}")
  list(GET breach 0 file)
  list(GET breach 1 header)
  file(REMOVE_RECURSE "${SCRATCH}")
  file(WRITE "${SCRATCH}/${file}" "#include <vector>\n# include \"${header}\"\n")
  check_walls(found "${SCRATCH}")
  if(NOT found MATCHES "${header}")
    message(SEND_ERROR "layers.cmake does not notice that ${file} includes ${header}")
  endif()
endforeach()

check_walls(found "${ROOT}")
foreach(line IN LISTS found)
  message(SEND_ERROR "${line}")
endforeach()

file(GLOB headers "${ROOT}/core/include/rondo/*.h")
list(LENGTH headers count)
if(count EQUAL 0)
  message(SEND_ERROR "no public headers under ${ROOT}/core/include/rondo")
endif()
foreach(header IN LISTS headers)
  get_filename_component(name "${header}" NAME)
  file(WRITE "${SCRATCH}/alone.cpp" "#include \"rondo/${name}\"\n#include \"rondo/${name}\"\n")
  execute_process(COMMAND "${COMPILER}" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror
    -I "${ROOT}/core/include" "${SCRATCH}/alone.cpp" RESULT_VARIABLE failed ERROR_VARIABLE text)
  if(failed)
    message(SEND_ERROR "rondo/${name} does not compile by itself:\n${text}")
  endif()
endforeach()
file(REMOVE_RECURSE "${SCRATCH}")
