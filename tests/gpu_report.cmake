# What tools/gpu_report.py makes of a GPU run: counts, verdict and exit status, for runs that passed, failed,
# had no GPU or ran out of time. Run as: cmake -DROOT= -DSCRATCH= -P gpu_report.cmake
cmake_minimum_required(VERSION 3.25)
find_program(PYTHON NAMES python3)
if(NOT PYTHON)
  message("skipped: there is no python3")
  return()
endif()
set(stages unpack configure build devices tests parity sanitizer "build bench" deepbench questions compare)

# One run that ends in this state: the states of stages that were not done, as "NAME|STATE", the tests as CTest
# reports them, and which stages were asked for, where these are not the tests.
function(run_report end usable undone tests)
  file(REMOVE_RECURSE "${SCRATCH}")
  file(MAKE_DIRECTORY "${SCRATCH}")
  file(WRITE "${SCRATCH}/stage" "cuda:0: a device of this test\n")
  file(WRITE "${SCRATCH}/tests.xml" "<testsuite name=\"x\">${tests}</testsuite>\n")
  set(script "")
  foreach(stage IN LISTS stages)
    set(state done)
    if(stage MATCHES "^(deepbench|questions)$" AND NOT ARGN OR stage MATCHES "^(tests|parity|sanitizer)$" AND ARGN)
      continue()
    endif()
    foreach(other IN LISTS undone)
      if(other MATCHES "^${stage}\\|(.*)$")
        set(state "${CMAKE_MATCH_1}")
      endif()
    endforeach()
    string(APPEND script "stage|${stage}|${state}|1\n")
  endforeach()
  set(devices done)
  if(NOT usable)
    set(devices "failed: exit status 1")
  endif()
  set(asked tests)
  if(ARGN)
    set(asked ${ARGN})
  endif()
  string(PREPEND script "begin|8|${asked}\ndevices|${SCRATCH}/stage|${devices}\ntests|${SCRATCH}/tests.xml\n")
  string(REPLACE "\n" ";" script "${script}end|${end}")
  foreach(step IN LISTS script)
    string(REPLACE "|" ";" arguments "${step}")
    execute_process(COMMAND "${PYTHON}" "${ROOT}/tools/gpu_report.py" "${SCRATCH}" ${arguments}
                    WORKING_DIRECTORY "${ROOT}" RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE text)
    if(NOT text STREQUAL "")
      message(SEND_ERROR "${step}: ${text}")
    endif()
  endforeach()
  file(READ "${SCRATCH}/gpu-report.json" json)
  set(got "${status}")
  foreach(key passed failed skipped not_run passed_without_gpu verdict)
    string(JSON value GET "${json}" ${key})
    string(APPEND got " ${value}")
  endforeach()
  set(got "${got}" PARENT_SCOPE)
endfunction()

function(expect what expected)
  if(NOT got STREQUAL expected)
    message(SEND_ERROR "${what}: got      ${got}\n  expected ${expected}")
  endif()
endfunction()

function(make_case variable attributes inner output)
  set(${variable} "<testcase ${attributes}>${inner}<system-out>${output}</system-out></testcase>"
      PARENT_SCOPE)
endfunction()
make_case(pass [[name="a" status="run"]] "" "f32: largest error 0.250 of the tolerance (y)")
make_case(fail [[name="b" status="fail"]] [[<failure message=""/>]] "why")
make_case(skip [[name="c" status="notrun"]] [[<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>]]
          "x.cpp:5: Skipped\nno GPU here\n")
make_case(lost [[name="d" status="notrun"]] [[<skipped message="Unable to find executable"/>]] "")

# Exit status, passed, failed, skipped, not run, passed without a GPU, verdict.
run_report(complete TRUE "" "${pass}${pass}${skip}")
expect("a run that passed" "0 2 0 1 0 0 passed")
run_report(complete TRUE "" "${pass}${fail}")
expect("a failure" "1 1 1 0 0 0 GPU tests failed: 1")
file(READ "${SCRATCH}/gpu-summary.md" summary)
if(NOT summary MATCHES "\n## b\n.*why" OR NOT summary MATCHES "Largest error: 0.25 of the tolerance \\(a\\)")
  message(SEND_ERROR "the summary lacks the failure or the largest error:\n${summary}")
