# ath_library(name FOLDER folder SOURCES ... NEEDS libraries ...)
#
# A library exposes its own folder and those of its NEEDS, and nothing else: includes are written
# "folder/file.h", and each library has an include root of its own that holds a link to that one
# folder. An include against the direction of the house does not compile.
function(ath_library name)
    cmake_parse_arguments(arg "" "FOLDER" "SOURCES;NEEDS" ${ARGN})
    add_library(${name} STATIC ${arg_SOURCES})
    ath_expose(${name} ${arg_FOLDER})
    target_link_libraries(${name} PUBLIC ${arg_NEEDS})
endfunction()

function(ath_expose name folder)
    set(root ${CMAKE_BINARY_DIR}/include/${name})
    cmake_path(GET folder PARENT_PATH parent)
    file(MAKE_DIRECTORY ${root}/${parent})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${root}/${folder} SYMBOLIC)
    target_include_directories(${name} PUBLIC ${root})
endfunction()
