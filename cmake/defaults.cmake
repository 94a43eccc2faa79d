# Compiler settings: the language, warnings, sanitizers, and which instruction sets the kernels get.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "Rondo runs on Linux; this system is ${CMAKE_SYSTEM_NAME}.")
endif()

# Linked privately by every target of this project, and by none of its users. Leaving fields of an
# argument struct at their defaults is how the interface is meant to be used, so that is no warning.
add_library(rondo_warnings INTERFACE)
set(rondo_host_warnings -Wall -Wextra -Wshadow -Wno-missing-field-initializers
    # g++ 12 warns wrongly of overlapping string appends (GCC bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    $<$<BOOL:${RONDO_WERROR}>:-Werror>)
target_compile_options(rondo_warnings INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:${rondo_host_warnings};-Wpedantic>"
  # What nvcc makes of a source for the host compiler is not pedantic C++.
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=$<JOIN:${rondo_host_warnings},$<COMMA>>>"
  "$<$<COMPILE_LANGUAGE:CUDA>:$<$<BOOL:${RONDO_WERROR}>:--Werror=all-warnings>>")

# A sanitizer has to see every object of a program, so it is set for all folders at once.
if(RONDO_SANITIZE)
  string(REPLACE ";" "," sanitizers "${RONDO_SANITIZE}")
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${sanitizers})
endif()

# One binary holds the scalar, AVX2 and AVX-512 (x86-64) or scalar and NEON (aarch64) kernels and picks
# at run time. Highway would add more sets (SSE4, SVE, whose vectors cannot lie in arrays), and would
# leave the scalar one out under -march=native or on aarch64, and by compiler version replace it with
# its 128-bit emulation. Bit 29 is NEON without the AES instructions, which Highway 1.0.3 has no name for.
function(rondo_simd_targets target)
  target_compile_definitions(${target} PRIVATE
    HWY_COMPILE_ALL_ATTAINABLE HWY_BROKEN_EMU128=1
    "HWY_DISABLED_TARGETS=(~(HWY_SCALAR|HWY_AVX2|HWY_AVX3|HWY_NEON|(1LL<<29)))")
  # The kernels say themselves where a product is fused into a sum: left to the compiler, that would depend
  # on how it inlines, and results on how rows are split among threads.
  target_compile_options(${target} PRIVATE -ffp-contract=off)
  # The kernels read neither errno nor the floating-point exception flags.
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "-fno-math-errno;-fno-trapping-math")
endfunction()
