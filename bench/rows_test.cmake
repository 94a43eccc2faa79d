# Rows by one process, and by two in turn; what they say where something is missing.
# Run as: cmake -DPROGRAM=path/rondo-bench -DSCRATCH=folder [-DMAP=path/rondo-cudnn-map] -P rows_test.cmake
cmake_minimum_required(VERSION 3.25)
set(rows "${SCRATCH}/rows_test.txt")
set(shape "--t 3 --n 2 --i 3 --h 8 --brief")
file(WRITE "${rows}" "${shape}\n${shape}\n\n--cell lstn\n"
     "${shape} --cell gru --phase training\n--h 8 --graph\n")

function(expect what got pattern)
  if(NOT got MATCHES "${pattern}")
    message(SEND_ERROR "${what}: expected ${pattern} in: ${got}")
  endif()
endfunction()

# Every row gets its line, also after one that is wrong, from a file and from stdin.
foreach(from FILE STDIN)
  if(from STREQUAL "FILE")
    execute_process(COMMAND "${PROGRAM}" rows "${rows}" RESULT_VARIABLE status OUTPUT_VARIABLE text)
  else()
    execute_process(COMMAND "${PROGRAM}" rows - INPUT_FILE "${rows}"
                    RESULT_VARIABLE status OUTPUT_VARIABLE text)
  endif()
  string(REGEX REPLACE "\n$" "" text "${text}")
  string(REPLACE "\n" ";" lines "${text}")
  list(LENGTH lines count)
  if(NOT "${status} ${count}" STREQUAL "0 5")
    message(FATAL_ERROR "${from}: exit status ${status}, ${count} lines, expected 0 and 5: ${text}")
  endif()
  set(expected lstm.inference lstm.inference error gru.training error)
  foreach(line one IN ZIP_LISTS lines expected)
    if(one STREQUAL "error")
      string(JSON why ERROR_VARIABLE missing GET "${line}" error)
      expect("${from}: ${line}" "${why}" "^--(cell|graph)")
    else()
      string(JSON cell ERROR_VARIABLE missing GET "${line}" cell)
      string(JSON phase ERROR_VARIABLE missing GET "${line}" phase)
      expect("${from}: ${line}" "${cell}.${phase}" "^${one}$")
    endif()
  endforeach()
endforeach()
execute_process(COMMAND "${PROGRAM}" rows "${SCRATCH}/no/rows" RESULT_VARIABLE status ERROR_VARIABLE text)
expect("no file" "${status} ${text}" "^1 .*cannot read .*/no/rows")

# What the map would ask needs no GPU; asking does.
if(MAP)
  execute_process(COMMAND "${MAP}" --list OUTPUT_VARIABLE text)
  foreach(pattern "\"question\":\"rows of different lengths\"" "\"map\":0.*\"map\":1.*\"map\":2.*\"map\":3"
          "\"algorithm\":\"small-h\",\"cell\":\"gru\",\"dtype\":\"bf16\",\"math\":\"strict\",\"h\":2048")
    expect("--list" "${text}" "${pattern}")
  endforeach()
  execute_process(COMMAND "${MAP}" RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
  expect("no --json" "${status} ${text}" "^2 .*--json or --list")
  execute_process(COMMAND "${MAP}" --questions --json "${SCRATCH}/map.jsonl" --seconds 20
                  RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
  if(NOT status EQUAL 0)
    expect("a map without a GPU" "${status} ${text}" "^1 rondo-cudnn-map: cuda:0 cannot be used: [^\n]*\n$")
  endif()
endif()

find_program(PYTHON NAMES python3)
if(NOT PYTHON)
  message("no python3: the rows in turn are not tested")
  return()
endif()
get_filename_component(bench "${CMAKE_CURRENT_LIST_DIR}" ABSOLUTE)

# The peer says what is missing, and what it does not take.
execute_process(COMMAND "${PYTHON}" "${bench}/peers/pytorch.py" shape --device cuda --t 2 --h 8 --brief
                RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
if(NOT status EQUAL 0)
  expect("no PyTorch or GPU" "${status} ${text}" "^1 pytorch.py: [^\n]*PyTorch[^\n]*\n$")
endif()
foreach(bad "--cell;lstn" "--device;moon" "--math;tf32;--dtype;bf16" "--h;0")
  execute_process(COMMAND "${PYTHON}" "${bench}/peers/pytorch.py" shape ${bad}
                  RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
  list(GET bad 0 option)
  expect("pytorch.py ${bad}" "${status} ${text}" "^2 pytorch.py: .*${option}")
endforeach()

# In turn: both engines are this one, on the CPU, which has one of the rows and neither bf16 nor graphs.
file(WRITE "${SCRATCH}/table.json" [[{"origin": "o", "letters": "l", "phases": ["inference"],
  "modes": [{"dtype": "f32", "math": "strict"}, {"dtype": "bf16", "math": "strict"}],
  "rows": [{"cell": "lstm", "h": 16, "n": 2, "t": 3}]}]])
function(run_in_turn other)
  execute_process(COMMAND "${PYTHON}" "${bench}/side_by_side.py" --rondo "${PROGRAM}" --torch "${other}"
                          --rows "${SCRATCH}/table.json" --device cpu --json "${SCRATCH}/turns.json" ${ARGN}
                  RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  file(READ "${SCRATCH}/turns.json" json)
  set(got "${status} ${text}" PARENT_SCOPE)
  set(json "${json}" PARENT_SCOPE)
endfunction()
run_in_turn("${PROGRAM}")
expect("in turn" "${got}" "^0 lstm 16/2/3 .*4 rows in .*, 0 skipped")
foreach(index RANGE 3)
  string(JSON ratio_type TYPE "${json}" rows ${index} ratio)
  string(JSON error ERROR_VARIABLE none GET "${json}" rows ${index} rondo_error)
  list(APPEND types "${ratio_type}")
  list(APPEND errors "${error}")
endforeach()
expect("ratios" "${types}" "^NUMBER;NULL;NULL;NULL$")
expect("errors" "${errors}" "bf16.*--graph")
string(JSON rounds LENGTH "${json}" rows 0 torch_rounds_us)
string(JSON path GET "${json}" rows 0 path)
expect("rounds and path" "${rounds} ${path}" "^3 own kernels")
# One that ends at once, and no time for any.
run_in_turn("sh -c 'echo gone >&2; exit 3' --")
string(JSON missing GET "${json}" missing torch)
string(JSON alone GET "${json}" rows 0 rondo_us)
expect("one alone" "${got} ${missing} ${alone}" "^0 .*torch was not timed to the end: gone.* gone [0-9.]+$")
run_in_turn("${PROGRAM}" --seconds 0.000001)
string(JSON skipped LENGTH "${json}" skipped)
expect("no time" "${got} ${skipped}" "^1 .*nothing was timed: there was no time\n 4$")
