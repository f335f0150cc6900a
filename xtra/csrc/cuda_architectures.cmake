# Which of the architectures that a toolkit knows the kernels compile for: __grid_constant__ came with Volta, sm_70.
set(OLDEST_ARCHITECTURE 70)

# `known` is CMAKE_CUDA_ARCHITECTURES_ALL_MAJOR, whose last entry stands for PTX too, for what comes after this toolkit.
function(usable_architectures known result)
  set(usable)
  foreach(architecture IN LISTS known)
    string(REGEX MATCH "^[0-9]+" number "${architecture}")
    if(number GREATER_EQUAL OLDEST_ARCHITECTURE)
      list(APPEND usable ${architecture})
    endif()
  endforeach()
  set(${result} "${usable}" PARENT_SCOPE)
endfunction()
