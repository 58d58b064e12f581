// One source for the GPU and for its emulation on the CPU: what differs between the two.
//
// A kernel's body is a function of its parameters and an item, or of a group of threads that
// share an item. kernels.cu makes __global__ functions of the bodies; emulated.cpp calls them in
// loops, with a group of one thread.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define GTN_BOTH __host__ __device__ __forceinline__
#else
#define GTN_BOTH inline
#include <atomic>
#endif

namespace gtn::cuda {

// Read-modify-write without order: what is read afterwards is ordered by the end of the kernel.
GTN_BOTH int atomic_add(int* at, int value) {
#if defined(__CUDA_ARCH__)
  return atomicAdd(at, value);
#elif defined(__CUDACC__)
  return *at += value, *at - value;  // nvcc's pass for the host: never called
#else
  return std::atomic_ref<int>(*at).fetch_add(value, std::memory_order_relaxed);
#endif
}

GTN_BOTH void atomic_add(unsigned long long* at, unsigned long long value) {
#if defined(__CUDA_ARCH__)
  atomicAdd(at, value);
#elif defined(__CUDACC__)
  *at += value;
#else
  std::atomic_ref<unsigned long long>(*at).fetch_add(value, std::memory_order_relaxed);
#endif
}

GTN_BOTH int atomic_min(int* at, int value) {
#if defined(__CUDA_ARCH__)
  return atomicMin(at, value);
#elif defined(__CUDACC__)
  return *at;
#else
  std::atomic_ref<int> there(*at);
  int old = there.load(std::memory_order_relaxed);
  while (value < old && !there.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
  return old;
#endif
}

// Reads what other threads change meanwhile.
GTN_BOTH int fresh(const int* at) {
#if defined(__CUDA_ARCH__)
  return *static_cast<const volatile int*>(at);
#elif defined(__CUDACC__)
  return *at;
#else
  return std::atomic_ref<int>(const_cast<int&>(*at)).load(std::memory_order_relaxed);
#endif
}

// A group of one thread: what the emulation runs.
struct OneThread {
  static constexpr int width = 1;
  int lane = 0;
  GTN_BOTH void sync() const {}
  GTN_BOTH int sum(int value, int*) const { return value; }
  // What the lanes before this one have in all; `total`: all lanes.
  GTN_BOTH int before(int value, int* total, int*) const {
    *total = value;
    return 0;
  }
  GTN_BOTH void best(int*, double*, uint32_t*) const {}
  GTN_BOTH int from_first(int value) const { return value; }
};

}  // namespace gtn::cuda
