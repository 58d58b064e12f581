// Large pieces of memory, or of a file where memory does not suffice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace gtn {

class Pages {
 public:
  Pages() = default;
  // `bytes` of memory, not initialised; or, with a folder, of a file in it that has no name
  // and goes with the process. Throws std::bad_alloc, std::runtime_error.
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
