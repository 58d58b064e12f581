// gtn_core_test: the cases of all files beside this one, which register themselves.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what failed is seen even if the rest hangs
  doctest::Context context;
  context.setOption("abort-after", 50);  // a broken engine can fail millions of times
  context.applyCommandLine(argc, argv);
  return context.run();
}
