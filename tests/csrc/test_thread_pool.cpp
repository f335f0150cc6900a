#include <numeric>
#include <vector>

#include "check.hpp"
#include "thread_pool.hpp"

void test_thread_pool() {
    for (const int threads : {1, 2, 5}) {
        xtra::ThreadPool pool(threads);
        for (const int size : {0, 1, 3, 100}) {
            for (int round = 0; round < 200; ++round) {
                std::vector<int> touched(static_cast<std::size_t>(size));
                pool.run(size, [&](int first, int last) {
                    for (int index = first; index < last; ++index) touched[static_cast<std::size_t>(index)] += 1;
                });
                CHECK(std::accumulate(touched.begin(), touched.end(), 0) == size);
            }
        }
    }
}
