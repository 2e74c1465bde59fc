# cuDNN's attention, by its headers and those of cudnn-frontend. The library itself is not linked: it is opened when
# a program first asks for it, so that the binary starts where it is not installed.
set(LETHE_CUDNN "AUTO" CACHE STRING "Attention by cuDNN: AUTO (where its headers are), ON (or stop), OFF")
set_property(CACHE LETHE_CUDNN PROPERTY STRINGS AUTO ON OFF)
set(LETHE_CUDNN_FOUND OFF)
if(NOT LETHE_CUDNN STREQUAL "OFF")
  find_path(CUDNN_INCLUDE cudnn_graph.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_path(CUDNN_FRONTEND_INCLUDE cudnn_frontend.h
            HINTS ${PROJECT_SOURCE_DIR}/.lethe/cudnn-frontend/include)
  if(CUDNN_INCLUDE AND CUDNN_FRONTEND_INCLUDE)
    set(LETHE_CUDNN_FOUND ON)
  elseif(LETHE_CUDNN STREQUAL "ON")
    message(FATAL_ERROR "LETHE_CUDNN is ON, but cudnn_graph.h (${CUDNN_INCLUDE}) or cudnn_frontend.h "
            "(${CUDNN_FRONTEND_INCLUDE}) is not to be found; './lethe setup' fetches the second")
  else()
    message(STATUS "Attention without cuDNN: cudnn_graph.h (${CUDNN_INCLUDE}) or cudnn_frontend.h "
            "(${CUDNN_FRONTEND_INCLUDE}) is not to be found")
  endif()
endif()
