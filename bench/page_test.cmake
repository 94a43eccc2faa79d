# Opens a page of results in headless Chromium: it renders, has its plots, and asks the network for nothing.
# Run as: cmake -DPROGRAM=path/rondo-bench -DSCRATCH=folder -P page_test.cmake
cmake_minimum_required(VERSION 3.25)
find_program(chromium NAMES chromium chromium-browser)
find_program(gnuplot NAMES gnuplot)
if(NOT chromium OR NOT gnuplot)
  message("skipped: chromium or gnuplot is not installed (tools/install-packages chromium gnuplot-nox)")
  return()
endif()
set(folder "${SCRATCH}/page_test")
file(REMOVE_RECURSE "${folder}")
file(MAKE_DIRECTORY "${folder}")
execute_process(COMMAND "${PROGRAM}" run small --filter t100_n --no-peers --no-gpu --seconds 0.01
                        --json "${folder}/results.json" COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET ERROR_QUIET)
execute_process(COMMAND "${PROGRAM}" report "${folder}/results.json" --gpu published --out "${folder}/page.html"
                COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
file(READ "${folder}/page.html" html)
string(REGEX MATCHALL "<svg" plots "${html}")
list(LENGTH plots plot_count)
if(plot_count LESS 4)
  message(SEND_ERROR "the page has ${plot_count} plots, expected 4 at least")
endif()

# The document as rendered, and every address that was asked for.
function(open_page page dom asked)
  execute_process(
    COMMAND "${chromium}" --headless --no-sandbox --disable-gpu --disable-component-update
            --disable-background-networking --no-first-run --user-data-dir=${folder}/profile
            --proxy-server=127.0.0.1:9 --log-net-log=${folder}/net.json --net-log-capture-mode=Everything
            --dump-dom "file://${page}"
    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE errors TIMEOUT 90)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "Chromium: ${status} ${errors}")
  endif()
  file(READ "${folder}/net.json" log)
  string(REGEX MATCHALL "https?://elsewhere[a-z.]*/[a-z.]*" elsewhere "${log}")
  # Of requests that pages start; Chromium itself asks its maker for updates.
  string(REGEX MATCHALL "\"initiator\":\"[^\"]*\"[^}]*\"url\":\"https?://[^\"]*\"" requests "${log}")
  set(${dom} "${text}" PARENT_SCOPE)
  set(${asked} "${elsewhere}${requests}" PARENT_SCOPE)
endfunction()

open_page("${folder}/page.html" dom asked)
string(REGEX MATCHALL "<svg" rendered "${dom}")
list(LENGTH rendered rendered_count)
if(NOT rendered_count EQUAL plot_count OR NOT dom MATCHES "<h1>")
  message(SEND_ERROR "rendered: ${rendered_count} plots of ${plot_count}")
endif()
if(NOT asked STREQUAL "")
  message(SEND_ERROR "the page asked for ${asked}")
endif()

# That a page which does ask is seen.
file(WRITE "${folder}/asks.html" "<!doctype html><h1>asks</h1><img src=\"http://elsewhere.example/picture.png\">")
open_page("${folder}/asks.html" dom asked)
if(asked STREQUAL "")
  message(SEND_ERROR "a page that asks for http://elsewhere.example/picture.png was not caught")
endif()
