// The gradient of ĥ: against differences of the loss, and every instruction set against scalar.
#include <cmath>
#include <random>
#include <vector>

#include "gtn_fast/hhat.h"
#include "kernels/cpu.h"
#include "tests/test_util.h"
#include "training/hhat_step.h"

namespace gtn::test {
namespace {

struct Case {
  HHatShape shape;
  int64_t rows;
  std::vector<float> parameters, mean, var, y, x;

  Case(const HHatShape& s, int64_t n, unsigned seed) : shape(s), rows(n) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::vector<float>& v, int64_t size, float scale) {
      v.resize(static_cast<size_t>(size));
      for (float& each : v) each = scale * normal(random);
    };
    draw(parameters, s.parameters(), 1.0F / std::sqrt(static_cast<float>(s.width)));
    draw(mean, s.norms * s.width, 1);
    draw(var, s.norms * s.width, 1);
    draw(y, n * s.d, 1);
    draw(x, n * s.d, 1);
  }
};

struct Result {
  float loss;
  std::vector<float> gradient, mean, var;
};

Result run(const Case& c, HHatStep step, const std::vector<float>& parameters) {
  // Exactly as large as they must be, so that a sanitizer sees what goes beyond; not zero,
  // so that what is not written is noticed.
  Result r{0, std::vector<float>(parameters.size(), 1e9F), c.mean, c.var};
  std::vector<float> work(static_cast<size_t>(hhat_work(c.shape, c.rows)), 1e9F);
  const HHatBatch batch{parameters.data(), r.gradient.data(), r.mean.data(), r.var.data(),
                        c.y.data(),        c.x.data(),        c.rows};
  r.loss = step(c.shape, batch, work.data());
  return r;
}

bool near(float a, float b, float relative, float absolute) {
  return std::abs(a - b) <= absolute + relative * std::max(std::abs(a), std::abs(b));
}

void compare(const Result& got, const Result& wanted, const char* what) {
  GTN_CHECK(near(got.loss, wanted.loss, 1e-4F, 1e-6F), "%s: %g, %g", what, got.loss, wanted.loss);
  const auto each = [what](const std::vector<float>& a, const std::vector<float>& b) {
    for (size_t i = 0; i < a.size(); ++i)
      GTN_CHECK(near(a[i], b[i], 1e-3F, 1e-4F), "%s, number %zu: %g, %g", what, i, a[i], b[i]);
  };
  each(got.gradient, wanted.gradient);
  each(got.mean, wanted.mean);
  each(got.var, wanted.var);
}

// (loss(p + h) - loss(p - h)) / 2 h in one direction, against gradient . direction.
void against_differences(const Case& c) {
  const Result at = run(c, hhat_step_scalar, c.parameters);
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < 5; ++trial) {
    std::vector<float> up = c.parameters, down = c.parameters;
    double slope = 0;
    const float h = 1e-3F;
    for (size_t i = 0; i < up.size(); ++i) {
      const float to = normal(random);
      up[i] += h * to;
      down[i] -= h * to;
      slope += static_cast<double>(at.gradient[i]) * to;
    }
    const double measured = (static_cast<double>(run(c, hhat_step_scalar, up).loss) -
                             static_cast<double>(run(c, hhat_step_scalar, down).loss)) /
                            (2.0 * h);
    GTN_CHECK(std::abs(measured - slope) <= 0.02 * std::abs(slope) + 0.02,
              "%lld rows: measured %g, computed %g", static_cast<long long>(c.rows), measured,
              slope);
  }
}

}  // namespace

void test_hhat() {
  // d, layers, width, norms, slope; from a single number to more than two vectors.
  const HHatShape shapes[] = {{1, 1, 1, 0, 0.5F},  {2, 3, 7, 0, 0.5F},  {3, 2, 16, 2, 0.01F},
                              {5, 7, 50, 7, 0.5F}, {4, 3, 33, 1, 0.0F}, {40, 1, 9, 1, 2.0F}};
  unsigned seed = 0;
  for (const HHatShape& shape : shapes)
    for (const int64_t rows : {1, 2, 17, 32, 96, 128}) {
      if (shape.norms && rows < 4) continue;  // two values: their deviation may be next to none
      const Case c(shape, rows, ++seed);
      const Result wanted = run(c, hhat_step_scalar, c.parameters);
      for (const Simd level : simd_usable())
        compare(run(c, hhat_step(level), c.parameters), wanted, simd_name(level));
    }
  against_differences(Case({2, 2, 6, 0, 0.5F}, 64, 91));
  against_differences(Case({3, 3, 8, 2, 0.3F}, 50, 92));

  // Working memory that was used for another batch does no harm.
  const Case large(shapes[3], 128, 93), small(shapes[3], 17, 94);
  HHatGradient gradient(shapes[3]);
  for (const Case* c : {&large, &small, &large}) {
    Result r{0, std::vector<float>(c->parameters.size()), c->mean, c->var};
    r.loss = gradient({c->parameters.data(), r.gradient.data(), r.mean.data(), r.var.data(),
                       c->y.data(), c->x.data(), c->rows});
    const Result wanted = run(*c, hhat_step(simd_active()), c->parameters);
    GTN_CHECK(r.loss == wanted.loss && r.gradient == wanted.gradient, "used memory");
  }
}

}  // namespace gtn::test
