# rondo-bench report and diff, and tools/bench-compare: exit statuses, and files named on stderr.
# Run as: cmake -DPROGRAM=path/rondo-bench -DSCRATCH=folder -P report_test.cmake
cmake_minimum_required(VERSION 3.25)
set(folder "${SCRATCH}/report_test")
file(REMOVE_RECURSE "${folder}")

function(write_results name us)
  file(WRITE "${folder}/${name}" "{\"context\": {\"format\": \"rondo-bench 1\",
    \"cpu\": \"A\", \"threads\": 1},
    \"benchmarks\": [{\"name\": \"s/gru/inference/f32/cpu\", \"shape\": \"s\", \"cell\": \"gru\",
    \"phase\": \"inference\", \"t\": 1, \"n\": 1, \"i\": 8, \"h\": 8, \"layers\": 1, \"bidirectional\": false,
    \"dtype\": \"f32\", \"runner\": \"cpu\", \"threads\": 1, \"repetitions\": 9, \"time_unit\": \"us\",
    \"min_time\": ${us}, \"p25_time\": ${us}, \"real_time\": ${us}, \"p75_time\": ${us}}]}\n")
endfunction()
function(expect status pattern)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE got OUTPUT_VARIABLE out ERROR_VARIABLE out
                  WORKING_DIRECTORY "${folder}")
  if(NOT got STREQUAL status OR NOT out MATCHES "${pattern}")
    message(SEND_ERROR "${ARGN}: status ${got}, expected ${status} and ${pattern} in: ${out}")
  endif()
endfunction()
write_results(old.json 100)
write_results(new.json 130)
file(WRITE "${folder}/torn.json" "{\"context\": {")

get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
set(compare ${CMAKE_COMMAND} -E env "RONDO_BENCH=${PROGRAM}" "${root}/tools/bench-compare")
foreach(diff "${PROGRAM};diff" "${compare}")
  expect(0 "No regression" ${diff} old.json old.json)
  expect(1 "REGRESSION" ${diff} old.json new.json)
  expect(0 "1 faster" ${diff} new.json old.json)
  expect(2 "torn.json: is damaged" ${diff} old.json torn.json)
  expect(2 "none.json: cannot be read" ${diff} none.json old.json)
  expect(2 "NEW" ${diff} old.json)
  expect(0 "Exit status" ${diff} --help)
endforeach()

expect(0 "page.html" "${PROGRAM}" report old.json --gpu published --out page.html)
expect(0 "page.html" "${PROGRAM}" report old.json --out page.html)  # looks through the files that are kept
expect(2 "torn.json: is damaged" "${PROGRAM}" report old.json torn.json --out none.html)
expect(2 "torn.json: is damaged" "${PROGRAM}" report old.json --gpu torn.json --out none.html)
expect(2 "old.json: has no row that ran on a GPU" "${PROGRAM}" report old.json --gpu old.json --out none.html)
expect(2 "crossover" "${PROGRAM}" report old.json --plot nothing --out none.html)
expect(1 "cannot write" "${PROGRAM}" report old.json --gpu published --out no/folder/page.html)
if(EXISTS "${folder}/none.html")
  message(SEND_ERROR "a page was written from files that cannot be used")
endif()
file(READ "${folder}/page.html" page)
if(NOT page MATCHES "</html>\n$")
  message(SEND_ERROR "the page has no end")
endif()
