# What `cmake --install` installs: the public headers, the library, and find_package(rondo).
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/rondo")

install(TARGETS rondo EXPORT rondo-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/core/include/rondo" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h")
install(EXPORT rondo-targets NAMESPACE rondo:: DESTINATION "${package_dir}")

# The shared library brings what it needs along; whoever links the static one has to find it as well.
set(RONDO_DEPENDENCIES "")
if(NOT BUILD_SHARED_LIBS)
  string(CONCAT RONDO_DEPENDENCIES "include(CMakeFindDependencyMacro)\n"
         "list(APPEND CMAKE_MODULE_PATH \"\${CMAKE_CURRENT_LIST_DIR}\")\n"
         "find_dependency(Threads)\nfind_dependency(hwy CONFIG)\nfind_dependency(CBLAS)\n"
         "list(POP_BACK CMAKE_MODULE_PATH)\n")
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/FindCBLAS.cmake" DESTINATION "${package_dir}")
endif()
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/rondo-config.cmake.in"
  "${PROJECT_BINARY_DIR}/rondo-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/rondo-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/rondo-config.cmake" "${PROJECT_BINARY_DIR}/rondo-config-version.cmake"
        DESTINATION "${package_dir}")
