// The CPU engine as Python sees it. Tensors arrive as addresses: xtra/search/native.py has checked their types and
// shapes and keeps them alive, which costs a tenth of DLPack's four conversions per simulation.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "cpu_kernels.hpp"
#include "hash_model.hpp"
#include "thread_pool.hpp"
#include "warp_team.hpp"
#include "workspace_bindings.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace xtra {
namespace {

// Below this many, waking a thread costs more than it saves.
constexpr int kLeastSharedLogits = 4096;

class CpuEngine {
  public:
    CpuEngine(const Workspace& work, int num_threads, const std::string& instruction_set)
        : work_(work),
          num_threads_(num_threads),
          kernels_(find_cpu_kernels(instruction_set.empty() ? nullptr : instruction_set.c_str())) {
        if (!kernels_)
            throw std::invalid_argument("this processor or build has no instruction set '" + instruction_set + "'");
    }
    ~CpuEngine() { leave_parents_threads(); }
    CpuEngine(const CpuEngine&) = delete;
    CpuEngine& operator=(const CpuEngine&) = delete;

    // Empties the trees. `weights`: where each inference's priors will be, as exponentials of `shift`'s results.
    void reset(Address valid, Address weights) {
        weights_ = at<float>(weights);
        pool().run(work_.num_roots,
                   [&](int first, int last) { kernels_->reset(work_, at<std::uint8_t>(valid), first, last); });
    }
    void shift(Address logits) {
        const auto some = [&](int first, int last) {
            kernels_->shift(work_, at<float>(logits), weights_, first, last);
        };
        const bool worth_waking = work_.num_roots * work_.layout.num_actions >= kLeastSharedLogits;
        worth_waking ? pool().run(work_.num_roots, some) : some(0, work_.num_roots);
    }
    // These return the first root whose outputs could not be used and the Error, if any.
    std::optional<std::tuple<int, int>> begin(Address noise, Address values, Address latents, Address states) {
        const Outputs outputs{weights_, at<float>(values), nullptr, at<char>(latents), at<char>(states)};
        return run([&](int first, int last) { return kernels_->begin(work_, outputs, at<float>(noise), first, last); });
    }
    std::optional<std::tuple<int, int>> step(int simulation, Address values, Address prefixes, Address latents,
                                             Address states) {
        const Outputs outputs{weights_, at<float>(values), at<float>(prefixes), at<char>(latents), at<char>(states)};
        return run([&](int first, int last) { return kernels_->step(work_, outputs, simulation, first, last); });
    }
    const char* instruction_set() const { return kernels_->name; }

  private:
    template <class Work>
    std::optional<std::tuple<int, int>> run(Work work) {
        std::atomic<bool> failed{false};
        pool().run(work_.num_roots, [&](int first, int last) {
            if (!work(first, last)) failed.store(true, std::memory_order_relaxed);
        });
        if (!failed.load(std::memory_order_relaxed)) return std::nullopt;
        for (int root = 0;; ++root) {
            const int error = Tree{work_.trees + root * work_.layout.tree_bytes, &work_.layout}.header().error;
            if (error != 0) return std::tuple(root, error);
        }
    }
    ThreadPool& pool() {
        leave_parents_threads();
        if (!pool_) {
            pool_ = std::make_unique<ThreadPool>(num_threads_);
            owner_ = getpid();
        }
        return *pool_;
    }
    // A forked child has none of its parent's threads, and joining them would wait for ever.
    void leave_parents_threads() {
        if (owner_ != getpid()) (void)pool_.release();
    }

    const Workspace work_;
    const int num_threads_;
    const CpuKernels* const kernels_;
    float* weights_ = nullptr;
    std::unique_ptr<ThreadPool> pool_;
    pid_t owner_ = 0;
};

}  // namespace
}  // namespace xtra

