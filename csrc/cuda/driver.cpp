// The kernels on a GPU: a cubin, loaded and launched through the driver, which is found at run
// time. No CUDA toolkit is needed to build this or to run it.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cuda/bodies.h"
#include "cuda/machine.h"

namespace gtn::cuda {
namespace {

// The driver's types and numbers, as cuda.h has them.
using Result = int;
using Module = void*;
using Function = void*;
using Event = void*;
using Context = void*;
constexpr int kDynamicShared = 8;      // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kMultiprocessors = 16;   // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
constexpr int kSharedPerProgram = 97;  // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
constexpr Result kNotReady = 600;      // CUDA_ERROR_NOT_READY
constexpr unsigned kNoTiming = 2;      // CU_EVENT_DISABLE_TIMING

struct Driver {
  Result (*get_error)(Result, const char**);
  Result (*context)(Context*);
  Result (*device)(int*);
  Result (*attribute)(int*, int, int);
  Result (*load)(Module*, const void*);
  Result (*function)(Function*, Module, const char*);
  Result (*set_attribute)(Function, int, int);
  Result (*launch)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   void*, void**, void**);
  Result (*set_bytes)(unsigned long long, unsigned char, size_t, void*);
  Result (*to_host)(void*, unsigned long long, size_t, void*);
  Result (*host_memory)(void**, size_t);
  Result (*make_event)(Event*, unsigned);
  Result (*record)(Event, void*);
  Result (*query)(Event);
  Result (*wait)(Event);

  void check(Result result, const char* what) const {
    if (result == 0) return;
    const char* text = nullptr;
    get_error(result, &text);
    throw std::runtime_error(std::string("CUDA: ") + what + ": " +
                             (text != nullptr ? text : "unknown error"));
  }
};

const Driver& driver() {
  static const Driver found = [] {
    void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) throw std::runtime_error("CUDA: no driver (libcuda.so.1) is found");
    const auto at = [&](auto& into, const char* name) {
      into = reinterpret_cast<std::remove_reference_t<decltype(into)>>(dlsym(library, name));
      if (into == nullptr) throw std::runtime_error(std::string("CUDA: the driver has no ") + name);
    };
    Driver d{};
    at(d.get_error, "cuGetErrorString");
    at(d.context, "cuCtxGetCurrent");
    at(d.device, "cuCtxGetDevice");
    at(d.attribute, "cuDeviceGetAttribute");
    at(d.load, "cuModuleLoadData");
    at(d.function, "cuModuleGetFunction");
    at(d.set_attribute, "cuFuncSetAttribute");
    at(d.launch, "cuLaunchKernel");
    at(d.set_bytes, "cuMemsetD8Async");
    at(d.to_host, "cuMemcpyDtoHAsync_v2");
    at(d.host_memory, "cuMemAllocHost_v2");
    at(d.make_event, "cuEventCreate");
    at(d.record, "cuEventRecord");
    at(d.query, "cuEventQuery");
    at(d.wait, "cuEventSynchronize");
    return d;
  }();
  return found;
}

// A cubin's module in the current context; loaded once.
Module module_of(Context context, const std::string& cubin) {
  static std::mutex mutex;
  static std::map<std::pair<Context, size_t>, Module> loaded;
  const std::lock_guard lock(mutex);
  Module& module = loaded[{context, std::hash<std::string>{}(cubin)}];
  if (module == nullptr)
    driver().check(driver().load(&module, cubin.data()), "loading the kernels");
  return module;
}

// Where the counters are sent: memory of the host and an event for each place. They are kept for
// the next machine in the same context, since to free such memory waits for the whole device.
struct Places {
  Counters* memory = nullptr;
  std::array<Event, Machine::kPlaces> events{};
  std::array<bool, Machine::kPlaces> used{};
};

class PlacesPool {
 public:
  Places take(Context context) {
    {
      const std::lock_guard lock(mutex_);
      std::vector<Places>& free = free_[context];
      if (!free.empty()) {
        const Places taken = free.back();
        free.pop_back();
        return taken;
      }
    }
    const Driver& d = driver();
    Places made;
    void* memory = nullptr;
    d.check(d.host_memory(&memory, sizeof(Counters) * Machine::kPlaces), "host memory");
    made.memory = static_cast<Counters*>(memory);
    for (Event& event : made.events) d.check(d.make_event(&event, kNoTiming), "events");
    return made;
  }
  void give(Context context, Places places) {
    // What is queued may still write there.
    for (size_t i = 0; i < places.events.size(); ++i)
      if (std::exchange(places.used[i], false)) driver().wait(places.events[i]);
    const std::lock_guard lock(mutex_);
    free_[context].push_back(places);
  }

 private:
  std::mutex mutex_;
  std::map<Context, std::vector<Places>> free_;
};

PlacesPool& places_pool() {
  static PlacesPool* const pool = new PlacesPool;  // lives as long as the process
  return *pool;
}

unsigned long long address(const void* p) { return reinterpret_cast<unsigned long long>(p); }
unsigned programs_of(int64_t items, int each) {
  return static_cast<unsigned>((items + each - 1) / each);
}

class Gpu final : public Machine {
 public:
  Gpu(const std::string& cubin, bool wgmma, void* stream) : wgmma_(wgmma), stream_(stream) {
    d_.check(d_.context(&context_), "asking for the context");
    if (context_ == nullptr) throw std::runtime_error("CUDA: no context is current");
    int device = 0;
    d_.check(d_.device(&device), "asking for the device");
    d_.check(d_.attribute(&programs_, kMultiprocessors, device), "asking for multiprocessors");
    d_.check(d_.attribute(&shared_, kSharedPerProgram, device), "asking for shared memory");
    module_ = module_of(context_, cubin);
    places_ = places_pool().take(context_);
  }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  ~Gpu() override { places_pool().give(context_, places_); }

