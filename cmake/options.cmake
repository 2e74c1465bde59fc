# How every target is compiled: an interface library that all of them link.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(lethe_options INTERFACE)
target_include_directories(lethe_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(lethe_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wno-missing-field-initializers $<$<BOOL:${LETHE_WERROR}>:-Werror>>)
if(LETHE_SANITIZE)
  target_compile_options(lethe_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${LETHE_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer>)
  target_link_options(lethe_options INTERFACE -fsanitize=${LETHE_SANITIZE})
endif()

# lethe_room(NAME SOURCES ... LINK ...): a static library of one folder.
function(lethe_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINK" ${ARGN})
  add_library(lethe_${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(lethe_${name} PUBLIC lethe_options ${ROOM_LINK})
endfunction()
