// The CPU's team: one thread works on packs of eight actions, which the compiler maps to whatever vectors the machine
// has.
//
// A team is how root.hpp sees the hardware. It holds an action row as packs: here eight actions a pack, in
// warp_team.hpp one action a lane. Comparisons give masks, `mask ? a : b` selects, and reductions follow one order on
// all teams (reference.py).
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstring>

#include "tree.hpp"

namespace xtra {
inline namespace XTRA_ISA {

template <int Chunks>
struct PackTeam {
    static constexpr int chunks = Chunks;
    static constexpr int lanes = 8;
    typedef float Float __attribute__((vector_size(32)));
    typedef std::int32_t Int __attribute__((vector_size(32)));
    typedef std::uint32_t Key __attribute__((vector_size(32)));
    typedef std::uint16_t Short __attribute__((vector_size(16)));

    XTRA_INLINE bool leader() const { return true; }
    XTRA_INLINE void sync() const {}

    // Whether every row of this width has actions in all lanes of that chunk (padded_actions).
    static constexpr bool always_full(int chunk) { return Chunks <= 4 && chunk + 1 < Chunks; }

    XTRA_INLINE Int actions(int chunk) const { return Int{0, 1, 2, 3, 4, 5, 6, 7} + chunk * lanes; }
    XTRA_INLINE Float all(float value) const { return Float{} + value; }
    XTRA_INLINE Float to_float(Int value) const { return __builtin_convertvector(value, Float); }
    XTRA_INLINE Key to_key(Int value) const { return reinterpret_cast<Key>(value); }

    XTRA_INLINE Float load(const float* row, int chunk) const {
        Float pack;
        std::memcpy(&pack, row + chunk * lanes, sizeof pack);
        return pack;
    }
    XTRA_INLINE Int load(const std::uint16_t* row, int chunk) const {
        Short pack;
        std::memcpy(&pack, row + chunk * lanes, sizeof pack);
        return __builtin_convertvector(pack, Int);
    }
    // A span is no row: lanes past its end are not read and give `otherwise`, nor are they written.
    XTRA_INLINE Float load_span(const float* span, int begin, int size, float otherwise) const {
        if (begin + lanes <= size) return load(span + begin, 0);
#if defined(__AVX2__)
        const Int inside = actions(0) < size - begin;
        return inside ? reinterpret_cast<Float>(_mm256_maskload_ps(span + begin, reinterpret_cast<__m256i>(inside)))
                      : all(otherwise);
#else
        Float pack = all(otherwise);
        for (int lane = 0; lane < lanes && begin + lane < size; ++lane) pack[lane] = span[begin + lane];
        return pack;
#endif
    }
    XTRA_INLINE void store_span(float* span, int begin, int size, Float pack) const {
        if (begin + lanes <= size) return store(span + begin, 0, pack);
#if defined(__AVX2__)
        const Int inside = actions(0) < size - begin;
        _mm256_maskstore_ps(span + begin, reinterpret_cast<__m256i>(inside), reinterpret_cast<__m256>(pack));
#else
        for (int lane = 0; lane < lanes && begin + lane < size; ++lane) span[begin + lane] = pack[lane];
#endif
    }

    XTRA_INLINE Int load_flags(const std::uint8_t* flags, int chunk, int size) const {
        Int pack{};
        for (int lane = 0; lane < lanes && chunk * lanes + lane < size; ++lane)
            pack[lane] = flags[chunk * lanes + lane] ? -1 : 0;
        return pack;
    }
    // Lanes past a row's end write into what follows it in the node.
    XTRA_INLINE void store(float* row, int chunk, Float pack) const {
        std::memcpy(row + chunk * lanes, &pack, sizeof pack);
    }
    template <class Count>
    XTRA_INLINE void store(Count* row, int chunk, int value) const {
        const Short pack = Short{} + static_cast<std::uint16_t>(value);
        std::memcpy(row + chunk * lanes, &pack, sizeof pack);
    }

    XTRA_INLINE float sum(const Float* packs) const {
        Float lanes32[4] = {};
        for (int chunk = 0; chunk < Chunks; ++chunk)
            lanes32[chunk % 4] += packs[chunk];  // virtual lanes 0-7, 8-15, 16-23, 24-31
        return fold((lanes32[0] + lanes32[2]) + (lanes32[1] + lanes32[3]), [](auto a, auto b) { return a + b; });
    }
    template <class Pack>
    XTRA_INLINE auto max(Pack pack) const {
        return fold(pack, [](auto a, auto b) { return a > b ? a : b; });
    }
    XTRA_INLINE float min(Float pack) const {
        return fold(pack, [](auto a, auto b) { return a < b ? a : b; });
    }

    // One bit a lane.
    XTRA_INLINE std::uint32_t ballot(Int mask) const {
#if defined(__AVX2__)
        return static_cast<std::uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
#else
        std::uint32_t bits = 0;
        for (int lane = 0; lane < lanes; ++lane) bits |= static_cast<std::uint32_t>(mask[lane] & 1) << lane;
        return bits;
#endif
    }

    XTRA_INLINE void copy(char* to, const char* from, std::int64_t bytes) const {
        if (bytes == 4) {  // one number, as tabular models have: no call
            std::memcpy(to, from, 4);
        } else {
            std::memcpy(to, from, static_cast<std::size_t>(bytes));
        }
    }
    XTRA_INLINE void clear(char* to, std::int64_t bytes) const { std::memset(to, 0, static_cast<std::size_t>(bytes)); }

    // Calls `visit(action)` for every action of the row.
    template <class Visit>
    XTRA_INLINE void for_actions(int num_actions, Visit visit) const {
        for (int action = 0; action < num_actions; ++action) visit(action);
    }

  private:
    // Folds lanes 4, 2, 1 apart, as a warp does after 16 and 8.
    template <class Pack, class Combine>
    XTRA_INLINE auto fold(Pack pack, Combine combine) const {
        pack = combine(pack, shuffle(pack, Int{4, 5, 6, 7, 0, 1, 2, 3}));
        pack = combine(pack, shuffle(pack, Int{2, 3, 0, 1, 6, 7, 4, 5}));
        pack = combine(pack, shuffle(pack, Int{1, 0, 3, 2, 5, 4, 7, 6}));
        return pack[0];
    }
    template <class Pack>
    XTRA_INLINE Pack shuffle(Pack pack, Int order) const {
#if defined(__clang__)
        Pack result;
        for (int lane = 0; lane < lanes; ++lane) result[lane] = pack[order[lane]];
        return result;
#else
        return __builtin_shuffle(pack, order);
#endif
    }
};

}  // namespace XTRA_ISA
}  // namespace xtra