NB_MODULE(_native, module) {
    using namespace xtra;

    nb::class_<Layout>(module, "Layout")
        .def("__init__", [](Layout* self, int num_actions,
                            int num_slots) { new (self) Layout(make_layout(num_actions, num_slots)); })
        .def_ro("node_bytes", &Layout::node_bytes)
        .def_ro("tree_bytes", &Layout::tree_bytes)
        .def_ro("prior", &Layout::prior)
        .def_ro("q", &Layout::q)
        .def_ro("child_visits", &Layout::child_visits)
        .def_ro("child", &Layout::child);

    nb::class_<Rules>(module, "Rules")
        .def(
            "__init__",
            [](Rules* self, float discount, float value_delta_max, float root_exploration_fraction,
               float gumbel_value_scale, float gumbel_min_span, float gumbel_visit_offset, int num_simulations,
               int lstm_horizon, int max_considered_actions, int min_max, int policy, bool node_visits,
               bool unvisited_min) {
                new (self) Rules{discount,
                                 value_delta_max,
                                 root_exploration_fraction,
                                 gumbel_value_scale,
                                 gumbel_min_span,
                                 gumbel_visit_offset,
                                 num_simulations,
                                 lstm_horizon,
                                 max_considered_actions,
                                 static_cast<MinMax>(min_max),
                                 static_cast<RootPolicy>(policy),
                                 node_visits,
                                 unvisited_min};
            },
            nb::kw_only(), "discount"_a, "value_delta_max"_a, "root_exploration_fraction"_a, "gumbel_value_scale"_a,
            "gumbel_min_span"_a, "gumbel_visit_offset"_a, "num_simulations"_a, "lstm_horizon"_a,
            "max_considered_actions"_a, "min_max"_a, "policy"_a, "node_visits"_a, "unvisited_min"_a);

    const auto release = nb::call_guard<nb::gil_scoped_release>();
    nb::class_<CpuEngine>(module, "CpuEngine")
        .def("__init__",
             [](CpuEngine* self, int num_roots, int num_actions, const Rules& rules, const nb::dict& memory,
                int num_threads, const std::string& instruction_set) {
                 new (self)
                     CpuEngine(make_workspace(num_roots, num_actions, rules, memory), num_threads, instruction_set);
             })
        .def("reset", &CpuEngine::reset, release)
        .def("shift", &CpuEngine::shift, release)
        .def("begin", &CpuEngine::begin, release)
        .def("step", &CpuEngine::step, release)
        .def_prop_ro("instruction_set", &CpuEngine::instruction_set);

    nb::class_<HashModel>(module, "HashModel")
        .def("__init__",
             [](HashModel* self, int num_roots, int num_actions, unsigned num_rows, const nb::dict& memory) {
                 const auto pointer = [&](const char* name) { return nb::cast<Address>(memory[name]); };
                 new (self) HashModel{num_roots,
                                      num_actions,
                                      num_rows,
                                      at<float>(pointer("logits")),
                                      at<float>(pointer("values")),
                                      at<float>(pointer("rewards")),
                                      at<std::uint32_t>(pointer("latents_out")),
                                      at<float>(pointer("states_out")),
                                      at<float>(pointer("prefixes_out")),
                                      at<float>(pointer("values_out")),
                                      at<float>(pointer("logits_out"))};
             })
        .def(
            "infer",
            [](const HashModel& self, Address latents, Address states, Address actions) {
                self.infer(at<std::uint32_t>(latents), at<float>(states), at<std::int64_t>(actions));
            },
            release);

    module.def("instruction_sets", [] {
        nb::list found;
        for (const char* name : {"portable", "avx2", "avx512"}) {
            if (find_cpu_kernels(name)) found.append(name);
        }
        return found;
    });
    // For kernels that are compiled at run time and launched from Python (xtra/search/nvrtc.py).
    module.def("workspace_bytes", [](int num_roots, int num_actions, const Rules& rules, const nb::dict& memory) {
        const Workspace work = make_workspace(num_roots, num_actions, rules, memory);
        return nb::bytes(reinterpret_cast<const char*>(&work), sizeof(work));
    });
    module.def("warp_chunks", warp_chunks);
    module.attr("WARPS_PER_BLOCK") = kWarpsPerBlock;
    module.attr("TREE_HEADER_BYTES") = sizeof(TreeHeader);
    module.attr("TREE_ERROR_OFFSET") = offsetof(TreeHeader, error);
}
