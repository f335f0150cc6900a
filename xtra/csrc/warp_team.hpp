// A warp as a team: one action a lane, a row of more than 32 actions in several chunks. `Lanes` is the hardware:
// cuda_kernels.cuh on a GPU, emulated_warp.cpp where there is none. Reductions are butterflies, so every lane ends with
// the same bits as pack.hpp.
#pragma once

#include "tree.hpp"

namespace xtra {

template <class Lanes, int Chunks>
struct WarpTeam {
    static constexpr int chunks = Chunks;
    static constexpr int lanes = 32;
    using Float = float;
    using Int = std::int32_t;
    using Key = std::uint32_t;

    Lanes hardware;
    int num_actions;

    XTRA_INLINE bool leader() const { return hardware.lane() == 0; }
    XTRA_INLINE void sync() const { hardware.sync(); }
    static constexpr bool always_full(int) { return false; }

    XTRA_INLINE Int actions(int chunk) const { return hardware.lane() + chunk * lanes; }
    XTRA_INLINE Float all(float value) const { return value; }
    XTRA_INLINE Float to_float(Int value) const { return static_cast<float>(value); }
    XTRA_INLINE Key to_key(Int value) const { return static_cast<Key>(value); }

    XTRA_INLINE Float load(const float* row, int chunk) const {
        const int action = actions(chunk);
        return action < num_actions ? row[action] : 0.0f;
    }
    XTRA_INLINE Int load(const std::uint16_t* row, int chunk) const {
        const int action = actions(chunk);
        return action < num_actions ? row[action] : 0;
    }
    XTRA_INLINE Float load_span(const float* span, int begin, int size, float otherwise) const {
        const int index = begin + hardware.lane();
        return index < size ? span[index] : otherwise;
    }

    XTRA_INLINE void store_span(float* span, int begin, int size, float value) const {
        const int index = begin + hardware.lane();
        if (index < size) span[index] = value;
    }

    XTRA_INLINE Int load_flags(const std::uint8_t* flags, int chunk, int size) const {
        const int action = actions(chunk);
        return action < size && flags[action];
    }
    XTRA_INLINE void store(float* row, int chunk, float value) const {
        if (actions(chunk) < num_actions) row[actions(chunk)] = value;
    }
    template <class Count>
    XTRA_INLINE void store(Count* row, int chunk, int value) const {
        if (actions(chunk) < num_actions) row[actions(chunk)] = static_cast<Count>(value);
    }

    XTRA_INLINE float sum(const Float* packs) const {
        float total = 0.0f;
        for (int chunk = 0; chunk < Chunks; ++chunk) total += packs[chunk];
        return butterfly(total, [](float a, float b) { return a + b; });
    }
    template <class Value>
    XTRA_INLINE Value max(Value value) const {
        return butterfly(value, [](Value a, Value b) { return a > b ? a : b; });
    }
    XTRA_INLINE float min(float value) const {
        return butterfly(value, [](float a, float b) { return a < b ? a : b; });
    }
    XTRA_INLINE std::uint32_t ballot(Int mask) const { return hardware.ballot(mask != 0); }

    XTRA_INLINE void copy(char* to, const char* from, std::int64_t bytes) const {
        if (aligned(to, from, bytes, 16)) return move<Four>(to, from, bytes);
        if (aligned(to, from, bytes, 4)) return move<std::uint32_t>(to, from, bytes);
        move<char>(to, from, bytes);
    }
    XTRA_INLINE void clear(char* to, std::int64_t bytes) const {
        if (aligned(to, to, bytes, 16)) return fill<Four>(to, bytes);
        if (aligned(to, to, bytes, 4)) return fill<std::uint32_t>(to, bytes);
        fill<char>(to, bytes);
    }
    template <class Visit>
    XTRA_INLINE void for_actions(int count, Visit visit) const {
        for (int action = hardware.lane(); action < count; action += lanes) visit(action);
    }

  private:
    struct alignas(16) Four {
        std::uint32_t words[4];
    };

    static XTRA_INLINE bool aligned(const char* to, const char* from, std::int64_t bytes, std::uintptr_t size) {
        const auto address = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
        return ((address | static_cast<std::uintptr_t>(bytes)) & (size - 1)) == 0;
    }
    // Words that a lane loads before it stores the first: a compiler that must take `to` and `from` for the same memory
    // would let every load wait for the store before it, and so for the memory's whole latency.
    static constexpr int kBatch = 8;

    template <class Word>
    XTRA_INLINE void move(char* to, const char* from, std::int64_t bytes) const {
        auto* words = reinterpret_cast<Word*>(to);
        const auto* source = reinterpret_cast<const Word*>(from);
        const std::int64_t count = bytes / static_cast<std::int64_t>(sizeof(Word));
        for (std::int64_t first = hardware.lane(); first < count; first += kBatch * lanes) {
            Word batch[kBatch];
            for (int turn = 0; turn < kBatch; ++turn) {
                if (first + turn * lanes < count) batch[turn] = source[first + turn * lanes];
            }
            for (int turn = 0; turn < kBatch; ++turn) {
                if (first + turn * lanes < count) words[first + turn * lanes] = batch[turn];
            }
        }
    }
    template <class Word>
    XTRA_INLINE void fill(char* to, std::int64_t bytes) const {
        auto* words = reinterpret_cast<Word*>(to);
        const std::int64_t count = bytes / static_cast<std::int64_t>(sizeof(Word));
        for (std::int64_t index = hardware.lane(); index < count; index += lanes) words[index] = Word{};
    }
    template <class Value, class Combine>
    XTRA_INLINE Value butterfly(Value value, Combine combine) const {
        for (int distance = lanes / 2; distance > 0; distance /= 2) {
            value = combine(value, hardware.from_lane(value, distance));
        }
        return value;
    }
};

constexpr int kWarpsPerBlock = 4;  // of the CUDA kernels

// Chunks of 32 that a row needs, as the kernels are compiled: 1, 2 or 4.
inline int warp_chunks(int num_actions) { return num_actions <= 32 ? 1 : num_actions <= 64 ? 2 : 4; }

}  // namespace xtra
