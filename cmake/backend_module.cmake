# Backends that are opened at run time: the stamp that they share with the library, and how they are built.

# What both sides of the contract are compiled against. A change of any of these makes another contract.
file(GLOB contract_headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/core/include/rondo/*.h")
list(APPEND contract_headers "${PROJECT_SOURCE_DIR}/core/backend.h" "${PROJECT_SOURCE_DIR}/core/philox.h"
     "${PROJECT_SOURCE_DIR}/core/stack.h")
set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${contract_headers})
set(contract_hashes "")
foreach(header IN LISTS contract_headers)
  file(SHA256 "${header}" hash)
  string(APPEND contract_hashes "${hash}")
endforeach()
string(SHA256 RONDO_CONTRACT "${contract_hashes}")
string(SUBSTRING "${RONDO_CONTRACT}" 0 16 RONDO_CONTRACT)

# The definitions that RONDO_BUILD_STAMP of core/backend.h is made of.
function(rondo_stamp target)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${target} PRIVATE RONDO_VERSION="${PROJECT_VERSION}"
                             RONDO_CONTRACT="${RONDO_CONTRACT}")
endfunction()

# rondo_backend_module(rondo_cuda sources...): librondo_cuda.so in rondo/ beside the library that was built.
function(rondo_backend_module name)
  if(NOT BUILD_SHARED_LIBS)
    message(FATAL_ERROR "${name}: a backend that is opened at run time needs the shared library, and "
            "BUILD_SHARED_LIBS is ${BUILD_SHARED_LIBS}: configure with -DBUILD_SHARED_LIBS=ON.")
  endif()
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE rondo rondo_warnings)
  rondo_stamp(${name})
  # A symbol that is nowhere is an error of the build; a sanitizer's are in the program alone.
  target_link_options(${name} PRIVATE $<$<NOT:$<BOOL:${RONDO_SANITIZE}>>:-Wl,-z,defs>)
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/rondo")
endfunction()

# Installs it where the library looks. Further arguments are those of install(TARGETS).
function(rondo_install_backend name)
  install(TARGETS ${name} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/rondo" ${ARGN})
endfunction()
