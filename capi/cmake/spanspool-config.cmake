# find_package(spanspool) gives
#   spanspool::spanspool         the shared library, or the static one where no shared one is installed
#   spanspool::spanspool_static  the static library with all that it needs, where it is installed
# It finds the library by its own place, so an installed tree may be moved as a whole.

get_filename_component(_spanspool_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

foreach(_spanspool_kind SHARED STATIC)
    unset(_spanspool_${_spanspool_kind} CACHE)
    find_library(_spanspool_${_spanspool_kind}
        NAMES "${CMAKE_${_spanspool_kind}_LIBRARY_PREFIX}spanspool${CMAKE_${_spanspool_kind}_LIBRARY_SUFFIX}"
        PATHS "${_spanspool_prefix}"
        PATH_SUFFIXES lib "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib64
        NO_DEFAULT_PATH)
    mark_as_advanced(_spanspool_${_spanspool_kind})
endforeach()

if(_spanspool_SHARED AND NOT TARGET spanspool::spanspool)
    add_library(spanspool::spanspool SHARED IMPORTED)
    set_target_properties(spanspool::spanspool PROPERTIES
        IMPORTED_LOCATION "${_spanspool_SHARED}"
        INTERFACE_INCLUDE_DIRECTORIES "${_spanspool_prefix}/include")
endif()

if(_spanspool_STATIC AND NOT TARGET spanspool::spanspool_static)
    # What it needs stands in spanspool.pc, as the compiler that made it said.
    get_filename_component(_spanspool_libdir "${_spanspool_STATIC}" DIRECTORY)
    file(STRINGS "${_spanspool_libdir}/pkgconfig/spanspool.pc" _spanspool_needs REGEX "^Libs.private:")
    string(REPLACE "Libs.private:" "" _spanspool_needs "${_spanspool_needs}")
    separate_arguments(_spanspool_needs)
    add_library(spanspool::spanspool_static STATIC IMPORTED)
    set_target_properties(spanspool::spanspool_static PROPERTIES
        IMPORTED_LOCATION "${_spanspool_STATIC}"
        INTERFACE_INCLUDE_DIRECTORIES "${_spanspool_prefix}/include"
        INTERFACE_LINK_LIBRARIES "${_spanspool_needs}")
    if(NOT TARGET spanspool::spanspool)
        add_library(spanspool::spanspool INTERFACE IMPORTED)
        set_target_properties(spanspool::spanspool PROPERTIES
            INTERFACE_LINK_LIBRARIES spanspool::spanspool_static)
    endif()
endif()

if(NOT TARGET spanspool::spanspool)
    set(spanspool_FOUND FALSE)
    set(spanspool_NOT_FOUND_MESSAGE "no libspanspool below ${_spanspool_prefix}")
endif()

unset(_spanspool_prefix)
unset(_spanspool_kind)
unset(_spanspool_libdir)
unset(_spanspool_needs)
