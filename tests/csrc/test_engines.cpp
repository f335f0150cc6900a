#include "check.hpp"
#include "problem.hpp"

using namespace xtra;

namespace {

Rules random_rules(std::mt19937& random, int most_simulations) {
    Rules rules{};
    rules.discount = 0.988f;
    rules.value_delta_max = 0.01f;
    rules.root_exploration_fraction = 0.25f;
    rules.gumbel_value_scale = 0.1f;
    rules.gumbel_min_span = random() % 2 ? 1e-8f : 0.3f;
    rules.gumbel_visit_offset = 50.0f;
    rules.num_simulations = 1 + static_cast<int>(random() % most_simulations);
    rules.lstm_horizon = 1 + static_cast<int>(random() % 5);
    rules.max_considered_actions = 16;
    rules.min_max = static_cast<MinMax>(random() % 3);
    rules.policy = static_cast<RootPolicy>(random() % 2);
    rules.node_visits = random() % 2;
    rules.unvisited_min = random() % 2;
    return rules;
}

const char* const kAll[] = {"portable", "avx2", "avx512", "emulated_warp"};

void all_engines_agree() {
    std::mt19937 random(1);
    for (int round = 0; round < 40; ++round) {
        const bool with_warp = round % 8 == 0;
        const Rules rules = random_rules(random, with_warp ? 6 : 60);
        Problem problem(1 + static_cast<int>(random() % 5), 1 + static_cast<int>(random() % kMaxActions), rules,
                        random());
        const Result expected = problem.run(*find_cpu_kernels("portable"));
        for (const char* name : kAll) {
            const CpuKernels* kernels = find_cpu_kernels(name);
            if (!kernels || (kernels == find_cpu_kernels("emulated_warp") && !with_warp)) continue;
            CHECK(problem.run(*kernels) == expected);
        }
    }
}

void threads_do_not_matter() {
    std::mt19937 random(2);
    for (int round = 0; round < 10; ++round) {
        Problem problem(1 + static_cast<int>(random() % 20), 18, random_rules(random, 50), random());
        const Result expected = problem.run(*find_cpu_kernels());
        for (const int threads : {2, 3, 8}) CHECK(problem.run(*find_cpu_kernels(), threads) == expected);
    }
}

// Searching goes on inside its memory, and every root says what was wrong.
void bad_outputs_are_reported_and_survived() {
    std::mt19937 random(3);
    for (const float poison : {NAN, INFINITY, -INFINITY, 1e38f}) {
        for (const char* name : {"portable", "avx2", "avx512"}) {
            const CpuKernels* kernels = find_cpu_kernels(name);
            if (!kernels) continue;
            Problem problem(3, 7, random_rules(random, 30), 5);
            problem.poison = poison;
            problem.poisoned = true;
            for (const int error : problem.run(*kernels).errors) CHECK((error != 0) == !std::isfinite(poison));
            problem.no_valid_action = true;
            for (const int error : problem.run(*kernels).errors) CHECK(error != 0);
        }
    }
}

}  // namespace

void test_engines() {
    all_engines_agree();
    threads_do_not_matter();
    bad_outputs_are_reported_and_survived();
}
