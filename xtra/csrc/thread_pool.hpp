// Threads over roots. A search calls `run` once per simulation, every few microseconds when the network is fast, so a
// worker spins for a moment before it sleeps. Each thread has a share of its own, round after round, whose trees stay
// in its core's cache; the caller also takes shares that nobody has begun, and so does not wait for a worker that a
// busy system has put aside.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

namespace xtra {

class ThreadPool {
  public:
    using Work = std::function<void(int first, int last)>;

    explicit ThreadPool(int num_threads) : shares_(static_cast<std::size_t>(num_threads)) {
        try {
            for (int index = 1; index < num_threads; ++index) workers_.emplace_back([this, index] { serve(index); });
        } catch (const std::system_error&) {
            // The system has no more threads: those that there are take the shares of the missing ones.
        }
    }
    ~ThreadPool() {
        stopping_.store(true, std::memory_order_relaxed);
        open_round();
        for (std::thread& worker : workers_) worker.join();
    }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // Calls `work` on shares of 0, …, size - 1 and returns when all are done. Not to be called by two threads at once.
    void run(int size, const Work& work) {
        if (workers_.empty()) return work(0, size);
        size_ = size;
        work_ = &work;
        done_.store(0, std::memory_order_relaxed);
        const std::uint64_t round = open_round();
        for (std::size_t share = 0; share < shares_.size(); ++share) work_on(share, round);
        wait_until(done_, [this](std::uint64_t done) { return done == shares_.size(); });
    }

  private:
    static constexpr int kSpins = 4'000;  // about a tenth of a millisecond

    struct alignas(64) Share {
        std::atomic<std::uint64_t> taken{0};  // the last round in which somebody took it
    };

    std::uint64_t open_round() {
        const std::uint64_t round = round_.load(std::memory_order_relaxed) + 1;
        round_.store(round, std::memory_order_release);
        round_.notify_all();
        return round;
    }
    void serve(int index) {
        for (std::uint64_t seen = 0;;) {
            seen = wait_until(round_, [seen](std::uint64_t round) { return round != seen; });
            if (stopping_.load(std::memory_order_relaxed)) return;
            work_on(static_cast<std::size_t>(index), seen);
        }
    }
    // Unless somebody else has taken it. `run` cannot return, nor a new round open, before a taken share is done.
    void work_on(std::size_t share, std::uint64_t round) {
        std::uint64_t before = round - 1;
        if (!shares_[share].taken.compare_exchange_strong(before, round, std::memory_order_acq_rel)) return;
        (*work_)(bound(share), bound(share + 1));
        if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == shares_.size()) done_.notify_one();
    }
    int bound(std::size_t share) const {
        return static_cast<int>(static_cast<std::size_t>(size_) * share / shares_.size());
    }
    template <class Done>
    static std::uint64_t wait_until(const std::atomic<std::uint64_t>& value, Done done) {
        for (int spin = 0; spin < kSpins; ++spin) {
            const std::uint64_t now = value.load(std::memory_order_acquire);
            if (done(now)) return now;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        for (;;) {
            const std::uint64_t now = value.load(std::memory_order_acquire);
            if (done(now)) return now;
            value.wait(now, std::memory_order_acquire);
        }
    }

    std::vector<Share> shares_;
    std::vector<std::thread> workers_;
    std::atomic<std::uint64_t> round_{0};
    std::atomic<std::uint64_t> done_{0};
    std::atomic<bool> stopping_{false};
    const Work* work_ = nullptr;
    int size_ = 0;
};

}  // namespace xtra
