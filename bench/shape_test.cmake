# Runs rondo-bench on one small shape a phase and reads its JSON; bad values must be refused.
# Run as: cmake -DPROGRAM=path/rondo-bench -P shape_test.cmake
cmake_minimum_required(VERSION 3.25)
set(shape --t 4 --n 2 --i 3 --h 8 --layers 2 --threads 1 --device cpu)

# The operations of each cell's forward pass: 2 T N G H (I + H) for layer 0, 2 T N G H (H + H) for layer 1.
set(flops_lstm 13824)
set(flops_gru 10368)
set(flops_rnn 3456)
foreach(cell lstm gru rnn)
  foreach(phase inference training step)
    execute_process(COMMAND "${PROGRAM}" shape --cell ${cell} ${shape} --phase ${phase} --dtype f64
                    RESULT_VARIABLE failed OUTPUT_VARIABLE line ERROR_VARIABLE text)
    if(failed)
      message(SEND_ERROR "${cell} ${phase}: exit status ${failed}: ${text}")
      continue()
    endif()
    foreach(key median_us min_us gflops device isa threads cell t n i h phase dtype)
      string(JSON ${key} GET "${line}" ${key})
    endforeach()
    # gflops is flops / median_us / 1000, and both are rounded to three digits after the point.
    set(work ${flops_${cell}})
    if(phase STREQUAL "training")
      math(EXPR work "3 * ${work}")
    endif()
    execute_process(COMMAND awk "BEGIN {exit !(${median_us} > 0 && ${min_us} <= ${median_us} &&
      (${gflops} - ${work} / ${median_us} / 1000)^2 <= (0.001 + 0.01 * ${gflops})^2)}" RESULT_VARIABLE failed)
    if(failed OR NOT "${cell} ${phase} ${device} ${dtype} ${t} ${n} ${i} ${h} ${threads}"
                     STREQUAL "${cell} ${phase} cpu f64 4 2 3 8 1")
      message(SEND_ERROR "${cell} ${phase}: ${line}")
    endif()
  endforeach()
endforeach()

# TF32 is accepted everywhere, and named in the result.
execute_process(COMMAND "${PROGRAM}" shape ${shape} --math tf32 RESULT_VARIABLE failed OUTPUT_VARIABLE line)
string(JSON math ERROR_VARIABLE missing GET "${line}" math)
if(failed OR NOT math STREQUAL "tf32")
  message(SEND_ERROR "--math tf32: exit status ${failed}: ${line}")
endif()

function(expect_status expected pattern)
  execute_process(COMMAND "${PROGRAM}" ${ARGN}
                  RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL expected OR NOT text MATCHES "${pattern}")
    message(SEND_ERROR "${ARGN}: exit status ${status}, expected ${expected} and '${pattern}' in: ${text}")
  endif()
endfunction()
foreach(dtype f16 bf16)
  foreach(phase inference training step)
    expect_status(1 "f32 and f64, not in ${dtype}" shape ${shape} --phase ${phase} --dtype ${dtype})
  endforeach()
endforeach()

macro(expect_refusal)
  expect_status(2 ${ARGV})
endmacro()
expect_refusal("lstm.*gru.*rnn" shape --cell lstn)
expect_refusal("inference.*training.*step" shape --phase test)
expect_refusal("f32.*f64.*f16.*bf16" shape --dtype f8)
expect_refusal("f32.*f64.*f16.*bf16" run --dtype f8)
expect_refusal("strict.*tf32" shape --math fast)
expect_refusal("math_mode is tf32 with dtype f64" shape --math tf32 --dtype f64)
expect_refusal("--h.*0" shape --h 0)
expect_refusal("cuda" shape --device gpu)
expect_refusal("batch.*train" run --set large)
expect_refusal("unrecognized" run --set odd --benchmark_no_such_option)
