# Installs Rondo into a scratch folder, then configures, builds and runs the consumer against it.
# Run as: cmake -DKIND=shared|static -DROOT= -DBUILT= -DBUILT_SHARED= -DCOMPILER= -DSCRATCH= -DVERSION=
# -DGENERATOR= -P
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE failed OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(failed)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

set(prefix "${SCRATCH}/prefix")
file(REMOVE_RECURSE "${prefix}" "${SCRATCH}/build")
if(KIND STREQUAL "shared")
  set(shared ON)
else()
  set(shared OFF)
endif()
set(library "${BUILT}")
if(shared AND NOT BUILT_SHARED OR BUILT_SHARED AND NOT shared)
  set(library "${SCRATCH}/library")
  run(${CMAKE_COMMAND} -S "${ROOT}" -B "${library}" -G "${GENERATOR}" -DCMAKE_CXX_COMPILER=${COMPILER}
      -DBUILD_SHARED_LIBS=${shared} -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0
      -DRONDO_TESTS=OFF -DRONDO_BENCH=OFF -DRONDO_EXAMPLES=OFF -DRONDO_CLI=OFF)
  run(${CMAKE_COMMAND} --build "${library}" --parallel 2)
endif()
run(${CMAKE_COMMAND} --install "${library}" --prefix "${prefix}")

# Only the public headers are installed.
file(GLOB_RECURSE installed RELATIVE "${prefix}/include" "${prefix}/include/*")
file(GLOB expected RELATIVE "${ROOT}/core/include" "${ROOT}/core/include/rondo/*.h")
list(SORT installed)
list(SORT expected)
if(NOT installed STREQUAL expected)
  message(FATAL_ERROR "installed headers: ${installed}\nexpected: ${expected}")
endif()

run(${CMAKE_COMMAND} -S "${ROOT}/tests/consumer" -B "${SCRATCH}/build" -G "${GENERATOR}"
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} --build "${SCRATCH}/build")
run(${CMAKE_COMMAND} -E env --unset=RONDO_DEVICE --unset=RONDO_BACKEND_DIR "${SCRATCH}/build/consumer")
message(STATUS "${output}")
string(FIND "${output}" "rondo ${VERSION}: " at)
if(NOT at EQUAL 0)
  message(FATAL_ERROR "expected the consumer to print version ${VERSION}, got: ${output}")
endif()

# The shared library looks for a CUDA backend beside itself; the static one has no use for it. Where this
# build installs one, it opens and finds a device or says why there is none.
set(reason "cuda:0: this installation has no CUDA backend: ${prefix}/[^ ]*/rondo/librondo_cuda.so does not")
if(NOT shared)
  set(reason "cuda:0: this program links rondo statically; the CUDA backend needs the shared library")
endif()
file(GLOB_RECURSE module "${prefix}/librondo_cuda.so")
if(module)
  set(reason "cuda:[0-9]+: ([^\n]*cudaGetDeviceCount: [^\n]*)?\n")
endif()
if(NOT output MATCHES "${reason}")
  message(FATAL_ERROR "expected the consumer to print ${reason}, got: ${output}")
endif()
