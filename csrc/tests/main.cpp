// Runs every C++ test; exit code 1 if any failed.
#include "tests/test_util.h"

namespace gtn::test {
void test_lowdim();
}  // namespace gtn::test

int main() {
  gtn::test::test_lowdim();
  std::printf("%s\n", gtn::test::failures == 0 ? "all C++ tests passed" : "C++ TESTS FAILED");
  return gtn::test::failures == 0 ? 0 : 1;
}
