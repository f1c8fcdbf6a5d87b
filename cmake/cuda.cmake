# libathanor_cuda.so: what the program opens where a GPU is. It links none of our libraries: errors,
# memory and descriptors are the program's own, which exports them.
enable_language(CUDA)
find_package(CUDAToolkit 13 REQUIRED)
find_library(ATH_CUDNN cudnn HINTS ${CUDAToolkit_LIBRARY_DIR} REQUIRED)

add_library(athanor_cuda SHARED ${cu} ${cuda})
target_include_directories(athanor_cuda PRIVATE $<TARGET_PROPERTY:kernels,INCLUDE_DIRECTORIES>)
target_link_libraries(athanor_cuda PRIVATE CUDA::cudart CUDA::cublasLt ${ATH_CUDNN})
target_compile_options(athanor_cuda PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Wall,-Wextra;-fmad=false>")
set_target_properties(athanor_cuda PROPERTIES
    CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_ARCHITECTURES "80-real;90"
    C_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
