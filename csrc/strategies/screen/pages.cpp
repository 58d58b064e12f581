#include "strategies/screen/pages.h"

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#define GTN_POSIX 1
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace gtn {
namespace {

// Codes are swept from end to end again and again: large pages, where the system
// grants them, spare most of the address translations.
constexpr size_t kPage = size_t{1} << 21;

uint8_t* allocate(size_t bytes) {
  auto* data = static_cast<uint8_t*>(::operator new[](bytes, std::align_val_t{kPage}));
#ifdef __linux__
  madvise(data, bytes, MADV_HUGEPAGE);  // a wish: refusal changes nothing
#endif
  return data;
}

#ifdef GTN_POSIX
[[noreturn]] void fail(const std::string& folder) {
  throw FileRefused("scratch file in " + folder + ": " + std::strerror(errno));
}

// The blocks are claimed now: a disk that fills up later would be a bus error.
int claim(int file, size_t bytes) {
#ifdef __linux__
  return posix_fallocate(file, 0, static_cast<off_t>(bytes));
#else
  return ftruncate(file, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
#endif
}

uint8_t* map_file(size_t bytes, const std::string& folder) {
  std::string name = folder + "/gtn_fast.scratch.XXXXXX";
  const int file = mkstemp(name.data());
  if (file < 0) fail(folder);
  unlink(name.c_str());
  errno = claim(file, bytes);
  void* data = MAP_FAILED;
  if (errno == 0) data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int error = errno;
  close(file);
  errno = error;
  if (data == MAP_FAILED) fail(folder);
  return static_cast<uint8_t*>(data);
}
#endif

}  // namespace

Pages::Pages(size_t bytes, const std::string& folder) {
  if (bytes == 0) return;
  if (folder.empty()) {
    data_ = allocate(bytes);
    return;
  }
#ifdef GTN_POSIX
  data_ = map_file(bytes, folder);
  mapped_ = bytes;
#else
  throw FileRefused("a scratch file is not supported on this system");
#endif
}

Pages::~Pages() {
#ifdef GTN_POSIX
  if (mapped_ != 0) {
    munmap(data_, mapped_);
    return;
  }
#endif
  ::operator delete[](data_, std::align_val_t{kPage});
}

Pages::Pages(Pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), mapped_(std::exchange(other.mapped_, 0)) {}

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

}  // namespace gtn