endif()
run_report(complete TRUE "" "${skip}")
expect("nothing but skipped tests" "1 0 0 1 0 0 no GPU test passed")
run_report(complete FALSE "" "${pass}${skip}")
expect("no GPU" "1 0 0 1 0 1 no GPU test passed (cuda:0: a device of this test)")
run_report(complete TRUE "" "${pass}${lost}")
expect("a test that is not built" "1 1 0 0 1 0 GPU tests not run: 1")
run_report(complete TRUE "compare|not run: out of time" "${pass}")
expect("out of time" "1 1 0 0 0 0 the stage compare not run: out of time")
run_report(interrupted TRUE "parity|running;compare|not run yet" "${pass}")
expect("an interrupted run" "1 1 0 0 0 0 the run was interrupted; the stage parity running")

# A run that measures: what the programs wrote becomes figures and tables.
function(expect_parts what text)
  foreach(part IN LISTS ARGN)
    string(FIND "${text}" "${part}" at)
    if(at LESS 0)
      message(SEND_ERROR "${what} lacks \"${part}\":\n${text}")
    endif()
  endforeach()
endfunction()
run_report(complete TRUE "" "" measure)
expect("a run that measured" "0 0 0 0 0 0 measured, not tested")
run_report(complete FALSE "" "" measure)
expect("no GPU to measure" "1 0 0 0 0 0 no GPU was measured (cuda:0: a device of this test)")
run_report(complete TRUE "deepbench|failed: exit status 1" "" measure)
expect("a failed measurement" "1 0 0 0 0 0 the stage deepbench failed: exit status 1")
file(WRITE "${SCRATCH}/deepbench.json" [[{"engines": {"rondo": "rondo 1", "torch": "pytorch 2"},
  "missing": {"torch": "gone"}, "skipped": [{}, {}], "rows": [
  {"name": "lstm 8/2/3", "phase": "training", "dtype": "bf16", "math": "strict", "graph": true,
   "rondo_us": 10.0, "torch_us": 25.0, "ratio": 2.5, "path": "cuDNN standard: because"},
  {"name": "gru 8/2/3", "phase": "inference", "dtype": "f32", "math": "tf32", "graph": false,
   "rondo_us": null, "torch_us": 7.0, "ratio": null, "rondo_error": "no memory"}]}]])
set(of [["map": 0, "algorithm": "small-h", "dtype": "f32", "math": "strict", "cell": "gru", "layers": 1,
         "directions": 2]])
string(REGEX REPLACE "\n *" " " of "${of}")
set(yes [[{"accepted": true}]])
set(no [[{"accepted": false}]])
set(answer [[{"question": "why", "accepted": true}]])
file(WRITE "${SCRATCH}/map.jsonl" "{\"jobs\": 9, \"seconds\": 5}\n${answer}\n"
  "{${of}, \"h\": 64, \"inference\": ${yes}, \"training\": ${yes}}\n"
  "{${of}, \"h\": 96, \"inference\": ${yes}, \"training\": ${no}}\n"
  "{${of}, \"h\": 128, \"lost\": \"no answer\"}\n")
foreach(step deepbench|deepbench.json questions|map.jsonl)
  string(REPLACE "|" ";" step "${step}")
  list(GET step 0 name)
  list(GET step 1 file)
  execute_process(COMMAND "${PYTHON}" "${ROOT}/tools/gpu_report.py" "${SCRATCH}" ${name} "${SCRATCH}/${file}"
                  WORKING_DIRECTORY "${ROOT}" RESULT_VARIABLE status ERROR_VARIABLE text)
  expect_parts("${name}" "${status} ${text}" "0 ")
endforeach()
file(READ "${SCRATCH}/gpu-summary.md" summary)
expect_parts("the summary" "${summary}" "- torch: pytorch 2" "torch was not timed to the end: gone"
  "2 skipped" "${answer}"
  "| lstm 8/2/3 | training | bf16 | strict | graph | 10.0 | 25.0 | 2.50 | cuDNN standard: because |"
  "| gru 8/2/3 | inference | f32 | tf32 | calls | - | 7.0 | - | no memory |" "4 of 9 were asked"
  "| small-h f32 strict gru L=1 D=2 | 3 | 2 | 96 | 1 | 64 | 1 |")
