// The CUDA engine as Python sees it; bindings.cpp says why tensors arrive as addresses. Loads without a GPU or driver.
#include <cuda_runtime_api.h>
#include <nanobind/nanobind.h>

#include <stdexcept>

#include "cuda_kernels.hpp"
#include "workspace_bindings.hpp"

namespace nb = nanobind;

namespace xtra {
namespace {

class CudaEngine {
  public:
    CudaEngine(int device, const Workspace& work) : device_(device), work_(work) {}

    void begin(Address weights, Address values, Address latents, Address states, Address valid, Address noise,
               Address stream) const {
        const Outputs outputs{at<float>(weights), at<float>(values), nullptr, at<char>(latents), at<char>(states)};
        check(cuda_begin(device_, work_, outputs, at<std::uint8_t>(valid), at<float>(noise), at<void>(stream)));
    }
    void step(int simulation, Address weights, Address values, Address prefixes, Address latents, Address states,
              Address stream) const {
        const Outputs outputs{at<float>(weights), at<float>(values), at<float>(prefixes), at<char>(latents),
                              at<char>(states)};
        check(cuda_step(device_, work_, outputs, simulation, at<void>(stream)));
    }

  private:
    static void check(const char* error) {
        if (error) throw std::runtime_error(error);
    }
    const int device_;
    const Workspace work_;
};

}  // namespace
}  // namespace xtra

NB_MODULE(_cuda, module) {
    using namespace xtra;
    const auto release = nb::call_guard<nb::gil_scoped_release>();
    nb::class_<CudaEngine>(module, "CudaEngine")
        .def("__init__",
             [](CudaEngine* self, int device, int num_roots, int num_actions, const Rules& rules,
                const nb::dict& memory) {
                 new (self) CudaEngine(device, make_workspace(num_roots, num_actions, rules, memory));
             })
        .def("begin", &CudaEngine::begin, release)
        .def("step", &CudaEngine::step, release);

    module.def("probe", [] {
        const char* error = cuda_probe();
        return error ? nb::object(nb::str(error)) : nb::none();
    });
    module.attr("TOOLKIT_VERSION") = CUDART_VERSION;
}
