// The loop on a device: addresses in, counters out. Python owns the memory.
#include "bindings/bindings.h"
#include "bindings/watch.h"
#include "cuda/codes.h"
#include "cuda/loop.h"

namespace gtn::bindings {
namespace {

template <class T>
T* pointer(const py::dict& given, const char* name) {
  return reinterpret_cast<T*>(given[name].cast<uintptr_t>());
}

cuda::Rows rows_of(const py::dict& given, const char* name) {
  const py::dict rows = given[name];
  return {pointer<void>(rows, "data"), pointer<double>(rows, "largest"),
          pointer<double>(rows, "inner"), rows["stride"].cast<int64_t>(),
          rows["is_double"].cast<bool>() ? 1 : 0};
}

// A machine with one matching on it.
class DeviceLoop {
 public:
  DeviceLoop(const py::bytes& cubin, bool wgmma, uintptr_t stream, const cuda::Shape& shape)
      : shape_(shape) {
    const std::string code = cubin;
    machine_ =
        code.empty() ? cuda::emulated() : cuda::gpu(code, wgmma, reinterpret_cast<void*>(stream));
    schedule_ = cuda::schedule(shape, *machine_);
  }

  int64_t work_bytes() const { return schedule_.work_bytes; }
  size_t blocks() const { return schedule_.blocks.size(); }
  int64_t left_to_the_end() const { return schedule_.end.rows; }

  void scales(uintptr_t data, int64_t rows, int64_t stride, bool is_double, uintptr_t largest,
              uintptr_t inner) {
    machine_->scales({reinterpret_cast<const void*>(data), rows, stride, shape_.d,
                      is_double ? 1 : 0, reinterpret_cast<double*>(largest),
                      reinterpret_cast<double*>(inner)});
  }

  py::dict run(const py::dict& given, const py::object& progress) {
    cuda::Given g{};
    g.x = rows_of(given, "x");
    g.y = rows_of(given, "y");
    g.x_codes = pointer<unsigned char>(given, "x_codes");
    g.y_codes = pointer<unsigned char>(given, "y_codes");
    g.x_row = pointer<int>(given, "x_row");
    g.y_row = pointer<int>(given, "y_row");
    g.rank = pointer<uint32_t>(given, "rank");
    g.level_base = pointer<double>(given, "level_base");
    g.level_scale = given["level_scale"].cast<double>();
    g.chosen = pointer<int>(given, "chosen");
    g.cosine = pointer<double>(given, "cosine");
    g.counters = pointer<cuda::Counters>(given, "counters");
    g.work = pointer<void>(given, "work");
    cuda::Counters last{};
    Control control;
    int64_t said = 0;
    // One thread: it queues kernels and looks after them, and reacts in between.
    run_watched(
        1, control,
        [&] {
          last = cuda::run(*machine_, shape_, schedule_, g, [&](int64_t done) {
            control.done.store(done);
            control.check();
          });
        },
        [&] {
          const int64_t done = control.done.load();
          if (progress.is_none() || done == said) return;
          said = done;
          call_python(progress, {PyLong_FromLongLong(done)});
        });
    py::dict out;
    out["done"] = last.done;
    out["failed"] = last.failed;
    out["deep_lists"] = last.deepened;
    out["survivors"] = last.survivors;
    return out;
  }

 private:
  cuda::Shape shape_;
  std::unique_ptr<cuda::Machine> machine_;
  cuda::Schedule schedule_;
};

}  // namespace

void add_device(py::module_& m) {
  py::class_<DeviceLoop>(m, "DeviceLoop")
      .def(py::init([](const py::bytes& cubin, bool wgmma, uintptr_t stream, int64_t n_x,
                       int64_t n_y, int d, int padded, int block, int64_t end_pairs) {
             cuda::Shape shape;
             shape.x = n_x;
             shape.y = n_y;
             shape.d = d;
             shape.padded = padded;
             shape.block = block;
             shape.end_pairs = end_pairs;
             return std::make_unique<DeviceLoop>(cubin, wgmma, stream, shape);
           }),
           py::arg("cubin"), py::arg("wgmma"), py::arg("stream"), py::arg("n_x"), py::arg("n_y"),
           py::arg("d"), py::arg("padded"), py::arg("block") = 0,
           py::arg("end_pairs") = int64_t{1} << 24)
      .def_property_readonly("work_bytes", &DeviceLoop::work_bytes)
      .def_property_readonly("blocks", &DeviceLoop::blocks)
      .def_property_readonly("left_to_the_end", &DeviceLoop::left_to_the_end)
      .def("scales", &DeviceLoop::scales)
      .def("run", &DeviceLoop::run, py::arg("given"), py::arg("progress") = py::none());
  m.attr("DEVICE_COUNTERS_BYTES") = sizeof(cuda::Counters);
  m.attr("DEVICE_LARGEST_DIMENSION") = cuda::kLargestDimension;
}

}  // namespace gtn::bindings
