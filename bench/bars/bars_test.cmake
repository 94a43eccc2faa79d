# The subcommand bars on a row or two: its files, its exit statuses, what is resumed and what is refused.
# Run as: cmake -DPROGRAM=path/rondo-bench -DSCRATCH=folder -P bars_test.cmake
cmake_minimum_required(VERSION 3.25)
set(file "${SCRATCH}/bars_test.json")

function(bars expected)
  execute_process(COMMAND "${PROGRAM}" bars ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE text)
  if(NOT status MATCHES "^${expected}$")
    message(SEND_ERROR "bars ${ARGN}: exit status ${status}, expected ${expected}: ${out}${text}")
  endif()
  set(status "${status}" PARENT_SCOPE)
  set(text "${text}" PARENT_SCOPE)
  set(out "${out}" PARENT_SCOPE)
endfunction()
function(expect what got pattern)
  if(NOT got MATCHES "${pattern}")
    message(SEND_ERROR "${what}: expected ${pattern} in: ${got}")
  endif()
endfunction()

bars(0 --list)
expect("--list" "${out}" "inference-n1 +72 rows")

# One row, whatever peers there are; then the same file judged again, and a second row beside it.
set(tiny --rounds 2 --seconds 0.001 --section inference-n1 --json "${file}")
file(REMOVE "${file}")
bars("[01]" ${tiny} --filter lstm_t1_n1_h16_i1 --markdown "${SCRATCH}/bars_test.md" --html "${SCRATCH}/bars_test.html")
set(first "${status}")
expect("the table" "${out}" "\n  lstm_t1_n1_h16_i1 +(held|held by share|LOST|not measured) +[0-9.]+ ")
file(READ "${SCRATCH}/bars_test.md" markdown)
expect("Markdown" "${markdown}" "\n. lstm_t1_n1_h16_i1 . ")
file(READ "${SCRATCH}/bars_test.html" html)
expect("the page" "${html}" "inference, N = 1, one thread.*lstm_t1_n1_h16_i1")
file(READ "${file}" json)
string(JSON complete GET "${json}" context complete)
string(JSON rounds LENGTH "${json}" rows 0 rounds rondo/1)
string(JSON verdict GET "${json}" sections 0 rows 0 verdict)
# Noisy rounds are taken again.
expect("the file" "${complete} ${rounds} ${verdict}" "^ON [246] (held|held by share|LOST|not measured)$")
bars("${first}" --from "${file}")
bars("[01]" ${tiny} --filter t1_n1_h16 --cell lstm --resume)
file(READ "${file}" json)
string(JSON rows LENGTH "${json}" rows)
expect("resumed" "${rows}" "^2$")

# A step beside the bare loop of kernels.
bars("[01]" --rounds 2 --seconds 0.001 --section step --filter rnn_t100_n1_h16)
expect("a step" "${out}" "rnn_t100_n1_h16_i1_step +(held|LOST) +0[.][0-9]+ +0[.][0-9]+ ")

# Made-up times of the same row: all held, a lost row, no peer.
function(made_up expected peers)
  string(JSON made SET "${json}" rows "[{\"set\": \"n1\", \"name\": \"lstm_t1_n1_h16\", \"cell\": \"lstm\",
    \"phase\": \"inference\", \"t\": 1, \"n\": 1, \"i\": 16, \"h\": 16,
    \"rounds\": {\"rondo/1\": [1000, 1000, 1000]${peers}}}]")
  file(WRITE "${SCRATCH}/bars_made_up.json" "${made}")
  bars(${expected} --from "${SCRATCH}/bars_made_up.json")
  set(out "${out}" PARENT_SCOPE)
endfunction()
made_up(0 ", \"onednn/1\": [3000, 3000, 3000]")
expect("held" "${out}" "All bars are held")
made_up(1 ", \"onednn/1\": [900, 900, 900]")
expect("lost" "${out}" "lstm_t1_n1_h16 +LOST.*Under their bars: 1 rows, 1 geometric means")
made_up(1 "")
expect("no peer" "${out}" "not measured: 1 rows")
made_up(2 ", \"onednn/1\": [0]")
made_up(2 ", \"onednn/1\": 3")

# What cannot be used.
file(WRITE "${SCRATCH}/bars_damaged.json" "{\"context\": ")
bars(2 --from "${SCRATCH}/bars_damaged.json")
expect("damaged" "${text}" "bars_damaged.json: is damaged")
bars(2 --from "${SCRATCH}/no_such.json")
bars(2 --from "${CMAKE_CURRENT_LIST_DIR}/../results/small.json")
expect("another format" "${text}" "small.json: .*format.*rondo-bench 1.*expected.*rondo-bars 1")
foreach(bad "--section;nowhere" "--filter;nowhere" "--cell;peephole" "--rounds;0" "--seconds;0" "--resume")
  bars(2 ${bad})
endforeach()

# What is interrupted keeps its rows.
file(REMOVE "${file}")
execute_process(COMMAND timeout --foreground --preserve-status -s INT 8 "${PROGRAM}" bars --section inference-n1
                        --seconds 0.01 --json "${file}" RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
file(READ "${file}" json)
string(JSON complete GET "${json}" context complete)
string(JSON rows LENGTH "${json}" rows)
expect("interrupted" "${status} ${complete} ${rows} ${text}" "^130 OFF [1-9][0-9]* .*the rows until then are kept")
