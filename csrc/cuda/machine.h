// What runs the kernels: a GPU by way of its driver (driver.cpp), or the CPU in its place, body by
// body (emulated.cpp). Everything is queued and happens in order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/params.h"

namespace gtn::cuda {

class Machine {
 public:
  virtual ~Machine() = default;

  virtual int programs() const = 0;                   // that run at once
  virtual int rows_of_program(int padded) const = 0;  // y's that a program of the screen has

  virtual void scales(const ScaleParams& p) = 0;
  virtual void maxima(const ScreenParams& p) = 0;
  virtual void survivors(const ScreenParams& p) = 0;
  virtual void thresholds(const ThresholdParams& p) = 0;
  virtual void decide(const DecideParams& p) = 0;
  virtual void propose(const ProposeParams& p) = 0;
  virtual void next_round(Counters* counters) = 0;
  virtual void deepen(const DeepenParams& p) = 0;
  virtual void finish(const FinishParams& p) = 0;
  virtual void compact(const CompactParams& p) = 0;
  virtual void end(const EndParams& p) = 0;

  // Sets bytes.
  virtual void fill(void* at, int byte, int64_t bytes) = 0;
  // Has the counters, as they are then, sent to place `place` (below kPlaces) ...
  static constexpr int kPlaces = 8;
  virtual void send(const Counters* counters, int place) = 0;
  // ... where they are once this says so.
  virtual bool arrived(int place) = 0;
  virtual Counters counters_at(int place) = 0;
};

// A GPU whose context is current, with kernels of a cubin; `stream` as the driver has it.
// std::runtime_error with the driver's words.
std::unique_ptr<Machine> gpu(const std::string& cubin, bool wgmma, void* stream);
std::unique_ptr<Machine> emulated();

}  // namespace gtn::cuda
