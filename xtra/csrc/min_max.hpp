// The span by which Q is normalized: over the whole tree, as EfficientZero's released code had it, or over one node.
#pragma once

#include "root.hpp"

namespace xtra {
inline namespace XTRA_ISA {

struct Span {
    float low, scale;
};

// What to subtract from Q and to multiply by; nothing is normalized while all values are equal.
XTRA_INLINE Span make_span(float low, float high, float value_delta_max) {
    const float width = high - low;
    if (!(width > 0.0f)) return {0.0f, 1.0f};
    return {low, 1.0f / (width > value_delta_max ? width : value_delta_max)};
}

// Of all expanded edges, of which there are `size`.
template <class Team>
XTRA_INLINE void measure_span(const Root<Team>& root, int size) {
    using Float = typename Team::Float;
    const float* span = root.tree.span();
    Float low = root.team.load_span(span, 0, size, kLargest);
    Float high = root.team.load_span(span, 0, size, -kLargest);
    for (int begin = Team::lanes; begin < size; begin += Team::lanes) {
        const Float low_here = root.team.load_span(span, begin, size, kLargest);
        const Float high_here = root.team.load_span(span, begin, size, -kLargest);
        low = low_here < low ? low_here : low;
        high = high_here > high ? high_here : high;
    }
    const Span measured = make_span(root.team.min(low), root.team.max(high), root.rules().value_delta_max);
    if (!root.team.leader()) return;
    root.tree.header().low = measured.low;
    root.tree.header().scale = measured.scale;
}

// Of one node's own value and its visited children: mctx. `q` and `valid`: its rows.
template <class Team>
XTRA_INLINE Span span_of_node(const Root<Team>& root, int slot, const typename Team::Float* q,
                              const typename Team::Int* valid) {
    using Float = typename Team::Float;
    const NodeHeader& node = root.tree.node(slot);
    const float own = node.value_sum / static_cast<float>(node.visits);
    Float low = root.team.all(own);
    Float high = root.team.all(own);
    for (int chunk = 0; chunk < Team::chunks; ++chunk) {
        const auto seen = valid[chunk] & (root.team.load(root.tree.child_visits(slot), chunk) > 0);
        const Float low_here = seen ? q[chunk] : low;
        const Float high_here = seen ? q[chunk] : high;
        low = low_here < low ? low_here : low;
        high = high_here > high ? high_here : high;
    }
    return make_span(root.team.min(low), root.team.max(high), root.rules().value_delta_max);
}

}  // namespace XTRA_ISA
}  // namespace xtra
