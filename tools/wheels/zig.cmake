# The compiler of the wheels: clang by zig, which comes with the headers and the symbol tables of every
# glibc, so that what it links asks for no newer one than the target names. tools/wheels/__main__.py sets
# both variables. CMAKE_SYSTEM_NAME stays unset: nothing here runs what was compiled.
if(NOT DEFINED ENV{GTN_ZIG} OR NOT DEFINED ENV{GTN_ZIG_TARGET})
  message(FATAL_ERROR "GTN_ZIG names the program, GTN_ZIG_TARGET the target")
endif()
set(CMAKE_CXX_COMPILER $ENV{GTN_ZIG} c++ -target $ENV{GTN_ZIG_TARGET})
set(CMAKE_CXX_ARCHIVE_CREATE "$ENV{GTN_ZIG} ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "$ENV{GTN_ZIG} ar q <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "$ENV{GTN_ZIG} ranlib <TARGET>")
# zig keeps what it compiled; whether it can precompile headers was not tried.
set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
# The system's strip need not know the target.
set(CMAKE_STRIP "")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-s")
