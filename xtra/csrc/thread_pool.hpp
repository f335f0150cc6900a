// Threads over roots. A search calls `run` once per simulation, every few microseconds when the network is fast, so a
// worker spins for a moment before it sleeps.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace xtra {

class ThreadPool {
  public:
    using Work = std::function<void(int first, int last)>;

    explicit ThreadPool(int num_threads) : num_threads_(num_threads) {
        for (int index = 1; index < num_threads; ++index) {
            workers_.emplace_back([this, index] { serve(index); });
        }
    }
    ~ThreadPool() {
        stopping_ = true;
        announce();
        for (std::thread& worker : workers_) worker.join();
    }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int num_threads() const { return num_threads_; }

    // Calls `work` on fixed shares of 0, …, size - 1 and returns when all are done. Not to be called by two threads at
    // once.
    void run(int size, const Work& work) {
        if (num_threads_ == 1) return work(0, size);
        size_ = size;
        work_ = &work;
        unfinished_.store(num_threads_ - 1, std::memory_order_relaxed);
        announce();
        work_on_share(0);
        wait_until(unfinished_, [](int left) { return left == 0; });
    }

  private:
    static constexpr int kSpins = 20'000;  // tens of microseconds

    void announce() {
        round_.fetch_add(1, std::memory_order_release);
        round_.notify_all();
    }
    void serve(int index) {
        for (int seen = 0;; ++seen) {
            wait_until(round_, [seen](int round) { return round != seen; });
            if (stopping_) return;
            work_on_share(index);
            if (unfinished_.fetch_sub(1, std::memory_order_release) == 1) unfinished_.notify_one();
        }
    }
    void work_on_share(int index) {
        const auto bound = [&](int i) { return static_cast<int>(static_cast<long long>(size_) * i / num_threads_); };
        (*work_)(bound(index), bound(index + 1));
    }
    template <class Done>
    static void wait_until(std::atomic<int>& value, Done done) {
        for (int spin = 0; spin < kSpins; ++spin) {
            if (done(value.load(std::memory_order_acquire))) return;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        for (;;) {
            const int now = value.load(std::memory_order_acquire);
            if (done(now)) return;
            value.wait(now, std::memory_order_acquire);
        }
    }

    const int num_threads_;
    std::vector<std::thread> workers_;
    std::atomic<int> round_{0};
    std::atomic<int> unfinished_{0};
    std::atomic<bool> stopping_{false};
    const Work* work_ = nullptr;
    int size_ = 0;
};

}  // namespace xtra