  int programs() const override { return programs_; }
  int rows_of_program(int padded) const override { return wgmma_ && padded > 256 ? 128 : 256; }

  void scales(const ScaleParams& p) override {
    launch("gtn_scales", programs_of(p.rows, 256), 1, 256, 0, p);
  }
  void maxima(const ScreenParams& p) override { screen("gtn_maxima", p); }
  void survivors(const ScreenParams& p) override { screen("gtn_survivors", p); }
  void thresholds(const ThresholdParams& p) override {
    launch("gtn_thresholds", programs_of(p.rows, 128), 1, 128, 0, p);
  }
  void decide(const DecideParams& p) override {
    const int bytes = decide_bytes(p.d, p.most);
    if (p.deep != 0)
      launch("gtn_decide_deep", static_cast<unsigned>(p.rows), 1, kDeepLanes, bytes, p);
    else
      launch("gtn_decide", programs_of(p.rows, 4), 1, 128, 4 * bytes, p);
  }
  void propose(const ProposeParams& p) override {
    launch("gtn_propose", programs_of(p.deep != 0 ? kMostDry : p.rows, 128), 1, 128, 0, p);
  }
  void next_round(Counters* counters) override { launch("gtn_next_round", 1, 1, 1, 0, counters); }
  void deepen(const DeepenParams& p) override { launch("gtn_deepen", kMostDry, 1, 32, 0, p); }
  void finish(const FinishParams& p) override {
    launch("gtn_finish", programs_of(p.rows, 128), 1, 128, 0, p);
  }
  void compact(const CompactParams& p) override {
    launch("gtn_collect", programs_of(p.cols, 256), 1, 256, 0, p);
    launch("gtn_move", programs_of(p.cols - p.left, 8), 1, 256, 0, p);
  }
  void end(const EndParams& p) override {
    launch("gtn_end_directions", programs_of(p.cols + p.rows, 4), 1, 128, 0, p);
    launch("gtn_end_cosines", programs_of(p.cols, 16), programs_of(p.rows, 16), 256, 0, p);
    launch("gtn_end_propose", static_cast<unsigned>(p.rows), 1, 32, 0, p);
    launch("gtn_end_finish", programs_of(p.cols, 256), 1, 256, 0, p);
  }
  void fill(void* at, int byte, int64_t bytes) override {
    d_.check(d_.set_bytes(address(at), static_cast<unsigned char>(byte), static_cast<size_t>(bytes),
                          stream_),
             "setting memory");
  }
  void send(const Counters* counters, int place) override {
    places_.used[static_cast<size_t>(place)] = true;
    d_.check(d_.to_host(&places_.memory[place], address(counters), sizeof(Counters), stream_),
             "copying");
    d_.check(d_.record(places_.events[static_cast<size_t>(place)], stream_), "recording an event");
  }
  bool arrived(int place) override {
    const Result result = d_.query(places_.events[static_cast<size_t>(place)]);
    if (result == kNotReady) return false;
    d_.check(result, "running the kernels");
    return true;
  }
  Counters counters_at(int place) override { return places_.memory[place]; }

 private:
  void screen(const char* name, const ScreenParams& p) {
    const int unit = rows_of_program(p.padded);
    const unsigned programs = programs_of(p.rows, unit);
    const auto splits = static_cast<unsigned>(p.splits);
    if (!wgmma_) {
      constexpr int kStages = 3, kBytes = 3 * 2 * kTile * kPart;
      launch((std::string(name) + "_mma").c_str(), programs, splits, 256, kStages * kBytes, p);
      return;
    }
    const int held = 256 + static_cast<int>(unit / kTile * tile_bytes(p.padded));
    const int stage = 2 * kTile * std::min(p.padded, kPart);
    const int stages = std::clamp((shared_ - held) / stage, 1, 8);
    launch((std::string(name) + (unit == kTile ? "_wgmma_high" : "_wgmma")).c_str(), programs,
           splits, 384, held + stages * stage, p, stages);
  }

  template <class... Params>
  void launch(const char* name, unsigned across, unsigned down, unsigned threads, int shared,
              const Params&... params) {
    if (across == 0 || down == 0) return;
    Function& function = functions_[name];
    if (function == nullptr)
      d_.check(d_.function(&function, module_, name), "looking for a kernel");
    if (shared > 48 * 1024)
      d_.check(d_.set_attribute(function, kDynamicShared, shared), "asking for shared memory");
    void* taken[] = {const_cast<void*>(static_cast<const void*>(&params))...};
    d_.check(d_.launch(function, across, down, 1, threads, 1, 1, static_cast<unsigned>(shared),
                       stream_, taken, nullptr),
             name);
  }

  const Driver& d_ = driver();
  const bool wgmma_;
  void* const stream_;
  Context context_ = nullptr;
  int programs_ = 0, shared_ = 0;
  Module module_ = nullptr;
  std::map<std::string, Function> functions_;
  Places places_;
};

}  // namespace

std::unique_ptr<Machine> gpu(const std::string& cubin, bool wgmma, void* stream) {
  return std::make_unique<Gpu>(cubin, wgmma, stream);
}

}  // namespace gtn::cuda
