// Runs every C++ test, or those named on the command line; exit code 1 if any failed.
#include <chrono>
#include <cstring>

#include "tests/test_util.h"

namespace gtn::test {
void test_frames();
void test_kernels();
void test_lowdim();
void test_parallel();
void test_screen();
void test_screen_kernel();
void test_shard();
void test_shortlist();
void test_store();
}  // namespace gtn::test

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  static constexpr struct {
    const char* name;
    void (*run)();
  } kTests[] = {
      {"kernels", gtn::test::test_kernels},     {"screen_kernel", gtn::test::test_screen_kernel},
      {"parallel", gtn::test::test_parallel},   {"lowdim", gtn::test::test_lowdim},
      {"shortlist", gtn::test::test_shortlist}, {"store", gtn::test::test_store},
      {"screen", gtn::test::test_screen},       {"frames", gtn::test::test_frames},
      {"shard", gtn::test::test_shard},
  };
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what failed is seen even if the rest hangs
  int unknown = argc - 1;
  for (const auto& test : kTests) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i)
      if (std::strcmp(argv[i], test.name) == 0) {
        wanted = true;
        --unknown;
      }
    if (!wanted) continue;
    const auto start = Clock::now();
    test.run();
    std::printf("%s: %.1f s\n", test.name,
                std::chrono::duration<double>(Clock::now() - start).count());
  }
  if (unknown != 0) {
    std::printf("no such test; there are:");
    for (const auto& test : kTests) std::printf(" %s", test.name);
    std::printf("\n");
    return 2;
  }
  if (gtn::test::failures == 0)
    std::printf("all C++ tests passed\n");
  else
    std::printf("C++ TESTS FAILED: %d checks\n", gtn::test::failures);
  return gtn::test::failures == 0 ? 0 : 1;
}
