// Threads over roots. A search calls `run` once per simulation, every few microseconds when the network is fast, so a
// worker spins for a moment before it sleeps. The caller works too and takes whatever nobody has begun: on a busy
// machine it does not wait for a worker that the system has put aside.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace xtra {

class ThreadPool {
  public:
    using Work = std::function<void(int first, int last)>;

    explicit ThreadPool(int num_threads)
        : num_shares_(num_threads == 1 ? 1u : 2u * static_cast<unsigned>(num_threads)) {
        for (int index = 1; index < num_threads; ++index) workers_.emplace_back([this] { serve(); });
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
        open_round();
        work_on_open_shares();
        wait_until(done_, [this](std::uint64_t done) { return done == num_shares_; });
    }

  private:
    static constexpr int kSpins = 4'000;  // about a tenth of a millisecond

    // The high half of `claims_` is the round, the low half the next share that nobody has taken.
    static std::uint64_t round_of(std::uint64_t claims) { return claims >> 32; }
    static std::uint32_t share_of(std::uint64_t claims) { return static_cast<std::uint32_t>(claims); }

    void open_round() {
        const std::uint64_t round = round_of(claims_.load(std::memory_order_relaxed)) + 1;
        claims_.store(round << 32, std::memory_order_release);
        claims_.notify_all();
    }
    void serve() {
        for (std::uint64_t seen = 0;;) {
            seen = round_of(wait_until(claims_, [seen](std::uint64_t claims) { return round_of(claims) != seen; }));
            if (stopping_.load(std::memory_order_relaxed)) return;
            work_on_open_shares();
        }
    }
    void work_on_open_shares() {
        for (;;) {
            std::uint64_t claims = claims_.load(std::memory_order_acquire);
            const std::uint32_t share = share_of(claims);
            if (share >= num_shares_) return;
            if (!claims_.compare_exchange_weak(claims, claims + 1, std::memory_order_acq_rel)) continue;
            // `run` cannot return, nor a new round open, before this share is done.
            (*work_)(bound(share), bound(share + 1));
            if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == num_shares_) done_.notify_one();
        }
    }
    int bound(std::uint32_t share) const {
        return static_cast<int>(static_cast<std::uint64_t>(size_) * share / num_shares_);
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

    const std::uint32_t num_shares_;
    std::vector<std::thread> workers_;
    std::atomic<std::uint64_t> claims_{0};
    std::atomic<std::uint64_t> done_{0};
    std::atomic<bool> stopping_{false};
    const Work* work_ = nullptr;
    int size_ = 0;
};

}  // namespace xtra
