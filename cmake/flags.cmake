# The flags of every C file: see CONTRIBUTING.md. Contraction is off: a fused multiply-add happens
# where the source says so and nowhere else.
set(for_c
    -Wall -Wextra -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wdouble-promotion -Wconversion
    -Wswitch-enum -Wimplicit-fallthrough -Walloca -Wno-string-conversion -fno-common
    -ffp-contract=off -fno-math-errno)
add_compile_options("$<$<COMPILE_LANGUAGE:C>:${for_c}>")
# What core/banned.h forbids does not compile.
add_compile_options("$<$<COMPILE_LANGUAGE:C>:-Werror=deprecated-declarations>"
                    "$<$<COMPILE_LANGUAGE:C>:SHELL:-include ${CMAKE_SOURCE_DIR}/core/banned.h>")
add_compile_definitions(_POSIX_C_SOURCE=200809L ATH_OPENMP=$<BOOL:${ATH_OPENMP}>
                        ATH_TORTURE=$<BOOL:${ATH_TORTURE}>)
# C++ stands only where a library has no other face (proto/toml_tomlplusplus.cpp).
set(for_cxx
    -Wall -Wextra -Wshadow -Wundef -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2
    -Wdouble-promotion -Wconversion -Wswitch-enum -Wimplicit-fallthrough -ffp-contract=off
    -fno-math-errno)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${for_cxx}>")
if(ATH_WERROR)
    add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()
if(ATH_SANITIZE)
    add_compile_options(-fsanitize=${ATH_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${ATH_SANITIZE})
    if(ATH_SANITIZE MATCHES undefined)
        add_compile_options(-fno-sanitize-recover=undefined)
    endif()
endif()
