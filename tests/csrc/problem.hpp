// A random search with all its memory, run by any engine on a hash model: same problem, same numbers, or the test
// fails.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "cpu_kernels.hpp"
#include "thread_pool.hpp"

namespace xtra {

struct Result {
    std::vector<std::int32_t> visits;
    std::vector<float> q;
    std::vector<float> values;
    std::vector<std::int64_t> leaves;  // every action and parent that was selected
    std::vector<std::int32_t> errors;
    bool operator==(const Result&) const = default;
};

class Problem {
  public:
    Problem(int num_roots, int num_actions, const Rules& rules, std::uint32_t seed)
        : num_roots_(num_roots), num_actions_(num_actions), rules_(rules), seed_(seed) {}

    // Values that the model gives instead of its own, to see that the engine survives them.
    float poison = 0.0f;
    bool poisoned = false;
    bool no_valid_action = false;

    Result run(const CpuKernels& kernels, int num_threads = 1) {
        allocate();
        ThreadPool pool(num_threads);
        Result result;
        infer(true);
        pool.run(num_roots_, [&](int first, int last) { kernels.reset(work_, valid_.get(), first, last); });
        weigh(kernels, pool);
        pool.run(num_roots_, [&](int first, int last) { kernels.begin(work_, outputs_, noise_.get(), first, last); });
        record(result);
        for (int simulation = 0; simulation < rules_.num_simulations; ++simulation) {
            infer(false);
            weigh(kernels, pool);
            pool.run(num_roots_, [&](int first, int last) { kernels.step(work_, outputs_, simulation, first, last); });
            if (simulation + 1 < rules_.num_simulations) record(result);
        }
        result.visits = visits_;
        result.q = q_;
        result.values = values_;
        for (int root = 0; root < num_roots_; ++root)
            result.errors.push_back(Tree{tree(root), &work_.layout}.header().error);
        return result;
    }

  private:
    // Priors by a softmax whose exponential is anybody's: the same for all engines.
    void weigh(const CpuKernels& kernels, ThreadPool& pool) {
        pool.run(num_roots_,
                 [&](int first, int last) { kernels.shift(work_, logits_.get(), weights_.get(), first, last); });
        for (int index = 0; index < num_roots_ * num_actions_; ++index) weights_[index] = std::exp(weights_[index]);
    }

    char* tree(int root) { return work_.trees + root * work_.layout.tree_bytes; }

    void allocate() {
        const int slots = rules_.num_simulations + 1;
        const auto rows = static_cast<std::size_t>(num_roots_) * static_cast<std::size_t>(num_actions_);
        std::mt19937 random(seed_);
        work_ = {};
        work_.layout = make_layout(num_actions_, slots);
        work_.rules = rules_;
        work_.num_roots = num_roots_;
        work_.latent_bytes = work_.state_bytes = 4;
        // On the heap and of exact size, so that AddressSanitizer sees every step outside.
        trees_.reset(new char[static_cast<std::size_t>(work_.layout.tree_bytes) * num_roots_]);
        exploration_.clear();
        for (int visits = 0; visits < slots + 1; ++visits) {
            exploration_.push_back(
                static_cast<float>((std::log((visits + 19653.0) / 19652.0) + 1.25) * std::sqrt(visits)));
        }
        considered_.assign(static_cast<std::size_t>(num_actions_ + 1) * rules_.num_simulations, 0);
        valid_.reset(new std::uint8_t[rows]);
        bias_.resize(rows);
        for (std::size_t index = 0; index < rows; ++index) {
            valid_[index] = !no_valid_action && (random() % 4 != 0 || index % num_actions_ == 0);
            bias_[index] = uniform(random);
        }
        seeds_.resize(num_roots_);
        weights_.reset(new float[rows]);
        noise_.reset(new float[rows]);
        for (std::size_t index = 0; index < rows; ++index) noise_[index] = 0.5f + 0.5f * uniform(random);
        for (auto& seed : seeds_) seed = (static_cast<std::uint64_t>(random()) << 32) | random();
        latent_pool_.assign(static_cast<std::size_t>(num_roots_) * slots, 0);
        state_pool_.assign(latent_pool_.size(), 0.0f);
        leaf_latents_.assign(num_roots_, 0);
        leaf_states_.assign(num_roots_, 0.0f);
        actions_.assign(num_roots_, 0);
        parents_.assign(num_roots_, 0);
        resets_.assign(num_roots_, 0);
        visits_.assign(rows, 0);
        q_.assign(rows, 0.0f);
        values_.assign(num_roots_, 0.0f);
        bind();
    }

