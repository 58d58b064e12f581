#include "gtn_fast/environment.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <cfenv>
#endif

namespace gtn {
namespace {

#if defined(__x86_64__)

// By the one register that all our arithmetic obeys: <cfenv> sets that of the x87 too, which
// takes half a microsecond.
class DefaultEnvironment {
 public:
  DefaultEnvironment() { _mm_setcsr(kDefault); }
  ~DefaultEnvironment() { _mm_setcsr(kept_); }
  DefaultEnvironment(const DefaultEnvironment&) = delete;
  DefaultEnvironment& operator=(const DefaultEnvironment&) = delete;

 private:
  static constexpr unsigned kDefault = 0x1F80;  // as a process starts: exceptions masked
  const unsigned kept_ = _mm_getcsr();
};

#else

class DefaultEnvironment {
 public:
  DefaultEnvironment() {
    std::fegetenv(&kept_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultEnvironment() { std::fesetenv(&kept_); }
  DefaultEnvironment(const DefaultEnvironment&) = delete;
  DefaultEnvironment& operator=(const DefaultEnvironment&) = delete;

 private:
  std::fenv_t kept_;
};

#endif

}  // namespace

void in_default_environment(const std::function<void()>& work) {
  const DefaultEnvironment ours;
  work();
}

}  // namespace gtn
