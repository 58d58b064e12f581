// Pages in memory and in a scratch file: a full disk is an error at once.
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

#include "strategies/screen/pages.h"
#include "tests/test_util.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {
int64_t g_blocks_claimed = 0;  // of 512 bytes, of the file that was claimed last
bool g_disk_is_full = false;
}  // namespace

// In the place of the C library's: notes what it did, and can play a full disk.
extern "C" int posix_fallocate(int file, off_t offset, off_t bytes) {
  if (g_disk_is_full) return ENOSPC;
  if (fallocate(file, 0, offset, bytes) != 0) {
    // A file system without that call: write, as the C library does.
    for (off_t at = offset; at < offset + bytes; ++at)
      if (pwrite(file, "", 1, at) != 1) return errno;
  }
  struct stat found;
  if (fstat(file, &found) != 0) return errno;
  g_blocks_claimed = found.st_blocks;
  return 0;
}
#endif

namespace gtn::test {
namespace {

std::string folder() { return std::filesystem::temp_directory_path().string(); }

int64_t entries() {
  int64_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    n += entry.path().filename().string().starts_with("gtn_fast.scratch.");
  return n;
}

void check_usable(Pages& pages, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 997) pages.get()[i] = static_cast<uint8_t>(i);
  for (size_t i = 0; i < bytes; i += 997) CHECK(pages.get()[i] == static_cast<uint8_t>(i));
}

}  // namespace

TEST_CASE("pages: memory, a file, moved") {
  constexpr size_t kBytes = 100'000;
  const int64_t before = entries();
  for (const std::string& where : {std::string(), folder()}) {
    Pages pages(kBytes, where);
    check_usable(pages, kBytes);
    CHECK_MESSAGE(entries() == before, "a scratch file has no name");
    Pages moved(std::move(pages));
    CHECK(pages.get() == nullptr);
    CHECK(moved.get()[997] == static_cast<uint8_t>(997));
    pages = std::move(moved);
    CHECK(pages.get()[997] == static_cast<uint8_t>(997));
    pages = Pages();
    CHECK(pages.get() == nullptr);
  }
  CHECK(Pages(0, "").get() == nullptr);
  CHECK_THROWS_AS(Pages(kBytes, folder() + "/no such folder"), FileRefused);
}

#ifdef __linux__
// What is not claimed when the file is made is a bus error later.
TEST_CASE("pages: the blocks of a scratch file are claimed when it is made") {
  constexpr size_t kBytes = 100'000;
  g_blocks_claimed = 0;
  Pages pages(kBytes, folder());
  CHECK(g_blocks_claimed * 512 >= static_cast<int64_t>(kBytes));
  g_disk_is_full = true;
  CHECK_THROWS_WITH_AS(Pages(kBytes, folder()),
                       ("scratch file in " + folder() + ": No space left on device").c_str(),
                       FileRefused);
  g_disk_is_full = false;
  check_usable(pages, kBytes);
}
#endif

}  // namespace gtn::test
