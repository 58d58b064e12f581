// Maps of files that shrink while they are read.
#pragma once

#include <cstdint>

namespace gtn::bindings {

// Until release_map, a read of [address, address + bytes) that the system answers with SIGBUS
// (the file became shorter, its disk failed) finds zeros instead, from that page to the last.
// The caller throws the work away then; what it may not do is end the process. Returns a number
// for the two functions below.
int64_t guard_map(uintptr_t address, int64_t bytes);
bool map_failed(int64_t number);
// Also ends the guard. The zeros stay.
bool release_map(int64_t number);

}  // namespace gtn::bindings