    void bind() {
        work_.trees = trees_.get();
        work_.exploration = exploration_.data();
        work_.considered = considered_.data();
        work_.root_bias = bias_.data();
        work_.seeds = seeds_.data();
        work_.latent_pool = reinterpret_cast<char*>(latent_pool_.data());
        work_.state_pool = reinterpret_cast<char*>(state_pool_.data());
        work_.leaf_latents = reinterpret_cast<char*>(leaf_latents_.data());
        work_.leaf_states = reinterpret_cast<char*>(leaf_states_.data());
        work_.leaf_actions = actions_.data();
        work_.leaf_parents = parents_.data();
        work_.leaf_is_reset = resets_.data();
        work_.root_visits = visits_.data();
        work_.root_q = q_.data();
        work_.root_values = values_.data();
    }

    // Outputs are functions of a hash of the path, and are reallocated to their exact size every time.
    void infer(bool roots) {
        logits_.reset(new float[static_cast<std::size_t>(num_roots_) * num_actions_]);
        out_values_.resize(num_roots_);
        out_prefixes_.resize(num_roots_);
        out_latents_.resize(num_roots_);
        out_states_.resize(num_roots_);
        for (int root = 0; root < num_roots_; ++root) {
            const std::uint32_t before = roots ? static_cast<std::uint32_t>(root) * 7919u + seed_ : leaf_latents_[root];
            std::mt19937 random(before * 31u + static_cast<std::uint32_t>(actions_[root]) + 1u);
            out_latents_[root] = random();
            out_values_[root] = poisoned ? poison : uniform(random);
            out_prefixes_[root] = (roots ? 0.0f : leaf_states_[root]) + 0.1f * uniform(random);
            out_states_[root] = out_prefixes_[root];
            float* logits = logits_.get() + static_cast<std::ptrdiff_t>(root) * num_actions_;
            for (int action = 0; action < num_actions_; ++action) {
                logits[action] = poisoned && action == 0 ? poison : 2.0f * uniform(random);
            }
        }
        outputs_ = {weights_.get(), out_values_.data(), out_prefixes_.data(),
                    reinterpret_cast<const char*>(out_latents_.data()),
                    reinterpret_cast<const char*>(out_states_.data())};
    }
    static float uniform(std::mt19937& random) { return static_cast<float>(random() % 65536) / 32768.0f - 1.0f; }

    void record(Result& result) const {
        result.leaves.insert(result.leaves.end(), actions_.begin(), actions_.end());
        result.leaves.insert(result.leaves.end(), parents_.begin(), parents_.end());
    }

    const int num_roots_, num_actions_;
    const Rules rules_;
    const std::uint32_t seed_;
    Workspace work_{};
    Outputs outputs_{};
    std::unique_ptr<char[]> trees_;
    std::unique_ptr<std::uint8_t[]> valid_;
    std::unique_ptr<float[]> logits_, weights_, noise_;
    std::vector<float> exploration_, bias_, state_pool_, leaf_states_, q_, values_, out_values_, out_prefixes_,
        out_states_;
    std::vector<std::uint16_t> considered_;
    std::vector<std::uint64_t> seeds_;
    std::vector<std::uint32_t> latent_pool_, leaf_latents_, out_latents_;
    std::vector<std::int64_t> actions_, parents_;
    std::vector<std::int32_t> resets_, visits_;
};

}  // namespace xtra
