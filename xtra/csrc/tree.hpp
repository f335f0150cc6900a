// One root's tree in memory. A node is a slot: a header, then its edges as rows of A entries. Children are not nodes
// until they are expanded. xtra/search/tree.py lists the same fields; xtra/search/reference.py defines what is done
// with them.
#pragma once

#include <cstdint>
#include <initializer_list>

#if defined(__CUDACC__)
#define XTRA_INLINE __host__ __device__ __forceinline__
#else
#define XTRA_INLINE inline __attribute__((always_inline))
#endif

// The same sources are compiled for several instruction sets; a namespace each keeps the linker from mixing them up.
#if !defined(XTRA_ISA)
#define XTRA_ISA portable
#endif

namespace xtra {

constexpr int kNoNode = -1;
constexpr float kInvalidPrior = -1.0f;  // marks an action that is not valid at this root
constexpr int kMaxActions = 128;
constexpr float kLargest = 3.402823466e38f;

struct NodeHeader {
    float value_sum;
    float value_prefix;
    float reward;       // of the edge that leads here
    float span_reward;  // the same as the min-max sees it: other than `reward` under MinMax::released alone
    std::uint16_t visits;
    std::int16_t parent;
    std::int16_t depth;
    std::int16_t phase;  // depth modulo lstm_horizon: the value prefix starts anew below a node of phase 0
    std::int16_t next;   // in the released code's depth-first order
    std::int8_t action;
    std::uint8_t num_children;
};
static_assert(sizeof(NodeHeader) == 28);

struct TreeHeader {
    std::uint64_t seed;
    float low;  // Q is normalized as (q - low) * scale
    float scale;
    float root_value;
    std::int32_t leaf_parent;  // the edge that the next inference expands
    std::int32_t leaf_action;
    std::int32_t num_valid;
    std::int32_t error;  // see Error
    std::int32_t unused[7];
};
static_assert(sizeof(TreeHeader) == 64);

// Offsets and strides in bytes. Rows are read and first written in packs of eight, past their end but never past their
// node's; so they are written in this order.
struct Layout {
    std::int32_t num_actions;
    std::int32_t num_slots;
    std::int32_t prior, q, child_visits, child;
    std::int32_t node_bytes;
    std::int32_t span;
    std::int64_t tree_bytes;
};

XTRA_INLINE int count_bits(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
    return __popc(bits);
#else
    return __builtin_popcount(bits);
#endif
}

XTRA_INLINE int lowest_bit(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
    return __ffs(bits) - 1;
#else
    return __builtin_ctz(bits);
#endif
}

// Actions that a row is read as: whole packs of eight, in as many widths as are compiled.
inline int padded_actions(int num_actions) {
    for (const int chunks : {1, 2, 3, 4, 8}) {
        if (num_actions <= 8 * chunks) return 8 * chunks;
    }
    return kMaxActions;
}

inline Layout make_layout(int num_actions, int num_slots) {
    const auto round_up = [](int size, int to) { return (size + to - 1) / to * to; };
    const auto larger = [](int a, int b) { return a < b ? b : a; };
    const int padded = padded_actions(num_actions);
    Layout layout{};
    layout.num_actions = num_actions;
    layout.num_slots = num_slots;
    layout.prior = sizeof(NodeHeader);
    layout.q = layout.prior + 4 * num_actions;
    layout.child_visits = layout.q + 4 * num_actions;
    layout.child = layout.child_visits + 2 * num_actions;
    const int end = larger(layout.q + 4 * padded, layout.child + 2 * padded);
    layout.node_bytes = round_up(end, 64);
    layout.span = sizeof(TreeHeader) + num_slots * layout.node_bytes;
    layout.tree_bytes = layout.span + round_up(4 * num_slots, 64);
    return layout;
}

// A view of one tree; holds no memory of its own.
struct Tree {
    char* memory;
    const Layout* layout;

    XTRA_INLINE TreeHeader& header() const { return *reinterpret_cast<TreeHeader*>(memory); }
    XTRA_INLINE char* slot(int index) const {
        return memory + sizeof(TreeHeader) + static_cast<std::int64_t>(index) * layout->node_bytes;
    }
    XTRA_INLINE NodeHeader& node(int index) const { return *reinterpret_cast<NodeHeader*>(slot(index)); }
    XTRA_INLINE float* prior(int index) const { return reinterpret_cast<float*>(slot(index) + layout->prior); }
    XTRA_INLINE float* q(int index) const { return reinterpret_cast<float*>(slot(index) + layout->q); }
    XTRA_INLINE std::uint16_t* child_visits(int index) const {
        return reinterpret_cast<std::uint16_t*>(slot(index) + layout->child_visits);
    }
    XTRA_INLINE std::int16_t* child(int index) const {
        return reinterpret_cast<std::int16_t*>(slot(index) + layout->child);
    }
    // Q of every expanded edge as the min-max sees it, by the slot of its child less one: contiguous.
    XTRA_INLINE float* span() const { return reinterpret_cast<float*>(memory + layout->span); }
};

}  // namespace xtra
