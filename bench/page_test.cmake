# The page of results in headless Chromium: it is drawn, has its plots, and asks the network for nothing. A
# page that does ask is noticed. Run as: cmake -DPROGRAM=path/rondo-bench -DSCRATCH=folder -P page_test.cmake
cmake_minimum_required(VERSION 3.25)
find_program(CHROMIUM NAMES chromium chromium-browser google-chrome)
find_program(GNUPLOT NAMES gnuplot)
if(NOT CHROMIUM OR NOT GNUPLOT)
  message("skipped: needs Chromium and gnuplot (Debian: chromium, gnuplot-nox)")
  return()
endif()
set(folder "${SCRATCH}/page_test")
file(REMOVE_RECURSE "${folder}")

# A grid of results, H by N, by one thread and by two.
set(rows "")
foreach(n 1 8 64)
  foreach(h 16 64 256)
    foreach(threads 1 2)
      math(EXPR us "${n} * ${h} * ${h} / (1000 * ${threads}) + 30 * ${threads}")
      set(runner cpu)
      if(threads EQUAL 1)
        set(runner cpu/1)
      endif()
      string(APPEND rows ",{\"name\": \"n${n}h${h}/lstm/inference/f32/${runner}\", \"shape\": \"n${n}h${h}\",
        \"cell\": \"lstm\", \"phase\": \"inference\", \"t\": 9, \"n\": ${n}, \"i\": ${h}, \"h\": ${h},
        \"layers\": 1, \"bidirectional\": false, \"runner\": \"${runner}\", \"threads\": ${threads},
        \"repetitions\": 9, \"time_unit\": \"us\", \"real_time\": ${us}}")
    endforeach()
  endforeach()
endforeach()
string(SUBSTRING "${rows}" 1 -1 rows)
file(WRITE "${folder}/results.json"
     "{\"context\": {\"format\": \"rondo-bench 1\", \"threads\": 2}, \"benchmarks\": [${rows}]}")
execute_process(COMMAND "${PROGRAM}" report results.json --gpu published --out page.html
                WORKING_DIRECTORY "${folder}" COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)

# Opens a page; what is in the document afterwards, and what it asked the network for. Chromium asks for updates
# by itself; what a page on the disk asks for is marked as such in its log.
function(open_page name)
  file(MAKE_DIRECTORY "${folder}/home")
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env "HOME=${folder}/home" "${CHROMIUM}" --headless --no-sandbox --disable-gpu
            --no-first-run --disable-background-networking --disable-component-update --disable-extensions
            --user-data-dir=${folder}/profile --proxy-server=127.0.0.1:1
            --window-size=1200,3000 --log-net-log=${folder}/${name}.log --net-log-capture-mode=Everything
            --screenshot=${folder}/${name}.png --dump-dom "file://${folder}/${name}"
    RESULT_VARIABLE failed OUTPUT_VARIABLE document ERROR_VARIABLE messages TIMEOUT 90)
  if(failed)
    message(FATAL_ERROR "Chromium on ${name}: ${failed}: ${messages}")
  endif()
  file(STRINGS "${folder}/${name}.log" asked
       REGEX "\"network_isolation_key\":\"file:.*\"url\":\"(https?|wss?|ftp)://")
  set(asked "${asked}" PARENT_SCOPE)
  set(document "${document}" PARENT_SCOPE)
endfunction()
# What a page could ask for by its text; names of XML's vocabularies are no addresses.
function(find_addresses text)
  string(REGEX MATCHALL "(src|href|action|srcset|data|poster)=[\"']?(https?:)?//[^\"' >]*|url\\([\"']?(https?:)?//|@import|<script|<link|<iframe"
         addresses "${text}")
  set(addresses "${addresses}" PARENT_SCOPE)
endfunction()

# What is looked for is found where it is.
file(WRITE "${folder}/asks.html" "<!DOCTYPE html><title>x</title><p>x<img src=http://rondo.invalid/x.png>")
open_page(asks.html)
if(NOT asked MATCHES "rondo\\.invalid")
  message(FATAL_ERROR "a page that asks for a picture is not noticed: ${asked}")
endif()
file(READ "${folder}/asks.html" text)
find_addresses("${text}")
if(addresses STREQUAL "")
  message(FATAL_ERROR "an address in a page is not noticed")
endif()
file(SIZE "${folder}/asks.html.png" blank)

open_page(page.html)
if(asked)
  message(SEND_ERROR "the page asks for ${asked}")
endif()
file(READ "${folder}/page.html" text)
find_addresses("${text}")
if(addresses)
  message(SEND_ERROR "the page has ${addresses}")
endif()
string(REGEX MATCHALL "<svg" pictures "${document}")
list(LENGTH pictures count)
if(NOT count EQUAL 4 OR NOT document MATCHES "One thread or all 2\\?" OR NOT document MATCHES "Hatched: ")
  message(SEND_ERROR "${count} pictures in the document, expected 4 (two maps, time by H and by N) and their words")
endif()
# A page that is not drawn compresses to as little as the one with two letters.
file(SIZE "${folder}/page.html.png" drawn)
math(EXPR least "4 * ${blank}")
if(drawn LESS least)
  message(SEND_ERROR "the picture of the page has ${drawn} bytes, that of an empty one ${blank}")
endif()
