# The module in its place beside an installed library, and a library that was found by a relative path.
# Run as: cmake -DBUILT= -DLIBDIR= -DPROGRAM= -DSCRATCH= -P installed.cmake
cmake_minimum_required(VERSION 3.25)

# Installs what is given besides into SCRATCH/prefix.
function(install_there)
  execute_process(COMMAND ${CMAKE_COMMAND} --install "${BUILT}" --prefix "${prefix}" ${ARGN}
    COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
endfunction()
# What PROGRAM prints, run in SCRATCH/prefix with these arguments of `env`, has to match a pattern.
function(expect pattern)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=RONDO_DEVICE --unset=RONDO_BACKEND_DIR ${ARGN}
    "${PROGRAM}" WORKING_DIRECTORY "${prefix}" OUTPUT_VARIABLE text ERROR_VARIABLE errors)
  if(NOT text MATCHES "${pattern}")
    message(SEND_ERROR "with ${ARGN} expected ${pattern}, got:\n${text}${errors}")
  endif()
endfunction()

set(prefix "${SCRATCH}/prefix")
set(library "LD_LIBRARY_PATH=${prefix}/${LIBDIR}:$ENV{LD_LIBRARY_PATH}")
file(REMOVE_RECURSE "${SCRATCH}")
install_there()
# A build that has the CUDA backend has installed it; this is about the place, and a fake is to lie there.
file(REMOVE "${prefix}/${LIBDIR}/rondo/librondo_cuda.so")
set(none "${prefix}/${LIBDIR}/rondo/librondo_cuda.so does not exist")
expect("cuda:0: this installation has no CUDA backend: ${none}.*refused: cuda:0 cannot be used: .*${none}"
       "${library}")
# Fakes are not installed unless they are asked for.
install_there(--component fake_backend)
expect("cuda:0: Fake GPU\ncuda:1: the driver .*accepted" "${library}")

# The variable comes before the place beside the library.
expect("refused: .*${prefix}/librondo_cuda.so does not exist" "${library}" "RONDO_BACKEND_DIR=${prefix}")
# Neither the current directory nor what lies beside a relative path is looked at.
file(COPY "${prefix}/${LIBDIR}/rondo/librondo_cuda.so" DESTINATION "${prefix}")
expect("refused: .*RONDO_BACKEND_DIR is \"\", expected an absolute path" "${library}" "RONDO_BACKEND_DIR=")
expect("refused: .*RONDO_BACKEND_DIR is \"\\.\", expected an absolute path" "${library}"
       "RONDO_BACKEND_DIR=.")
expect("refused: .*was loaded as \"${LIBDIR}/librondo\\.so.*\", expected an absolute path"
       "LD_LIBRARY_PATH=${LIBDIR}:$ENV{LD_LIBRARY_PATH}")
