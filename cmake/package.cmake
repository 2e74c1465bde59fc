# cmake --install, and a .deb by CPack: `cmake --preset package && cmake --build --preset package && cpack --preset package`.
include(GNUInstallDirs)

# The command. System libraries are found without an RPATH; CUDA's own folder may need one.
if(TARGET lethe)
  install(TARGETS lethe RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(LETHE_CUDA)
    set_target_properties(lethe PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  endif()
endif()

# What it reads while it runs lies in share/lethe, beside bin, wherever the prefix is.
install(DIRECTORY tools/setup/corpus DESTINATION ${CMAKE_INSTALL_DATADIR}/lethe/setup
        FILES_MATCHING PATTERN "*.py")
install(PROGRAMS tools/setup/prose_corpus tools/setup/code_corpus tools/setup/texts
        DESTINATION ${CMAKE_INSTALL_DATADIR}/lethe/setup)
if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/configs)
  install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/lethe)
endif()
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_PACKAGE_NAME lethe)
set(CPACK_PACKAGE_CONTACT "The Lethe authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trains Llama-family models and shows what each run forgot")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON) # Depends from the binary's own libraries; needs dpkg-dev
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3, librsvg2-bin, fonts-dejavu-core")
include(CPack)
