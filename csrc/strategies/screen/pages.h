// Large pieces of memory, or of a file where memory does not suffice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace gtn {

// Thrown where the system refuses a scratch file: no such folder, a full disk.
struct FileRefused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Pages {
 public:
  Pages() = default;
  // `bytes` of memory, not initialised. If a folder is given: of a file in it, which has no name
  // and is gone when the process ends. Throws std::bad_alloc, FileRefused.
  Pages(size_t bytes, const std::string& folder);
  ~Pages();
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;

  uint8_t* get() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  size_t mapped_ = 0;  // bytes of a file; 0: memory
};

}  // namespace gtn
