// Random bytes for a target where the compiler brings no libFuzzer; files: those alone.
//
// Takes libFuzzer's -max_total_time=SECONDS, -seed=N, -artifact_prefix=FOLDER/ and file names.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz/target.h"

namespace {

std::vector<uint8_t> input;
std::string artifact = "crash-";

void keep_input(int signal) {
  if (std::FILE* file = std::fopen(artifact.c_str(), "wb")) {
    std::fwrite(input.data(), 1, input.size(), file);
    std::fclose(file);
    std::fprintf(stderr, "the input is in %s\n", artifact.c_str());
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

const char* value_of(const char* argument, const char* name) {
  const size_t length = std::strlen(name);
  return std::strncmp(argument, name, length) == 0 ? argument + length : nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 60;
  uint64_t seed = std::random_device{}();
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    if (const char* text = value_of(argv[i], "-max_total_time="))
      seconds = std::atof(text);
    else if (const char* number = value_of(argv[i], "-seed="))
      seed = std::strtoull(number, nullptr, 10);
    else if (const char* folder = value_of(argv[i], "-artifact_prefix="))
      artifact = std::string(folder) + "crash-";
    else if (argv[i][0] != '-')
      files.emplace_back(argv[i]);
  }
  for (const std::string& name : files) {
    if (!std::filesystem::is_regular_file(name)) continue;  // a folder: libFuzzer's corpus
    std::ifstream file(name, std::ios::binary);
    input.assign(std::istreambuf_iterator<char>(file), {});
    if (!input.empty()) LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  artifact += std::to_string(seed);
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) std::signal(signal, keep_input);
  std::mt19937_64 rng(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t runs = 0;
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    input.resize(1 + rng() % (rng() % 4 == 0 ? 4096 : 256));
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(rng());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::fprintf(stderr, "Done %llu runs in %.0f second(s)\n", static_cast<unsigned long long>(runs),
               seconds);
  return 0;
}
